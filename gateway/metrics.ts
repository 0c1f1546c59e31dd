import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { LATENCY_BUCKETS } from '../common/metrics.ts'

const DROP_REASONS = ['decoder_failed', 'decoder_behind', 'late', 'packets_lost'] as const

/** A label has the camera, and `#sub` behind it for its substream. */
const cameraIn = (label: string | number): string => String(label).replace(/#sub$/, '')

export type Metrics = ReturnType<typeof createMetrics>

/** Cameras are labelled `namespace/name`; only those that exist, so labels stay bounded. */
export function createMetrics(registry: Registry) {
  const registers = [registry]
  const camera = ['camera'] as const
  const ofCamera = {
    framesReceived: new Counter({
      name: 'chrysalis_frames_received_total',
      help: 'Frames that arrived from sidecars',
      labelNames: camera,
      registers,
    }),
    bytesReceived: new Counter({
      name: 'chrysalis_frame_bytes_received_total',
      help: 'Bytes of frames that arrived from sidecars',
      labelNames: camera,
      registers,
    }),
    framesRepeated: new Counter({
      name: 'chrysalis_frames_repeated_total',
      help: 'Frames that arrived twice, and were dropped',
      labelNames: camera,
      registers,
    }),
    framesUnwanted: new Counter({
      name: 'chrysalis_frames_unwanted_total',
      help: 'Decoded frames skipped because no client needed them',
      labelNames: camera,
      registers,
    }),
    framesServed: new Counter({ name: 'chrysalis_frames_served_total', help: 'Frames sent to clients', labelNames: camera, registers }),
    bytesServed: new Counter({
      name: 'chrysalis_frame_bytes_served_total',
      help: 'Bytes of frames sent to clients',
      labelNames: camera,
      registers,
    }),
    emptyServed: new Counter({
      name: 'chrysalis_empty_answers_total',
      help: 'Requests answered without a frame',
      labelNames: camera,
      registers,
    }),
    framesMissed: new Counter({
      name: 'chrysalis_frames_missed_total',
      help: 'Frames that a client did not get because it fell behind',
      labelNames: camera,
      registers,
    }),
    framesWithheld: new Counter({
      name: 'chrysalis_frames_withheld_total',
      help: 'Frames not sent because too many unsent bytes wait for slow clients',
      labelNames: camera,
      registers,
    }),
    delivery: new Histogram({
      name: 'chrysalis_delivery_seconds',
      help: 'Time from capture until a frame was sent to a client, in seconds',
      labelNames: camera,
      buckets: LATENCY_BUCKETS,
      registers,
    }),
    frameAge: new Histogram({
      name: 'chrysalis_frame_age_seconds',
      help: 'Age of live frames when they are handed to the transport: time since capture',
      labelNames: camera,
      buckets: LATENCY_BUCKETS,
      registers,
    }),
    bufferedServed: new Counter({
      name: 'chrysalis_buffered_frames_served_total',
      help: 'Frames of the past sent to clients',
      labelNames: camera,
      registers,
    }),
    clockSkew: new Gauge({
      name: 'chrysalis_clock_skew_seconds',
      help: 'Estimated clock offset of the sidecar, in seconds, including the network delay of its heartbeat',
      labelNames: camera,
      registers,
    }),
    packetsReceived: new Counter({
      name: 'chrysalis_packets_received_total',
      help: 'Packets that arrived for live decoding in the gateway',
      labelNames: camera,
      registers,
    }),
    framesDecoded: new Counter({
      name: 'chrysalis_frames_decoded_total',
      help: 'Frames decoded in the gateway for live clients',
      labelNames: camera,
      registers,
    }),
    framesCorrupt: new Counter({
      name: 'chrysalis_frames_corrupt_total',
      help: 'Decoded frames that are damaged',
      labelNames: camera,
      registers,
    }),
    decodeSeconds: new Histogram({
      name: 'chrysalis_decode_seconds',
      help: 'Time from a packet’s arrival at the decoder to its frame, in seconds',
      labelNames: camera,
      buckets: LATENCY_BUCKETS,
      registers,
    }),
    decodeFailures: new Counter({
      name: 'chrysalis_decode_failures_total',
      help: 'Times that decoding in the gateway started to fail',
      labelNames: camera,
      registers,
    }),
    decoderRunning: new Gauge({
      name: 'chrysalis_decoder_running',
      help: '1 while the camera is decoded in the gateway',
      labelNames: camera,
      registers,
    }),
    ringFrames: new Gauge({ name: 'chrysalis_ring_frames', help: 'Frames held in the ring', labelNames: camera, registers }),
    ringBytes: new Gauge({ name: 'chrysalis_ring_bytes', help: 'Bytes of frames held in the ring', labelNames: camera, registers }),
  }
  const framesDropped = new Counter({
    name: 'chrysalis_frames_dropped_total',
    help: 'Frames or packets that the gateway did not decode or deliver, by reason',
    labelNames: ['camera', 'reason'] as const,
    registers,
  })
  const moves = new Counter({
    name: 'chrysalis_decoding_moves_total',
    help: 'Placement changes of watched cameras, by new placement',
    labelNames: ['camera', 'to'] as const,
    registers,
  })
  /** A camera that is gone takes its series with it. */
  const forget = (camera: string): void => {
    for (const name of [camera, `${camera}#sub`]) forgetOne(name)
  }
  const forgetOne = (name: string): void => {
    for (const metric of Object.values(ofCamera)) metric.remove({ camera: name })
    for (const reason of DROP_REASONS) framesDropped.remove({ camera: name, reason })
    for (const to of ['Sidecar', 'Gateway']) moves.remove({ camera: name, to })
  }
  return {
    ...ofCamera,
    framesDropped,
    moves,
    decodersRefused: new Gauge({
      name: 'chrysalis_decoders_refused',
      help: 'Watched cameras that are given no frames because the gateway has no room for them',
      registers,
    }),
    memoryBudget: new Gauge({
      name: 'chrysalis_memory_budget_bytes',
      help: 'Bytes that rings, unsent frames, decoders and reads of the past may take together',
      registers,
    }),
    memoryUsed: new Gauge({
      name: 'chrysalis_memory_used_bytes',
      help: 'Bytes of that budget that are taken, by decoders, reads, unsent or rings',
      labelNames: ['what'] as const,
      registers,
    }),
    camerasThinned: new Gauge({
      name: 'chrysalis_cameras_thinned',
      help: 'Watched cameras that are given fewer frames because the gateway has no room for all',
      registers,
    }),
    demand: new Gauge({
      name: 'chrysalis_demand_cameras',
      help: 'Cameras that clients ask for, by demand: all or keyframes',
      labelNames: ['wants'] as const,
      registers,
    }),
    badMessages: new Counter({
      name: 'chrysalis_bad_messages_total',
      help: 'Malformed messages from NATS that were dropped, by reason',
      labelNames: ['reason'] as const,
      registers,
    }),
    cameras: new Gauge({ name: 'chrysalis_cameras', help: 'Cameras that exist', registers }),
    cursors: new Gauge({ name: 'chrysalis_cursors', help: 'Cursors kept for clients that make unary calls', registers }),
    natsConnected: new Gauge({ name: 'chrysalis_nats_connected', help: '1 while NATS is connected', registers }),
    natsReconnects: new Counter({
      name: 'chrysalis_nats_reconnects_total',
      help: 'Reconnects to NATS, by what the link is for: control, packets or frames',
      labelNames: ['link'] as const,
      registers,
    }),
    callsRunning: new Gauge({ name: 'chrysalis_calls_running', help: 'gRPC calls in flight', labelNames: ['method'] as const, registers }),
    connectionsRefused: new Counter({
      name: 'chrysalis_connections_refused_total',
      help: 'gRPC connections refused because there are too many, in all or of one address',
      registers,
    }),
    calls: new Counter({
      name: 'chrysalis_calls_total',
      help: 'gRPC calls that ended, by method and status code',
      labelNames: ['method', 'code'] as const,
      registers,
    }),
    bufferedReads: new Gauge({ name: 'chrysalis_buffered_reads', help: 'Buffered reads that run now', registers }),
    tls: {
      reloadFailed: new Gauge({
        name: 'chrysalis_tls_reload_failed',
        help: '1 while the certificate files cannot be used and the old certificate is served',
        registers,
      }),
      expires: new Gauge({
        name: 'chrysalis_tls_expires_timestamp_seconds',
        help: 'When the served certificate expires, in seconds since the epoch; 0 without TLS',
        registers,
      }),
    },
    clientsCutOff: new Counter({
      name: 'chrysalis_http_clients_cut_off_total',
      help: 'HTTP clients cut off because they took nothing for 30 s',
      registers,
    }),
    unsentBytes: new Gauge({ name: 'chrysalis_unsent_bytes', help: 'Bytes of frames handed to the transport and not yet sent', registers }),
    forget,
    /** Calls and decoders that end after their camera count for it once more. */
    async forgetOthersThan(names: ReadonlySet<string>): Promise<void> {
      for (const metric of [...Object.values(ofCamera), framesDropped, moves]) {
        const { values } = await metric.get()
        for (const { labels } of values)
          if (labels.camera !== undefined && !names.has(cameraIn(labels.camera))) forget(cameraIn(labels.camera))
      }
    },
  }
}

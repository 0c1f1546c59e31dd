import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { LATENCY_BUCKETS } from '../common/metrics.ts'

const DROP_CAUSES = ['decoder_failed', 'decoder_behind', 'late', 'packets_lost'] as const

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
      help: 'Bytes of the frames that arrived',
      labelNames: camera,
      registers,
    }),
    framesRepeated: new Counter({
      name: 'chrysalis_frames_repeated_total',
      help: 'Frames that sidecars sent again',
      labelNames: camera,
      registers,
    }),
    framesUnwanted: new Counter({
      name: 'chrysalis_frames_unwanted_total',
      help: 'Pictures decoded here and not made frames, as all clients take fewer',
      labelNames: camera,
      registers,
    }),
    framesServed: new Counter({ name: 'chrysalis_frames_served_total', help: 'Frames sent to clients', labelNames: camera, registers }),
    bytesServed: new Counter({
      name: 'chrysalis_frame_bytes_served_total',
      help: 'Bytes of the frames sent',
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
      help: 'Frames that a client did not get because it had fallen behind the ring',
      labelNames: camera,
      registers,
    }),
    framesWithheld: new Counter({
      name: 'chrysalis_frames_withheld_total',
      help: 'Frames withheld because too many bytes wait for clients that do not read',
      labelNames: camera,
      registers,
    }),
    delivery: new Histogram({
      name: 'chrysalis_delivery_seconds',
      help: 'From capture to having been sent to a client',
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
      help: 'How far the clock of the camera’s sidecar is behind ours, the way of its heartbeat included',
      labelNames: camera,
      registers,
    }),
    packetsReceived: new Counter({
      name: 'chrysalis_packets_received_total',
      help: 'Packets that arrived to be decoded live',
      labelNames: camera,
      registers,
    }),
    framesDecoded: new Counter({
      name: 'chrysalis_frames_decoded_total',
      help: 'Frames decoded here for live clients',
      labelNames: camera,
      registers,
    }),
    framesCorrupt: new Counter({
      name: 'chrysalis_frames_corrupt_total',
      help: 'Of these, frames with damage',
      labelNames: camera,
      registers,
    }),
    decodeSeconds: new Histogram({
      name: 'chrysalis_decode_seconds',
      help: 'From a packet’s arrival at the decoder to its frame',
      labelNames: camera,
      buckets: LATENCY_BUCKETS,
      registers,
    }),
    decodeFailures: new Counter({
      name: 'chrysalis_decode_failures_total',
      help: 'How often decoding here began to fail',
      labelNames: camera,
      registers,
    }),
    decoderRunning: new Gauge({
      name: 'chrysalis_decoder_running',
      help: '1 while the camera is decoded here',
      labelNames: camera,
      registers,
    }),
    ringFrames: new Gauge({ name: 'chrysalis_ring_frames', help: 'Frames held for clients', labelNames: camera, registers }),
    ringBytes: new Gauge({ name: 'chrysalis_ring_bytes', help: 'Bytes of the frames held', labelNames: camera, registers }),
  }
  const framesDropped = new Counter({
    name: 'chrysalis_frames_dropped_total',
    help: 'Frames or packets not decoded or delivered here, by cause',
    labelNames: ['camera', 'cause'] as const,
    registers,
  })
  const moves = new Counter({
    name: 'chrysalis_decoding_moves_total',
    help: 'How often a watched camera was moved, by where it was to be decoded from then on',
    labelNames: ['camera', 'to'] as const,
    registers,
  })
  /** A camera that is gone takes its series with it. */
  const forget = (name: string): void => {
    for (const metric of Object.values(ofCamera)) metric.remove({ camera: name })
    for (const cause of DROP_CAUSES) framesDropped.remove({ camera: name, cause })
    for (const to of ['Sidecar', 'Gateway']) moves.remove({ camera: name, to })
  }
  return {
    ...ofCamera,
    framesDropped,
    moves,
    decodersRefused: new Gauge({
      name: 'chrysalis_decoders_refused',
      help: 'Cameras that are to be decoded here and are not, as CHRYS_DECODERS_MAX are',
      registers,
    }),
    demand: new Gauge({
      name: 'chrysalis_demand_cameras',
      help: 'Cameras that clients want, by what of them',
      labelNames: ['wants'] as const,
      registers,
    }),
    badMessages: new Counter({
      name: 'chrysalis_bad_messages_total',
      help: 'Messages from NATS that no honest peer of this version sends, dropped',
      labelNames: ['reason'] as const,
      registers,
    }),
    cameras: new Gauge({ name: 'chrysalis_cameras', help: 'Cameras that exist', registers }),
    cursors: new Gauge({ name: 'chrysalis_cursors', help: 'Places kept for clients that make a call for each frame', registers }),
    natsConnected: new Gauge({ name: 'chrysalis_nats_connected', help: '1 while NATS is connected', registers }),
    natsReconnects: new Counter({
      name: 'chrysalis_nats_reconnects_total',
      help: 'Connections to NATS made anew; over a link too slow for raw frames NATS hangs up again and again',
      registers,
    }),
    callsRunning: new Gauge({ name: 'chrysalis_calls_running', help: 'gRPC calls in flight', labelNames: ['method'] as const, registers }),
    calls: new Counter({
      name: 'chrysalis_calls_total',
      help: 'gRPC calls that ended, by status code',
      labelNames: ['method', 'code'] as const,
      registers,
    }),
    bufferedReads: new Gauge({ name: 'chrysalis_buffered_reads', help: 'Reads of the past being served', registers }),
    tls: {
      reloadFailed: new Gauge({
        name: 'chrysalis_tls_reload_failed',
        help: '1 while the files hold a certificate that can not be used, and the one before it is served',
        registers,
      }),
      expires: new Gauge({
        name: 'chrysalis_tls_expires_timestamp_seconds',
        help: 'When the certificate that is served expires, seconds since the epoch; 0 without TLS',
        registers,
      }),
    },
    unsentBytes: new Gauge({ name: 'chrysalis_unsent_bytes', help: 'Bytes of frames on their way to clients', registers }),
    forget,
    /** Calls and decoders that end after their camera count for it once more. */
    async forgetOthersThan(names: ReadonlySet<string>): Promise<void> {
      for (const metric of [...Object.values(ofCamera), framesDropped, moves]) {
        const { values } = await metric.get()
        for (const { labels } of values) if (labels.camera !== undefined && !names.has(String(labels.camera))) forget(String(labels.camera))
      }
    },
  }
}

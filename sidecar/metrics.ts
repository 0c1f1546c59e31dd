import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { LiveCount } from '../common/media/live-decoder.ts'
import { LATENCY_BUCKETS } from '../common/metrics.ts'
import type { Packet } from '../proto/messages.ts'

/** What the sidecar counts. Its one camera is named by the scrape's labels (pod), not by labels of ours. */
export function createMetrics(registry: Registry) {
  const registers = [registry]
  return {
    packets: new Counter({ name: 'chrysalis_packets_total', help: 'Packets received from the camera', registers }),
    packetBytes: new Counter({ name: 'chrysalis_packet_bytes_total', help: 'Bytes of packets received from the camera', registers }),
    corruptPackets: new Counter({ name: 'chrysalis_corrupt_packets_total', help: 'Packets that the demuxer marked as corrupt', registers }),
    keyframes: new Counter({ name: 'chrysalis_keyframes_total', help: 'Keyframes received from the camera', registers }),
    epochs: new Counter({
      name: 'chrysalis_epochs_total',
      help: 'Epochs that began: runs of video with one codec, size and time base',
      registers,
    }),
    failures: new Counter({
      name: 'chrysalis_connect_failures_total',
      help: 'Camera connections that ended, by reason',
      labelNames: ['reason'],
      registers,
    }),
    streaming: new Gauge({ name: 'chrysalis_streaming', help: '1 while packets flow', registers }),
    substreamStreaming: new Gauge({ name: 'chrysalis_substream_streaming', help: '1 while packets of the substream flow', registers }),
    substreamPackets: new Counter({ name: 'chrysalis_substream_packets_total', help: 'Packets received of the substream', registers }),
    buffered: new Counter({ name: 'chrysalis_buffer_packets_total', help: 'Packets acknowledged by the packet stream', registers }),
    bufferDropped: new Counter({
      name: 'chrysalis_buffer_dropped_total',
      help: 'Packets that did not reach the packet stream, by reason',
      labelNames: ['reason'],
      registers,
    }),
    bufferQueue: new Gauge({ name: 'chrysalis_buffer_queue_bytes', help: 'Bytes waiting for the packet stream', registers }),
    decoderRunning: new Gauge({ name: 'chrysalis_decoder_running', help: '1 while a live decoder runs', registers }),
    demand: new Gauge({
      name: 'chrysalis_demand',
      help: '1 for what clients ask for now: all, keyframes or none',
      labelNames: ['wants'],
      registers,
    }),
    framesDecoded: new Counter({ name: 'chrysalis_frames_decoded_total', help: 'Frames decoded for live clients', registers }),
    framesCorrupt: new Counter({ name: 'chrysalis_frames_corrupt_total', help: 'Decoded frames that are damaged', registers }),
    framesPublished: new Counter({ name: 'chrysalis_frames_published_total', help: 'Frames that NATS accepted', registers }),
    framesDropped: new Counter({
      name: 'chrysalis_frames_dropped_total',
      help: 'Frames or packets that were not delivered live, by reason',
      labelNames: ['reason'],
      registers,
    }),
    framesUnwanted: new Counter({
      name: 'chrysalis_frames_unwanted_total',
      help: 'Decoded frames skipped because no client needed them',
      registers,
    }),
    decodeSeconds: new Histogram({
      name: 'chrysalis_decode_seconds',
      help: 'Time from a packet’s arrival at the decoder to its frame, in seconds',
      buckets: LATENCY_BUCKETS,
      registers,
    }),
    publishSeconds: new Histogram({
      name: 'chrysalis_publish_seconds',
      help: 'Time from a decoded frame to its acknowledgement by NATS, in seconds',
      buckets: LATENCY_BUCKETS,
      registers,
    }),
    archiving: new Gauge({ name: 'chrysalis_archiving', help: '1 while packets are written to the archive', registers }),
    archiveQueue: new Gauge({ name: 'chrysalis_archive_queue_bytes', help: 'Bytes waiting for the archive', registers }),
    archivePackets: new Counter({ name: 'chrysalis_archive_packets_total', help: 'Packets in finished segments', registers }),
    archiveSegments: new Counter({ name: 'chrysalis_archive_files_total', help: 'Segments that were finished', registers }),
    archiveDropped: new Counter({
      name: 'chrysalis_archive_dropped_total',
      help: 'Packets that did not reach the archive, by reason',
      labelNames: ['reason'],
      registers,
    }),
    archiveFailures: new Counter({
      name: 'chrysalis_archive_failures_total',
      help: 'Segments that could not be written, by reason',
      labelNames: ['reason'],
      registers,
    }),
    archiveRemoved: new Counter({
      name: 'chrysalis_archive_removed_total',
      help: 'Segments removed from the archive, by reason: age or size',
      labelNames: ['reason'],
      registers,
    }),
    archiveFiles: new Gauge({ name: 'chrysalis_archive_files', help: 'Segments in the archive', registers }),
    archiveStored: new Gauge({ name: 'chrysalis_archive_bytes', help: 'Bytes of the segments in the archive', registers }),
    proxyActive: new Gauge({ name: 'chrysalis_forwarding_active', help: '1 while the RTMP server accepts the stream', registers }),
    proxyPackets: new Counter({ name: 'chrysalis_forwarding_packets_total', help: 'Packets forwarded to the RTMP server', registers }),
    proxyBytes: new Counter({ name: 'chrysalis_forwarding_bytes_total', help: 'Bytes of packets forwarded to the RTMP server', registers }),
    proxyDropped: new Counter({
      name: 'chrysalis_forwarding_dropped_total',
      help: 'Packets not forwarded while forwarding was on, by reason',
      labelNames: ['reason'],
      registers,
    }),
    proxyFailures: new Counter({
      name: 'chrysalis_forwarding_failures_total',
      help: 'Connections to the RTMP server that ended, by reason',
      labelNames: ['reason'],
      registers,
    }),
    badMessages: new Counter({
      name: 'chrysalis_bad_messages_total',
      help: 'Malformed messages from NATS that were dropped, by reason',
      labelNames: ['reason'],
      registers,
    }),
  }
}
export type Metrics = ReturnType<typeof createMetrics>

/** A packet that came from the camera. */
export function countPacket(metrics: Metrics, { key, corrupt, data }: Packet, newEpoch: boolean): void {
  metrics.packets.inc()
  metrics.packetBytes.inc(data.length)
  if (key) metrics.keyframes.inc()
  if (corrupt) metrics.corruptPackets.inc()
  if (newEpoch) metrics.epochs.inc()
}

/** What becomes of live frames. */
export const liveCount = (metrics: Metrics): LiveCount => ({
  decoded: isCorrupt => {
    metrics.framesDecoded.inc()
    if (isCorrupt) metrics.framesCorrupt.inc()
  },
  dropped: cause => metrics.framesDropped.inc({ reason: cause }),
  unwanted: () => metrics.framesUnwanted.inc(),
  tookMs: ms => metrics.decodeSeconds.observe(ms / 1000),
})

// A camera's stream as it is, in a container that everything reads which opens a URL: fragmented MP4. Nothing is decoded.
import { mp4Fragment, mp4Head, type Sample } from '../../common/media/mp4/fragments.ts'
import { Timeline } from '../../common/media/mp4/timeline.ts'
import { isMp4Codec, mp4Track, mp4Type, trackKey, type Mp4Track } from '../../common/media/mp4/track.ts'
import { refText } from '../../proto/subjects.ts'
import type { KnownCamera } from '../cameras.ts'
import type { LivePacket, PacketReader, PacketReaders } from '../frames/packet-readers.ts'
import { Refusal } from '../refusal.ts'
import { whyNoFrame } from './cameras.ts'
import { sendPiece, type Outlet, type StreamParts } from './sending.ts'

/** How long the first packet is waited for: of a camera that streams, and of one that does not. */
const WAIT_MS = 5_000
const DOWN_WAIT_MS = 500
/** Where a frame is the last for now: its duration. */
const DURATION_MIN = 1

export type LiveParts = StreamParts & { packets: PacketReaders; isConnected: () => boolean }

/** Refuses what cannot be sent as it is, before and after the stream has begun to come. */
export function checkCodec({ deviceId }: KnownCamera, name: string | undefined): void {
  if (name === undefined || isMp4Codec(name)) return
  throw new Refusal('precondition', `camera "${deviceId}" sends ${name}, which MP4 is not written of: use live.mjpeg or frame.jpg`)
}

/** Until the client leaves, the camera is deleted, or its codec, size or parameter sets change. */
export async function liveMp4(camera: KnownCamera, parts: LiveParts, outlet: Outlet): Promise<void> {
  const { signal } = outlet
  checkCodec(camera, camera.report?.state.codec?.name)
  using reader = parts.packets.open(camera)
  const waitMs = camera.report?.state.connection === 'streaming' ? WAIT_MS : DOWN_WAIT_MS
  const first = await reader.take(AbortSignal.any([signal, AbortSignal.timeout(waitMs)]))
  const [begin] = first
  if (begin === undefined) {
    if (!signal.aborted) outlet.problem(503, whyNoFrame(camera, parts.isConnected(), undefined))
    return
  }
  checkCodec(camera, begin.codec.name)
  const track = mp4Track(begin.codec, begin.packet)
  if (track === undefined)
    throw new Refusal('unavailable', `the stream of camera "${camera.deviceId}" does not describe itself: use live.mjpeg`)
  outlet.begin(mp4Type(track))
  await sendPiece(outlet, parts, mp4Head(track))
  for await (const fragment of fragments(reader, first, track, signal)) {
    if (await sendPiece(outlet, parts, fragment)) {
      parts.metrics.bytesServed.inc({ camera: refText(camera.ref) }, fragment.length)
      continue
    }
    parts.metrics.framesWithheld.inc({ camera: refText(camera.ref) })
    reader.skip()
  }
  outlet.end()
}

/** What comes, as fragments: the GOP so far as one, then one of each frame as soon as the next tells how long it lasts. */
async function* fragments(
  reader: PacketReader,
  first: readonly LivePacket[],
  track: Mp4Track,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const timeline = new Timeline()
  const key = trackKey(track)
  let held: Omit<Sample, 'duration'> | undefined
  let epoch = first[0]?.packet.epoch
  let number = 0
  for (let taken = first; taken.length > 0; taken = await reader.take(signal)) {
    const samples: Sample[] = []
    for (const { packet, codec } of taken) {
      if (packet.epoch !== epoch) {
        const next = mp4Track(codec, packet)
        if (next === undefined || trackKey(next) !== key) return
        epoch = packet.epoch
      }
      const { decode, show } = timeline.place(packet, codec)
      if (held !== undefined) samples.push({ ...held, duration: Math.max(DURATION_MIN, decode - held.decode) })
      held = { decode, show, packet, data: track.sample(packet) }
    }
    if (samples.length > 0) yield mp4Fragment(++number, samples)
  }
}

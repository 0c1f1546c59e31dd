// A camera's stream as it is, in a container that everything reads which opens a URL. Nothing is decoded.
import { whenAborted } from '../../common/abort.ts'
import { isMp4Codec } from '../../common/media/mp4/track.ts'
import { refText } from '../../proto/subjects.ts'
import type { KnownCamera } from '../cameras.ts'
import type { LivePacket, PacketReaders } from '../frames/packet-readers.ts'
import { Refusal } from '../refusal.ts'
import { whyNoFrame } from './cameras.ts'
import type { LiveFormat, Muxer } from './live-formats.ts'
import { sendPiece, type Outlet, type StreamParts } from './sending.ts'

/** How long the first packet is waited for: of a camera that streams, and of one that does not. */
const WAIT_MS = 5_000
const DOWN_WAIT_MS = 500

export type LiveParts = StreamParts & { packets: PacketReaders; isConnected: () => boolean }

/** Refuses what cannot be sent as it is, before and after the stream has begun to come. */
export function checkCodec({ deviceId }: KnownCamera, name: string | undefined): void {
  if (name === undefined || isMp4Codec(name)) return
  throw new Refusal(
    'precondition',
    `camera "${deviceId}" sends ${name}, which MP4 and MPEG-TS are not written of: use live.mjpeg or frame.jpg`,
  )
}

/** Until the client leaves, the camera is deleted, or its stream changes to what the container cannot go on with. */
export async function live(camera: KnownCamera, format: LiveFormat, parts: LiveParts, outlet: Outlet): Promise<void> {
  const { signal } = outlet
  checkCodec(camera, camera.report?.state.codec?.name)
  using reader = parts.packets.open(camera)
  // A substream is connected now, for this.
  const waitMs = camera.stream === 'sub' || camera.report?.state.connection === 'streaming' ? WAIT_MS : DOWN_WAIT_MS
  using _gone = whenAborted(signal, () => reader.end())
  const late = setTimeout(() => reader.end(), waitMs)
  const first = await reader.take()
  clearTimeout(late)
  const [begin] = first
  if (begin === undefined) {
    if (!signal.aborted) outlet.problem(503, whyNoFrame(camera, parts.isConnected(), undefined))
    return
  }
  checkCodec(camera, begin.codec.name)
  const muxer = format(begin.codec, begin.packet)
  if (muxer === undefined) {
    throw new Refusal('unavailable', `the stream of camera "${camera.deviceId}" cannot be sent in this form: use live.mp4 or live.mjpeg`)
  }
  outlet.begin(muxer.type)
  if (muxer.head.length > 0) await sendPiece(outlet, parts, muxer.head)
  const epochs = new Epochs(begin.packet.epoch, muxer)
  const label = { camera: refText(camera.ref) }
  for (let taken = first; taken.length > 0; taken = await reader.take()) {
    const fitting = epochs.fitting(taken)
    const piece = muxer.mux(fitting)
    if (piece !== undefined && (await sendPiece(outlet, parts, piece))) parts.metrics.bytesServed.inc(label, piece.length)
    else if (piece !== undefined) {
      parts.metrics.framesWithheld.inc(label)
      reader.skip()
    }
    if (fitting.length < taken.length) break
  }
  outlet.end()
}

/** Up to where a muxer can go on. */
class Epochs {
  #epoch: number
  readonly #muxer: Muxer

  constructor(epoch: number, muxer: Muxer) {
    this.#epoch = epoch
    this.#muxer = muxer
  }

  fitting(packets: readonly LivePacket[]): readonly LivePacket[] {
    const end = packets.findIndex(live => {
      if (live.packet.epoch === this.#epoch) return false
      this.#epoch = live.packet.epoch
      return !this.#muxer.goesOn(live)
    })
    return end < 0 ? packets : packets.slice(0, end)
  }
}

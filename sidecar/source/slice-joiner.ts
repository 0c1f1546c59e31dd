import type { DemuxedPacket } from '../../common/media/demux.ts'
import { continuesPicture } from '../../common/media/parameters.ts'

/**
 * Whole pictures out of packets. Some servers repeat the parameter sets in front of each slice of a keyframe, where ffmpeg takes a new
 * picture to begin. A keyframe is held until the next packet shows that it is complete, on streams only that do so.
 */
export class Pictures {
  #held: DemuxedPacket | undefined
  /** Keyframes come in pieces; undefined until the first one is complete. */
  #inPieces: boolean | undefined

  /** Takes a packet; returns the pictures that are known to be complete, in order. */
  push(packet: DemuxedPacket, stream: { codec: string; extradata: Uint8Array }): DemuxedPacket[] {
    const held = this.#held
    if (packet.key && continuesPicture(stream.codec, packet.data, stream.extradata)) {
      this.#inPieces = true
      // A piece whose picture has been passed on is of no use.
      if (held !== undefined)
        this.#held = { ...held, corrupt: held.corrupt || packet.corrupt, data: Buffer.concat([held.data, packet.data]) }
      return []
    }
    if (held !== undefined) this.#inPieces ??= false
    const waits = packet.key && this.#inPieces !== false
    this.#held = waits ? packet : undefined
    return [...(held === undefined ? [] : [held]), ...(waits ? [] : [packet])]
  }
}

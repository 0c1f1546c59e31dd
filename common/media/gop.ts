import type { Packet } from '../../proto/messages.ts'
import { KeyframeGate } from './keyframe-gate.ts'

/** More than any camera puts between two keyframes at a sane bitrate. */
const BYTES_MAX = 64 * 2 ** 20

/** The packets since the last keyframe, where decoding and forwarding can begin at any time. Bounded in bytes: a GOP beyond that is not kept. */
export class Gop {
  readonly #maxBytes: number
  #packets: Packet[] = []
  #bytes = 0
  #newestPts = 0
  /** Closed once there are more bytes than may be held: decoding can begin at the next keyframe. */
  readonly #gate = new KeyframeGate('closed')

  constructor(maxBytes = BYTES_MAX) {
    this.#maxBytes = maxBytes
  }

  /** Decodable from its first packet on; empty when there is no such beginning. */
  get packets(): readonly Packet[] {
    return this.#packets
  }

  /** The highest pts held. */
  get newestPts(): number {
    return this.#newestPts
  }

  push(packet: Packet): void {
    if (packet.key) {
      this.#packets = []
      this.#bytes = 0
      this.#newestPts = packet.pts
    }
    if (!this.#gate.passes(packet)) return
    this.#bytes += packet.data.length
    if (this.#bytes > this.#maxBytes) {
      this.#gate.close()
      this.#packets = []
      return
    }
    this.#packets.push(packet)
    this.#newestPts = Math.max(this.#newestPts, packet.pts)
  }

  clear(): void {
    this.#gate.close()
    this.#packets = []
    this.#bytes = 0
  }
}

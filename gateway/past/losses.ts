// What is missing among the packets that are read from a packet stream. Pure.
import { isNext } from '../../proto/frame-id.ts'
import type { StoredPacket } from '../../proto/messages.ts'
import type { Read } from './packet-reader.ts'

/**
 * Capture times in ms. `BufferOverrun`: the buffer discarded the packets before they were read. `PacketsLost`: they were never stored. `TooSlow`:
 * the reader has skipped them.
 */
export type Loss = { readonly fromMs: number; readonly toMs: number; readonly reason: 'BufferOverrun' | 'PacketsLost' | 'TooSlow' }

export const LOSS_MESSAGES: Record<Loss['reason'], string> = {
  BufferOverrun: 'The buffer no longer holds these packets. Read faster, or raise spec.buffer of the Camera.',
  PacketsLost: 'The packets of this time were never stored: the camera’s connection, or NATS, was interrupted.',
  TooSlow: 'The client takes packets more slowly than the camera sends them, so that whole GOPs are skipped.',
}

/** Epochs that follow each other within this time are one stream to a viewer. */
const EPOCH_GAP_MS = 1_000

export class Losses {
  #seq: number | undefined
  #last: StoredPacket | undefined
  #newestMs = -Infinity
  #isOverrun = false
  #isBroken = false
  #isSkipped = false

  /** Whether what was read is a packet that can be decoded after those before it; and what is missing before it. */
  see({ packet, seq }: Read): { isDecodable: boolean; loss: Loss | undefined } {
    if (seq !== undefined) {
      if (this.#seq !== undefined && seq !== this.#seq + 1) this.#isOverrun = true
      this.#seq = seq
    }
    if (packet === undefined) return { isDecodable: false, loss: undefined }
    const last = this.#last
    const isDecodable = packet.key || (last !== undefined && !this.#isBroken && isNext(packet, last))
    if (!isDecodable) {
      this.#isBroken = true
      return { isDecodable, loss: undefined }
    }
    const loss = packet.key && last !== undefined && this.#isAfterLoss(packet, last) ? this.#loss(packet) : undefined
    if (packet.key) {
      this.#isBroken = false
      this.#isOverrun = false
      this.#isSkipped = false
    }
    this.#last = packet
    this.#newestMs = packet.epoch === last?.epoch ? Math.max(this.#newestMs, packet.timestamp) : packet.timestamp
    return { isDecodable, loss }
  }

  /** Packets up to the next keyframe are not read, as the reader chooses. */
  skip(): void {
    this.#isBroken = true
    this.#isSkipped = true
    this.#seq = undefined
  }

  #isAfterLoss(packet: StoredPacket, last: StoredPacket): boolean {
    if (this.#isBroken || this.#isOverrun) return true
    if (packet.epoch === last.epoch) return packet.keyframe !== last.keyframe + 1
    return packet.timestamp - this.#newestMs > EPOCH_GAP_MS
  }

  #loss({ timestamp }: StoredPacket): Loss {
    const reason = this.#isSkipped ? 'TooSlow' : this.#isOverrun ? 'BufferOverrun' : 'PacketsLost'
    return { fromMs: Math.min(this.#newestMs, timestamp), toMs: timestamp, reason }
  }
}

// How many frames may be on their way to gateways, by what these say they have taken. What NATS holds for a gateway is bounded by it: beyond
// 64 MiB NATS cuts the gateway off. Pure.
import { SEND_WINDOW } from '../../proto/frame.ts'

export type Place = { readonly epoch: number; readonly seq: number }
type Sent = Place & { readonly bytes: number; readonly atMs: number }

/** A frame that was not taken for so long is lost, or its gateway stands still: the others don't wait for it. */
const LOST_MS = 1_000

export class SendWindow {
  /** Of each gateway that says so, the last frame that it took. */
  #takers: ReadonlyMap<string, Place> = new Map()
  /** That some gateway has not taken; the oldest first. */
  #sent: Sent[] = []
  #last: Sent = { epoch: 0, seq: 0, bytes: 0, atMs: -Infinity }

  /** What gateways say now. A new one is asked for nothing that was sent before. */
  note(taken: ReadonlyMap<string, Place>): void {
    const place = (gateway: string, said: Place) => later(said, this.#takers.get(gateway) ?? this.#last)
    this.#takers = new Map([...taken].map(([gateway, said]) => [gateway, place(gateway, said)]))
    const places = [...this.#takers.values()]
    this.#sent = this.#sent.filter(sent => places.some(taken => isAfter(sent, taken)))
  }

  sent({ epoch, seq }: Place, bytes: number, nowMs: number): void {
    this.#last = { epoch, seq, bytes, atMs: nowMs }
    if (this.#takers.size > 0) this.#sent.push(this.#last)
    if (this.#sent.length > SENT_MAX) this.#sent.shift()
  }

  /** Whether a frame of so many bytes may be sent now. */
  hasRoom(bytes: number, nowMs: number): boolean {
    if (this.#takers.size === 0) return true
    const waiting = [...this.#takers.values()].map(taken => this.#sent.filter(sent => isAfter(sent, taken)))
    const prompt = waiting.filter(([oldest]) => oldest === undefined || nowMs - oldest.atMs < LOST_MS)
    if (prompt.length === 0) return nowMs - this.#last.atMs >= LOST_MS
    return prompt.every(sent => fits(sent, bytes))
  }
}

const SENT_MAX = 64

const fits = (sent: readonly Sent[], bytes: number): boolean =>
  sent.length === 0 || (sent.length < SEND_WINDOW.frames && sent.reduce((sum, one) => sum + one.bytes, bytes) <= SEND_WINDOW.bytes)

const isAfter = (a: Place, b: Place): boolean => a.epoch > b.epoch || (a.epoch === b.epoch && a.seq > b.seq)
const later = (a: Place, b: Place): Place => (isAfter(a, b) ? a : b)

// How many frames may be on their way to gateways, by what these say they have taken. What NATS holds for a gateway is bounded by it: beyond
// 64 MiB NATS cuts the gateway off. Pure.
import { SEND_WINDOW } from '../../proto/frame.ts'

export type Place = { readonly epoch: number; readonly seq: number }
/** The last frame that a gateway took, since it began to listen for the `run`th time; and when it said so last, by performance.now(). */
export type Taken = Place & { readonly run: number; readonly heardMs: number }
type Sent = Place & { readonly bytes: number; readonly atMs: number }

/** A gateway that has not taken a frame for so long stands still, or has a slow link: the others don't wait for it. */
const PROMPT_MS = 1_000
/** One that is heard and takes nothing has lost what was sent: another frame shows. So long after the last one, and twice as long each time. */
const LOST_MS = 1_000
const LOST_MS_MAX = 16_000

export class SendWindow {
  /** Of each gateway that says what it took. */
  #takers: ReadonlyMap<string, Taken> = new Map()
  /** That some gateway has not taken; the oldest first. */
  #sent: Sent[] = []
  #last: Sent = { epoch: 0, seq: 0, bytes: 0, atMs: -Infinity }
  #lostMs = LOST_MS

  /** What gateways say now. One that begins to listen is asked for nothing that was sent before. */
  note(takers: ReadonlyMap<string, Taken>): void {
    const known = this.#takers
    const placeOf = (gateway: string, said: Taken): Taken => {
      const before = known.get(gateway)
      return { ...said, ...later(said, before?.run === said.run ? before : this.#last) }
    }
    this.#takers = new Map([...takers].map(([gateway, said]) => [gateway, placeOf(gateway, said)]))
    const places = [...this.#takers.values()]
    const before = this.#sent.length
    this.#sent = this.#sent.filter(sent => places.some(taken => isAfter(sent, taken)))
    if (this.#sent.length < before) this.#lostMs = LOST_MS
  }

  sent({ epoch, seq }: Place, bytes: number, nowMs: number): void {
    if (this.#prompt(nowMs).length === 0) this.#lostMs = Math.min(LOST_MS_MAX, 2 * this.#lostMs)
    this.#last = { epoch, seq, bytes, atMs: nowMs }
    if (this.#takers.size > 0) this.#sent.push(this.#last)
    if (this.#sent.length > SENT_MAX) this.#sent.shift()
  }

  /** Whether a frame of so many bytes may be sent now. */
  hasRoom(bytes: number, nowMs: number): boolean {
    if (this.#takers.size === 0) return true
    const prompt = this.#prompt(nowMs)
    if (prompt.length > 0) return prompt.every(sent => fits(sent, bytes))
    const isHeard = [...this.#takers.values()].some(({ heardMs }) => heardMs > this.#last.atMs)
    return isHeard && nowMs - this.#last.atMs >= this.#lostMs
  }

  /** What each gateway that takes frames soon has not taken. */
  #prompt(nowMs: number): Sent[][] {
    const waiting = [...this.#takers.values()].map(taken => this.#sent.filter(sent => isAfter(sent, taken)))
    return waiting.filter(([oldest]) => oldest === undefined || nowMs - oldest.atMs < PROMPT_MS)
  }
}

const SENT_MAX = 64

const fits = (sent: readonly Sent[], bytes: number): boolean =>
  sent.length === 0 || (sent.length < SEND_WINDOW.frames && sent.reduce((sum, one) => sum + one.bytes, bytes) <= SEND_WINDOW.bytes)

const isAfter = (a: Place, b: Place): boolean => a.epoch > b.epoch || (a.epoch === b.epoch && a.seq > b.seq)
const later = (a: Place, b: Place): Place => {
  const { epoch, seq } = isAfter(a, b) ? a : b
  return { epoch, seq }
}

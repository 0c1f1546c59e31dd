// What other gateways want of cameras, as they tell the cameras' sidecars.
import type { Nats } from '../../common/nats/connect.ts'
import { BadMessage, parseJson } from '../../proto/messages.ts'
import { renditionKey } from '../../proto/rendition.ts'
import { Demand, type WantedRendition } from '../../proto/state.ts'
import { demandSubject, DEMAND_SUBJECTS, type CameraRef } from '../../proto/subjects.ts'

/** A wish that is not repeated for so long has ended. */
const TTL_MS = 5_000
/** Beyond this, wishes are not noted: the gateway then counts itself alone. */
const WISHES_MAX = 20_000

type Wish = { rate: number | undefined; renditions: readonly string[]; untilMs: number }

/** Pure. */
export class OtherWishes {
  readonly #own: string
  /** By the demand's subject, then by the gateway. */
  readonly #cameras = new Map<string, Map<string, Wish>>()
  #count = 0

  /** `own`: the name of this gateway, whose wishes do not count. */
  constructor(own: string) {
    this.#own = own
  }

  note(subject: string, { gateway, stream, rate, renditions = [] }: Demand, nowMs: number): void {
    // Sidecars decode no substream.
    if (gateway === this.#own || stream !== undefined) return
    const wishes = this.#cameras.get(subject) ?? new Map<string, Wish>()
    if (!wishes.has(gateway)) {
      if (this.#count >= WISHES_MAX) return
      this.#count++
    }
    this.#cameras.set(subject, wishes.set(gateway, { rate, renditions: renditions.map(keyOf), untilMs: nowMs + TTL_MS }))
  }

  /** Gateways that want frames of the camera, of at most so many bytes a second. */
  upTo(rateMax: number, ref: CameraRef, nowMs: number): number {
    const wishes = [...(this.#cameras.get(demandSubject(ref))?.values() ?? [])]
    return wishes.filter(({ rate, untilMs }) => untilMs > nowMs && rate !== undefined && rate > 0 && rate <= rateMax).length
  }

  /** The renditions that gateways ask the camera's sidecar for that come before this one, by their names. */
  renditionsBefore(ref: CameraRef, nowMs: number): string[] {
    const wishes = [...(this.#cameras.get(demandSubject(ref)) ?? [])]
    return wishes.flatMap(([gateway, { renditions, untilMs }]) => (gateway < this.#own && untilMs > nowMs ? renditions : []))
  }

  /** Forgets what has ended. */
  expire(nowMs: number): void {
    for (const [subject, wishes] of this.#cameras) {
      for (const [gateway, { untilMs }] of wishes) if (untilMs <= nowMs && wishes.delete(gateway)) this.#count--
      if (wishes.size === 0) this.#cameras.delete(subject)
    }
  }
}

const keyOf = ({ rendition }: WantedRendition): string => renditionKey({ region: undefined, ...rendition })

/** Notes what is said until disposed of. */
export function hearDemands({ nc }: Nats, wishes: OtherWishes, onBad: (bad: BadMessage) => void): Disposable {
  const subscription = nc.subscribe(DEMAND_SUBJECTS, {
    callback: (error, message) => {
      if (error !== null) return
      try {
        wishes.note(message.subject, parseJson(Demand, message.data), performance.now())
      } catch (bad) {
        if (!(bad instanceof BadMessage)) throw bad
        onBad(bad)
      }
    },
  })
  return { [Symbol.dispose]: () => subscription.unsubscribe() }
}

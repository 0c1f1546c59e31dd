// Which pictures are wanted: the union of the wishes that gateways keep up by a heartbeat each second.
import type { NatsConnection } from 'nats'
import type { Wants } from '../common/media/live.ts'
import { BadMessage, parseJson } from '../proto/messages.ts'
import { Demand } from '../proto/state.ts'
import { demandSubject, type CameraRef } from '../proto/subjects.ts'

/** A wish that is not repeated for so long has ended: a few heartbeats may be lost. */
const TTL_MS = 5_000
const GATEWAYS_MAX = 64

/** Pure: who wants what, and until when. */
export class Wishes {
  readonly #byGateway = new Map<string, { wants: Wants; untilMs: number }>()

  note({ gateway, wants }: Demand, nowMs: number): void {
    if (wants === 'none') this.#byGateway.delete(gateway)
    else if (this.#byGateway.has(gateway) || this.#byGateway.size < GATEWAYS_MAX)
      this.#byGateway.set(gateway, { wants, untilMs: nowMs + TTL_MS })
  }

  union(nowMs: number): Wants {
    let wants: Wants = 'none'
    for (const [gateway, wish] of this.#byGateway) {
      if (wish.untilMs <= nowMs) this.#byGateway.delete(gateway)
      else if (wish.wants === 'all' || wants === 'none') wants = wish.wants
    }
    return wants
  }
}

/** Calls back whenever the union changes. */
export function followDemand(
  nc: NatsConnection,
  ref: CameraRef,
  onWants: (wants: Wants) => void,
  onBad: (bad: BadMessage) => void,
): Disposable {
  const wishes = new Wishes()
  let last: Wants = 'none'
  const settle = () => {
    const wants = wishes.union(performance.now())
    if (wants === last) return
    last = wants
    onWants(wants)
  }
  const subscription = nc.subscribe(demandSubject(ref), {
    callback: (error, message) => {
      if (error !== null) return
      try {
        wishes.note(parseJson(Demand, message.data), performance.now())
      } catch (bad) {
        if (!(bad instanceof BadMessage)) throw bad
        onBad(bad)
      }
      settle()
    },
  })
  const timer = setInterval(settle, 1_000)
  return {
    [Symbol.dispose]() {
      clearInterval(timer)
      subscription.unsubscribe()
    },
  }
}

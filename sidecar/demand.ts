// Which pictures are wanted here: the union of the wishes that gateways keep up by a heartbeat each second; and how gateways fare that decode
// by themselves.
import type { NatsConnection } from 'nats'
import type { StreamName } from '../proto/camera.ts'
import { BadMessage, parseJson } from '../proto/messages.ts'
import { renditionKey, RENDITIONS_MAX, type RenditionDemand } from '../proto/rendition.ts'
import { Demand, type Activity } from '../proto/state.ts'
import { demandSubject, type CameraRef } from '../proto/subjects.ts'
import type { Taken } from './publish/send-window.ts'

/** A wish that is not repeated for so long has ended: a few heartbeats may be lost. */
const TTL_MS = 5_000
const GATEWAYS_MAX = 64

/** What gateways want together. */
export type Wanted = {
  readonly wants: Demand['wants']
  readonly maxFps: number | undefined
  readonly renditions: readonly RenditionDemand[]
}
type Wish = Omit<Demand, 'gateway'> & { untilMs: number }

/** Pure: who wants what, and until when. */
export class Wishes {
  readonly #byGateway = new Map<string, Wish>()

  note({ gateway, ...wish }: Demand, nowMs: number): void {
    if (wish.wants === 'none' && wish.decoding === undefined && wish.renditions === undefined) this.#byGateway.delete(gateway)
    else if (this.#byGateway.has(gateway) || this.#byGateway.size < GATEWAYS_MAX)
      this.#byGateway.set(gateway, { ...wish, untilMs: nowMs + TTL_MS })
  }

  union(nowMs: number): Wanted {
    let wants: Wanted['wants'] = 'none'
    let most = 0
    for (const [gateway, wish] of this.#byGateway) {
      if (wish.untilMs <= nowMs) this.#byGateway.delete(gateway)
      else if (wish.wants !== 'none') {
        if (wish.wants === 'all' || wants === 'none') wants = wish.wants
        most = Math.max(most, wish.maxFps ?? Infinity)
      }
    }
    return { wants, maxFps: most === 0 || most === Infinity ? undefined : most, renditions: this.#renditions() }
  }

  /** Of each rendition what all gateways want together; where there are too many, those of the gateways whose names come first, as gateways know. */
  #renditions(): RenditionDemand[] {
    const wanted = new Map<string, RenditionDemand>()
    const inOrder = [...this.#byGateway].toSorted(([a], [b]) => (a < b ? -1 : 1))
    for (const one of inOrder.flatMap(([, { renditions = [] }]) => renditions)) {
      const rendition = { region: undefined, ...one.rendition }
      const key = renditionKey(rendition)
      const known = wanted.get(key)
      if (known === undefined && wanted.size >= RENDITIONS_MAX) continue
      const wants = known?.wants === 'all' ? 'all' : one.wants
      const isLimited = one.maxFps !== undefined && (known === undefined || known.maxFps !== undefined)
      wanted.set(key, { key, rendition, wants, maxFps: isLimited ? Math.max(one.maxFps ?? 0, known?.maxFps ?? 0) : undefined })
    }
    return [...wanted.values()]
  }

  /** The last frames that gateways took which want some. To be called after `union`. */
  taken(): Map<string, Taken> {
    const takers = new Map<string, Taken>()
    for (const [gateway, { wants, taken, untilMs }] of this.#byGateway) {
      if (wants !== 'none' && taken !== undefined) takers.set(gateway, { ...taken, heardMs: untilMs - TTL_MS })
    }
    return takers
  }

  /** How gateways fare that decode by themselves: the one in trouble, where there is one. To be called after `union`. */
  elsewhere(): Activity | undefined {
    const told = [...this.#byGateway.values()].flatMap(({ decoding }) => decoding ?? [])
    return told.find(({ ok }) => !ok) ?? told.find(({ active }) => active) ?? told[0]
  }
}

/** Decoding as the camera's status tells it, wherever it is done: what is wrong counts more than what works. */
export function decodingOf(here: Activity, elsewhere: Activity | undefined): Activity {
  if (elsewhere === undefined || !here.ok) return here
  return elsewhere.ok ? { ok: true, active: here.active || elsewhere.active } : elsewhere
}

export type DemandEvents = {
  /** The union has changed. */
  onWants: (wanted: Wanted) => void
  /** What is told of decoding elsewhere has changed. */
  onElsewhere: (decoding: Activity | undefined) => void
  /** At each message, and once a second. */
  onTaken: (takers: ReadonlyMap<string, Taken>) => void
  onBad: (bad: BadMessage) => void
}

/** Of one of the camera's streams. */
export function followDemand(
  nc: NatsConnection,
  ref: CameraRef,
  stream: StreamName,
  { onWants, onElsewhere, onTaken, onBad }: DemandEvents,
): Disposable {
  const wishes = new Wishes()
  let last = JSON.stringify({ wants: 'none', renditions: [] })
  let told: Activity | undefined
  const settle = () => {
    const wanted = wishes.union(performance.now())
    const elsewhere = wishes.elsewhere()
    if (JSON.stringify(elsewhere) !== JSON.stringify(told)) onElsewhere((told = elsewhere))
    onTaken(wishes.taken())
    const text = JSON.stringify(wanted)
    if (text === last) return
    last = text
    onWants(wanted)
  }
  const subscription = nc.subscribe(demandSubject(ref), {
    callback: (error, message) => {
      if (error !== null) return
      try {
        const demand = parseJson(Demand, message.data)
        if ((demand.stream ?? 'main') !== stream) return
        wishes.note(demand, performance.now())
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

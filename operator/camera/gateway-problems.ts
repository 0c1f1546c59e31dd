// What gateways report of the annotation queue, which all cameras share.
import type { NatsConnection } from 'nats'
import { BadMessage, parseJson } from '../../proto/messages.ts'
import type { AnyReason } from '../../proto/reasons.ts'
import { GatewayProblem } from '../../proto/state.ts'
import { GATEWAY_PROBLEMS } from '../../proto/subjects.ts'

/** A problem that is reported no more is over: it is reported every 5 s. */
const OVER_MS = 15_000
const SWEEP_MS = 5_000
const GATEWAYS_MAX = 64

type Problem = { reason: AnyReason; message: string }

export class GatewayProblems {
  readonly #onChange: () => void
  readonly #onBad: (bad: BadMessage) => void
  readonly #reported = new Map<string, { problem: Problem; atMs: number }>()
  #said = ''

  constructor(onChange: () => void, onBad: (bad: BadMessage) => void) {
    this.#onChange = onChange
    this.#onBad = onBad
  }

  /** Why annotations are not stored, or are lost; undefined where no gateway says so. */
  get annotations(): Problem | undefined {
    return this.#reported.values().next().value?.problem
  }

  listen(nc: NatsConnection): Disposable {
    const subscription = nc.subscribe(GATEWAY_PROBLEMS, { callback: (error, { data }) => void (error === null && this.#hear(data)) })
    const timer = setInterval(() => this.#sweep(), SWEEP_MS)
    return {
      [Symbol.dispose]: () => {
        clearInterval(timer)
        subscription.unsubscribe()
      },
    }
  }

  #hear(data: Uint8Array): void {
    try {
      const { gateway, annotations } = parseJson(GatewayProblem, data)
      if (annotations === undefined) this.#reported.delete(gateway)
      else if (this.#reported.has(gateway) || this.#reported.size < GATEWAYS_MAX)
        this.#reported.set(gateway, { problem: annotations, atMs: performance.now() })
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error
      this.#onBad(error)
    }
    this.#tell()
  }

  #sweep(): void {
    for (const [gateway, { atMs }] of this.#reported) if (performance.now() - atMs > OVER_MS) this.#reported.delete(gateway)
    this.#tell()
  }

  #tell(): void {
    const now = JSON.stringify(this.annotations ?? null)
    if (now === this.#said) return
    const isFirst = this.#said === '' && now === 'null'
    this.#said = now
    if (!isFirst) this.#onChange()
  }
}

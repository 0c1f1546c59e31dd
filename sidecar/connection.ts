// The connection to the camera, as the camera's state and the metrics have it.
import type { Failure } from '../common/errors.ts'
import type { Health } from './health.ts'
import type { Metrics } from './metrics.ts'
import type { IngestState } from './source/ingest.ts'

export class ConnectionReport {
  readonly #health: Health
  readonly #metrics: Metrics

  constructor(health: Health, metrics: Metrics) {
    this.#health = health
    this.#metrics = metrics
  }

  set({ connection, pid, failingStreak, failure }: IngestState): void {
    this.#metrics.streaming.set(connection === 'streaming' ? 1 : 0)
    if (connection === 'waiting') this.ended(failure)
    // While it tries again, the reason it failed for still holds.
    const cause = connection === 'connecting' && failure === undefined ? {} : { reason: failure?.reason, message: failure?.message }
    this.#health.set({ connection, pid, failingStreak, ...cause })
  }

  ended(why: Failure | undefined): void {
    if (why !== undefined) this.#metrics.failures.inc({ reason: why.reason })
    const { connection, reconnects } = this.#health.state
    if (connection === 'streaming') this.#health.set({ reconnects: reconnects + 1 })
  }
}

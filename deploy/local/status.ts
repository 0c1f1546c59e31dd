// What is known of the run now, and its way to the screen.
import { refOfKey, cameraKey } from '../../proto/subjects.ts'
import type { CameraState } from '../../proto/state.ts'
import type { Records } from './records.ts'
import { rowOf } from './rows.ts'
import type { Screen } from './table.ts'

const REFRESH_MS = 1_000

export type Endpoint = { page: string; address: string; command: string }

export class Status implements Disposable {
  readonly #records: Records
  readonly #screen: Screen
  readonly #endpoint: Endpoint
  readonly #stopping: AbortSignal
  readonly #reports = new Map<string, { state: CameraState; receivedMs: number }>()
  readonly #timer: NodeJS.Timeout
  #gateway = 'starting'
  #nats: string | undefined

  /** From `stopping` on nothing is shown any more: that things end is no news then. */
  constructor(records: Records, endpoint: Endpoint, screen: Screen, stopping: AbortSignal) {
    this.#records = records
    this.#stopping = stopping
    this.#endpoint = endpoint
    this.#screen = screen
    this.#timer = setInterval(() => this.refresh(), REFRESH_MS) // a state grows old without an event
  }

  /** undefined: the camera's process has ended, and what it said last holds no more. */
  setReport(key: string, state: CameraState | undefined, ageMs = 0): void {
    if (refOfKey(key) === undefined) return
    if (state === undefined) this.#reports.delete(key)
    else this.#reports.set(key, { state, receivedMs: performance.now() - ageMs })
    this.refresh()
  }

  /** undefined: it serves. */
  setGateway(trouble: string | undefined): void {
    this.#gateway = trouble ?? ''
    this.refresh()
  }

  /** undefined: it runs. */
  setNats(trouble: string | undefined): void {
    this.#nats = trouble
    this.refresh()
  }

  refresh(): void {
    if (this.#stopping.aborted) return
    const nowMs = performance.now()
    const rows = this.#records.list().map(({ record, runningSince }) => {
      const report = this.#reports.get(cameraKey(record))
      return rowOf({
        ...{ record, isConnected: this.#nats === undefined },
        report: report && { state: report.state, ageMs: nowMs - report.receivedMs },
        runningMs: runningSince === undefined ? 0 : nowMs - runningSince,
      })
    })
    const below = [
      ...(this.#nats === undefined ? [] : [`nats-server ${this.#nats}`]),
      ...(this.#gateway === ''
        ? [
            `gRPC at ${this.#endpoint.address}, for this machine only   Try: ${this.#endpoint.command}   Ctrl-C stops`,
            `See the cameras at ${this.#endpoint.page}`,
          ]
        : [`gateway: ${this.#gateway}`]),
    ]
    this.#screen.show(rows, below)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}

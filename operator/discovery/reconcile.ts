// CameraDiscoveries → discovery pods → status and Cameras. Cameras are made, and never changed or deleted.
import type { Msg, NatsConnection } from 'nats'
import { every } from '../../common/abort.ts'
import { messageOf } from '../../common/errors.ts'
import { everyMinute, type Logger } from '../../common/log.ts'
import { parseDuration } from '../../proto/camera.ts'
import { DiscoveryReport } from '../../proto/discovery.ts'
import { BadMessage, parseJson } from '../../proto/messages.ts'
import type { AnyReason } from '../../proto/reasons.ts'
import { DISCOVERY_SUBJECTS, refOfKey, refText } from '../../proto/subjects.ts'
import type { World } from '../camera/watched-objects.ts'
import type { PodSettings } from '../camera/deployment.ts'
import { readSigning } from '../identity/camera-user.ts'
import { Refused, type Writer } from '../kube/apply.ts'
import { KeyedQueue, work } from '../kube/queue.ts'
import type { Reflectors } from '../kube/reflectors.ts'
import { discoveryDeployment, discoverySecret, fingerprint, type WatchedDiscovery } from './objects.ts'
import { adopted, discoveryStatus, isNews, missing, type Heard } from './status.ts'

const RESYNC_MS = 600_000
const SWEEP_MS = 10_000
/** The time of the last search is written so often. */
const SEARCH_TIME_MS = 300_000
/** A pod that starts may take so long until its first report. */
const START_MS = 120_000
const WORKERS = 2

type Memory = {
  uid: string
  /** The last apply that was accepted, and when. */
  applied: { fingerprint: string; at: number } | undefined
  heard: Heard | undefined
  refusal: { reason: AnyReason; message: string } | undefined
  /** Since when it could report. */
  since: number
}

export type DiscoveryParts = {
  discoveries: Reflectors<WatchedDiscovery>
  cameras: World['cameras']
  writer: Writer
  settings: PodSettings
  onBad: (bad: BadMessage) => void
  log: Logger
}

export class DiscoveryReconciler {
  readonly #parts: DiscoveryParts
  readonly queue = new KeyedQueue()
  readonly #memory = new Map<string, Memory>()

  constructor(parts: DiscoveryParts) {
    this.#parts = parts
  }

  /** Until `mayWrite` aborts. */
  async run(mayWrite: AbortSignal): Promise<void> {
    const all = () => this.#parts.discoveries.keys().forEach(key => this.queue.add(key))
    all()
    await Promise.all([work(this.queue, WORKERS, key => this.#reconcile(key), this.#parts.log, mayWrite), every(SWEEP_MS, all, mayWrite)])
  }

  /** Hears what discovery pods report, until it is disposed of. */
  listen(nc: NatsConnection): Disposable {
    const warn = everyMinute((count, error) => this.#parts.log.warn({ count, error }, 'dropped reports of discovery pods'))
    const subscription = nc.subscribe(DISCOVERY_SUBJECTS, {
      callback: (error, message) => {
        if (error !== null) return
        try {
          this.#hear(message)
        } catch (bad) {
          if (!(bad instanceof BadMessage)) throw bad
          this.#parts.onBad(bad)
          warn(messageOf(bad))
        }
      },
    })
    return { [Symbol.dispose]: () => subscription.unsubscribe() }
  }

  #hear(message: Msg): void {
    const ref = refOfKey(message.subject.split('.').slice(-2).join('.'))
    const key = ref === undefined ? '' : refText(ref)
    const discovery = this.#parts.discoveries.get(key)
    const report = parseJson(DiscoveryReport, message.data)
    if (discovery?.metadata.uid !== report.uid)
      throw new BadMessage('camera', `${message.subject} is of no CameraDiscovery, or has another uid`)
    this.#remember(key, discovery).heard = { report, at: Date.now() }
    this.queue.add(key)
  }

  #remember(key: string, { metadata: { uid } }: WatchedDiscovery): Memory {
    const known = this.#memory.get(key)
    if (known?.uid === uid) return known
    const memory: Memory = { uid, applied: undefined, heard: undefined, refusal: undefined, since: performance.now() }
    this.#memory.set(key, memory)
    return memory
  }

  async #reconcile(key: string): Promise<void> {
    const { discoveries, cameras, writer } = this.#parts
    const discovery = discoveries.get(key)
    if (discovery === undefined || discovery.metadata.deletionTimestamp !== undefined) {
      this.#memory.delete(key)
      return this.queue.forget(key)
    }
    const memory = this.#remember(key, discovery)
    memory.refusal = undefined
    try {
      await this.#apply(discovery, memory)
      if (memory.heard !== undefined) {
        const known = adopted(cameras.values(), discovery)
        for (const manifest of missing(discovery, memory.heard, known)) await writer.createCamera(manifest)
      }
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      memory.refusal = { reason: error.reason, message: error.message }
    }
    await this.#writeStatus(discovery, memory)
  }

  /** The pod, and the NATS user that it has. */
  async #apply(discovery: WatchedDiscovery, memory: Memory): Promise<void> {
    const { writer, settings } = this.#parts
    const { signingDir, userValidity } = settings
    const secret =
      signingDir === undefined ? undefined : discoverySecret(await readSigning(signingDir), discovery, userValidity, Date.now())
    const deployment = discoveryDeployment(discovery, settings, secret?.metadata.name)
    const wanted = fingerprint(deployment, secret)
    const { applied } = memory
    if (applied?.fingerprint === wanted && performance.now() - applied.at < RESYNC_MS) return
    if (secret !== undefined) await writer.createSecret(secret)
    await writer.applyDeployment(deployment, discovery.metadata.uid)
    memory.applied = { fingerprint: wanted, at: performance.now() }
  }

  async #writeStatus(discovery: WatchedDiscovery, { heard, refusal, since }: Memory): Promise<void> {
    const patienceMs = START_MS + 3 * parseDuration(discovery.spec.interval)
    const quietMs = heard === undefined ? performance.now() - since : Date.now() - heard.at
    const known = { heard, refusal, isSilent: quietMs > patienceMs, cameras: adopted(this.#parts.cameras.values(), discovery) }
    const status = discoveryStatus(discovery, known, Date.now())
    if (status !== undefined && isNews(status, discovery.status, SEARCH_TIME_MS))
      await this.#parts.writer.writeDiscoveryStatus(discovery, status)
  }
}

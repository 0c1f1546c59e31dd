// Which cameras exist, in what state, and which of them a device_id means.
import { watchBucket } from '../common/nats/buckets.ts'
import { everyMinute, type Logger } from '../common/log.ts'
import type { Nats } from '../common/nats/connect.ts'
import { BadMessage, parseJson } from '../proto/messages.ts'
import { CameraRecord, CameraState } from '../proto/state.ts'
import { cameraKey, isCameraName, isNamespace, refOfKey, refText, type CameraRef } from '../proto/subjects.ts'
import type { Metrics } from './metrics.ts'
import { Refusal } from './refusal.ts'

/** What a sidecar said last, and when that was, by this process's performance.now(). */
type Report = { readonly state: CameraState; readonly receivedMs: number }

export type KnownCamera = {
  readonly ref: CameraRef
  /** What is said of it is said of this stream of it (frames/substream.ts). Absent: of the main one. */
  readonly stream?: 'sub'
  readonly uid: string
  /** Its canonical one. */
  readonly deviceId: string
  readonly record: CameraRecord
  /** Of this very camera, not of a deleted one of the same name. */
  readonly report: Report | undefined
  /** Since when its pod has run, as far as this process knows, by performance.now(); undefined while it does not. */
  readonly runningSince: number | undefined
}

/** `name` or `namespace/name`; throws a Refusal. Any other text must not come near a NATS subject or an answer. */
function parseDeviceId(deviceId: string, field: string): { namespace: string | undefined; name: string } {
  if (deviceId === '') throw new Refusal('invalid', `${field} is required`)
  const [first = '', second, ...rest] = deviceId.split('/')
  const [namespace, name] = second === undefined ? [undefined, first] : [first, second]
  if (rest.length > 0 || !isCameraName(name) || (namespace !== undefined && !isNamespace(namespace))) {
    throw new Refusal('invalid', `${field} must be a camera name or namespace/name`)
  }
  return { namespace, name }
}

export class Cameras {
  readonly #namespace: string
  readonly #metrics: Metrics
  readonly #logBad: (message: string) => void
  readonly #onGone: (uid: string) => void
  readonly #records = new Map<string, CameraRecord>()
  readonly #reports = new Map<string, Report>()
  readonly #runningSince = new Map<string, number>()
  readonly #listed = Promise.withResolvers<void>()
  #isListed = false

  /** `onGone` is told the uid of each camera that ceases to exist, one that another of the same name replaces included. */
  constructor(namespace: string, metrics: Metrics, log: Logger, onGone: (uid: string) => void) {
    this.#namespace = namespace
    this.#metrics = metrics
    this.#onGone = onGone
    this.#logBad = everyMinute((count, error) => log.warn({ count, error }, 'dropped bad values about cameras'))
  }

  /** The list of cameras has been received. From then on the last one known counts, whatever becomes of NATS. */
  get isListed(): boolean {
    return this.#isListed
  }

  /** When `isListed` becomes true. */
  get listed(): Promise<void> {
    return this.#listed.promise
  }

  /** Ordered as ListStreams names them. Throws a Refusal before the list is there. */
  list(): KnownCamera[] {
    if (!this.#isListed) throw notListed()
    return [...this.#records.values()]
      .map(record => this.#known(record))
      .sort((a, b) => (this.deviceId(a.ref) < this.deviceId(b.ref) ? -1 : 1))
  }

  /**
   * The cameras that a client may mean: the one in the namespace that it names, or in the gateway's own; for a bare name those of other
   * namespaces too. Throws a Refusal for what is no device_id, naming the `field` of
   * the request, and before the list is there.
   */
  candidates(deviceId: string, field = 'device_id'): { own: KnownCamera[]; elsewhere: KnownCamera[] } {
    const { namespace, name } = parseDeviceId(deviceId, field)
    const record = this.#records.get(cameraKey({ namespace: namespace ?? this.#namespace, name }))
    if (record === undefined && !this.#isListed) throw notListed()
    const others = namespace === undefined ? [...this.#records.values()].filter(other => other.name === name && other !== record) : []
    return { own: record === undefined ? [] : [this.#known(record)], elsewhere: others.map(other => this.#known(other)) }
  }

  notFound = (deviceId: string): Refusal => new Refusal('notFound', `camera "${deviceId}" not found`)

  ambiguous(deviceId: string, cameras: readonly KnownCamera[]): Refusal {
    const candidates = cameras
      .map(({ ref }) => refText(ref))
      .sort()
      .join(', ')
    return new Refusal('invalid', `camera "${deviceId}" exists in several namespaces; name one of ${candidates}`)
  }

  /** The camera that a client means. Throws a Refusal. */
  resolve(deviceId: string): KnownCamera {
    const { own, elsewhere } = this.candidates(deviceId)
    const [camera, ...more] = own.length > 0 ? own : elsewhere
    if (camera === undefined) throw this.notFound(deviceId)
    if (more.length > 0) throw this.ambiguous(deviceId, elsewhere)
    return camera
  }

  /** A camera's canonical device_id. */
  deviceId(ref: CameraRef): string {
    return ref.namespace === this.#namespace ? ref.name : refText(ref)
  }

  /** Follows the buckets until `signal` aborts. */
  async follow(nats: Nats, log: Logger, signal: AbortSignal): Promise<void> {
    const records = {
      changed: (key: string, value: Uint8Array | undefined) => this.setRecord(key, value),
      complete: (keys: ReadonlySet<string>) => this.complete(keys),
      // The operator makes a lost bucket again, and fills it; until then no camera is gone.
      expects: () => [...this.#records.keys()],
    }
    const reports = {
      changed: (key: string, value: Uint8Array | undefined, ageMs: number) => this.setReport(key, value, ageMs),
      // A lost bucket fills up again; until then what was said last is better than nothing.
      complete: (keys: ReadonlySet<string>) => {
        for (const key of this.#reports.keys()) if (!keys.has(key) && !this.#records.has(key)) this.#reports.delete(key)
      },
    }
    await Promise.all([watchBucket(nats, 'cameras', records, log, signal), watchBucket(nats, 'states', reports, log, signal)])
  }

  setRecord(key: string, value: Uint8Array | undefined): void {
    if (value === undefined) return this.#forget(key)
    this.#accept(key, () => {
      const record = parseJson(CameraRecord, value)
      checkKey(key, record)
      const before = this.#records.get(key)
      this.#records.set(key, record)
      const isSamePod = before?.uid === record.uid && before.pod.restarts === record.pod.restarts
      if (!record.pod.running) this.#runningSince.delete(key)
      else if (!isSamePod || !this.#runningSince.has(key)) this.#runningSince.set(key, performance.now())
      this.#metrics.cameras.set(this.#records.size)
      if (before !== undefined && before.uid !== record.uid) this.#onGone(before.uid)
    })
  }

  setReport(key: string, value: Uint8Array | undefined, ageMs: number): void {
    if (value === undefined) return void this.#reports.delete(key)
    this.#accept(key, () => {
      const ref = refOfKey(key)
      if (ref === undefined) throw new BadMessage('camera', 'not the key of a camera')
      const state = parseJson(CameraState, value)
      this.#reports.set(key, { state, receivedMs: performance.now() - ageMs })
      const isLive = ageMs === 0 && this.#records.get(key)?.uid === state.uid
      if (isLive) this.#metrics.clockSkew.set({ camera: refText(ref) }, (Date.now() - state.at) / 1000)
    })
  }

  /** The bucket holds these cameras and no others. */
  complete(keys: ReadonlySet<string>): void {
    for (const key of this.#records.keys()) if (!keys.has(key)) this.#forget(key)
    this.#isListed = true
    this.#listed.resolve()
  }

  #known(record: CameraRecord): KnownCamera {
    const { namespace, name, uid } = record
    const ref = { namespace, name }
    const key = cameraKey(ref)
    const report = this.#reports.get(key)
    const [own, runningSince] = [report?.state.uid === uid ? report : undefined, this.#runningSince.get(key)]
    return { ref, uid, deviceId: this.deviceId(ref), record, report: own, runningSince }
  }

  #forget(key: string): void {
    const record = this.#records.get(key)
    if (record === undefined) return
    this.#records.delete(key)
    this.#reports.delete(key)
    this.#runningSince.delete(key)
    this.#metrics.cameras.set(this.#records.size)
    this.#onGone(record.uid)
    this.#metrics.forget(refText(record))
  }

  #accept(key: string, take: () => void): void {
    try {
      take()
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error
      this.#metrics.badMessages.inc({ reason: error.reason })
      this.#logBad(`${key}: ${error.message}`)
    }
  }
}

function checkKey(key: string, ref: CameraRef): void {
  if (key !== cameraKey(ref)) throw new BadMessage('camera', `a record of ${refText(ref)}`)
}

const notListed = () => new Refusal('unavailable', 'the list of cameras has not been received yet')

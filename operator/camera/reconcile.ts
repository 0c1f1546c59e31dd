// One camera, from what is known to what is done. `reconcile` is the whole of it; pure functions decide what to do
// (deployment.ts, pods.ts, rejection.ts, status.ts), and done by the writer and the shared state.
import type { V1Deployment } from '@kubernetes/client-node'
import { cameraRecord, type Problem } from '../../common/camera-record.ts'
import { messageOf } from '../../common/errors.ts'
import { retryDelayMs } from '../../common/backoff.ts'
import type { Logger } from '../../common/log.ts'
import { refOfKey } from '../../proto/subjects.ts'
import { Refused, type Writer } from '../kube/apply.ts'
import { deniedIn } from './denied-fields.ts'
import { desiredDeployment, specHash, type PodSettings } from './deployment.ts'
import type { EventRecorder } from '../kube/events.ts'
import { cameraSecret, readSigning } from '../identity/camera-user.ts'
import type { Signing } from '../identity/users.ts'
import { FINALIZER, isControlledBy, isNamesakes, UID_LABEL } from '../kube/kinds.ts'
import type { Deployment, Pod, WatchedCamera } from '../kube/kinds.ts'
import { beingCreated, isOver, isWithoutRoom, reportOn, sentenceOfFailure } from './pods.ts'
import { START_MS } from '../../proto/health.ts'
import { explain } from '../../proto/reasons.ts'
import type { CameraRecord } from '../../proto/state.ts'
import { hold, type Rejections } from './failed-pods.ts'
import type { SharedState } from './shared-state.ts'
import { cameraStatus, isNews, transition } from './status.ts'
import type { World } from './watched-objects.ts'

const STATUS_SPACING_MS = 10_000
/** States that were reported before we came are waited for so long before a status is written without them. */
const LISTING_MS = 15_000
/** The pod of a deleted Camera is waited for so long, since its sidecar would make again what is removed. */
const POD_GONE_MS = 60_000
const RETRY_MS = 5_000
const NAMESAKE_MS = 2_000
const USER_CREATED_MS = 3_600_000
/** A pod that is being created so long after its user may wait for one that was deleted. */
const USER_MISSED_MS = 10_000
/** The signing key is read from its files no more often, however many Cameras are looked at. */
const SIGNING_MS = 1_000

/** A deletion is timed from when it was first seen, by our clock and not by that of the API server. */
type Phase = { is: 'live' } | { is: 'deleting'; since: number; isCleaned: boolean }

type Memory = {
  uid: string
  phase: Phase
  /** Our last apply that was accepted, and the generation that it gave the Deployment: a later one is another writer's edit. */
  applied: { hash: string; generation: number } | undefined
  /** The last apply was rejected, `times` in a row. It may be accepted later: a quota was raised, or an admission plugin knows Cameras now. */
  refusal: { problem: Problem; times: number } | undefined
  /** The Secret with its NATS user that was created last, when, and the pod that was being created then. */
  user: { secret: string; at: number; pod: string | undefined } | undefined
  rejections: Rejections | undefined
  /** What the node calls the start of the container that was seen last, and when that was by our clock. */
  start: { startedAt: number | undefined; at: number } | undefined
  statusAt: number
}

export type Parts = {
  world: Pick<World, 'cameras' | 'deployment' | 'pods'>
  shared: Pick<SharedState, 'annotations' | 'report' | 'awayMs' | 'isListed' | 'put' | 'remove'>
  writer: Writer
  record: EventRecorder['record']
  /** Reconcile this camera again in `ms`. */
  again: (key: string, ms: number) => void
  onLeftoverRemoved: () => void
  settings: PodSettings
  /** NATS may be away for so long before a deleted Camera goes without its leavings. */
  cleanUpMs: number
  log: Logger
  /** ms since the operator began to lead, monotonic. */
  now: () => number
}

export class Reconciler {
  readonly #parts: Parts
  readonly #memory = new Map<string, Memory>()
  #read: { signing: Promise<Signing>; at: number } | undefined
  /** Cameras that don't exist, of which there is something in NATS. */
  readonly #leftovers = new Set<string>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Brings the camera nearer to what it should be. Rejects when that has to be tried again. */
  async reconcile(key: string): Promise<void> {
    const { world, writer, now, again } = this.#parts
    const camera = world.cameras.get(key)
    if (camera === undefined) return this.#tidy(key)
    const memory = this.#remember(key, camera)
    if (camera.metadata.deletionTimestamp !== undefined) return this.#finalize(key, camera, memory)

    if (camera.metadata.finalizers?.includes(FINALIZER) !== true) await writer.addFinalizer(camera)
    const pods = ownPods(world.pods(key), camera)
    const { rejections, held, remove, againInMs } = hold(pods, memory.rejections, now())
    memory.rejections = rejections
    if (againInMs !== undefined) again(key, againInMs)
    await this.#applyDeployment(key, camera, memory, camera.spec.suspend || held !== undefined ? 0 : 1)
    for (const pod of remove) await this.#removeFailed(camera, pod)

    const report = reportOn(pods, world.deployment(key), held)
    const record = cameraRecord(camera, report.state, memory.refusal?.problem)
    await this.#publish(key, record)
    await this.#writeStatus(key, camera, record, report.startedAt, memory)
  }

  /** There is something in NATS of these cameras; reconciling those that don't exist removes it. */
  collect(keys: readonly string[]): string[] {
    const leftovers = keys.filter(key => this.#parts.world.cameras.get(key) === undefined)
    for (const key of leftovers) this.#leftovers.add(key)
    return leftovers
  }

  #remember(key: string, { metadata: { uid } }: WatchedCamera): Memory {
    const known = this.#memory.get(key)
    if (known?.uid === uid) return known
    const nothing = { applied: undefined, refusal: undefined, user: undefined, rejections: undefined, start: undefined }
    const memory: Memory = { uid, phase: { is: 'live' }, ...nothing, statusAt: -Infinity }
    this.#memory.set(key, memory)
    return memory
  }

  async #applyDeployment(key: string, camera: WatchedCamera, memory: Memory, replicas: 0 | 1): Promise<void> {
    const { world, writer, settings, again } = this.#parts
    const live = world.deployment(key)
    if (live !== undefined && isNamesakes(live, camera)) return again(key, NAMESAKE_MS)
    const denied = deniedIn(camera.spec, settings.deniedFields)
    if (denied.length > 0) {
      memory.refusal = { problem: { reason: 'FieldDenied', message: `${denied.join(', ')} may not be used in this cluster` }, times: 1 }
      if (live === undefined) return
      replicas = 0
    }
    try {
      const user = await this.#createUser(key, camera, memory)
      const isCrowded = isWithoutRoom(ownPods(world.pods(key), camera), live)
      const desired = desiredDeployment(camera, settings, { replicas, natsSecret: user, isCrowded })
      const hash = specHash(desired) as string
      if (live === undefined || !isAsApplied(live, camera, desired, memory.applied))
        memory.applied = { hash, generation: await writer.applyDeployment(desired, camera.metadata.uid) }
      if (denied.length === 0) memory.refusal = undefined
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      const { times } = memory.refusal ?? { times: 0 }
      memory.refusal = { problem: { reason: error.reason, message: error.message }, times: times + 1 }
      again(key, retryDelayMs(times))
    }
  }

  /**
   * Before the Deployment, whose pod mounts it. Now and then again, and for each new pod, since its deletion is not seen. Returns the Secret's
   * name; undefined where cameras have no users of their own.
   */
  async #createUser(key: string, camera: WatchedCamera, memory: Memory): Promise<string | undefined> {
    const { world, writer, settings, now } = this.#parts
    if (settings.signingDir === undefined) return undefined
    const desired = cameraSecret(await this.#signing(settings.signingDir), camera, settings.userValidity, Date.now())
    const secret = desired.metadata.name
    const { user } = memory
    const pod = beingCreated(ownPods(world.pods(key), camera))
    const isMissed = pod !== undefined && pod !== user?.pod
    if (user?.secret === secret && now() - user.at < (isMissed ? USER_MISSED_MS : USER_CREATED_MS)) return secret
    await writer.createSecret(desired)
    memory.user = { secret, at: now(), pod }
    return secret
  }

  #signing(folder: string): Promise<Signing> {
    const { now } = this.#parts
    if (this.#read === undefined || now() - this.#read.at >= SIGNING_MS) this.#read = { signing: readSigning(folder), at: now() }
    return this.#read.signing
  }

  async #removeFailed(camera: WatchedCamera, pod: Pod): Promise<void> {
    const message = explain('NodeRejectedPod', sentenceOfFailure(pod))
    this.#parts.record({ camera, type: 'Warning', reason: 'NodeRejectedPod', message })
    await this.#parts.writer.deletePod(pod)
  }

  /** Tells the gateway. What NATS doesn't take now it is offered again, at the latest when NATS is back. */
  async #publish(key: string, record: CameraRecord): Promise<void> {
    const { shared, log, again } = this.#parts
    try {
      await shared.put(record)
    } catch (error) {
      log.debug({ camera: key, error: messageOf(error) }, 'could not write the camera’s record')
      if (shared.awayMs === 0) again(key, RETRY_MS)
    }
  }

  /** By our own clock, since the node's may be wrong; but that one tells how long a container has run that ran before we looked. */
  #runningMs(startedAt: number | undefined, memory: Memory): number {
    const nowMs = this.#parts.now()
    const before = memory.start === undefined && startedAt !== undefined ? Math.max(0, Date.now() - startedAt) : 0
    if (memory.start === undefined || memory.start.startedAt !== startedAt) memory.start = { startedAt, at: nowMs - before }
    return startedAt === undefined ? 0 : nowMs - memory.start.at
  }

  async #writeStatus(
    key: string,
    camera: WatchedCamera,
    record: CameraRecord,
    startedAt: number | undefined,
    memory: Memory,
  ): Promise<void> {
    const { shared, now, again, writer } = this.#parts
    const runningMs = this.#runningMs(startedAt, memory)
    const mayKnowMore = record.pod.running && !shared.isListed && now() < LISTING_MS
    if (mayKnowMore) return again(key, 1_000)
    const isDeleting = memory.phase.is === 'deleting'
    const known = {
      record,
      report: shared.report(key),
      runningMs,
      isConnected: shared.awayMs === 0,
      isDeleting,
      annotations: shared.annotations,
    }
    const status = cameraStatus(camera, known, Date.now())
    if (status.reason === 'Starting') again(key, START_MS + 1_000)
    if (!isNews(status, camera.status)) return
    const wait = memory.statusAt + STATUS_SPACING_MS - now()
    if (wait > 0) return again(key, wait)
    memory.statusAt = now()
    await writer.writeStatus(camera, status)
    const happening = transition(camera.status, status)
    if (happening !== undefined) this.#parts.record({ camera, ...happening })
  }

  async #finalize(key: string, camera: WatchedCamera, memory: Memory): Promise<void> {
    const { world, shared, writer, again, record, cleanUpMs, now } = this.#parts
    if (!camera.metadata.finalizers?.includes(FINALIZER)) return
    if (memory.phase.is === 'live') memory.phase = { is: 'deleting', since: now(), isCleaned: false }
    const { phase } = memory
    const waited = now() - phase.since
    if (world.deployment(key) !== undefined) await this.#applyDeployment(key, camera, memory, 0)
    const pods = ownPods(world.pods(key), camera)
    const writeStatus = () => {
      const { state, startedAt } = reportOn(pods, world.deployment(key), undefined)
      return this.#writeStatus(key, camera, cameraRecord(camera, state), startedAt, memory)
    }
    if (pods.some(pod => !isOver(pod)) && waited < POD_GONE_MS) {
      again(key, POD_GONE_MS - waited)
      return writeStatus()
    }
    try {
      await shared.remove(camera.metadata, camera.metadata.uid)
      phase.isCleaned = true
    } catch (error) {
      if (waited < cleanUpMs) {
        again(key, RETRY_MS)
        return writeStatus()
      }
      const message = `Its stream and keys in NATS could not be removed: ${messageOf(error)}. They will be removed when NATS is reachable again.`
      record({ camera, type: 'Warning', reason: 'CleanUpSkipped', message })
    }
    await writer.removeFinalizer(camera)
  }

  /** Of a camera that is gone, what may have been left in NATS. */
  async #tidy(key: string): Promise<void> {
    const memory = this.#memory.get(key)
    this.#memory.delete(key)
    if (memory !== undefined && !(memory.phase.is === 'deleting' && memory.phase.isCleaned)) this.#leftovers.add(key)
    if (!this.#leftovers.has(key)) return
    const ref = refOfKey(key.replace('/', '.'))
    try {
      if (ref !== undefined) await this.#parts.shared.remove(ref)
      this.#leftovers.delete(key)
      this.#parts.onLeftoverRemoved()
    } catch (error) {
      this.#parts.log.debug({ camera: key, error: messageOf(error) }, 'could not remove a deleted camera’s data; trying again later')
    }
  }
}

/** A later generation is somebody else's edit; an earlier one is what we knew before our own apply. */
const isAsApplied = (
  live: Deployment,
  { metadata: { uid } }: WatchedCamera,
  desired: V1Deployment,
  applied: Memory['applied'],
): boolean => {
  const [generation, hash] = [live.metadata.generation ?? 0, specHash(desired)]
  if (applied === undefined || applied.hash !== hash || generation > applied.generation) return false
  return generation < applied.generation || (specHash(live) === hash && isControlledBy(live, uid) && hasLabelsOf(live, desired))
}

const hasLabelsOf = (live: Deployment, { metadata: { labels = {} } = {} }: V1Deployment): boolean =>
  Object.entries(labels).every(([key, value]) => live.metadata.labels?.[key] === value)

/** Without those of a deleted namesake. */
const ownPods = (pods: readonly Pod[], { metadata: { uid } }: WatchedCamera): Pod[] =>
  pods.filter(({ metadata }) => metadata.labels?.[UID_LABEL] === uid)

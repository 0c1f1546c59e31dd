// What the operator has in NATS: it writes a record of each camera, reads what their sidecars report, and removes what a deleted
// camera leaves behind. Without NATS everything else goes on.
import type { NatsConnection } from 'nats'
import { messageOf, unless } from '../../common/errors.ts'
import { bindBucket, watchBucket, type BucketName, type BucketView } from '../../common/nats/buckets.ts'
import type { Logger } from '../../common/log.ts'
import { connectNats, type Nats } from '../../common/nats/connect.ts'
import { keepSharedBuckets } from '../../common/nats/shared-buckets.ts'
import { isStreamMissing } from '../../common/nats/streams.ts'
import { aborted, sleep, Stopped, within } from '../../common/abort.ts'
import { SILENT_MS, type Report } from '../../proto/health.ts'
import { BadMessage, parseJson } from '../../proto/messages.ts'
import { CameraRecord, CameraState, encodeState } from '../../proto/state.ts'
import {
  BUCKET,
  bucketStream,
  bucketSubject,
  cameraKey,
  packetStream,
  PACKET_SUBJECTS,
  refOfKey,
  refText,
  type CameraRef,
} from '../../proto/subjects.ts'
import { GatewayProblems } from './gateway-problems.ts'
import { answerBufferRequests, type BufferOwner } from './buffer-requests.ts'
import type { Revocations } from '../identity/revocations.ts'
import type { OperatorMetrics } from '../metrics.ts'

const SWEEP_MS = 5_000
const CONNECT_RETRY_MS = 5_000
const CALL_MS = 5_000
/** What is written about a camera by others than us. */
const OTHERS: readonly BucketName[] = ['states', 'switches', 'leases']

/** Of a state: these change all the time. */
const QUIET: ReadonlySet<string> = new Set([
  'at',
  'run',
  'pid',
  'epoch',
  'failingStreak',
  'reconnects',
  'fps',
  'bitsPerSecond',
  'lastPacketAt',
] satisfies (keyof CameraState)[])

type Heard = { state: CameraState; digest: string; heardAt: number; silent: boolean }

type Options = {
  nats: { url: string; credsFile: string | undefined; ca?: string | undefined; replicas?: number }
  metrics: OperatorMetrics
  log: Logger
  /** Something about the camera has changed. */
  onChange: (key: string) => void
  /** The Camera whose packet stream a sidecar asks for, if there is one. */
  bufferOf: (ref: CameraRef) => BufferOwner | undefined
  /** It is known what the cameras' bucket holds, at first and after NATS was away: everything must be checked again. */
  onBack: () => void
  /** Where cameras have users of their own. */
  revocations?: Revocations | undefined
  /** What holds for all cameras has changed. */
  onProblem?: () => void
  /** What else listens while there is NATS. */
  onConnected?: (nc: NatsConnection) => Disposable
}

/** Keys are `namespace/name`. */
export class SharedState {
  readonly #options: Options
  readonly #reports = new Map<string, Heard>()
  /** What the cameras' bucket holds, by KV key. */
  readonly #records = new Map<string, string>()
  readonly #problems: GatewayProblems
  #nats: Nats | undefined
  /** Since when there is no NATS, by performance.now(). */
  #awaySince: number | undefined = performance.now()
  #isListed = false

  constructor(options: Options) {
    this.#options = options
    const { metrics, onProblem = () => {} } = options
    this.#problems = new GatewayProblems(onProblem, ({ reason }) => metrics.badMessages.inc({ reason }))
  }

  /** Runs until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { log, bufferOf, metrics } = this.#options
    await using nats = await this.#connect(signal)
    if (nats === undefined) return
    this.#nats = nats
    using _problems = this.#problems.listen(nats.nc)
    using _other = this.#options.onConnected?.(nats.nc)
    using _buffers = answerBufferRequests(nats.nc, bufferOf, bad => metrics.badMessages.inc({ reason: bad.reason }), log)
    const working = Promise.all([
      keepSharedBuckets(nats, log, signal, ['logins']),
      watchBucket(nats, 'cameras', this.#recordsView(), log, signal),
      watchBucket(nats, 'states', this.#statesView(), log, signal),
      this.#sweep(nats, signal),
      this.#options.revocations?.run(nats, signal),
    ])
    // What NATS has not answered by then it need not: the connection's end ends all that waits for it.
    await Promise.race([working, aborted(signal)])
    this.#nats = undefined
  }

  /** It is known what states were reported before we came. */
  get isListed(): boolean {
    return this.#isListed
  }

  /** Why annotations are not stored, or what was lost of them; undefined where all is well. */
  get annotations(): GatewayProblems['annotations'] {
    return this.#problems.annotations
  }

  /** For how long there has been no NATS, in ms; 0 when it is there. */
  get awayMs(): number {
    return this.#awaySince === undefined ? 0 : performance.now() - this.#awaySince
  }

  /** What the camera's sidecar, or that of a camera of the same name before it, reported last. */
  report(key: string): Report | undefined {
    const heard = this.#reports.get(key)
    return heard && { state: heard.state, ageMs: performance.now() - heard.heardAt }
  }

  /** Writes the record where it differs from what is there. Rejects when NATS doesn't take it. */
  async put(record: CameraRecord): Promise<void> {
    const key = cameraKey(record)
    const text = encodeState(record)
    if (this.#records.get(key) === text.toString()) return
    const nats = this.#connected()
    await within(
      CALL_MS,
      'NATS',
      bindBucket(nats.nc, 'cameras').then(kv => kv.put(key, text)),
    )
    this.#records.set(key, text.toString())
    this.#options.metrics.recordsWritten.inc()
  }

  /** Revokes the camera's user, and removes its stream and keys. Rejects when NATS doesn't answer. */
  async remove(ref: CameraRef, uid = this.#uidOf(ref)): Promise<void> {
    const { nc } = this.#connected()
    if (uid !== undefined) await this.#options.revocations?.revoke({ namespace: ref.namespace, name: ref.name, uid })
    const { streams } = await nc.jetstreamManager({ checkAPI: false })
    const key = cameraKey(ref)
    await within(CALL_MS, 'NATS', unless(isStreamMissing, streams.delete(packetStream(ref))))
    // Those who follow the cameras are told. Of the rest nothing stays, not even that it was deleted: `present` would find that.
    await within(
      CALL_MS,
      'NATS',
      bindBucket(nc, 'cameras').then(kv => kv.delete(key)),
    )
    for (const bucket of OTHERS) {
      const filter = bucketSubject(BUCKET[bucket], key)
      await within(CALL_MS, 'NATS', unless(isStreamMissing, streams.purge(bucketStream(BUCKET[bucket]), { filter })))
    }
    this.#records.delete(cameraKey(ref))
    this.#reports.delete(refText(ref))
  }

  /** Cameras of which there is something in NATS. Rejects when NATS doesn't answer. */
  async present(): Promise<CameraRef[]> {
    const { nc } = this.#connected()
    const { streams } = await nc.jetstreamManager({ checkAPI: false })
    const refs = new Map<string, CameraRef>()
    const add = (ref: CameraRef | undefined) => ref !== undefined && refs.set(refText(ref), ref)
    for (const key of this.#records.keys()) add(refOfKey(key))
    for await (const { config } of streams.list(PACKET_SUBJECTS)) add(refOfStream(config.name, config.subjects))
    // A sidecar on a node that was lost may have written on after its Camera was gone.
    for (const bucket of OTHERS) {
      const info = streams.info(bucketStream(BUCKET[bucket]), { subjects_filter: '>' })
      const { state } = (await within(CALL_MS, 'NATS', unless(isStreamMissing, info))) ?? {}
      for (const subject of Object.keys(state?.subjects ?? {})) add(refOfKey(subject.slice(bucketSubject(BUCKET[bucket], '').length)))
    }
    return [...refs.values()]
  }

  /** Of a camera that was deleted unseen. A record that says nothing does not keep what is left of it. */
  #uidOf(ref: CameraRef): string | undefined {
    const record = this.#records.get(cameraKey(ref))
    try {
      if (record !== undefined) return parseJson(CameraRecord, Buffer.from(record)).uid
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error
    }
    return this.#reports.get(refText(ref))?.state.uid
  }

  #connected(): Nats {
    if (this.#nats === undefined || !this.#nats.connected()) throw new Error('NATS is unreachable')
    return this.#nats
  }

  /** Undefined when `signal` aborts before. */
  async #connect(signal: AbortSignal): Promise<Nats | undefined> {
    const { nats, log } = this.#options
    while (!signal.aborted) {
      try {
        return await connectNats('operator', nats, log, signal)
      } catch (error) {
        if (!(error instanceof Stopped)) log.error({ error: messageOf(error) }, 'cannot connect to NATS')
      }
      await sleep(CONNECT_RETRY_MS, signal)
    }
    return undefined
  }

  /** Only we make the cameras' bucket, and nowhere but where we learn what it holds: all is put again when it was lost. Readers wait for it. */
  #recordsView(): BucketView {
    return {
      fills: true,
      changed: (key: string, value: Uint8Array | undefined) => {
        if (value === undefined) this.#records.delete(key)
        else this.#records.set(key, Buffer.from(value).toString())
      },
      complete: (keys: ReadonlySet<string>) => {
        for (const key of this.#records.keys()) if (!keys.has(key)) this.#records.delete(key)
        this.#options.onBack()
      },
    }
  }

  #statesView() {
    return {
      changed: (kvKey: string, value: Uint8Array | undefined, ageMs: number) => {
        const ref = refOfKey(kvKey)
        if (ref === undefined) return
        if (value === undefined) this.#forget(refText(ref))
        else this.#hear(refText(ref), value, ageMs)
      },
      complete: () => {
        this.#isListed = true
      },
    }
  }

  #hear(key: string, value: Uint8Array, ageMs: number): void {
    try {
      const state = parseJson(CameraState, value)
      const before = this.#reports.get(key)
      const digest = digestOf(state)
      const report = { state, digest, heardAt: performance.now() - ageMs, silent: ageMs > SILENT_MS }
      this.#reports.set(key, report)
      if (before?.digest !== digest || before.silent !== report.silent) this.#options.onChange(key)
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error
      this.#options.metrics.badMessages.inc({ reason: error.reason })
    }
  }

  #forget(key: string): void {
    if (this.#reports.delete(key)) this.#options.onChange(key)
  }

  /** Notices silence, of sidecars and of NATS. */
  async #sweep(nats: Nats, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (nats.connected()) this.#awaySince = undefined
      else this.#awaySince ??= performance.now()
      for (const [key, report] of this.#reports) {
        if (report.silent || !isSilent(report)) continue
        report.silent = true
        this.#options.onChange(key)
      }
      await sleep(SWEEP_MS, signal)
    }
  }
}

const isSilent = ({ heardAt }: Heard): boolean => performance.now() - heardAt > SILENT_MS

/** What of a state is news: all but what changes with each heartbeat or attempt. A new field is news unless it is named above. */
function digestOf(state: CameraState): string {
  const news = Object.entries(state).filter(([field]) => !QUIET.has(field))
  return JSON.stringify([...news, Math.round(state.fps / 2)])
}

/** The camera whose packet stream this is; undefined for a stream that only looks like one. */
function refOfStream(name: string, subjects: readonly string[]): CameraRef | undefined {
  const ref = refOfKey(subjects[0]?.split('.').slice(-2).join('.') ?? '')
  return ref !== undefined && packetStream(ref) === name ? ref : undefined
}

// One sidecar at a time opens a camera: the one that holds the camera's lease in KV. A Deployment alone doesn't see to that, since a pod on a
// node that was lost may live on beside its replacement. The lease is lost when another has taken it, and not when NATS is unreachable: then
// no other can take it either, and archive and proxy go on.
import { randomUUID } from 'node:crypto'
import type { KV, KvEntry } from 'nats'
import { openBucket } from '../common/nats/buckets.ts'
import { messageOf } from '../common/errors.ts'
import { everyMinute, type Logger } from '../common/log.ts'
import type { Nats } from '../common/nats/connect.ts'
import { sleep, within } from '../common/abort.ts'
import { isConflict } from '../common/nats/streams.ts'
import { parseJson } from '../proto/messages.ts'
import { CameraLease, encodeState } from '../proto/state.ts'
import { cameraKey, type CameraRef } from '../proto/subjects.ts'

export type LeaseTimes = { ttlMs: number; renewMs: number }
/** A lease that was not renewed for its ttl, by the clock of who watches it, may be taken. */
const TIMES: LeaseTimes = { ttlMs: 10_000, renewMs: 2_500 }
const CALL_MS = 2_000
/** After so many a holder is taken to be silent. */
const MISSED_RENEWALS = 2
/** How soon one who waits notices that the lease is free. */
const ASK_MS = 500

type Options = {
  nats: Nats
  camera: CameraRef & { uid: string }
  /** The pod's name. */
  holder: string
  log: Logger
  /** Called when another holds the lease, with its name; again when it ceases or begins to renew it. */
  onWaiting: (holder: string, isAlive: boolean) => void
  times?: LeaseTimes
  /** False for who has lost the lease to another of the same name: the two would take it from each other forever. */
  isHeir?: boolean
}

export type Lease = AsyncDisposable & {
  /** The last epoch that an earlier holder began: ours must be later, or gateways would take our packets for old ones. */
  readonly lastEpoch: number
  /** Tells who comes after us that this epoch was begun. */
  setEpoch(epoch: number): void
  /** The fingerprint that was kept of the camera's certificate, by this holder or one before. */
  readonly certificate: string | undefined
  /** Keeps it for who comes after us; undefined: none is kept any more. */
  setCertificate(sha256: string | undefined): void
  /** Aborts when another holds the lease: the camera must be let go at once. */
  readonly lost: AbortSignal
}

/** Calls `use` when the camera may be opened, with a signal to let it go, and again after the lease was lost, until `signal` aborts. */
export async function whileHolding(
  options: Options,
  use: (lease: Lease, signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  for (let isHeir = true; !signal.aborted; isHeir = false) {
    await using lease = await acquireLease({ ...options, isHeir }, signal)
    if (lease === undefined) return
    await use(lease, AbortSignal.any([signal, lease.lost]))
  }
}

/** Waits until the camera may be opened; undefined when `signal` aborts before. Disposing lets the next one in at once. */
export async function acquireLease(options: Options, signal: AbortSignal): Promise<Lease | undefined> {
  const { log, camera, holder, onWaiting, times = TIMES, isHeir = true } = options
  const leases = new Leases(options)
  const process = randomUUID()
  const warn = everyMinute((count, error) => log.warn({ count, error }, 'could not read or write the camera’s lease'))
  let seen: { revision: number; atMs: number } | undefined
  let wasAlive: boolean | undefined
  while (!signal.aborted) {
    try {
      const found = await leases.read()
      if (found !== undefined && found.revision !== seen?.revision) seen = { revision: found.revision, atMs: performance.now() }
      const unrenewedMs = seen === undefined ? 0 : performance.now() - seen.atMs
      const isStale = unrenewedMs >= times.ttlMs
      const isAlive = unrenewedMs < MISSED_RENEWALS * times.renewMs
      if (found?.value === undefined || (isHeir && found.value.holder === holder) || isStale) {
        // Epochs are names in time: those of a namesake that was deleted count too.
        const last = found?.value ?? found?.before
        const certificate = last?.uid === camera.uid ? last.certificate : undefined
        const kept = certificate === undefined ? {} : { certificate }
        const value: CameraLease = { v: 1, uid: camera.uid, holder, process, epoch: last?.epoch ?? 0, ...kept }
        const revision = await leases.write(value, found?.revision ?? 0)
        if (revision !== undefined) return new HeldLease(leases, value, revision, log, times)
      } else if (isAlive !== wasAlive) {
        if (wasAlive === undefined) log.info({ holder: found.value.holder }, 'waiting for the camera’s lease')
        wasAlive = isAlive
        onWaiting(found.value.holder, isAlive)
      }
    } catch (error) {
      warn(messageOf(error))
    }
    await sleep(Math.min(ASK_MS, times.renewMs), signal)
  }
  return undefined
}

/** `value` is undefined for a released or unreadable lease, `before` a released one. */
type Found = { revision: number; value?: CameraLease; before?: CameraLease }

class Leases {
  readonly #nats: Nats
  readonly #key: string
  #bucket: KV | undefined

  constructor({ nats, camera }: Options) {
    this.#nats = nats
    this.#key = cameraKey(camera)
  }

  async read(): Promise<Found | undefined> {
    const entry = await this.#call(kv => kv.get(this.#key))
    return entry === null ? undefined : foundIn(entry)
  }

  /** The new revision, or undefined when somebody else wrote since `revision` (0: there was nothing). */
  async write(value: CameraLease, revision: number): Promise<number | undefined> {
    try {
      return await this.#call(kv => kv.put(this.#key, encodeState(value), { previousSeq: revision }))
    } catch (error) {
      if (isConflict(error)) return undefined
      throw error
    }
  }

  async #call<T>(use: (kv: KV) => Promise<T>): Promise<T> {
    if (!this.#nats.connected()) throw new Error('NATS is unreachable')
    try {
      this.#bucket ??= await within(CALL_MS, 'NATS', openBucket(this.#nats.nc, 'leases'))
      return await within(CALL_MS, 'NATS', use(this.#bucket))
    } catch (error) {
      if (!isConflict(error)) this.#bucket = undefined // it may have vanished with a restart of NATS
      throw error
    }
  }
}

function foundIn({ revision, operation, value }: KvEntry): Found {
  if (operation !== 'PUT') return { revision }
  try {
    const lease = parseJson(CameraLease, value)
    return lease.holder === '' ? { revision, before: lease } : { revision, value: lease }
  } catch {
    return { revision }
  }
}

class HeldLease implements Lease {
  readonly lastEpoch: number
  readonly #leases: Leases
  readonly #log: Logger
  readonly #times: LeaseTimes
  readonly #lost = new AbortController()
  readonly #ended = new AbortController()
  readonly #renewing: Promise<void>
  #value: CameraLease
  #revision: number
  #changed = new AbortController()

  constructor(leases: Leases, value: CameraLease, revision: number, log: Logger, times: LeaseTimes) {
    this.#leases = leases
    this.#value = value
    this.#revision = revision
    this.#log = log
    this.#times = times
    this.lastEpoch = value.epoch
    this.#renewing = this.#renew()
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  setEpoch(epoch: number): void {
    if (epoch <= this.#value.epoch) return
    this.#value = { ...this.#value, epoch }
    this.#changed.abort() // told now, not with the next renewal
  }

  get certificate(): string | undefined {
    return this.#value.certificate
  }

  setCertificate(sha256: string | undefined): void {
    if (sha256 === this.#value.certificate) return
    const { certificate: _old, ...rest } = this.#value
    this.#value = sha256 === undefined ? rest : { ...rest, certificate: sha256 }
    this.#changed.abort()
  }

  /** Lets go. A lease that can't be released ends by itself. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort()
    await this.#renewing
    if (this.lost.aborted) return
    await this.#leases.write({ ...this.#value, holder: '' }, this.#revision).catch(() => {})
  }

  async #renew(): Promise<void> {
    const ended = this.#ended.signal
    for (;;) {
      await sleep(this.#times.renewMs, AbortSignal.any([ended, this.#changed.signal]))
      if (ended.aborted) return
      this.#changed = new AbortController()
      try {
        if (await this.#keep()) continue
        this.#log.warn('another sidecar has taken the camera’s lease')
        this.#lost.abort()
        return
      } catch (error) {
        this.#log.debug({ error: messageOf(error) }, 'could not renew the camera’s lease')
      }
    }
  }

  /** False when another has it. */
  async #keep(): Promise<boolean> {
    const revision = await this.#leases.write(this.#value, this.#revision)
    if (revision !== undefined) {
      this.#revision = revision
      return true
    }
    const found = await this.#leases.read()
    // Ours all the same: a renewal was stored whose answer was lost. No one's: the bucket was lost with NATS' memory.
    const isOurs = found?.value === undefined || found.value.process === this.#value.process
    if (isOurs) this.#revision = found?.revision ?? 0
    return isOurs
  }
}

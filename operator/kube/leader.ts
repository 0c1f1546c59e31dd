// Leader election by a Lease. Its holder renews it; others take it when it has not changed for its duration, judged by
// their own monotonic clock from what they saw, since the clocks of two machines need not agree.
import { hostname } from 'node:os'
import { randomUUID } from 'node:crypto'
import type { Logger } from '../../common/log.ts'
import { messageOf } from '../../common/errors.ts'
import { sleep, within } from '../../common/abort.ts'
import { ignoringMissing, isApiError, type KubeApi } from '../../common/kube/client.ts'

/** Milliseconds; leases carry whole seconds. */
export type LeaseTimes = { duration: number; renewDeadline: number; retry: number }
export const LEASE_TIMES: LeaseTimes = { duration: 10_000, renewDeadline: 7_000, retry: 2_000 }

export type LeaseSpec = {
  holderIdentity?: string
  leaseDurationSeconds?: number
  acquireTime?: string
  renewTime?: string
  leaseTransitions?: number
}
export type Lease = { metadata: { name: string; namespace: string; resourceVersion?: string }; spec?: LeaseSpec }

/** `update` and `create` reject with 409 when another was faster. */
export type LeaseStore = {
  get(): Promise<Lease | undefined>
  create(spec: LeaseSpec): Promise<Lease>
  update(lease: Lease): Promise<Lease>
}

export const newIdentity = (): string => `${hostname()}_${randomUUID()}`

/** RFC 3339 with six digits, which is what the API server takes for a MicroTime. */
const microTime = (ms: number): string => new Date(ms).toISOString().replace('Z', '000Z')

type Seen = { lease: Lease; version: string | undefined; atMs: number }

export class Elector {
  readonly #store: LeaseStore
  readonly #identity: string
  readonly #times: LeaseTimes
  readonly #now: () => number
  readonly #wallNow: () => number
  #seen: Seen | undefined

  constructor(
    store: LeaseStore,
    identity: string,
    times = LEASE_TIMES,
    now: () => number = performance.now.bind(performance),
    wallNow: () => number = Date.now,
  ) {
    this.#store = store
    this.#identity = identity
    this.#times = times
    this.#now = now
    this.#wallNow = wallNow
  }

  /** Holds the lease now, having taken or renewed it with this call. Rejects when the API server doesn't answer. */
  async tryHold(): Promise<boolean> {
    const found = this.#seen !== undefined && this.#isMine(this.#seen.lease) ? this.#seen.lease : await this.#store.get()
    if (found === undefined) return this.#write(() => this.#store.create(this.#spec(undefined)))
    this.#observe(found)
    if (!this.#isMine(found) && !this.#isFree(found)) return false
    return this.#write(() => this.#store.update({ ...found, spec: this.#spec(found.spec) }))
  }

  /** As last seen, another holds the lease. */
  get isTaken(): boolean {
    return this.#seen !== undefined && !this.#isMine(this.#seen.lease) && !this.#isFree(this.#seen.lease)
  }

  /** How long to wait until the lease of another is looked at again, in ms: it may be released at any time. */
  waitMs(): number {
    const often = this.#times.retry / 2
    if (this.#seen === undefined) return often
    const left = this.#seen.atMs + this.#durationMs(this.#seen.lease) - this.#now()
    return Math.min(often, Math.max(50, left + 1))
  }

  /** Gives the lease up, so that another need not wait for its end. */
  async release(): Promise<void> {
    if (this.#seen === undefined || !this.#isMine(this.#seen.lease)) return
    const { lease } = this.#seen
    this.#seen = undefined
    await this.#store.update({ ...lease, spec: { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1 } })
  }

  #isMine(lease: Lease): boolean {
    return lease.spec?.holderIdentity === this.#identity
  }

  #isFree(lease: Lease): boolean {
    if (!lease.spec?.holderIdentity) return true
    return this.#seen !== undefined && this.#now() - this.#seen.atMs >= this.#durationMs(lease)
  }

  /** The holder's own duration counts, not ours. */
  #durationMs(lease: Lease): number {
    return (lease.spec?.leaseDurationSeconds ?? this.#times.duration / 1000) * 1000
  }

  #observe(lease: Lease): void {
    if (this.#seen?.version === lease.metadata.resourceVersion) return
    this.#seen = { lease, version: lease.metadata.resourceVersion, atMs: this.#now() }
  }

  #spec(old: LeaseSpec | undefined): LeaseSpec {
    const now = microTime(this.#wallNow())
    const mine = old?.holderIdentity === this.#identity
    return {
      holderIdentity: this.#identity,
      leaseDurationSeconds: Math.round(this.#times.duration / 1000),
      acquireTime: mine && old?.acquireTime !== undefined ? old.acquireTime : now,
      renewTime: now,
      leaseTransitions: (old?.leaseTransitions ?? 0) + (mine || old === undefined ? 0 : 1),
    }
  }

  async #write(write: () => Promise<Lease>): Promise<boolean> {
    try {
      this.#observe(await write())
      return true
    } catch (error) {
      if (!isApiError(error, 409) && !isApiError(error, 404)) throw error
      this.#seen = undefined // another was faster, or the lease was deleted: read it again
      return false
    }
  }
}

/** The lease went to another, or could not be renewed in time: the process must end, since another may write already. */
export class LeadershipLost extends Error {}

/**
 * Waits for the lease, then runs `lead` with a signal that aborts when `signal` does or when the lease is lost. After `lead` has
 * ended the lease is released. When it was lost, rejects with LeadershipLost at once.
 */
export async function leadWith(
  elector: Elector,
  times: LeaseTimes,
  lead: (signal: AbortSignal) => Promise<void>,
  onChange: (leads: boolean) => void,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted && !(await holds(elector, times.renewDeadline, log))) await sleep(elector.waitMs(), signal)
  if (!signal.aborted) {
    log.info('leading')
    onChange(true)
    const ended = new AbortController()
    const lost = new AbortController()
    const renewing = renew(elector, times, log, ended.signal).then(kept => {
      if (kept) return
      lost.abort()
      throw new LeadershipLost('the lease was lost')
    })
    try {
      await Promise.race([lead(AbortSignal.any([signal, lost.signal])), renewing])
    } finally {
      ended.abort()
      onChange(false)
    }
    await renewing
  }
  await elector.release().catch(error => log.warn({ error: messageOf(error) }, 'could not release the Lease'))
}

async function holds(elector: Elector, limitMs: number, log: Logger): Promise<boolean> {
  try {
    return await within(limitMs, 'the lease', elector.tryHold())
  } catch (error) {
    log.warn({ error: messageOf(error) }, 'could not read or write the Lease')
    return false
  }
}

/** False when the lease is another's, or was not renewed within the deadline. */
async function renew(elector: Elector, times: LeaseTimes, log: Logger, ended: AbortSignal): Promise<boolean> {
  let renewedAt = performance.now()
  for (;;) {
    await sleep(times.retry, ended)
    if (ended.aborted) return true
    const begun = performance.now()
    const left = renewedAt + times.renewDeadline - begun
    if (left > 0 && (await holds(elector, left, log))) renewedAt = begun
    else if (elector.isTaken || performance.now() - renewedAt >= times.renewDeadline) return false
  }
}

/** The Lease object `name` of `namespace`. */
export function leaseStore(api: KubeApi, namespace: string, name: string, timeoutMs: number): LeaseStore {
  const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`
  const object = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' }
  return {
    get: () => ignoringMissing(api.request<Lease>('GET', `${path}/${name}`, { timeoutMs })),
    create: spec => api.request<Lease>('POST', path, { body: { ...object, metadata: { name, namespace }, spec }, timeoutMs }),
    update: lease => api.request<Lease>('PUT', `${path}/${name}`, { body: { ...object, ...lease }, timeoutMs }),
  }
}

// Users of deleted Cameras, which NATS takes no more: kept in a bucket, and told to each nats-server as claims of the account, which it forgets
// at a restart.
import type { NatsConnection } from 'nats'
import { connectNats, type Nats } from '../../common/nats/connect.ts'
import { bindBucket, watchBucket } from '../../common/nats/buckets.ts'
import { sleep, within } from '../../common/abort.ts'
import { messageOf } from '../../common/errors.ts'
import { everyMinute, type Logger } from '../../common/log.ts'
import { BadMessage, parseJson } from '../../proto/messages.ts'
import { Revocation } from '../../proto/state.ts'
import { BUCKET, bucketStream, bucketSubject, type CameraRef } from '../../proto/subjects.ts'
import { readKeys } from './camera-user.ts'
import { accountToken, claimsSubject } from './trust.ts'
import { cameraUser, systemCreds } from './users.ts'

const DAY_SECONDS = 86_400
/** A server that was restarted knows of no revocation until it is told. */
const TELL_MS = 15_000
const CALL_MS = 5_000
/** The bucket has room for them. Of more, those that expire first may connect again. */
const REVOKED_MAX = 8_000

export type RevocationsOptions = {
  nats: { url: string; ca?: string | undefined; replicas: number }
  /** A folder with the keys that NATS users are made with. */
  signingDir: string
  /** For so long users are valid. */
  validity: { days: number }
  log: Logger
}

export class Revocations {
  readonly #options: RevocationsOptions
  readonly #warn: (message: string) => void
  /** By the user's public key. */
  readonly #revoked = new Map<string, Revocation>()
  #own: Nats | undefined
  #system: Nats | undefined

  constructor(options: RevocationsOptions) {
    this.#options = options
    this.#warn = everyMinute((count, error) => options.log.warn({ count, error }, 'cannot tell NATS which users are revoked'))
  }

  /** Until `signal` aborts. */
  async run(own: Nats, signal: AbortSignal): Promise<void> {
    const { log } = this.#options
    this.#own = own
    const view = {
      fills: true,
      changed: (key: string, value: Uint8Array | undefined) => this.#hear(key, value),
      complete: (known: ReadonlySet<string>) => {
        for (const key of this.#revoked.keys()) if (!known.has(key)) this.#revoked.delete(key)
      },
    } as const
    await Promise.all([watchBucket(own, 'revoked', view, log, signal), this.#keepTelling(signal)])
    this.#own = undefined
  }

  /** The camera's user may not connect any more, and is cut off. Rejects when NATS does not keep that; servers that cannot be told now are told later. */
  async revoke(camera: CameraRef & { uid: string }): Promise<void> {
    if (this.#own === undefined) throw new Error('NATS is unreachable')
    const { signingDir, validity } = this.#options
    const key = cameraUser(await readKeys(signingDir), camera)
    if (this.#revoked.has(key)) return
    const at = Math.floor(Date.now() / 1_000)
    const revocation: Revocation = { v: 1, at, until: at + (validity.days + 1) * DAY_SECONDS }
    const { nc } = this.#own
    await this.#makeRoom(nc, at)
    const kept = bindBucket(nc, 'revoked').then(kv => kv.put(key, JSON.stringify(revocation)))
    await within(CALL_MS, 'NATS', kept)
    this.#revoked.set(key, revocation)
    await this.#tell().catch((error: unknown) => this.#warn(messageOf(error)))
  }

  /** Those whose users have expired are of no use. */
  async #makeRoom(nc: NatsConnection, nowSeconds: number): Promise<void> {
    const { streams } = await nc.jetstreamManager({ checkAPI: false })
    const byExpiry = [...this.#revoked].sort(([, a], [, b]) => a.until - b.until)
    const over = byExpiry.length - REVOKED_MAX + 1
    for (const [key] of byExpiry.filter(([, { until }], i) => until < nowSeconds || i < over)) {
      const filter = bucketSubject(BUCKET.revoked, key)
      await within(CALL_MS, 'NATS', streams.purge(bucketStream(BUCKET.revoked), { filter }))
      this.#revoked.delete(key)
    }
  }

  #hear(key: string, value: Uint8Array | undefined): void {
    try {
      if (value === undefined) this.#revoked.delete(key)
      else this.#revoked.set(key, parseJson(Revocation, value))
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error
      this.#warn(messageOf(error))
    }
  }

  async #keepTelling(signal: AbortSignal): Promise<void> {
    await using stack = new AsyncDisposableStack()
    while (!signal.aborted) {
      try {
        this.#system ??= stack.use(await this.#connectSystem(signal))
        await this.#tell()
      } catch (error) {
        if (!signal.aborted) this.#warn(messageOf(error))
      }
      await sleep(TELL_MS, signal)
    }
    this.#system = undefined
  }

  async #connectSystem(signal: AbortSignal): Promise<Nats> {
    const { nats, signingDir, log } = this.#options
    const keys = await readKeys(signingDir)
    const { url, ca, replicas } = nats
    return connectNats('operator, of the system', { url, ca, replicas, creds: () => systemCreds(keys) }, log, signal)
  }

  /** The same claims once more do nothing. */
  async #tell(): Promise<void> {
    if (this.#revoked.size === 0 || this.#own?.connected() !== true) return
    if (this.#system?.connected() !== true) throw new Error('its system account cannot be reached')
    const keys = await readKeys(this.#options.signingDir)
    const issuedAt = Math.max(...[...this.#revoked.values()].map(({ at }) => at))
    // A token that was issued by a clock that is ahead is meant too: the key is used for nothing else.
    const revocations = Object.fromEntries(
      [...this.#revoked].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, { at }]) => [key, at + DAY_SECONDS]),
    )
    const token = accountToken(keys, issuedAt, revocations)
    const answer = await this.#system.nc.request(claimsSubject(keys.account), token, { timeout: CALL_MS })
    const { error } = answer.json<{ error?: { description?: string } }>()
    if (error !== undefined) throw new Error(error.description ?? 'NATS refused the account’s claims')
  }
}

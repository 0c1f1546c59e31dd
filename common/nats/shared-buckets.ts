// The KV buckets that all cameras share and their own users may not make: made, and made again when NATS lost them, by the processes that may.
import { openBucket, type BucketName } from './buckets.ts'
import { messageOf } from '../errors.ts'
import { everyMinute, type Logger } from '../log.ts'
import type { Nats } from './connect.ts'
import { sleep, within } from '../abort.ts'

const CHECK_MS = 15_000
const RETRY_MS = 1_000
const CALL_MS = 10_000

/** Until `signal` aborts. `more`: buckets that only this process may make. */
export async function keepSharedBuckets(nats: Nats, log: Logger, signal: AbortSignal, more: readonly BucketName[] = []): Promise<void> {
  const say = everyMinute((count, error) => log.warn({ error, count }, 'cannot create or update the shared KV buckets'))
  let renew = new AbortController()
  using _ = nats.onReconnect(() => renew.abort())
  while (!signal.aborted) {
    renew = new AbortController()
    const isMade = nats.connected() && (await makeAll(nats, say, more))
    await sleep(isMade ? CHECK_MS : RETRY_MS, AbortSignal.any([signal, renew.signal]))
  }
}

/** Each for itself: where there is no room for one there may be some for the next. */
async function makeAll({ nc, connected }: Nats, say: (message: string) => void, more: readonly BucketName[]): Promise<boolean> {
  const made = (['states', 'switches', 'leases', ...more] as const).map(name => openBucket(nc, name))
  const results = await Promise.allSettled(made.map(each => within(CALL_MS, 'NATS', each)))
  const failed = results.find(result => result.status === 'rejected')
  if (failed !== undefined && connected()) say(messageOf(failed.reason))
  return failed === undefined
}

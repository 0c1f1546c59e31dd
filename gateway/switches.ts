// What the Proxy and Storage calls decided for a camera, remembered.
import { isDeepStrictEqual } from 'node:util'
import { openBucket, watchBucket, type BucketView } from '../common/nats/buckets.ts'
import { messageOf } from '../common/errors.ts'
import { everyMinute, type Logger } from '../common/log.ts'
import type { Nats } from '../common/nats/connect.ts'
import { sleep } from '../common/abort.ts'
import { isConflict } from '../common/nats/streams.ts'
import { BadMessage, parseJson } from '../proto/messages.ts'
import { CameraSwitches, encodeState } from '../proto/state.ts'
import { cameraKey } from '../proto/subjects.ts'
import type { Cameras, KnownCamera } from './cameras.ts'

const TRIES = 8
const LOOK_MS = 1_000

type Change = { proxy?: CameraSwitches['proxy'] | undefined; storage?: boolean }

/**
 * Sets some of a camera's switches and leaves the others; those of a deleted camera of the same name are forgotten. `change` is told what
 * they are now, and may be asked again. Rejects while NATS is unreachable.
 */
export async function changeSwitches(
  nats: Nats,
  { ref, uid }: Pick<KnownCamera, 'ref' | 'uid'>,
  change: (held: CameraSwitches | undefined) => Change,
): Promise<void> {
  if (!nats.connected()) throw new Error('NATS is unreachable')
  const bucket = await openBucket(nats.nc, 'switches')
  const key = cameraKey(ref)
  for (let left = TRIES; ; left--) {
    const entry = await bucket.get(key)
    const stored = entry === null || entry.operation !== 'PUT' ? undefined : switchesIn(entry.value)
    const held = stored?.uid === uid ? stored : undefined
    const { proxy, storage } = { ...held, ...change(held) }
    const isSame = isDeepStrictEqual([held?.proxy, held?.storage], [proxy, storage])
    if (isSame && (held !== undefined || stored === undefined)) return
    const value = encodeState({ v: 1, uid, ...(proxy && { proxy }), ...(storage === undefined ? {} : { storage }) })
    try {
      // Only if no one else has changed it meanwhile.
      await bucket.put(key, value, { previousSeq: entry?.revision ?? 0 })
      return
    } catch (error) {
      if (!isConflict(error) || left <= 1) throw error
    }
  }
}

/** Made when the spec said otherwise than it does now: editing the spec resets the switch. */
const isVoid = (switches: CameraSwitches | undefined, { record }: KnownCamera): boolean =>
  switches?.proxy !== undefined && switches.proxy.base !== record.proxy.enabled

/** Removes switches that the spec's editing has made void: they must not come back when it is edited back. Runs until `signal` aborts. */
export async function removeVoidSwitches(nats: Nats, cameras: Cameras, log: Logger, signal: AbortSignal): Promise<void> {
  const held = new Map<string, CameraSwitches>()
  const view: BucketView = {
    changed(key, value) {
      const switches = value === undefined ? undefined : switchesIn(value)
      if (switches === undefined) held.delete(key)
      else held.set(key, switches)
    },
    complete(keys) {
      for (const key of held.keys()) if (!keys.has(key)) held.delete(key)
    },
  }
  const watching = watchBucket(nats, 'switches', view, log, signal)
  const warn = everyMinute((count, error) => log.warn({ count, error }, 'could not remove a switch of a deleted camera'))
  while (!signal.aborted) {
    const all = cameras.isListed ? cameras.list() : []
    for (const camera of all) {
      const switches = held.get(cameraKey(camera.ref))
      if (signal.aborted || switches?.uid !== camera.uid || !isVoid(switches, camera)) continue
      await changeSwitches(nats, camera, now => (isVoid(now, camera) ? { proxy: undefined } : {})).catch((error: unknown) =>
        warn(messageOf(error)),
      )
    }
    await sleep(LOOK_MS, signal)
  }
  await watching
}

function switchesIn(value: Uint8Array): CameraSwitches | undefined {
  try {
    return parseJson(CameraSwitches, value)
  } catch (error) {
    if (error instanceof BadMessage) return undefined
    throw error
  }
}

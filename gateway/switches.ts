// What the Proxy and Storage calls decided for a camera, remembered.
import { NatsError } from 'nats'
import { openBucket } from '../common/buckets.ts'
import type { Nats } from '../common/nats.ts'
import { BadMessage, parseJson } from '../proto/messages.ts'
import { CameraSwitches, encodeState } from '../proto/state.ts'
import { cameraKey } from '../proto/subjects.ts'
import type { KnownCamera } from './cameras.ts'

const TRIES = 8
const WRONG_LAST_SEQUENCE = 10_071

/** Sets some of a camera's switches and leaves the others; those of a deleted camera of the same name are forgotten. Rejects while NATS is away. */
export async function changeSwitches(
  nats: Nats,
  { ref, uid }: KnownCamera,
  change: Partial<Pick<CameraSwitches, 'proxy' | 'storage'>>,
): Promise<void> {
  if (!nats.connected()) throw new Error('NATS is away')
  const bucket = await openBucket(nats.nc, 'switches')
  const key = cameraKey(ref)
  for (let left = TRIES; ; left--) {
    const entry = await bucket.get(key)
    const held = entry === null || entry.operation !== 'PUT' ? undefined : switchesIn(entry.value)
    const value = encodeState({ v: 1, ...(held?.uid === uid ? held : {}), uid, ...change })
    try {
      // Only if nobody else has changed it meanwhile.
      await bucket.put(key, value, { previousSeq: entry?.revision ?? 0 })
      return
    } catch (error) {
      const isRace = error instanceof NatsError && error.api_error?.err_code === WRONG_LAST_SEQUENCE
      if (!isRace || left <= 1) throw error
    }
  }
}

function switchesIn(value: Uint8Array): CameraSwitches | undefined {
  try {
    return parseJson(CameraSwitches, value)
  } catch (error) {
    if (error instanceof BadMessage) return undefined
    throw error
  }
}

// Storage: asks the cloud to store, or to stop storing, what Proxy forwards to it.
import { randomUUID } from 'node:crypto'
import { messageOf } from '../../common/errors.ts'
import type { Nats } from '../../common/nats/connect.ts'
import type { StorageRequest__Output } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/StorageRequest.ts'
import type { StorageResponse } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/StorageResponse.ts'
import { parseJson } from '../../proto/messages.ts'
import { StreamKey } from '../../proto/state.ts'
import { streamKeySubject } from '../../proto/subjects.ts'
import type { Caller } from './calls.ts'
import type { VisibleCameras } from '../access/visible-cameras.ts'
import type { KnownCamera } from '../cameras.ts'
import { describe, type Cloud } from '../annotations/cloud.ts'
import { Refusal } from '../refusal.ts'
import { changeSwitches } from '../switches.ts'

const KEY_MS = 2_000

export type StorageParts = {
  cameras: VisibleCameras
  link: () => Nats | undefined
  /** Undefined where no cloud is configured. */
  storage: { cloud: Cloud; apiUrl: string } | undefined
}

export async function setStorage(
  { device_id, start }: StorageRequest__Output,
  { cameras, link, storage }: StorageParts,
  caller: Caller,
): Promise<StorageResponse> {
  const camera = await cameras.resolve(caller, device_id, 'forwarding')
  if (storage === undefined) {
    throw new Refusal('precondition', 'no cloud is configured: set CHRYS_CLOUD_API_URL, CHRYS_CLOUD_KEY_FILE and CHRYS_CLOUD_SECRET_FILE')
  }
  if (!camera.record.proxy.hasTarget) {
    throw new Refusal('precondition', `camera "${device_id}" has no spec.proxy.urlSecretRef: what is forwarded there is what can be stored`)
  }
  const nats = link()
  if (nats === undefined || !nats.connected()) throw new Refusal('unavailable', 'NATS is unreachable')
  const key = pathElement(await streamKey(nats, camera))
  const url = `${storage.apiUrl}/api/v1/edge/storage/${key}`
  const outcome = await storage.cloud.call('storage', { method: 'PUT', url, body: JSON.stringify({ enable: start }) }, caller.signal)
  const cause = describe(outcome).replaceAll(key, '***') // a server may repeat the path
  if (outcome.kind === 'failed') throw new Refusal('unavailable', cause)
  if (outcome.status === 401 || outcome.status === 403) throw new Refusal('denied', cause)
  if (outcome.status < 200 || outcome.status >= 300) throw new Refusal('unavailable', cause)
  try {
    await changeSwitches(nats, camera, () => ({ storage: start }))
  } catch (error) {
    throw new Refusal('unavailable', `the cloud agreed, but that could not be remembered; try again: ${messageOf(error)}`)
  }
  return { device_id, start }
}

/** The key as it stands in a URL: what is escaped there already stays as it is. */
const pathElement = (key: string): string => key.replaceAll(/[^\w\-.~!$&'()*+,;=:@%]/g, encodeURIComponent)

/** Part of a secret that only the camera's pod can read. */
async function streamKey({ nc, inbox }: Nats, { ref, uid }: KnownCamera): Promise<string> {
  const refuse = (cause: string) => new Refusal('unavailable', `the stream key is not known: ${cause}`)
  let answer: StreamKey
  try {
    // On a subject of its own: who is asked must not learn where other answers arrive.
    const reply = `${inbox}.${randomUUID()}`
    const { data } = await nc.request(streamKeySubject(ref), undefined, { timeout: KEY_MS, noMux: true, reply })
    answer = parseJson(StreamKey, data)
  } catch (error) {
    throw refuse(`no answer from the camera’s sidecar (${messageOf(error)})`)
  }
  if (answer.uid !== uid) throw refuse('the answer is another camera’s')
  // What stands for a folder in a path would make it another path.
  if (answer.streamKey === undefined || /^(\.|%2e){0,2}$/i.test(answer.streamKey))
    throw refuse(answer.reason ?? 'the camera’s sidecar has none')
  return answer.streamKey
}

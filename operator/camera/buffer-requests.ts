// Cameras' packet streams, made on demand for sidecars whose NATS users may make none: the demand says which camera, the Camera's spec
// says what.
import type { Msg, NatsConnection } from 'nats'
import { messageOf } from '../../common/errors.ts'
import { everyMinute, type Logger } from '../../common/log.ts'
import { bufferRefusal, ensurePacketStream, streamManager, type BufferLimits } from '../../common/nats/packet-stream.ts'
import { within } from '../../common/abort.ts'
import { parseBytes, parseDuration, type CameraSpec } from '../../proto/camera.ts'
import { BadMessage, parseJson } from '../../proto/messages.ts'
import { BufferRequest, encodeState, MESSAGE_MAX } from '../../proto/state.ts'
import { BUFFER_SUBJECTS, refOfKey, refText, type CameraRef } from '../../proto/subjects.ts'

const CALL_MS = 4_000

export type BufferOwner = { uid: string; limits: BufferLimits }

/** What the spec asks for; the schema has given it its defaults. */
export const bufferLimits = ({ buffer }: CameraSpec): BufferLimits => ({
  durationMs: parseDuration(buffer.duration),
  maxBytes: parseBytes(buffer.maxBytes),
  storage: buffer.storage,
  replicas: buffer.replicas ?? 1,
})

/** `ownerOf`: the Camera, if there is one. `onBad` is told of each request that no honest sidecar of a known Camera sends. */
export function answerBufferRequests(
  nc: NatsConnection,
  ownerOf: (ref: CameraRef) => BufferOwner | undefined,
  onBad: (bad: BadMessage) => void,
  log: Logger,
): Disposable {
  const busy = new Set<string>()
  const warn = everyMinute((count, error) => log.warn({ count, error }, 'dropped requests for packet streams'))
  const answer = async (message: Msg) => {
    const ref = refOfKey(message.subject.split('.').slice(-2).join('.'))
    if (ref === undefined) throw new BadMessage('camera', `${message.subject} is no camera’s`)
    // An answer goes where the request says, by our rights: to nothing but an inbox. One at a time for each camera.
    if (message.reply?.startsWith('_INBOX.') !== true) throw new BadMessage('reply', `${message.subject} with reply ${message.reply}`)
    const key = refText(ref)
    if (busy.has(key)) return
    busy.add(key)
    try {
      const { uid } = parseJson(BufferRequest, message.data)
      const owner = ownerOf(ref)
      if (owner?.uid !== uid) throw new BadMessage('camera', `${key} has another uid, or is not known`)
      const problem = await make(nc, { ...ref, uid }, owner.limits)
      if (problem !== undefined) log.info({ camera: key, ...problem }, 'could not create a packet stream')
      const reply = problem === undefined ? { ok: true } : { ok: false, ...problem, message: problem.message.slice(0, MESSAGE_MAX) }
      message.respond(encodeState({ v: 1, uid, ...reply }))
    } finally {
      busy.delete(key)
    }
  }
  const take = (message: Msg) =>
    answer(message).catch((error: unknown) => {
      if (error instanceof BadMessage) onBad(error)
      warn(messageOf(error))
    })
  const subscription = nc.subscribe(BUFFER_SUBJECTS, { callback: (error, message) => void (error === null && take(message)) })
  return { [Symbol.dispose]: () => subscription.unsubscribe() }
}

/** Why not, if not. */
async function make(nc: NatsConnection, camera: CameraRef & { uid: string }, limits: BufferLimits) {
  try {
    await within(CALL_MS, 'NATS', ensurePacketStream(nc, camera, limits))
    return undefined
  } catch (error) {
    return bufferRefusal(await streamManager(nc), error, limits)
  }
}

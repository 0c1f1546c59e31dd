// GET /cameras: every camera that the caller may see, with its health, codec, size and rate.
import { judge } from '../../proto/health.ts'
import { explain, REASONS, type AnyReason } from '../../proto/reasons.ts'
import type { SubstreamState } from '../../proto/state.ts'
import type { KnownCamera } from '../cameras.ts'
import type { BufferExtent } from '../past/buffer-extents.ts'
import type { Problem } from './answer.ts'

function judgementOf({ record, report, runningSince }: KnownCamera, isConnected: boolean) {
  const nowMs = performance.now()
  return judge({
    ...{ record, isConnected },
    report: report && { state: report.state, ageMs: nowMs - report.receivedMs },
    runningMs: runningSince === undefined ? 0 : nowMs - runningSince,
  })
}

/** `buffer`: how far back it reaches, where that is known. */
export function cameraJson(camera: KnownCamera, isConnected: boolean, buffer: BufferExtent | undefined) {
  const { status, health, cause, severity, state } = judgementOf(camera, isConnected)
  const { codec } = state ?? {}
  return {
    ...{ name: camera.deviceId, namespace: camera.ref.namespace, labels: camera.record.labels ?? {}, status, health, severity },
    ...(cause === undefined ? {} : problemOf(cause.reason, cause.message)),
    ...(codec === undefined ? {} : { codec: codec.name, width: codec.width, height: codec.height }),
    ...(state === undefined ? {} : { fps: state.fps, bitsPerSecond: state.bitsPerSecond, lastPacketAt: state.lastPacketAt }),
    ...(buffer === undefined ? {} : { buffer }),
    archive: camera.record.archive,
    ...(camera.record.substream === undefined ? {} : { substream: substreamJson(state?.substream) }),
  }
}

function substreamJson({ connection, reason, message, codec, fps }: SubstreamState = { connection: 'off', fps: 0 }) {
  return {
    connected: connection === 'streaming',
    ...(reason === undefined ? {} : problemOf(reason, message)),
    ...(codec === undefined ? {} : { codec: codec.name, width: codec.width, height: codec.height, fps }),
  }
}

/** Why a camera gives no frames. */
export function whyNoFrame(camera: KnownCamera, isConnected: boolean, here: { reason: string; message: string } | undefined): Problem {
  const { cause } = judgementOf(camera, isConnected)
  if (cause !== undefined) return problemOf(cause.reason, cause.message)
  if (here !== undefined) return problemOf(here.reason as AnyReason, here.message)
  return { reason: 'NoFrame', message: 'no frame came in time', advice: 'Try again.' }
}

function problemOf(reason: AnyReason, message: string | undefined): Problem {
  const { meaning = explain(reason, message), advice = '' } = Object.hasOwn(REASONS, reason) ? REASONS[reason as keyof typeof REASONS] : {}
  return { reason, message: message === undefined || message === '' ? meaning : message, advice }
}

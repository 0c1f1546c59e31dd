// Cameras: the selected cameras with their state; first all of them, then every change.
import { sleep } from '../../../common/abort.ts'
import type { Buffer as BufferMessage } from '../../../proto/generated/chrys/cloud/frames/v1/Buffer.ts'
import type { Substream } from '../../../proto/generated/chrys/cloud/frames/v1/Substream.ts'
import type { Camera } from '../../../proto/generated/chrys/cloud/frames/v1/Camera.ts'
import type { CamerasRequest__Output } from '../../../proto/generated/chrys/cloud/frames/v1/CamerasRequest.ts'
import type { CamerasResponse } from '../../../proto/generated/chrys/cloud/frames/v1/CamerasResponse.ts'
import type { SubstreamState } from '../../../proto/state.ts'
import { explain } from '../../../proto/reasons.ts'
import type { KnownCamera } from '../../cameras.ts'
import { Refusal } from '../../refusal.ts'
import type { Caller } from '../calls.ts'
import { judgementOf, SEVERITIES } from './camera-status.ts'
import type { FramesParts } from './parts.ts'
import { Selected, selectionOf, type Selection } from './selection.ts'

const LOOK_MS = 500
/** Rates and buffers change all the time: they are said so often. */
const FIGURES_MS = 10_000
const BUFFER_MS = 2_000
/** Buffers asked for at once. */
const BUFFERS_AT_ONCE = 8

const EVERY: Selection = { by: 'selector', text: '', matches: () => true }

export type CamerasParts = Pick<FramesParts, 'cameras' | 'packets' | 'isConnected'>

type Shown = { name: string; quiet: string; figuresMs: number }

export async function* watchCameras(request: CamerasRequest__Output, parts: CamerasParts, caller: Caller): AsyncGenerator<CamerasResponse> {
  const selection = selectionOf(request, '') ?? EVERY
  const selected = new Selected(parts.cameras, caller, 'camera')
  const { signal } = caller
  const shown = new Map<string, Shown>()
  let isSynced = false
  while (!signal.aborted) {
    const cameras = await selected.now(selection)
    const uids = new Set(cameras.map(({ uid }) => uid))
    for (const [uid, { name }] of shown) {
      if (uids.has(uid)) continue
      shown.delete(uid)
      yield { gone: name }
    }
    const changed = cameras.filter(camera => isNews(camera, shown.get(camera.uid), parts.isConnected()))
    for (let i = 0; i < changed.length; i += BUFFERS_AT_ONCE) {
      const some = changed.slice(i, i + BUFFERS_AT_ONCE)
      const buffers = await Promise.all(some.map(camera => bufferOf(camera, parts, signal)))
      for (const [j, camera] of some.entries()) {
        const said = describe(camera, parts.isConnected())
        shown.set(camera.uid, { name: camera.deviceId, quiet: quietOf(said), figuresMs: performance.now() })
        yield { camera: { ...said, buffer: buffers[j] ?? null } }
      }
    }
    if (!isSynced) yield { synced: true }
    isSynced = true
    await sleep(LOOK_MS, signal)
  }
}

function isNews(camera: KnownCamera, before: Shown | undefined, isConnected: boolean): boolean {
  if (before === undefined || performance.now() - before.figuresMs > FIGURES_MS) return true
  return before.quiet !== quietOf(describe(camera, isConnected))
}

/** What is said at once when it changes. */
const quietOf = ({ fps: _fps, bits_per_second: _bits, substream, ...quiet }: Camera): string =>
  JSON.stringify({ ...quiet, substream: { ...substream, fps: 0 } })

function describe(known: KnownCamera, isConnected: boolean): Camera {
  const { status, health, cause, severity, state } = judgementOf(known, isConnected, performance.now())
  const { record, ref, deviceId } = known
  const { codec } = known.report?.state ?? {}
  return {
    ...{ name: deviceId, namespace: ref.namespace, labels: record.labels ?? {}, status, health },
    ...{ reason: cause?.reason ?? '', message: cause === undefined ? '' : explain(cause.reason, cause.message) },
    ...{ severity: SEVERITIES[severity], codec: codec?.name ?? '', width: codec?.width ?? 0, height: codec?.height ?? 0 },
    ...{ fps: state?.fps ?? 0, bits_per_second: state?.bitsPerSecond ?? 0 },
    ...(record.substream === undefined ? {} : { substream: substreamFields(state?.substream) }),
  }
}

function substreamFields({ connection, reason, message, codec, fps }: SubstreamState = { connection: 'off', fps: 0 }): Substream {
  return {
    ...{ connected: connection === 'streaming', reason: reason ?? '', message: reason === undefined ? '' : explain(reason, message) },
    ...{ codec: codec?.name ?? '', width: codec?.width ?? 0, height: codec?.height ?? 0, fps },
  }
}

/** Undefined where there is none, or it cannot be reached now. */
async function bufferOf(camera: KnownCamera, { packets }: CamerasParts, signal: AbortSignal): Promise<BufferMessage | undefined> {
  try {
    const stream = packets(camera)
    const either = AbortSignal.any([signal, AbortSignal.timeout(BUFFER_MS)])
    const extent = await stream.extent(either)
    if (extent === undefined) return undefined
    return { from_ms: extent.startMs, to_ms: extent.endMs, packets: await stream.frames(extent, either), bytes: extent.bytes }
  } catch (error) {
    if (error instanceof Refusal || (error instanceof Error && error.name === 'TimeoutError') || signal.aborted) return undefined
    throw error
  }
}

// Renditions made in a camera's own pod, by a real sidecar: the same frames as those that a gateway makes.
import test from 'ava'
import { createHash } from 'node:crypto'
import { checkedRendition } from '../gateway/frames/rendition.ts'
import { wantedRenditions } from '../gateway/frames/demand.ts'
import { Reassembly } from '../proto/messages.ts'
import { PIXEL_FORMATS, renditionKey, type LiveFrame, type RenditionDemand } from '../proto/rendition.ts'
import { encodeState } from '../proto/state.ts'
import { demandSubject, renditionSubject } from '../proto/subjects.ts'
import { decodeHere } from './fixtures/gateway-decoder.ts'
import { testVideo } from './fixtures/media.ts'
import { startNats } from './fixtures/nats.ts'
import { startCamera } from './fixtures/rtsp-camera.ts'
import { startSidecar } from './fixtures/sidecar.ts'
import { until } from './fixtures/wait.ts'
import { connect } from 'nats'

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const placeOf = ({ epoch, keyframe, index }: LiveFrame) => `${epoch}/${keyframe}/${index}`

const asDemand = (fields: Parameters<typeof checkedRendition>[0], maxFps?: number): RenditionDemand => {
  const rendition = checkedRendition(fields)
  return { key: renditionKey(rendition), rendition, wants: 'all', maxFps }
}

/** Every format, fit and a region. */
const DEMAND: readonly RenditionDemand[] = [
  ...PIXEL_FORMATS.map(format => asDemand({ width: 160, height: 120, fit: 'letterbox', padColor: 0x204060, format })),
  asDemand({ width: 100, height: 100, fit: 'crop', region: { x: 20, y: 10, width: 200, height: 120 } }),
  asDemand({ width: 64 }, 5),
]

test('a pod makes the renditions that gateways ask for, exactly as a gateway makes them, and ends when none asks', async t => {
  await using nats = await startNats()
  await using source = await startCamera({ codec: 'h264', file: await testVideo({ width: 320, height: 180, fps: 15, gop: 15 }) })
  await using sidecar = await startSidecar(nats, { name: 'door', spec: { source: { url: source.url } } })
  await sidecar.stateWith('packets', ({ connection, makesRenditions }) => connection === 'streaming' && makesRenditions === true)
  const { camera } = sidecar
  const nc = await connect({ servers: nats.url })
  const ofPod = new Map<string, LiveFrame[]>()
  for (const { key } of DEMAND) {
    const reassembly = new Reassembly(camera.uid)
    const frames: LiveFrame[] = []
    ofPod.set(key, frames)
    nc.subscribe(renditionSubject(camera, key), {
      callback: (_, message) => {
        const frame = reassembly.rendition(message)
        if (frame !== undefined) frames.push({ ...frame, data: Buffer.from(frame.data) })
      },
    })
  }
  const ask = () =>
    nc.publish(demandSubject(camera), encodeState({ v: 1, gateway: 'test', wants: 'none', renditions: wantedRenditions(DEMAND) }))
  ask()
  const asking = setInterval(ask, 1_000)
  t.teardown(() => clearInterval(asking))
  {
    await using here = await decodeHere(nats.url, camera, 'none')
    here.want('none', DEMAND)
    const pairs = (key: string) => {
      const ofGateway = new Map(here.renditions.filter(one => one.key === key).map(({ frame }) => [placeOf(frame), frame]))
      return (ofPod.get(key) ?? []).flatMap(frame => {
        const other = ofGateway.get(placeOf(frame))
        return other === undefined ? [] : [[frame, other] as const]
      })
    }
    // Of a rate below the camera's, the two places may choose other frames.
    const isThere = ({ key, maxFps }: RenditionDemand) =>
      maxFps === undefined ? pairs(key).length >= 10 : (ofPod.get(key) ?? []).length >= 10
    await until(() => DEMAND.every(isThere), { what: 'frames of each rendition from both places', timeoutMs: 60_000 })
    for (const { key } of DEMAND) {
      for (const [pod, gateway] of pairs(key)) {
        t.is(digest(pod.data), digest(gateway.data), key)
        const what = ({ width, height, format, geometry, timestamp, key: isKey, corrupt }: LiveFrame) => ({
          ...{ width, height, format, geometry, timestamp, isKey, corrupt },
        })
        t.deepEqual(what(pod), what(gateway))
      }
    }
  }
  clearInterval(asking)
  nc.publish(demandSubject(camera), encodeState({ v: 1, gateway: 'test', wants: 'none' }))
  await sidecar.stateWith('an idle decoder', ({ decoding }) => !decoding.active)
  await nc.close()
})

// Cameras whose packets come from this process, so that what is measured is the gateway: as many sidecars would fill the machine.
import { packetMessages, type Packet } from '../proto/messages.ts'
import type { Codec } from '../proto/state.ts'
import { packetSubject } from '../proto/subjects.ts'
import type { Cameras, FakeCamera } from '../test/fixtures/cameras.ts'
import { BENCHMARK_VIDEO, testVideo } from '../test/fixtures/media.ts'
import { packetsOf } from '../test/fixtures/packets.ts'

/** `gop`: frames from one keyframe to the next. */
type Shape = { width: number; height: number; fps: number; gop: number }
type Video = { codec: Codec; packets: readonly { key: boolean; data: Buffer }[] }

/** Until disposed of. Each camera is at its own place in its GOP, as cameras are. */
export async function playCameras(cameras: Cameras, count: number, shape: Shape): Promise<Disposable & { readonly devices: string[] }> {
  const video = await readVideo(shape)
  const all = Array.from({ length: count }, (_, i): FakeCamera => ({ namespace: 'default', name: `played-${i}`, uid: `uid-${i}` }))
  for (const camera of all) {
    await cameras.put(camera)
    await cameras.report(camera, { codec: video.codec, fps: shape.fps, epoch: Date.now() - 60_000 })
  }
  return Object.assign(play(cameras, all, video, shape), { devices: all.map(({ name }) => name) })
}

async function readVideo({ width, height, fps, gop }: Shape): Promise<Video> {
  const { packets, info } = await packetsOf(await testVideo({ ...BENCHMARK_VIDEO, width, height, fps, gop }))
  if (info === undefined) throw new Error('no packets')
  const { codec: name, extradata, pixFmt } = info
  const codec: Codec = {
    ...{ name, longName: name, width, height, pixFmt, reorder: 0, timeBase: [1, 90_000] },
    extradata: extradata.toString('base64'),
  }
  return { codec, packets: packets.map(({ key, data }) => ({ key, data: Buffer.from(data) })) }
}

function play({ nc }: Cameras, all: readonly FakeCamera[], { codec, packets }: Video, { fps, gop }: Shape): Disposable {
  const epoch = Date.now()
  const sent = all.map((_, i) => i % gop)
  const send = (camera: FakeCamera, seq: number, ahead: number) => {
    const { key, data } = packets[seq % packets.length] as Video['packets'][number]
    const pts = (seq * 90_000) / fps
    const place = {
      epoch,
      keyframe: Math.floor(seq / gop) + 1,
      index: seq % gop,
      pts,
      dts: pts,
      timestamp: Math.round(epoch + (1000 * (seq - ahead)) / fps),
    }
    const packet: Packet = { ...place, key, corrupt: false, data }
    for (const { headers, payload } of packetMessages(camera.uid, packet, 0, codec, 2 ** 20))
      nc.publish(packetSubject(camera), payload, { headers })
  }
  const timer = setInterval(() => {
    for (const [i, camera] of all.entries()) {
      const due = (i % gop) + Math.floor(((Date.now() - epoch) / 1000 + i / all.length / fps) * fps)
      for (let seq = sent[i] ?? 0; seq < due; seq++) send(camera, seq, i % gop)
      sent[i] = Math.max(sent[i] ?? 0, due)
    }
  }, 5)
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

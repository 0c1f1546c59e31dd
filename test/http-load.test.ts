// What many requests and slow clients cost the gateway, and how good its JPEGs are.
import anyTest, { type TestFn } from 'ava'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { sleep } from '../common/abort.ts'
import { addStreaming, film, startWorld, type World } from './fixtures/frames-world.ts'
import { testVideo } from './fixtures/media.ts'
import { boxesOf, frameEvents, type FrameEvent } from './fixtures/mp4-boxes.ts'
import { labelOf } from './fixtures/shown.ts'
import { storeVideo } from './fixtures/stored-video.ts'
import { until } from './fixtures/wait.ts'

const test = anyTest as TestFn<World>
test.before(async t => {
  t.context = await startWorld()
})
test.after.always(t => t.context.stack?.disposeAsync())

const urlOf = ({ gateway }: World) => `http://127.0.0.1:${gateway.httpPort}/cameras`

test.serial('fifty requests a second of one camera are one encode a frame, and equal frames are equal bytes', async t => {
  const camera = await addStreaming(t)
  await camera.encoded.makeStream()
  using filming = film([camera], 100)
  const url = `${urlOf(t.context)}/${camera.name}/frame.jpg?width=80`
  await until(async () => (await fetch(url)).status === 200, { what: 'a first frame' })
  const decoded = async () => await t.context.gateway.metric('chrysalis_frames_decoded_total', labelOf(camera))
  const [before, sentBefore] = [await decoded(), filming.sent]
  const bodies = new Map<string, Buffer>()
  const ask = async () => {
    const answer = await fetch(url)
    const body = Buffer.from(await answer.arrayBuffer())
    const id = answer.headers.get('x-frame-id') ?? ''
    t.true((bodies.get(id) ?? body).equals(body), id)
    bodies.set(id, body)
    return answer.status
  }
  const asked: Promise<number>[] = []
  for (let i = 0; i < 150; i++) {
    asked.push(ask())
    await sleep(20, new AbortController().signal)
  }
  const statuses = await Promise.all(asked)
  const made = (await decoded()) - before
  const captured = filming.sent - sentBefore
  t.true(statuses.every(status => status === 200))
  t.true(bodies.size > 10 && bodies.size <= made + 1, `${bodies.size} frames`)
  t.true(made <= captured + 2, `${made} encodes of ${captured} frames for ${asked.length} requests`)
})

test.serial('a JPEG is as its frame: 38 dB and more', async t => {
  const camera = await addStreaming(t)
  const file = await testVideo({ width: 320, height: 192, seconds: 2, gop: 15 })
  const packets = await storeVideo(t.context.cameras.nc, camera, file)
  for (const index of [0, 22, 59]) {
    const answer = await fetch(`${urlOf(t.context)}/${camera.name}/frame.jpg?at=${packets[index]?.timestamp}`)
    const jpeg = Buffer.from(await answer.arrayBuffer())
    t.is(answer.status, 200, jpeg.subarray(0, 300).toString())
    // In the camera's planes, which a JPEG has at full range.
    const graph = `[1:v]select=eq(n\\,${index}),setpts=0[frame];[0:v]scale=out_range=tv,format=yuv420p,setpts=0[jpeg];[jpeg][frame]psnr`
    const args = ['-hide_banner', '-f', 'mjpeg', '-i', 'pipe:0', '-i', file, '-lavfi', graph, '-frames:v', '1', '-f', 'null', '-']
    const { stderr } = spawnSync(ffmpegPath(process.env), args, { input: jpeg, encoding: 'utf8' })
    const psnr = Number(/PSNR.* average:([\d.]+)/.exec(stderr)?.[1])
    t.log(`frame ${index}: ${psnr.toFixed(1)} dB, ${jpeg.length} bytes`)
    t.true(psnr >= 38, `${psnr} ${stderr}`)
  }
})

const residentMb = (pid: number) => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) / 1024

test.serial('a stalled reader costs bounded memory, loses whole GOPs, and its timestamps stay right', async t => {
  const { gateway } = t.context
  const camera = await addStreaming(t)
  await camera.encoded.makeStream()
  // A unit of filler data (H.264 7.3.2.7) makes packets large.
  const filler = Buffer.concat([Buffer.of(0, 0, 0, 1, 12), Buffer.alloc(300_000, 0xff), Buffer.of(0x80)])
  const { codec } = camera.encoded
  const isAnnexB = Buffer.from(codec.extradata, 'base64')[0] !== 1
  const unit = isAnnexB ? filler : Buffer.concat([u32(filler.length - 4), filler.subarray(4)])
  let seq = 0
  const timer = setInterval(() => {
    const now = Date.now()
    const source = camera.encoded.packet(seq % 120).data
    const ticks = (now - begin) * 90
    camera.encoded.send(seq % 120, {
      ...{
        keyframe: Math.floor(seq / 10) + 1,
        index: seq % 10,
        pts: ticks,
        dts: ticks,
        timestamp: now,
        data: Buffer.concat([source, unit]),
      },
    })
    seq++
  }, 50)
  const begin = Date.now()
  t.teardown(() => clearInterval(timer))
  const socket = connect(gateway.httpPort, '127.0.0.1')
  await once(socket, 'connect')
  socket.write(`GET /cameras/${camera.name}/live.mp4 HTTP/1.0\r\n\r\n`)
  const events: FrameEvent[] = []
  let pending: Buffer | undefined
  socket.on('data', (chunk: Buffer) => {
    // Behind the head of the answer come boxes.
    if (pending === undefined) {
      const end = chunk.indexOf('\r\n\r\n')
      pending = chunk.subarray(end + 4)
    } else pending = Buffer.concat([pending, chunk])
    const boxes = boxesOf(pending)
    pending = pending.subarray(boxes.reduce((sum, { body }) => sum + 8 + body.length, 0))
    events.push(...frameEvents(boxes))
  })
  await until(() => events.length > 10, { what: 'the stream', timeoutMs: 30_000 })
  socket.pause()
  const before = residentMb(gateway.pid)
  const sentBefore = seq
  await until(() => seq - sentBefore > 240, { what: 'twelve seconds of packets', timeoutMs: 60_000 })
  const grown = residentMb(gateway.pid) - before
  t.log(`${((seq - sentBefore) * 0.3).toFixed(0)} MB were sent, the gateway grew by ${grown.toFixed(0)} MB`)
  t.true(grown < 60, `${grown} MB`)
  const stalledAt = seq
  socket.resume()
  await until(() => seq - stalledAt > 40 && Date.now() - (events.at(-1)?.captureTime ?? 0) < 1_000, {
    what: 'the stream to be live again',
    timeoutMs: 30_000,
  })
  socket.destroy()
  const [first] = events
  let gaps = 0
  for (const [i, { id, captureTime, mediaTime }] of events.entries()) {
    t.true(Math.abs(captureTime - (first?.captureTime ?? 0) - (mediaTime - (first?.mediaTime ?? 0)) * 1000) < 2, `frame ${i}`)
    const before_ = events[i - 1]
    if (before_ === undefined || captureTime - before_.captureTime < 400) continue
    gaps++
    t.regex(id, /-0$/, 'after a gap comes a keyframe')
  }
  t.true(gaps > 0)
  t.true((await gateway.metric('chrysalis_frames_missed_total', labelOf(camera))) > 0)
  await until(async () => (await gateway.metric('chrysalis_unsent_bytes')) === 0, { what: 'nothing on its way' })
})

const u32 = (value: number): Buffer => {
  const four = Buffer.alloc(4)
  four.writeUInt32BE(value)
  return four
}

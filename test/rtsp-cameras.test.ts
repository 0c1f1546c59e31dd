// Cameras that are odd in one way each, from connection to frame: a real sidecar and ffmpeg on a camera made by hand.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import test from 'ava'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { testVideo } from './fixtures/media.ts'
import { startNats, type NatsServer } from './fixtures/nats.ts'
import { interleaved, startScriptedCamera, type ScriptedCamera } from './fixtures/rtsp-scripted.ts'
import { startSidecar, type Sidecar } from './fixtures/sidecar.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { turns } from './fixtures/turns.ts'
import { until } from './fixtures/wait.ts'

let nats: NatsServer
test.before(async () => {
  nats = await startNats()
})
test.after.always(() => nats[Symbol.asyncDispose]())

const turn = turns(4)
let made = 0
const NONE = Buffer.alloc(0)

const start = (camera: ScriptedCamera, source: { transport?: 'tcp' | 'udp'; codecs?: string[] } = {}): Promise<Sidecar> =>
  startSidecar(nats, { name: `cam-${++made}`, spec: { source: { url: camera.url, ...source } } })

const streams = (sidecar: Sidecar) => sidecar.stateWith('streaming', ({ connection }) => connection === 'streaming')

for (const transport of ['tcp', 'udp'] as const) {
  test(`a camera that falls silent by ${transport} hears TEARDOWN, and is connected to again within 7 s`, t =>
    turn(async () => {
      await using camera = await startScriptedCamera({ send: (frame, number) => (number < 240 ? frame : NONE) })
      await using sidecar = await start(camera, { transport })
      await streams(sidecar)
      const [teardown] = await until(() => camera.requests('TEARDOWN').length > 0 && camera.requests('TEARDOWN'), { what: 'TEARDOWN' })
      t.regex(teardown?.text ?? '', /\r\nSession: 12345678\r\n/)
      const again = await until(() => camera.requests('OPTIONS')[1], { what: 'the next try' })
      const gapMs = again.at - (camera.sent[0]?.lastAt ?? 0)
      t.true(gapMs < 7_000, `${gapMs} ms`)
      t.is((await streams(sidecar)).connection, 'streaming')
    }))
}

test('a camera that ends its stream by RTCP BYE and keeps the connection is connected to again at once', t =>
  turn(async () => {
    const bye = Buffer.from('$\u0001\0\u0008\x81\xcb\0\u0001\0\0\0\u0007', 'latin1')
    await using camera = await startScriptedCamera({ send: (frame, number) => (number < 240 ? frame : number === 240 ? bye : NONE) })
    await using sidecar = await start(camera)
    await streams(sidecar)
    const again = await until(() => camera.requests('OPTIONS')[1], { what: 'the next try' })
    t.true(again.at - (camera.sent[0]?.lastAt ?? 0) < 4_000)
    t.is(camera.requests('TEARDOWN').length, 1)
  }))

for (const [says, methods] of [
  ['a session of 3 s, said with a blank,', ['OPTIONS', 'GET_PARAMETER']],
  ['a session that GET_PARAMETER alone keeps, which it does not list,', ['GET_PARAMETER']],
] as const) {
  test(`a camera with ${says} plays on`, t =>
    turn(async () => {
      await using camera = await startScriptedCamera({
        session: { timeoutMs: 3_000, methods },
        answer: (_, usual) => usual.replace('Session: 12345678', 'Session: 12345678; timeout=3'),
      })
      await using sidecar = await start(camera)
      await streams(sidecar)
      // In the end one connection gets far more than a session's worth of frames.
      await until(() => camera.sent.some(({ frames }) => frames > 30 * 10), { what: 'a session of 10 s', timeoutMs: 45_000 })
      t.true(camera.sent.length <= (methods.length === 2 ? 1 : 2), `${camera.sent.length} connections`)
    }))
}

test('a camera that sends reports and no video has stalled, and so has a track of it', t =>
  turn(async () => {
    const report = Buffer.from('$\u0001\0\u001c\x80\xc8\0\u0006\0\0\0\u0007'.padEnd(32, '\0'), 'latin1')
    await using camera = await startScriptedCamera({ send: () => report })
    await using sidecar = await start(camera)
    await sidecar.stateWith('StreamStalled', ({ reason }) => reason === 'StreamStalled', 15_000)
    t.true(camera.requests('TEARDOWN').length > 0)
  }))

test('a source by HTTP that falls silent is connected to again within 7 s', t =>
  turn(async () => {
    await using folder = await temporaryFolder()
    const file = folder.file('video.ts')
    const video = await testVideo({ width: 320, height: 192, seconds: 8, gop: 15 })
    await promisify(execFile)(ffmpegPath(process.env), ['-nostdin', '-v', 'error', '-i', video, '-c', 'copy', '-f', 'mpegts', file])
    const bytes = await readFile(file)
    const connected: number[] = []
    let lastAt = 0
    const server = createServer((_request, response) => {
      connected.push(performance.now())
      response.on('error', () => {}).writeHead(200, { 'content-type': 'video/mp2t' })
      let at = 0
      const timer = setInterval(() => {
        if (at >= bytes.length) return
        response.write(bytes.subarray(at, (at += Math.ceil(bytes.length / 80))))
        if (connected.length === 1) lastAt = performance.now()
      }, 100)
      response.on('close', () => clearInterval(timer))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const { port } = server.address() as AddressInfo
      await using sidecar = await startSidecar(nats, {
        name: `cam-${++made}`,
        spec: { source: { url: `http://127.0.0.1:${port}/video.ts` } },
      })
      await sidecar.stateWith('streaming', ({ connection }) => connection === 'streaming')
      const again = await until(() => connected[1], { what: 'the next connection' })
      t.true(again - lastAt < 7_000, `${again - lastAt} ms`)
    } finally {
      server.close()
      server.closeAllConnections()
    }
  }))

test('of several video tracks the first that can be decoded plays, and where it is silent the next', t =>
  turn(async () => {
    const silentTrack = 'm=video 0 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\na=control:trackID=9\r\n'
    await using camera = await startScriptedCamera({
      sdp: track =>
        `m=video 0 RTP/AVP 34\r\na=control:trackID=7\r\nm=video 0 RTP/AVP 98\r\na=rtpmap:98 VP8/90000\r\na=control:trackID=8\r\n${silentTrack}${track}`,
    })
    await using sidecar = await start(camera)
    const stalled = await sidecar.stateWith('a silent track', ({ reason }) => reason === 'StreamStalled')
    t.regex(stalled.message ?? '', /video track 1 of 2/)
    await streams(sidecar)
    t.deepEqual(
      camera.requests('SETUP').map(({ uri }) => uri.slice(-9)),
      ['trackID=9', 'trackID=1'],
    )
  }))

test('a codec that spec.source.codecs does not allow is refused before a packet of it comes', t =>
  turn(async () => {
    await using camera = await startScriptedCamera({ sdp: track => track.replace('H264', 'VP8') })
    await using sidecar = await start(camera)
    const { message } = await sidecar.stateWith('CodecUnsupported', ({ reason }) => reason === 'CodecUnsupported')
    t.regex(message ?? '', /VP8/)
    t.is(camera.requests('SETUP').length, 0)
    await using open = await start(camera, { codecs: ['VP8'] })
    await until(() => camera.requests('PLAY').length > 0, { what: 'PLAY' })
    t.truthy(await open.state())
  }))

test('a description without a length, in lines that end with LF, and OPTIONS refused: frames come all the same', t =>
  turn(async () => {
    await using camera = await startScriptedCamera({
      answer: ({ method }, usual) =>
        method === 'OPTIONS'
          ? usual.replace('200 OK', '501 Not Implemented')
          : usual
              .replace(/Content-Length: \d+\r\n/, '')
              .replace(/CSeq: \d+/, 'cseq :0')
              .replaceAll('\r', ''),
    })
    await using sidecar = await start(camera)
    t.is((await streams(sidecar)).failingStreak, 0)
  }))

for (const [what, payload] of [
  ['a fragment of H.264', Buffer.concat([Buffer.from([0x7c, 0x05]), Buffer.alloc(60_000, 0x55)])],
  ['a unit that is no picture', Buffer.concat([Buffer.from([0x66]), Buffer.alloc(60_000, 0x55)])],
] as const) {
  test(`${what} without an end is cut off before it takes memory`, t =>
    turn(async () => {
      let largest = 0
      let sequence = 0
      await using camera = await startScriptedCamera({
        send: (frame, number) => {
          if (number < 30) return frame
          return Buffer.concat(Array.from({ length: 60 }, () => interleaved(payload, ++sequence, 90_000, false)))
        },
      })
      await using sidecar = await start(camera)
      const { pid } = await streams(sidecar)
      const ended = until(
        async () => {
          const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
          largest = Math.max(largest, Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0))
          return status === ''
        },
        { what: 'the end of ffmpeg', everyMs: 50 },
      )
      const { message } = await sidecar.stateWith('InvalidStream', ({ reason }) => reason === 'InvalidStream')
      t.regex(message ?? '', /64 MiB/)
      await ended
      t.true(largest < 500_000, `${largest} KiB`)
    }))
}

test('an MPEG-TS whose tables name another stream from now on is connected to again within 7 s', t =>
  turn(async () => {
    await using folder = await temporaryFolder()
    const video = await testVideo({ width: 320, height: 192, seconds: 8, gop: 15 })
    const transportStream = async (pid: number) => {
      const file = folder.file(`${pid}.ts`)
      const copy = [
        '-nostdin',
        '-v',
        'error',
        '-i',
        video,
        '-c',
        'copy',
        '-mpegts_start_pid',
        String(pid),
        '-mpegts_pmt_start_pid',
        String(pid + 256),
      ]
      await promisify(execFile)(ffmpegPath(process.env), [...copy, '-f', 'mpegts', file])
      return readFile(file)
    }
    const streams = [await transportStream(0x100), await transportStream(0x300)]
    const connected: number[] = []
    let changedAt = 0
    const server = createServer((_request, response) => {
      connected.push(performance.now())
      response.on('error', () => {}).writeHead(200, { 'content-type': 'video/mp2t' })
      let [which, at] = [connected.length === 1 ? 0 : 1, 0]
      const timer = setInterval(() => {
        const bytes = streams[which] ?? NONE
        response.write(bytes.subarray(at, (at += Math.ceil(bytes.length / 80 / 188) * 188)))
        if (at < bytes.length) return
        if (which === 0) changedAt = performance.now()
        ;[which, at] = [1, 0]
      }, 100)
      response.on('close', () => clearInterval(timer))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const { port } = server.address() as AddressInfo
      await using sidecar = await startSidecar(nats, {
        name: `cam-${++made}`,
        spec: { source: { url: `http://127.0.0.1:${port}/video.ts` } },
      })
      await sidecar.stateWith('streaming', ({ connection }) => connection === 'streaming')
      await until(() => connected.length > 1, { what: 'the next connection' })
      t.true((connected[1] ?? 0) - changedAt < 7_000, `${(connected[1] ?? 0) - changedAt} ms`)
      t.regex(sidecar.log(), /"reason":"StreamReplaced"/)
      await sidecar.stateWith('streaming again', ({ connection, reconnects }) => connection === 'streaming' && reconnects > 0)
    } finally {
      server.close()
      server.closeAllConnections()
    }
  }))

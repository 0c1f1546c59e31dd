// HTTP cameras that write answers as people report them, played by ffmpeg through the relay: each JPEG bit for bit, none lost.
import { CameraTrust } from '../common/net/camera-tls.ts'
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { promisify } from 'node:util'
import test from 'ava'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { denied } from '../common/net/address.ts'
import { http } from '../sidecar/source/drivers/http.ts'
import { newTraits } from '../sidecar/source/traits.ts'
import { testVideo } from './fixtures/media.ts'
import { startRawWebCamera } from './fixtures/raw-web-camera.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { turns } from './fixtures/turns.ts'

const turn = turns(2)
const COUNT = 6

/** `COUNT` JPEGs of a real encoder. */
async function jpegs(): Promise<Buffer[]> {
  const args = ['-v', 'error', '-i', await testVideo({ width: 320, height: 192, seconds: 2, codec: 'mjpeg' })]
  const { stdout } = await promisify(execFile)(
    ffmpegPath(process.env),
    [...args, '-c', 'copy', '-frames:v', String(COUNT), '-f', 'image2pipe', '-'],
    {
      encoding: 'buffer',
    },
  )
  const starts: number[] = []
  for (let at = stdout.indexOf('ffd8ff', 0, 'hex'); at >= 0; at = stdout.indexOf('ffd8ff', at + 3, 'hex')) starts.push(at)
  return starts.map((from, i) => stdout.subarray(from, starts[i + 1]))
}

/** What ffmpeg makes of the first frames of a camera that writes `head`, and then each JPEG as `part` has it, one every 40 ms. */
async function played(head: string, part: (jpeg: string, index: number) => string, frames: readonly Buffer[]): Promise<Buffer> {
  const texts = frames.map((jpeg, i) => Buffer.from(part(jpeg.toString('latin1'), i), 'latin1'))
  const write = (socket: Socket, index: number) => {
    if (!socket.write(texts[index % texts.length] ?? '') || socket.destroyed) return
    setTimeout(() => write(socket, index + 1), 40)
  }
  await using camera = await startRawWebCamera((_asked, socket) => {
    socket.write(Buffer.from(head, 'latin1'))
    write(socket, 0)
  })
  const source = http.parse(`${camera.url}/video.cgi?`, { transport: 'tcp', codecs: [], variant: 'Largest', trust: new CameraTrust() })
  await using relay = await source.openRelay(undefined, denied([]), new AbortController().signal)
  const { args } = source.input(relay ?? { host: '', port: 0 }, undefined, newTraits())
  const output = ['-c', 'copy', '-frames:v', String(COUNT), '-f', 'image2pipe', '-']
  const { stdout } = await promisify(execFile)(ffmpegPath(process.env), ['-nostdin', '-v', 'error', ...args, ...output], {
    encoding: 'buffer',
    timeout: 60_000,
  })
  return stdout
}

const TYPE = 'multipart/x-mixed-replace; boundary=b'
const T = `Content-Type: ${TYPE}`
const sound = (jpeg: string) => `--b\r\nContent-Type: image/jpeg\r\nContent-Length: ${jpeg.length}\r\n\r\n${jpeg}\r\n`
const HEAD = `HTTP/1.0 200 OK\r\n${T}\r\n\r\n`

for (const [what, head] of [
  ['lines that end in LF', `HTTP/1.0 200 OK\n${T}\n\n`],
  ['a line without a name', `HTTP/1.1 200 OK\r\nServer: GoaHead\r\nTue, 12 Jun 2012 01:56:34 GMT\r\n${T}\r\n\r\n`],
  ['a blank before the colon', `HTTP/1.1 200 OK\r\nContent-Type : ${TYPE}\r\nCache Control: no-cache\r\n\r\n`],
  ['no reason phrase', `HTTP/1.1 200\r\n${T}\r\n\r\n`],
  ['`=` for a colon', `HTTP/1.1 200 OK\r\nX-Frame-Options="SAMEORIGIN"\r\nContent-Type=${TYPE}\r\n\r\n`],
  ['control characters and 8-bit text', `HTTP/1.1 200 OK\r\nServer: \x01\x02cam\xe9ra\0\r\nX-\xfc: y\r\n${T}\r\n\r\n`],
  ['Content-Length: -1', `HTTP/1.1 200 OK\r\n${T}\r\nContent-Length: -1\r\n\r\n`],
  ['Content-Length: 0', `HTTP/1.1 200 OK\r\n${T}\r\nContent-Length: 0\r\n\r\n`],
  ['the same length twice', `HTTP/1.1 200 OK\r\n${T}\r\nContent-Length: 2147483647\r\nContent-Length: 2147483647\r\n\r\n`],
  ['ICY', `ICY 200 OK\r\n${T}\r\n\r\n`],
  ['an empty line in front', `\r\nHTTP/1.1 200 OK\r\n${T}\r\n\r\n`],
  ['a header of 20 KB', `HTTP/1.1 200 OK\r\nX-Padding: ${'x'.repeat(20_000)}\r\n${T}\r\n\r\n`],
  ['a folded line', `HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;\r\n\tboundary=b\r\n\r\n`],
  ['no empty line before the body', `HTTP/1.0 200 OK\r\n${T}\r\n`],
  ['no status line', `Server: nph-camera\r\n${T}\r\n\r\n`],
  ['no head', ''],
  ['another type', 'HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n'],
] as const) {
  test(`a head with ${what} is played`, t =>
    turn(async () => {
      const frames = await jpegs()
      t.deepEqual(await played(head, sound, frames), Buffer.concat(frames))
    }))
}

test('chunks with a length beside them are played', t =>
  turn(async () => {
    const frames = await jpegs()
    const chunked = (jpeg: string) => `${sound(jpeg).length.toString(16)}\r\n${sound(jpeg)}\r\n`
    const head = `HTTP/1.1 200 OK\r\n${T}\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n`
    t.deepEqual(await played(head, chunked, frames), Buffer.concat(frames))
  }))

for (const [what, part, head = HEAD] of [
  ['a boundary twice', jpeg => `--b\r\n--b\r\nContent-type:image/jpeg\r\nContent-Length:${jpeg.length}\r\n\r\n${jpeg}\r\n`],
  [
    'a parameter of the type',
    jpeg => `--b\r\nContent-Type: image/jpeg;size=${jpeg.length}\r\nContent-Length: ${jpeg.length}\r\n\r\n${jpeg}\r\n`,
  ],
  ['another name of the type', jpeg => `--b\r\nContent-Type: IMAGE/JPG\r\nContent-Length: ${jpeg.length}\r\n\r\n${jpeg}\r\n`],
  ['no type', jpeg => `--b\r\nContent-Length: ${jpeg.length}\r\n\r\n${jpeg}\r\n`],
  ['no length', jpeg => `--b\r\nContent-Type: image/jpeg\r\n\r\n${jpeg}\r\n`],
  ['a length that is too small', jpeg => `--b\r\nContent-Type: image/jpeg\r\nContent-Length: ${jpeg.length >> 1}\r\n\r\n${jpeg}\r\n`],
  ['a length that is too large', jpeg => `--b\r\nContent-Type: image/jpeg\r\nContent-Length: ${jpeg.length * 2}\r\n\r\n${jpeg}\r\n`],
  ['no dashes', jpeg => `b\r\nContent-Type: image/jpeg\r\n\r\n${jpeg}\r\n`],
  ['another boundary than the head says', jpeg => `--other\r\nContent-Type: image/jpeg\r\n\r\n${jpeg}\r\n`],
  ['more empty lines', jpeg => `\r\n\r\n--b\r\n\r\nContent-Type: image/jpeg\r\n\r\n\r\n${jpeg}\r\n\r\n`],
  ['no boundary in front of the first', (jpeg, i) => `${i === 0 ? '' : '--b\r\n'}Content-Type: image/jpeg\r\n\r\n${jpeg}\r\n`],
  [
    'sound between them',
    jpeg => `--b\r\nContent-Type: audio/basic\r\nContent-Length: 400\r\n\r\n${'\x7f\xff\n'.repeat(133)}\x7f\r\n${sound(jpeg)}`,
  ],
  ['dashes around the boundary', jpeg => `--d--\r\nContent-Type: image/jpeg\r\n\r\n${jpeg}\r\n`, HEAD.replace('=b', '=--d--')],
  ['a long header', jpeg => `--b\r\nX: ${'x'.repeat(5000)}\r\nContent-Type: image/jpeg\r\n\r\n${jpeg}\r\n`],
] as const satisfies readonly (readonly [string, (jpeg: string, index: number) => string, string?])[]) {
  test(`parts with ${what} are played`, t =>
    turn(async () => {
      const frames = await jpegs()
      t.deepEqual(await played(head, part, frames), Buffer.concat(frames))
    }))
}

test('HLS with keys and segments that want the session’s cookie is played, in its largest variant', t =>
  turn(async () => {
    await using folder = await temporaryFolder()
    const run = promisify(execFile)
    await writeFile(folder.file('key'), Buffer.alloc(16, 7))
    await writeFile(folder.file('info'), `seg/key?id=1\n${folder.file('key')}\n`)
    for (const [name, width] of [
      ['low', 320],
      ['high', 640],
    ] as const) {
      const video = await testVideo({ width, height: width === 320 ? 192 : 360, seconds: 4, gop: 30 })
      const hls = ['-f', 'hls', '-hls_time', '1', '-hls_list_size', '0', '-hls_key_info_file', folder.file('info')]
      const segments = ['-hls_segment_filename', folder.file(`${name}%d.ts`), folder.file(`${name}.m3u8`)]
      await run(ffmpegPath(process.env), ['-v', 'error', '-i', video, '-c', 'copy', ...hls, ...segments])
    }
    const master = ['low', 'high'].map((name, i) => `#EXT-X-STREAM-INF:BANDWIDTH=${i + 1}00000\n${name}.m3u8\n`).join('')
    await using camera = await startRawWebCamera(({ path, header }, socket) => {
      const name = path.split('/').at(-1)?.split('?')[0] ?? ''
      if (name === 'live.m3u8') return `HTTP/1.1 200 OK\r\nSet-Cookie: session=abc; Path=/; HttpOnly\r\n\r\n#EXTM3U\n${master}`
      if (header('cookie') !== 'session=abc') return 'HTTP/1.1 403 Forbidden\r\n\r\n'
      void readFile(folder.file(name)).then(body => socket.end(Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\n\r\n'), body])))
      return undefined
    })
    const source = http.parse(`${camera.url}/cam/live.m3u8`, { transport: 'tcp', codecs: [], variant: 'Largest', trust: new CameraTrust() })
    await using relay = await source.openRelay(undefined, denied([]), new AbortController().signal)
    const { args } = source.input(relay ?? { host: '', port: 0 }, undefined, newTraits())
    const { stdout } = await run(ffmpegPath(process.env), ['-nostdin', '-v', 'error', ...args, '-map', '0:v:0', '-f', 'framemd5', '-'], {
      timeout: 60_000,
    })
    t.regex(stdout, /#dimensions 0: 640x360/)
    t.is(stdout.split('\n').filter(line => line.startsWith('0,')).length, 120)
    t.is(relay?.progress.refusal, undefined)
    t.false(camera.asked.some(({ path }) => path.includes('low')))
  }))

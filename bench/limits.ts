// What the machine itself can do, measured in the same run: figures of the product mean something beside these.
import { once } from 'node:events'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { setTimeout as delay } from 'node:timers/promises'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { end, spawnMortal } from '../test/fixtures/processes.ts'
import { within } from '../test/fixtures/wait.ts'
import { videoOf, type Picture } from './chain.ts'

const WARM_UP_MS = 300

const frameBytes = ({ width, height }: Picture) => width * height * 3

/** `ffmpeg -threads 1` from the file to BGR24 in /dev/null at the picture's own rate: per cent of one core. */
export async function decodeCpu(picture: Picture, seconds: number): Promise<number> {
  const { cpuSeconds } = await decode(picture, ['-re', '-stream_loop', '-1'], { threads: 1, seconds })
  return (100 * cpuSeconds) / seconds
}

/** The same as fast as it goes: how many seconds of video in one. */
export async function decodeSpeed(picture: Picture, { threads, seconds }: { threads: number; seconds: number }): Promise<number> {
  const { realSeconds } = await decode(picture, [], { threads, seconds })
  return seconds / realSeconds
}

async function decode(picture: Picture, inputArgs: readonly string[], { threads, seconds }: { threads: number; seconds: number }) {
  const input = ['-threads', String(threads), ...inputArgs, '-i', await videoOf(picture), '-t', String(seconds)]
  const output = ['-map', '0:v:0', '-vf', 'format=bgr24', '-threads', '1', '-f', 'rawvideo', '-y', '/dev/null']
  const ffmpeg = spawnMortal(ffmpegPath(process.env), ['-nostdin', '-hide_banner', '-benchmark', '-nostats', ...input, ...output], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let words = ''
  ffmpeg.stderr?.setEncoding('utf8').on('data', (text: string) => (words = (words + text).slice(-4096)))
  await within(once(ffmpeg, 'close'), { what: 'ffmpeg alone', timeoutMs: seconds * 4000 + 30_000 })
  const [, user, system, real] = /utime=([\d.]+)s stime=([\d.]+)s rtime=([\d.]+)s/.exec(words) ?? []
  if (real === undefined) throw new Error(`ffmpeg did not say what it took:\n${words}`)
  return { cpuSeconds: Number(user) + Number(system), realSeconds: Number(real) }
}

/** GB/s of copying a frame into memory in use, and into new memory. */
export function memcpy(picture: Picture, ms: number): { hot: number; fresh: number } {
  const size = frameBytes(picture)
  const from = Buffer.alloc(size, 1)
  const into = Buffer.alloc(size)
  const rate = (target: () => Buffer) => {
    const start = performance.now()
    let copied = 0
    for (; performance.now() - start < ms; copied += size) from.copy(target())
    return copied / (performance.now() - start) / 1e6
  }
  return { hot: rate(() => into), fresh: rate(() => Buffer.allocUnsafeSlow(size)) }
}

/** Frames a second from one Node process to another over TCP on loopback, each read into the same memory. */
export async function loopback(picture: Picture, ms: number): Promise<number> {
  const size = frameBytes(picture)
  const source = spawnMortal(process.execPath, [fileURLToPath(new URL('loopback-source.ts', import.meta.url)), String(size)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (source.stdout === null) throw new Error('the source has no pipe')
  try {
    const port = Number(await within(once(source.stdout, 'data'), { what: 'the source of loopback' }))
    let bytes = 0
    const callback = (count: number) => {
      bytes += count
      return true
    }
    const socket = connect({ port, host: '127.0.0.1', onread: { buffer: Buffer.alloc(size), callback } })
    socket.on('error', () => {}) // no bytes come then, which the figure shows
    await delay(WARM_UP_MS)
    const [start, before] = [performance.now(), bytes]
    await delay(ms)
    const rate = (bytes - before) / size / ((performance.now() - start) / 1000)
    socket.destroy()
    return rate
  } finally {
    await end(source, 'SIGKILL')
  }
}

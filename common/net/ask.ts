// One request to a camera, and its answer. Each has a connection of its own, so nothing behind an answer’s end is taken for another.
import type { LookupAddress } from 'node:dns'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { pipeline } from 'node:stream'
import { constants, createGunzip } from 'node:zlib'
import { Failure } from '../errors.ts'
import { oneAfterTheOther } from './address.ts'
import { CameraTrust } from './camera-tls.ts'
import { Chunks } from './chunks.ts'
import { framingOf, HeadReader, type Framing, type Head } from './head.ts'
import type { Origin } from './target.ts'

/** The watchdog and ffmpeg give up earlier. */
const TIMEOUT_MS = 90_000

/** Its connection ends with it. */
export type Answer = Head &
  Disposable & {
    framing: Framing
    /** As it was before it was put into chunks or compressed. */
    body: AsyncIterable<Buffer>
  }

/** `onConnected`: the camera took the connection. Throws Failure, or what the socket does. */
export async function ask(
  origin: Origin,
  addresses: readonly LookupAddress[],
  lines: readonly string[],
  onConnected: () => void,
  signal: AbortSignal,
  { body, trust = new CameraTrust() }: { body?: Buffer; trust?: CameraTrust | undefined } = {},
): Promise<Answer> {
  const socket = open(origin, addresses, trust)
  const close = () => socket.destroy()
  signal.addEventListener('abort', close, { once: true })
  socket.once('close', () => signal.removeEventListener('abort', close))
  socket.on('error', () => {}) // the reader is told
  if (signal.aborted) close()
  if (origin.tls) await encrypted(socket as TLSSocket, trust)
  if (origin.tls) onConnected()
  else socket.once('connect', onConnected)
  socket.write(`${lines.map(line => line.replaceAll(/[\r\n\0]/g, '')).join('\r\n')}\r\n\r\n`, 'latin1')
  if (body !== undefined) socket.write(body)
  const chunks = socket.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>
  try {
    const { head, rest } = await headOf(chunks)
    const framing = framingOf(head)
    return { ...head, framing, [Symbol.dispose]: close, body: decoded(framed(following(rest, chunks), framing), head) }
  } catch (error) {
    close()
    throw error
  }
}

/** Nothing is sent before the certificate was accepted. */
async function encrypted(socket: TLSSocket, trust: CameraTrust): Promise<void> {
  try {
    await once(socket, 'secureConnect')
    trust.accept(socket)
  } catch (error) {
    socket.destroy()
    throw error instanceof Error ? (trust.failureOf(error) ?? error) : error
  }
}

function open({ tls, host, port }: Origin, addresses: readonly LookupAddress[], trust: CameraTrust): Socket {
  const way = { ...oneAfterTheOther(host, addresses), port }
  const socket = tls ? connectTls({ ...way, ...trust.options(host) }) : connect(way)
  return socket.setNoDelay(true).setTimeout(TIMEOUT_MS, () => socket.destroy(new Failure('ConnectTimeout', 'the camera does not answer')))
}

async function headOf(chunks: AsyncIterator<Buffer>): Promise<{ head: Head; rest: Buffer }> {
  const reader = new HeadReader()
  for (;;) {
    const { done, value } = await chunks.next()
    const head = done === true ? reader.finish() : reader.push(value)
    if (head !== undefined) return { head, rest: reader.rest }
    if (done === true) throw new Failure('ConnectionLost', 'the camera closed the connection without an answer')
  }
}

async function* following(first: Buffer, chunks: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  if (first.length > 0) yield first
  for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value
}

async function* framed(source: AsyncIterable<Buffer>, framing: Framing): AsyncGenerator<Buffer> {
  if (framing.kind === 'close') return yield* source
  if (framing.kind === 'length') {
    let left = framing.bytes
    if (left === 0) return
    for await (const chunk of source) {
      yield chunk.subarray(0, left)
      left -= chunk.length
      if (left <= 0) return
    }
    return
  }
  const chunks = new Chunks()
  for await (const chunk of source) {
    yield* chunks.push(chunk)
    if (chunks.done) return
  }
}

/** Some servers compress though they are asked not to. */
function decoded(source: AsyncIterable<Buffer>, { fields }: Head): AsyncIterable<Buffer> {
  return /^(x-)?gzip$/i.test(fields.last('content-encoding')) ? gunzipped(source) : source
}

async function* gunzipped(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    const gunzip = createGunzip({ finishFlush: constants.Z_SYNC_FLUSH })
    pipeline(source, gunzip, () => {}) // the reader is told
    yield* gunzip as AsyncIterable<Buffer>
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || !String(error.code).startsWith('Z_')) throw error
    throw new Failure('InvalidStream', 'the camera’s HTTP answer is refused: it says Content-Encoding: gzip, but its body is not')
  }
}

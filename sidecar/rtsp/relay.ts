// Loopback relays between ffmpeg and the camera. They open the one connection we decided on, end TLS (so that the
// camera's name is checked against nothing but what we resolved), and tell how far the connection has come.
import type { LookupAddress } from 'node:dns'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { Failure } from '../../common/errors.ts'
import { oneAfterTheOther } from '../source/address.ts'
import { RtspSession } from './session.ts'
import type { Credentials } from '../source/credentials.ts'

export type Progress = {
  /** `connecting`: no connection yet. `connected`: no video yet. `playing`: the camera sends, or agreed to. */
  phase: 'connecting' | 'connected' | 'playing'
  /** performance.now() of the last byte from the camera. */
  lastByteAt: number | undefined
  /** performance.now(): for so long the other side has taken nothing of what waits for it. Not of RTSP. */
  waitsSince?: number | undefined
  /** Why the relay ended the connection, or could not open it. */
  failure: Failure | undefined
}

export type Relay = AsyncDisposable & { host: string; port: number; progress: Progress }

type Target = {
  host: string
  /** Of `host`, as the policy allows them. */
  addresses: readonly LookupAddress[]
  port: number
  tls: boolean
  /** Of an RTSP camera, which is spoken to by an RtspSession; bytes of any other protocol just pass. */
  rtsp?: {
    /** `rtsp://camera.example:554`, as the user wrote it. */
    origin: string
    credentials: Credentials | undefined
    /** RTP comes beside this connection, from the camera itself to ffmpeg. */
    udp: boolean
  }
  /** With TLS: the certificate must be valid for `host`. */
  isVerified?: boolean
}

/**
 * A camera's certificate is hardly ever signed by anyone; the connection is encrypted, and its address is the one we chose. Old cameras speak
 * TLS 1.0 or 1.1 alone, which OpenSSL allows at this level only.
 */
export const CAMERA_TLS = { rejectUnauthorized: false, minVersion: 'TLSv1', ciphers: 'DEFAULT:@SECLEVEL=0' } as const

const CONNECT_TIMEOUT_MS = 10_000
const READ_BYTES = 64 * 1024

/** Listens on loopback for ffmpeg; everything ends with it. */
export async function openRelay(target: Target): Promise<Relay> {
  const progress: Progress = { phase: 'connecting', lastByteAt: undefined, failure: undefined }
  const sockets = new Set<Socket>()
  const server = createServer({ pauseOnConnect: true }, client => relay(client, target, progress, sockets))
  return listening(server, sockets, progress)
}

export async function listening(server: Server, sockets: Set<Socket>, progress: Progress): Promise<Relay> {
  server.maxConnections = 32
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    progress,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

function relay(client: Socket, target: Target, progress: Progress, sockets: Set<Socket>): void {
  const { host, addresses, port, tls, rtsp, isVerified = false } = target
  let session: RtspSession | undefined
  // Node's own reads bring 64 KiB of fresh memory for each piece of a picture.
  let memory = Buffer.allocUnsafeSlow(READ_BYTES)
  const onread = {
    buffer: () => memory,
    callback: (count: number) => {
      progress.lastByteAt = performance.now()
      const chunk = memory.subarray(0, count)
      if (session?.playing === false) return answer(chunk, session, client, camera, progress)
      progress.phase = 'playing'
      if (session !== undefined) for (const bytes of session.watch(chunk)) camera.write(bytes)
      client.write(chunk)
      if (client.writableLength === 0) return true
      // ffmpeg is slower than the camera: what waits keeps its memory.
      memory = Buffer.allocUnsafeSlow(READ_BYTES)
      return !client.writableNeedDrain
    },
  }
  const way = { ...oneAfterTheOther(host, addresses), port, onread }
  const trust = { servername: isName(host) ? host : '', ...(isVerified ? {} : CAMERA_TLS) }
  const camera: Socket = tls ? connectTls({ ...way, ...trust }) : connect(way)
  own(sockets, client, camera)
  const places = addresses.map(({ address }) => `${address}:${port}`).join(', ')
  camera.setTimeout(CONNECT_TIMEOUT_MS, () => camera.destroy(new Failure('ConnectTimeout', `no answer from ${places}`)))
  camera.once(tls ? 'secureConnect' : 'connect', () => {
    camera.setTimeout(0)
    progress.phase = 'connected'
    session = rtsp && rtspSession(rtsp, camera.remoteAddress ?? '', client.localPort ?? 0)
    if (session === undefined) pass(client, camera, progress)
    else converse(client, camera, session)
  })
  camera.once('error', error => (progress.failure ??= connectFailure(error, progress)))
  camera.once('end', () => {
    if (progress.lastByteAt === undefined) progress.failure ??= new Failure('ConnectionLost', 'the camera closed the connection')
  })
  client.on('drain', () => camera.resume())
}

function rtspSession({ origin, credentials, udp }: NonNullable<Target['rtsp']>, address: string, port: number): RtspSession {
  const relayOrigin = `rtsp://127.0.0.1:${port}`
  return new RtspSession({ cameraOrigin: origin, relayOrigin, credentials, udpSource: udp ? address : undefined })
}

/** What ffmpeg sends goes to the other side, at its pace. */
function pass(client: Socket, camera: Socket, progress: Progress): void {
  const taken = () => (progress.waitsSince = camera.writableLength === 0 ? undefined : performance.now())
  camera.on('drain', () => client.resume())
  client.on('data', (chunk: Buffer) => {
    progress.waitsSince ??= performance.now()
    if (!camera.write(chunk, taken)) client.pause()
  })
  client.resume() // it was accepted paused
}

/** What ffmpeg asks goes to the camera, at its pace. */
function converse(client: Socket, camera: Socket, session: RtspSession): void {
  camera.on('drain', () => client.resume())
  client.on('data', (chunk: Buffer) => {
    try {
      for (const bytes of session.request(chunk)) camera.write(bytes)
      if (camera.writableNeedDrain) client.pause()
    } catch {
      client.destroy() // ffmpeg does not speak so
    }
  })
  client.resume() // it was accepted paused
}

/** Until the camera plays, nothing passes but what the session has seen. True to read on. */
function answer(chunk: Buffer, session: RtspSession, client: Socket, camera: Socket, progress: Progress): boolean {
  try {
    const { toFfmpeg, toCamera } = session.response(Buffer.from(chunk))
    for (const bytes of toFfmpeg) client.write(bytes)
    for (const bytes of toCamera) camera.write(bytes)
    if (session.playing) progress.phase = 'playing'
    return true
  } catch (error) {
    progress.failure ??= error instanceof Failure ? error : new Failure('InvalidStream', 'what answers does not speak RTSP')
    camera.destroy()
    client.destroy()
    return false
  }
}

/** Either end's end is the other's; both are forgotten when closed. */
function own(sockets: Set<Socket>, ...pair: readonly [Socket, Socket]): void {
  for (const [socket, other] of [pair, pair.toReversed()] as [Socket, Socket][]) {
    sockets.add(socket)
    socket.setNoDelay(true)
    socket
      .on('error', () => {})
      .on('close', () => {
        sockets.delete(socket)
        other.destroySoon()
      })
  }
}

/** Of a host in a URL: no address. */
export const isName = (host: string) => /[a-z]/i.test(host) && !host.includes(':')

export function connectFailure(error: NodeJS.ErrnoException, { phase }: { phase: Progress['phase'] }): Failure {
  if (error instanceof Failure) return error
  switch (error.code) {
    case 'ECONNREFUSED':
      return new Failure('ConnectionRefused', 'nothing listens at this address and port')
    case 'ETIMEDOUT':
      return phase === 'connecting'
        ? new Failure('ConnectTimeout', 'the camera does not answer')
        : new Failure('ConnectionLost', 'the connection timed out')
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return new Failure('HostUnreachable', 'no route to this address')
    default:
      return phase === 'connecting'
        ? new Failure('ConnectFailed', `no connection: ${error.code ?? error.message}`)
        : new Failure('ConnectionLost', 'the camera closed the connection')
  }
}

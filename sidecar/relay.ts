// Loopback relays between ffmpeg and the camera. They open the one connection we decided on, end TLS (so that the
// camera's name is checked against nothing but what we resolved), tell how far the connection has come, and keep
// RTSP redirects from ffmpeg, which would follow them with the camera's password.
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { Failure } from '../common/errors.ts'
import { ResponseGuard } from './rtsp-guard.ts'

export type Progress = {
  /** `connecting`: no connection yet. `connected`: no video yet. `playing`: the camera sends, or agreed to. */
  phase: 'connecting' | 'connected' | 'playing'
  /** performance.now() of the last byte from the camera. */
  lastByteAt: number | undefined
  /** Why the relay ended the connection, or could not open it. */
  failure: Failure | undefined
}

export type Relay = AsyncDisposable & { host: string; port: number; progress: Progress }

type Target = {
  address: string
  host: string
  port: number
  tls: boolean
  /** `rtsp-udp`: RTP comes beside this connection, from the camera itself to ffmpeg. */
  protocol: 'rtsp' | 'rtsp-udp' | 'other'
  /** With TLS: the certificate must be valid for `host`. */
  isVerified?: boolean
}

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
  const { address, port, host, tls, protocol, isVerified = false } = target
  const guard = protocol === 'other' ? undefined : new ResponseGuard(protocol === 'rtsp-udp' ? address : undefined)
  // Node's own reads bring 64 KiB of fresh memory for each piece of a picture.
  let memory = Buffer.allocUnsafeSlow(READ_BYTES)
  const onread = {
    buffer: () => memory,
    callback: (count: number) => {
      progress.lastByteAt = performance.now()
      const chunk = memory.subarray(0, count)
      if (guard !== undefined && !guard.playing) return answer(chunk, guard, client, camera, progress)
      progress.phase = 'playing'
      client.write(chunk)
      if (client.writableLength === 0) return true
      // ffmpeg is slower than the camera: what waits keeps its memory.
      memory = Buffer.allocUnsafeSlow(READ_BYTES)
      return !client.writableNeedDrain
    },
  }
  const way = { host: address, port, onread }
  // A camera's certificate is hardly ever signed by anyone; the connection is encrypted, and its address is the one we chose.
  const trust = { servername: isName(host) ? host : '', rejectUnauthorized: isVerified }
  const camera: Socket = tls ? connectTls({ ...way, ...trust }) : connect(way)
  own(sockets, client, camera)
  camera.setTimeout(CONNECT_TIMEOUT_MS, () => camera.destroy(new Failure('ConnectTimeout', `${address}:${port} does not answer`)))
  camera.once(tls ? 'secureConnect' : 'connect', () => {
    camera.setTimeout(0)
    progress.phase = 'connected'
  })
  camera.once('error', error => (progress.failure ??= connectFailure(error, progress)))
  client.on('drain', () => camera.resume())
  if (guard !== undefined) watchRequests(client, guard)
  client.pipe(camera)
}

/** ffmpeg looks at redirects only until it plays: until then, nothing passes but what the guard has seen. True to read on. */
function answer(chunk: Buffer, guard: ResponseGuard, client: Socket, camera: Socket, progress: Progress): boolean {
  try {
    for (const bytes of guard.response(Buffer.from(chunk))) client.write(bytes)
    if (guard.playing) progress.phase = 'playing'
    return true
  } catch (error) {
    progress.failure ??= error instanceof Failure ? error : new Failure('InvalidStream', 'what answers does not speak RTSP')
    camera.destroy()
    client.destroy()
    return false
  }
}

function watchRequests(client: Socket, guard: ResponseGuard): void {
  const onRequest = (chunk: Buffer) => {
    if (guard.playing) client.off('data', onRequest)
    else guard.request(chunk)
  }
  client.prependListener('data', onRequest)
}

/** Either end's end is the other's; both are forgotten when closed. */
export function own(sockets: Set<Socket>, ...pair: readonly [Socket, Socket]): void {
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

const isName = (host: string) => /[a-z]/i.test(host) && !host.includes(':')

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
      return new Failure('HostUnreachable', 'the network has no way to this address')
    default:
      return phase === 'connecting'
        ? new Failure('ConnectFailed', `no connection: ${error.code ?? error.message}`)
        : new Failure('ConnectionLost', 'the camera closed the connection')
  }
}

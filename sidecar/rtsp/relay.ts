// Loopback relays between ffmpeg and the camera. They open the one connection we decided on, end TLS (so that the
// camera's name is checked against nothing but what we resolved), and tell how far the connection has come.
import type { LookupAddress } from 'node:dns'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { Failure, messageOf } from '../../common/errors.ts'
import { oneAfterTheOther } from '../../common/net/address.ts'
import { connectFailure } from '../../common/net/connect-failure.ts'
import { CameraTrust, isName } from '../../common/net/camera-tls.ts'
import type { DeviceReport } from '../../proto/state.ts'
import { Conversation } from './conversation.ts'
import { openDatagrams, type Datagrams } from './datagrams.ts'
import { SenderClock } from './sender-clock.ts'
import { RtspSession, type RtspOptions } from './session.ts'

export type Progress = {
  /** `connecting`: no connection yet. `connected`: no video yet. `playing`: the camera sends, or agreed to. */
  phase: 'connecting' | 'connected' | 'playing'
  /** performance.now() of the last byte from the camera; of RTSP that plays by TCP, of the last packet of its track. */
  lastByteAt: number | undefined
  /** performance.now(): for so long the other side has taken nothing of what waits for it. Not of RTSP. */
  waitsSince?: number | undefined
  /** From the camera, since the last packet that came out of ffmpeg: who sees packets sets it back. */
  unpackedBytes: number
  /** How many tracks of RTSP could be played; 0 until that is known. */
  tracks: number
  /** Why the relay ended the connection, or could not open it. */
  failure: Failure | undefined
  /** What a server refused last of what a playlist names: why nothing comes, where nothing comes. */
  refusal?: Failure | undefined
}

/** To dispose of it takes leave of the camera, and ends ffmpeg's input. */
export type Relay = AsyncDisposable & {
  host: string
  port: number
  progress: Progress
  /** What the camera says of itself, where it was asked. */
  device?: DeviceReport
  /** Of RTSP. */
  cameraClock?: SenderClock
}

type Target = {
  host: string
  /** Of `host`, as the policy allows them. */
  addresses: readonly LookupAddress[]
  port: number
  tls: boolean
  /** Of an RTSP camera, which is spoken to by an RtspSession; bytes of any other protocol just pass. */
  rtsp?: Omit<RtspOptions, 'udp' | 'cameraClock'> & {
    /** RTP comes beside this connection. */
    udp: boolean
  }
  /** So many bytes may come from the camera without a packet that comes out of ffmpeg. */
  unpackedMax?: number
  /** With TLS: whose certificate is taken for the camera's; any unless given. `public`: it must be valid for `host`. */
  trust?: CameraTrust | 'public'
}

const CONNECT_TIMEOUT_MS = 10_000
const READ_BYTES = 64 * 1024

/** Listens on loopback for ffmpeg; everything ends with it. */
export async function openRelay(target: Target): Promise<Relay> {
  const progress = newProgress()
  const sockets = new Set<Socket>()
  const { host, tls, trust = new CameraTrust() } = target
  const secure = !tls ? undefined : trust === 'public' ? { servername: isName(host) ? host : '' } : trust.options(host)
  const conversations = new Set<Conversation>()
  const cameraClock = new SenderClock()
  const server = createServer({ pauseOnConnect: true }, client =>
    relay(client, { ...target, trust, secure }, progress, sockets, conversations, cameraClock),
  )
  const leave = async () => void (await Promise.all([...conversations].map(each => each.hangUp())))
  return { ...(await listening(server, sockets, progress, leave)), cameraClock }
}

export const newProgress = (): Progress => ({ phase: 'connecting', lastByteAt: undefined, unpackedBytes: 0, tracks: 0, failure: undefined })

/** `leave`: what goes before the sockets are closed. */
export async function listening(server: Server, sockets: Set<Socket>, progress: Progress, leave?: () => Promise<void>): Promise<Relay> {
  server.maxConnections = 32
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = async () => {
    const closed = once(server, 'close')
    server.close()
    await leave?.()
    for (const socket of sockets) socket.destroy()
    await closed
  }
  let closing: Promise<void> | undefined
  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    progress,
    [Symbol.asyncDispose]: () => (closing ??= close()),
  }
}

function relay(
  client: Socket,
  target: Target & { trust: CameraTrust | 'public'; secure: ConnectionOptions | undefined },
  progress: Progress,
  sockets: Set<Socket>,
  conversations: Set<Conversation>,
  cameraClock: SenderClock,
): void {
  const { host, addresses, port, rtsp, trust, secure } = target
  let conversation: Conversation | undefined
  // Node's own reads bring 64 KiB of fresh memory for each piece of a picture.
  let memory = Buffer.allocUnsafeSlow(READ_BYTES)
  const onread = {
    buffer: () => memory,
    callback: (count: number) => {
      progress.unpackedBytes += count
      if (progress.unpackedBytes > (target.unpackedMax ?? Infinity)) progress.failure ??= unpacked()
      const chunk = memory.subarray(0, count)
      if (conversation !== undefined) conversation.received(chunk)
      // Of RTSP nothing reaches ffmpeg that no conversation has read.
      else if (rtsp !== undefined) camera.destroy(new Failure('InvalidStream', 'the camera speaks before it is asked'))
      else if (progress.failure !== undefined) camera.destroy()
      else {
        progress.lastByteAt = performance.now()
        progress.phase = 'playing'
        client.write(chunk)
      }
      if (client.writableLength === 0) return true
      // ffmpeg is slower than the camera: what waits keeps its memory.
      memory = Buffer.allocUnsafeSlow(READ_BYTES)
      return !client.writableNeedDrain
    },
  }
  const way = { ...oneAfterTheOther(host, addresses), port, onread }
  const encrypted = secure && connectTls({ ...way, ...secure })
  const camera: Socket = encrypted ?? connect(way)
  own(sockets, client, camera, () => conversation)
  const places = addresses.map(({ address }) => `${address}:${port}`).join(', ')
  camera.setTimeout(CONNECT_TIMEOUT_MS, () => camera.destroy(new Failure('ConnectTimeout', `no answer from ${places}`)))
  camera.once(encrypted ? 'secureConnect' : 'connect', () => {
    camera.setTimeout(0)
    try {
      if (encrypted && trust !== 'public') trust.accept(encrypted)
    } catch (error) {
      return void camera.destroy(error as Error)
    }
    progress.phase = 'connected'
    if (rtsp === undefined) return pass(client, camera, progress)
    const { udp: isUdp, ...options } = rtsp
    const begin = (udp?: Datagrams) => {
      const session = new RtspSession({ ...options, cameraClock, udp })
      const made = (conversation = new Conversation(session, { client, camera }, progress, options.learnt, isUdp))
      conversations.add(made)
      camera.once('close', () => {
        conversations.delete(made)
        udp?.[Symbol.dispose]()
      })
    }
    if (!isUdp) return begin()
    const onBytes = (count: number) => {
      progress.unpackedBytes += count
      if (progress.unpackedBytes > (target.unpackedMax ?? Infinity)) progress.failure ??= unpacked()
      progress.lastByteAt = performance.now()
    }
    openDatagrams({ camera: camera.remoteAddress ?? '', clock: cameraClock, onBytes }).then(
      udp => (camera.destroyed ? udp[Symbol.dispose]() : begin(udp)),
      (error: unknown) => camera.destroy(new Failure('ConnectFailed', messageOf(error))),
    )
  })
  camera.once('error', error => {
    progress.failure ??= (trust === 'public' ? undefined : trust.failureOf(error)) ?? connectFailure(error, progress)
  })
  camera.once('end', () => {
    if (progress.phase !== 'playing') progress.failure ??= new Failure('ConnectionLost')
  })
  client.on('drain', () => camera.resume())
}

const unpacked = () => new Failure('InvalidStream', 'the camera sends without an end of a frame: 64 MiB have come since the last one')

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

/** Either end's end is the other's; both are forgotten when closed. */
function own(sockets: Set<Socket>, client: Socket, camera: Socket, conversation: () => Conversation | undefined): void {
  for (const [socket, other] of [
    [client, camera],
    [camera, client],
  ] as const) {
    sockets.add(socket)
    socket.setNoDelay(true)
    socket
      .on('error', () => {})
      .on('close', () => {
        sockets.delete(socket)
        // A conversation takes leave of the camera first.
        if (socket === camera || conversation() === undefined) other.destroySoon()
      })
  }
}

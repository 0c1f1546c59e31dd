// RTP and RTCP by UDP, between the camera and ffmpeg, by two ports of ours. Nothing comes from elsewhere, and the camera's own clock is read on
// the way. What is lost or out of order is ffmpeg's matter.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv6 } from 'node:net'
import { Rtp } from './rtp.ts'
import type { SenderClock } from './sender-clock.ts'

/** RTP has an even port, and RTCP the next one. */
const TRIES_MAX = 50
const RECEIVE_BYTES = 4 * 2 ** 20
const LOOPBACK = '127.0.0.1'
/** In front of a packet, where it comes by TCP. */
const INTERLEAVED = 4

type Options = {
  /** The camera's address. */
  camera: string
  clock: SenderClock
  /** So many bytes of RTP have come from the camera. */
  onBytes: (count: number) => void
}

export class Datagrams implements Disposable {
  /** Ours, as a Transport header has them. */
  readonly ports: string
  readonly #sockets: readonly Socket[]
  readonly #options: Options
  readonly #loopback: string
  #ffmpegPorts: readonly number[] = []
  /** Where the camera sends from. */
  readonly #cameraPorts: number[]
  #rtp: Rtp | undefined

  constructor(sockets: readonly Socket[], options: Options) {
    this.#sockets = sockets
    this.#options = options
    this.#loopback = isIPv6(options.camera) ? `::ffff:${LOOPBACK}` : LOOPBACK
    this.#cameraPorts = []
    this.ports = sockets.map(socket => socket.address().port).join('-')
    for (const [i, socket] of sockets.entries()) socket.on('message', (data, from) => this.#take(i, data, from))
  }

  /** From here on they pass. `camera`: its ports, where it says them; `payload`: the type of the track's RTP. */
  connect(ffmpeg: string, camera: string | undefined, payload: number): void {
    this.#ffmpegPorts = pairOf(ffmpeg)
    for (const [i, port] of pairOf(camera ?? '').entries()) this.#cameraPorts[i] = port
    this.#rtp = new Rtp(payload, { rtp: 0, rtcp: 1 }, this.#options.clock)
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.close()
  }

  #take(i: number, data: Buffer, { address, port }: RemoteInfo): void {
    const from = plain(address)
    const ffmpegPort = this.#ffmpegPorts[i]
    if (ffmpegPort === undefined) return
    if (from === LOOPBACK && port === ffmpegPort) return this.#send(i, data, this.#cameraPorts[i], this.#options.camera)
    if (from !== this.#options.camera) return
    this.#cameraPorts[i] ??= port
    if (i === 0) this.#options.onBytes(data.length)
    this.#read(i, data)
    this.#send(i, data, ffmpegPort, this.#loopback)
  }

  #send(i: number, data: Buffer, port: number | undefined, address: string): void {
    if (port !== undefined) this.#sockets[i]?.send(data, port, address)
  }

  #read(i: number, data: Buffer): void {
    const frame = Buffer.allocUnsafe(INTERLEAVED + data.length)
    frame.writeUInt32BE(((0x24 << 24) | (i << 16) | data.length) >>> 0, 0)
    data.copy(frame, INTERLEAVED)
    try {
      this.#rtp?.toFfmpeg(frame)
    } catch {
      // Another payload type than announced: ffmpeg says what it makes of it.
      this.#rtp = undefined
    }
  }
}

export async function openDatagrams({ camera: address, ...options }: Options): Promise<Datagrams> {
  const camera = plain(address)
  const type = isIPv6(camera) ? 'udp6' : 'udp4'
  for (let tries = 1; ; tries++) {
    const rtp = await bound(type, 0)
    const { port } = rtp.address()
    const rtcp = port % 2 === 0 ? await bound(type, port + 1).catch(() => undefined) : undefined
    if (rtcp !== undefined) return new Datagrams([rtp, rtcp], { camera, ...options })
    rtp.close()
    if (tries === TRIES_MAX) throw new Error('no two UDP ports in a row are free')
  }
}

/** Rejects where the port is taken. */
async function bound(type: 'udp4' | 'udp6', port: number): Promise<Socket> {
  const socket = createSocket({ type, recvBufferSize: RECEIVE_BYTES })
  socket.bind(port)
  try {
    await once(socket, 'listening')
  } catch (error) {
    socket.close()
    throw error
  }
  return socket.on('error', () => {}) // what cannot be sent is lost
}

/** An IPv4 address, however a socket of IPv6 names it. */
const plain = (address: string): string => address.replace(/^::ffff:(?=[\d.]+$)/i, '')

/** `5004-5005`, or the first of them alone; none where they are no ports. */
function pairOf(ports: string): number[] {
  const [first = 0, second = first + 1] = ports.split('-').map(Number)
  return [first, second].every(port => port >= 1 && port <= 65_535) ? [first, second] : []
}

// WebSockets that carry a stream to a page.
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import { socketOutlet, type Outlet } from './sending.ts'

/** Clients have nothing to say. */
const MESSAGE_BYTES_MAX = 1_024

/** Browsers let any site's page open a WebSocket, and send no preflight: its origin must be ours. Other clients send none. */
export function isSameOrigin({ headers: { origin, host } }: IncomingMessage): boolean {
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)
}

export const peerOf = ({ socket: { remoteAddress, remotePort } }: IncomingMessage): string => `${remoteAddress ?? ''}:${remotePort ?? 0}`

export class Sockets {
  readonly #server = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: MESSAGE_BYTES_MAX })

  /** Undefined where the request is no handshake, which has been answered then. */
  async open(request: IncomingMessage, duplex: Duplex, head: Buffer): Promise<Outlet | undefined> {
    const { promise, resolve } = Promise.withResolvers<Outlet | undefined>()
    duplex.once('close', () => resolve(undefined))
    this.#server.handleUpgrade(request, duplex, head, socket => {
      const gone = new AbortController()
      socket.once('close', () => gone.abort())
      socket.on('error', () => {}) // `close` follows
      resolve(socketOutlet(socket, { peer: peerOf(request), signal: gone.signal, cutOff: () => socket.terminate() }))
    })
    return await promise
  }

  end(): void {
    for (const socket of this.#server.clients) socket.terminate()
  }
}

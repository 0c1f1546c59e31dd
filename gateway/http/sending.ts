// What is written to a client, until its connection has taken it. A client that takes nothing for long is cut off, and counted.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { WebSocket } from 'ws'
import { whenAborted } from '../../common/abort.ts'
import type { Unsent } from '../frames/unsent.ts'
import type { Metrics } from '../metrics.ts'
import { answerProblem, STREAM_HEADERS, type Problem } from './answer.ts'

/** `peer` names the connection. `signal` aborts when the client has gone. */
export type Client = { readonly peer: string; readonly signal: AbortSignal; readonly cutOff: () => void }
export type Exchange = Client & { request: IncomingMessage; response: ServerResponse }

/** Where a stream goes: an answer of HTTP, or a WebSocket. */
export type Outlet = Client & {
  /** Once, before the first piece. */
  begin(type: string): void
  write(piece: Uint8Array, done: () => void): void
  end(): void
  /** Instead of the stream. */
  problem(status: number, problem: Problem): void
}

const STALLED_MS = 30_000
/** RFC 6455 7.4: try again later. */
const TRY_AGAIN = 1013

export const httpOutlet = ({ response, ...client }: Exchange): Outlet => ({
  ...client,
  begin: type => void response.writeHead(200, { ...STREAM_HEADERS, 'content-type': type }),
  write: (piece, done) => void response.write(piece, done),
  end: () => void response.end(),
  problem: (status, problem) => answerProblem(response, status, problem),
})

/** A text first, `{"type"}` or a problem; then each piece as a binary message. */
export const socketOutlet = (socket: WebSocket, client: Client): Outlet => ({
  ...client,
  begin: type => socket.send(JSON.stringify({ type })),
  write: (piece, done) => socket.send(piece, done),
  end: () => socket.close(),
  problem(_status, problem) {
    socket.send(JSON.stringify(problem))
    socket.close(TRY_AGAIN)
  },
})

/** Settles when the connection has taken what `write` writes, or the client has gone. */
export async function sent({ signal, cutOff }: Client, metrics: Metrics, write: (done: () => void) => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  using _aborted = whenAborted(signal, resolve)
  const stalled = setTimeout(() => {
    metrics.clientsCutOff.inc()
    cutOff()
  }, STALLED_MS)
  write(resolve)
  await promise
  clearTimeout(stalled)
}

export type StreamParts = { unsent: Unsent; metrics: Metrics }

/** Sends a piece of an endless stream. False: too much is unsent, and it was not sent. */
export async function sendPiece(outlet: Outlet, { unsent, metrics }: StreamParts, piece: Uint8Array): Promise<boolean> {
  const room = unsent.take(outlet, piece.length, performance.now())
  if (room === undefined) return false
  using _ = room
  await sent(outlet, metrics, done => outlet.write(piece, done))
  return true
}

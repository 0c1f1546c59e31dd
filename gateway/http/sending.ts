// What is written to a client, until its connection has taken it. A client that takes nothing for long is cut off, and counted.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { whenAborted } from '../../common/abort.ts'
import type { Unsent } from '../frames/unsent.ts'
import type { Metrics } from '../metrics.ts'

/** `peer` names the connection. `signal` aborts when the client has gone. */
export type Exchange = { request: IncomingMessage; response: ServerResponse; peer: string; signal: AbortSignal }

const STALLED_MS = 30_000

/** Settles when the connection has taken what `write` writes, or the client has gone. */
export async function sent({ response, signal }: Exchange, metrics: Metrics, write: (done: () => void) => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  using _aborted = whenAborted(signal, resolve)
  const stalled = setTimeout(() => {
    metrics.clientsCutOff.inc()
    response.destroy()
  }, STALLED_MS)
  write(resolve)
  await promise
  clearTimeout(stalled)
}

export type StreamParts = { unsent: Unsent; metrics: Metrics }

/** Sends a piece of an endless stream. False: too much is unsent, and it was not sent. */
export async function sendPiece(exchange: Exchange, { unsent, metrics }: StreamParts, bytes: Uint8Array): Promise<boolean> {
  const { response, peer } = exchange
  const room = unsent.take({ peer, cutOff: () => response.destroy() }, bytes.length, performance.now())
  if (room === undefined) return false
  using _ = room
  await sent(exchange, metrics, done => response.write(bytes, done))
  return true
}

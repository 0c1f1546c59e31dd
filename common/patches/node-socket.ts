// How much of what was written to a socket waits in Node itself, where the network takes no more. `writableLength` counts what waits in
// JavaScript only, and an HTTP/2 session writes past that.
// Upstream: https://github.com/nodejs/node/blob/main/lib/internal/stream_base_commons.js (writeQueueSize).
// Tried with: node 24
import type { Socket } from 'node:net'

type Handle = { _parent?: Handle; writeQueueSize?: number }

/** Bytes; undefined with another Node. */
export function queuedBytes(socket: Socket): number | undefined {
  const { _handle: handle } = socket as { _handle?: Handle }
  return (handle?._parent ?? handle)?.writeQueueSize // TLS has the connection beneath it
}

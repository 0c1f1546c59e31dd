// Large messages sent without a copy. nats.js packs a message's command, headers and payload into one new buffer: for a picture that is megabytes of
// memory fresh from the kernel, a copy, and the garbage of it, for every frame. Here they are written one behind the other, in one system call. That
// leans on internals of nats.js: `wholeSending` checks that they are there and work as expected, and otherwise leaves nats.js as it is, which
// sends the same bytes. What was published must stay as it is until the server has acknowledged it.
// Upstream: https://github.com/nats-io/nats.js/blob/main/core/src/protocol.ts (ProtocolHandler.flushPending).
// Tried with: nats 2.29.3
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'

/** Copying less costs less than a buffer more. */
const LARGE = 256 * 1024

type Outbound = { buffers: Uint8Array[]; size(): number; reset(): void; fill(...buffers: Uint8Array[]): void }
type Transport = { send(bytes: Uint8Array): void; socket?: Pick<Socket, 'cork' | 'uncork'> }
type Protocol = { infoReceived: boolean; connected: boolean; outbound: Outbound; transport: Transport }
type Prototype = { flushPending: (this: Protocol) => void }

/** Makes nats.js send large messages without a copy. False: this nats.js is another, and copies. */
export function wholeSending(): boolean {
  const internals = protocolInternals()
  if (internals === undefined) return false
  const { prototype, DataBuffer } = internals
  const { flushPending } = prototype
  if (!sendsAsExpected(flushPending, new DataBuffer())) return false
  const wholly = function (this: Protocol) {
    const { outbound, transport } = this
    const { socket } = transport
    if (!this.infoReceived || !this.connected || socket === undefined || outbound.size() < LARGE) return flushPending.call(this)
    const buffers = [...outbound.buffers]
    outbound.reset()
    socket.cork()
    for (const bytes of buffers) transport.send(bytes)
    socket.uncork()
  }
  if (!sendsAsExpected(wholly, new DataBuffer())) return false
  prototype.flushPending = wholly
  return true
}

function protocolInternals(): { prototype: Prototype; DataBuffer: new () => Outbound } | undefined {
  try {
    const { ProtocolHandler, DataBuffer } = createRequire(import.meta.url)('nats/lib/nats-base-client/internal_mod.js') as {
      ProtocolHandler?: { prototype: Prototype }
      DataBuffer?: new () => Outbound
    }
    if (typeof ProtocolHandler?.prototype.flushPending !== 'function' || DataBuffer === undefined) return undefined
    return { prototype: ProtocolHandler.prototype, DataBuffer }
  } catch {
    return undefined
  }
}

/** What is pending is sent, in order, and then no more is pending. */
function sendsAsExpected(flushPending: Prototype['flushPending'], outbound: Outbound): boolean {
  try {
    const parts = [Buffer.from('HPUB a 1 2\r\n'), Buffer.alloc(LARGE, 1), Buffer.from('\r\n')]
    const sent: Uint8Array[] = []
    outbound.fill(...parts)
    const transport = { send: (bytes: Uint8Array) => void sent.push(bytes), socket: { cork: () => {}, uncork: () => {} } }
    flushPending.call({ infoReceived: true, connected: true, outbound, transport })
    return Buffer.concat(parts).equals(Buffer.concat(sent)) && outbound.size() === 0 && outbound.buffers.length === 0
  } catch {
    return false
  }
}

// Messages that need no copy on their way out. gRPC puts five bytes in front of a message; grpc-js allocates a new buffer for
// both and copies, which for pictures is a good part of what sending costs. Where there is room in front of a message the five
// bytes are put there, and grpc-js is handed the whole. That leans on one internal method of grpc-js: `seamlessFraming` checks that it is
// there and does what it did, and otherwise leaves grpc-js as it is, which sends the same bytes with a copy.
// Upstream: https://github.com/grpc/grpc-node/pull/2652
// Tried with: @grpc/grpc-js 1.14.7
import { createRequire } from 'node:module'

/** Bytes in front of a message: uncompressed flag, length. https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
const PREFIX = 5

const framed = new WeakMap<Uint8Array, Buffer>()

/**
 * Says that the PREFIX bytes in front of `message`, in its own ArrayBuffer, may be overwritten. Without so much room it stays as it is.
 */
export function frameInPlace(message: Uint8Array): void {
  if (message.byteOffset < PREFIX || framed.has(message)) return
  const whole = Buffer.from(message.buffer, message.byteOffset - PREFIX, message.length + PREFIX)
  whole.writeUInt8(0, 0)
  whole.writeUInt32BE(message.length, 1)
  framed.set(message, whole)
}

type Call = { handler: { serialize(value: unknown): Uint8Array } }
type Prototype = { serializeMessage: (this: Call, value: unknown) => Buffer }

/** Makes grpc-js send framed messages without a copy. False: this grpc-js is another, and copies. */
export function seamlessFraming(): boolean {
  const prototype = callPrototype()
  if (prototype === undefined || !framesAsExpected(prototype)) return false
  const { serializeMessage } = prototype
  prototype.serializeMessage = function (value) {
    const message = this.handler.serialize(value)
    return framed.get(message) ?? serializeMessage.call({ handler: { serialize: () => message } }, value)
  }
  return true
}

function callPrototype(): Prototype | undefined {
  try {
    const internals = createRequire(import.meta.url)('@grpc/grpc-js/build/src/server-interceptors.js') as {
      BaseServerInterceptingCall?: { prototype: Partial<Prototype> }
    }
    const prototype = internals.BaseServerInterceptingCall?.prototype
    return typeof prototype?.serializeMessage === 'function' ? (prototype as Prototype) : undefined
  } catch {
    return undefined
  }
}

/** The method makes of a message what `frameInPlace` makes of it. */
function framesAsExpected({ serializeMessage }: Prototype): boolean {
  try {
    const sample = Buffer.from('\0\0\0\0\0sample').subarray(PREFIX)
    const made = serializeMessage.call({ handler: { serialize: () => sample } }, undefined)
    return made.equals(Buffer.from('\0\0\0\0\x06sample'))
  } catch {
    return false
  }
}

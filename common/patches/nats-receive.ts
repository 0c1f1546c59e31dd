// Large messages received without growing pains. nats.js gathers a message that comes in several reads in a buffer which it doubles as
// it fills: for a picture that is half a dozen allocations and copies of megabytes, and the garbage of them. Its size is known from
// the start, so that one allocation is enough. That leans on internals of nats.js: `wholeReceiving` checks that they are there
// and work as expected, and otherwise leaves nats.js as it is, which receives the same bytes.
// Upstream: https://github.com/nats-io/nats.js/blob/main/core/src/parser.ts (Parser, DenoBuffer).
// Tried with: nats 2.29.3
import { createRequire } from 'node:module'

type Gathering = { readonly length: number; readonly capacity: number; _buf: Uint8Array }
type Parser = { parse: (this: Parser, bytes: Uint8Array) => void; msgBuf?: Gathering | undefined; ma?: { size: number } }
type Dispatched = { data?: Uint8Array }
type ParserClass = { new (dispatcher: { push(event: Dispatched): void }): Parser; prototype: Parser }

/** Makes nats.js allocate once for a message. False: this nats.js is another, and grows its buffers. */
export function wholeReceiving(): boolean {
  const Parser = parserClass()
  if (Parser === undefined || !gathersAsExpected(Parser)) return false
  const { parse } = Parser.prototype
  Parser.prototype.parse = function (bytes) {
    parse.call(this, bytes)
    if (this.msgBuf !== undefined && this.ma !== undefined && this.msgBuf.capacity < this.ma.size) makeRoom(this.msgBuf, this.ma.size)
  }
  if (gathersAsExpected(Parser)) return true
  Parser.prototype.parse = parse
  return false
}

/** What has been gathered moves to the start of a buffer for all of it; not from a pool, whose neighbours it would keep alive. */
function makeRoom(gathering: Gathering, size: number): void {
  const room = new Uint8Array(Buffer.allocUnsafeSlow(size).buffer, 0, gathering.length)
  room.set(gathering._buf)
  gathering._buf = room
}

function parserClass(): ParserClass | undefined {
  try {
    const { Parser } = createRequire(import.meta.url)('nats/lib/nats-base-client/parser.js') as { Parser?: ParserClass }
    return typeof Parser?.prototype.parse === 'function' ? Parser : undefined
  } catch {
    return undefined
  }
}

/** A message in three reads comes out whole, and between them the parser's state is what this file takes it to be. */
function gathersAsExpected(Parser: ParserClass): boolean {
  try {
    const payload = Buffer.from('0123456789'.repeat(100))
    const head = `MSG a.b 1 ${payload.length}\r\n`
    const wire = Buffer.concat([Buffer.from(head), payload, Buffer.from('\r\nPING\r\n')])
    const events: Dispatched[] = []
    const parser = new Parser({ push: event => void events.push(event) })
    parser.parse(wire.subarray(0, 40))
    const { msgBuf, ma } = parser
    if (msgBuf === undefined || ma?.size !== payload.length || !wire.subarray(head.length, 40).equals(msgBuf._buf)) return false
    parser.parse(wire.subarray(40, 200))
    parser.parse(wire.subarray(200))
    const [message] = events
    return events.length === 2 && message?.data !== undefined && payload.equals(message.data)
  } catch {
    return false
  }
}

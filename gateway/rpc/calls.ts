// Runs the calls of all RPCs alike. Handlers are functions, or async generators, of requests; cancellation, back-pressure, errors, the
// limit on calls and the end of the process are dealt with here.
import { status, type handleBidiStreamingCall, type handleServerStreamingCall, type handleUnaryCall, type Metadata } from '@grpc/grpc-js'
import { constants } from 'node:http2'
import type { Logger } from '../../common/log.ts'
import { sleep, whenAborted } from '../../common/abort.ts'
import { streamOf } from '../../common/patches/grpc-call.ts'
import type { Access, Subject } from '../access/access.ts'
import { denied, type Use, type Visitor } from '../access/visible-cameras.ts'
import type { CallLimit } from '../call-limit.ts'
import type { Metrics } from '../metrics.ts'
import { Refusal } from '../refusal.ts'
import { addressOf, keysOf, type Room } from '../shares.ts'
import { toStatus, type Status } from './status.ts'

/** What a handler knows of its call besides the request. `signal` aborts when the call has ended. */
export type Caller = Visitor & {
  readonly metadata: Metadata
  readonly peer: string
  /** By what it is known where room is shared (shares.ts). */
  readonly keys: readonly string[]
  readonly signal: AbortSignal
  /** Ends the call at once, with what is unsent. */
  readonly cutOff: () => void
  /** The client has asked for something. */
  readonly asks: () => void
}

type ServerCall = { metadata: Metadata; getPeer(): string; on(event: 'cancelled', listener: () => void): unknown }
type Writer<Response> = { write(message: Response, callback: () => void): boolean; emit(event: 'error', refusal: Status): boolean }
/** A call until its last byte is sent. `over` aborts with the Status that ended it from outside. */
type Call = {
  over: AbortController
  fail: (refusal: Status) => void
  place: Room | undefined
  subject: Subject
  uses: Map<string, Use>
  /** When its client asked for something last, by performance.now(). */
  askedMs: number
}

/** How often it is asked whether running calls still have the rights that they use. Answers are cached. */
const RECHECK_MS = 2_000

/** A call whose client has asked for nothing for so long is ended when another needs its place. */
const IDLE_MS = 60_000

const CANCELLED: Status = { code: status.CANCELLED, details: 'cancelled' }

export class Calls {
  readonly #limit: CallLimit
  readonly #access: Access
  readonly #metrics: Metrics
  readonly #log: Logger
  readonly #open = new Set<Call>()
  #drained: (() => void) | undefined
  #isDraining = false

  constructor(limit: CallLimit, access: Access, metrics: Metrics, log: Logger) {
    this.#limit = limit
    this.#access = access
    this.#metrics = metrics
    this.#log = log
  }

  unary<Request, Response>(method: string, handle: (request: Request, caller: Caller) => Promise<Response> | Response) {
    const handler: handleUnaryCall<Request, Response> = (call, callback) => {
      void this.#run(method, call, callback, async caller => {
        const response = await handle(call.request, caller)
        if (!caller.signal.aborted) callback(null, response)
      })
    }
    return handler
  }

  serverStream<Request, Response>(method: string, handle: (request: Request, caller: Caller) => AsyncIterable<Response>) {
    const handler: handleServerStreamingCall<Request, Response> = call => {
      const answers = new Answers<Response>(call)
      void this.#run(method, call, answers.fail, async caller => {
        await answers.send(handle(call.request, caller), caller.signal)
        if (!caller.signal.aborted) call.end()
      })
    }
    return handler
  }

  /** Requests leave the transport as the handler asks for them, so that a client can't pile them up here. */
  duplex<Request, Response>(method: string, handle: (requests: AsyncIterable<Request>, caller: Caller) => AsyncIterable<Response>) {
    const handler: handleBidiStreamingCall<Request, Response> = call => {
      const answers = new Answers<Response>(call)
      void this.#run(method, call, answers.fail, async caller => {
        // By default the iterator destroys the stream, answers included, when the client half-closes.
        const requests = call.iterator({ destroyOnReturn: false })
        await answers.send(handle(noting(requests, caller.asks), caller), caller.signal)
        if (!caller.signal.aborted) call.end()
      })
    }
    return handler
  }

  /** Ends calls whose caller has lost a right that they use. Until `signal` aborts. */
  async recheck(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(RECHECK_MS, signal)
      for (const call of this.#open) {
        const refusal = await this.#lostRight(call)
        if (refusal !== undefined) this.#end(call, toStatus(refusal, 'recheck', this.#log))
      }
    }
  }

  async #lostRight({ subject, uses, over }: Call): Promise<unknown> {
    if (subject === undefined || over.signal.aborted) return undefined
    try {
      for (const { right, camera } of uses.values()) {
        if (!(await this.#access.may(subject, right, camera.ref))) return denied(subject, right, camera)
      }
      return undefined
    } catch (error) {
      return error
    }
  }

  /** Ends every call, those still to come too, with UNAVAILABLE. Returns when the clients have been told, at the latest after `ms`. */
  async drain(ms: number): Promise<void> {
    this.#isDraining = true
    const reason = toStatus(shuttingDown(), 'drain', this.#log)
    for (const call of this.#open) this.#end(call, reason)
    if (this.#open.size === 0) return
    const drained = new AbortController()
    this.#drained = () => drained.abort()
    await sleep(ms, drained.signal)
  }

  /** Never rejects: what the work throws ends the call with the status it stands for. */
  async #run(
    method: string,
    serverCall: ServerCall,
    fail: (refusal: Status) => void,
    work: (caller: Caller) => Promise<void>,
  ): Promise<void> {
    const askedMs = performance.now()
    const call: Call = { over: new AbortController(), fail, place: undefined, subject: undefined, uses: new Map(), askedMs }
    const { signal } = call.over
    this.#open.add(call)
    this.#metrics.callsRunning.inc({ method })
    serverCall.on('cancelled', () => this.#close(call, method)) // comes at the end of every call, ended by either side
    let code: status = status.OK
    try {
      if (this.#isDraining) throw shuttingDown()
      const { metadata } = serverCall
      const peer = serverCall.getPeer()
      call.place = this.#enter(keysOf(peer))
      call.subject = await this.#access.identify(authorizationIn(metadata), addressOf(peer))
      if (signal.aborted) return
      const uses = (use: Use) => void call.uses.set(`${use.right} ${use.camera.uid}`, use)
      const asks = () => void (call.askedMs = performance.now())
      const keys = keysOf(peer, call.subject?.name)
      await work({ metadata, peer, keys, signal, cutOff: () => cutOff(serverCall), subject: call.subject, uses, asks })
    } catch (error) {
      // What is thrown after the end is the end's own doing, such as the error of a stream cut off.
      if (!signal.aborted) {
        const refusal = toStatus(error, method, this.#log)
        code = refusal.code
        fail(refusal)
      }
    }
    const { code: endedWith } = signal.aborted ? (signal.reason as Status) : { code }
    this.#metrics.calls.inc({ method, code: status[endedWith] })
  }

  /** Where all places are taken, the call that has been idle for longest makes room. */
  #enter(keys: readonly string[]): Room {
    const room = this.#limit.tryEnter(keys)
    if (room !== undefined) return room
    const nowMs = performance.now()
    const idle = [...this.#open]
      .filter(call => call.place !== undefined && nowMs - call.askedMs > IDLE_MS)
      .sort((a, b) => a.askedMs - b.askedMs)[0]
    if (idle === undefined) throw this.#limit.full()
    idle.place?.[Symbol.dispose]()
    this.#end(
      idle,
      toStatus(new Refusal('exhausted', 'ended: the call asked for nothing for a minute, and others had no room'), 'idle', this.#log),
    )
    return this.#limit.enter(keys)
  }

  #end({ over, fail }: Call, reason: Status): void {
    over.abort(reason)
    fail(reason)
  }

  #close(call: Call, method: string): void {
    if (!this.#open.delete(call)) return
    call.place?.[Symbol.dispose]()
    call.over.abort(CANCELLED)
    this.#metrics.callsRunning.dec({ method })
    if (this.#open.size === 0) this.#drained?.()
  }
}

/** Its client gets RESOURCE_EXHAUSTED. */
const cutOff = (serverCall: ServerCall): void => streamOf(serverCall)?.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)

function authorizationIn(metadata: Metadata): string | undefined {
  const values = metadata.get('authorization')
  return values.length === 1 ? String(values[0]) : undefined
}

async function* noting<Request>(requests: AsyncIterable<Request>, note: () => void): AsyncGenerator<Request> {
  for await (const request of requests) {
    note()
    yield request
  }
}

const shuttingDown = () => new Refusal('unavailable', 'shutting down')

/** What is sent to one client: of each call at most one message is unsent. */
class Answers<Response> {
  readonly #call: Writer<Response>
  #isSending = false
  #refusal: Status | undefined

  constructor(call: Writer<Response>) {
    this.#call = call
  }

  async send(responses: AsyncIterable<Response>, signal: AbortSignal): Promise<void> {
    for await (const response of responses) {
      if (!signal.aborted) await this.#sent(response, signal)
      if (signal.aborted) return
    }
  }

  /** Behind what is being sent: an error before that makes grpc-js's iterator of the requests destroy the stream, and no status is sent. */
  readonly fail = (refusal: Status): void => {
    if (this.#isSending) this.#refusal = refusal
    else this.#call.emit('error', refusal)
  }

  /** Settles when the transport has taken the message or the call is over. */
  async #sent(message: Response, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    using _ = whenAborted(signal, resolve)
    this.#isSending = true
    this.#call.write(message, () => {
      this.#isSending = false
      if (this.#refusal !== undefined) this.fail(this.#refusal)
      resolve()
    })
    await promise
  }
}

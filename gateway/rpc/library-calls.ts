// The calls that libraries serve: health and reflection. They are bounded, and end when the server does.
import { ServerInterceptingCall, ServerListenerBuilder, status, type ServerInterceptor } from '@grpc/grpc-js'
import type { Metrics } from '../metrics.ts'
import { keysOf, Shares, type Room } from '../shares.ts'

/** Such calls at once: one that watches the health lasts as long as its client likes. */
const CALLS_MAX = 256
/** What a caller has at least. */
const LEAST = 8

/**
 * A call whose deadline passes between its request and the client's half-close is over; grpc-js would still hand it to its handler, which is not told
 * of an end any more. Through an interceptor, though it does nothing, nothing comes after the end.
 */
const untilTheEnd: ServerInterceptor = (_method, call) => new ServerInterceptingCall(call)

export class LibraryCalls {
  readonly #ours: readonly string[]
  readonly #metrics: Pick<Metrics, 'callsRunning'>
  readonly #shares = new Shares(CALLS_MAX, LEAST)
  readonly #open = new Map<ServerInterceptingCall, Room>()

  /** `ours`: services whose calls are bounded elsewhere. */
  constructor(ours: readonly string[], metrics: Pick<Metrics, 'callsRunning'>) {
    this.#ours = ours
    this.#metrics = metrics
  }

  readonly interceptor: ServerInterceptor = (method, call) => {
    if (this.#ours.some(name => method.path.startsWith(`/${name}/`))) return untilTheEnd(method, call)
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, pass) => {
        if (this.#begin(followed, keysOf(call.getPeer()))) pass(metadata)
      })
      .withOnCancel(() => this.#end(followed)) // comes at the end of every call
      .build()
    const followed = new ServerInterceptingCall(call, { start: pass => pass(listener) })
    return followed
  }

  end(): void {
    for (const call of this.#open.keys()) call.sendStatus({ code: status.UNAVAILABLE, details: 'shutting down' })
  }

  #begin(call: ServerInterceptingCall, keys: readonly string[]): boolean {
    const room = this.#shares.enter(keys)
    if (typeof room === 'string') {
      call.sendStatus({
        code: status.RESOURCE_EXHAUSTED,
        details: `too many calls of health and reflection, at most ${CALLS_MAX} are served at once`,
      })
      return false
    }
    this.#open.set(call, room)
    this.#metrics.callsRunning.inc({ method: 'health or reflection' })
    return true
  }

  #end(call: ServerInterceptingCall): void {
    const room = this.#open.get(call)
    if (room === undefined) return
    this.#open.delete(call)
    room[Symbol.dispose]()
    this.#metrics.callsRunning.dec({ method: 'health or reflection' })
  }
}

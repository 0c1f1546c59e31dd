// While nats.js reconnects, it begins to wait for that once more whenever a server that was reached ends the attempt, as one does that refuses our
// credentials: 8 KB each time, for as long as that lasts, and in the end as many reconnects. Here it waits once. That leans on internals of nats.js; one
// that has others waits as it does.
// Upstream: https://github.com/nats-io/nats.js/issues/433
// Tried with: nats 2.29.3
import { createRequire } from 'node:module'

type Protocol = { connectPromise?: Promise<void> | null }
type Prototype = { disconnected: (this: Protocol, error?: Error) => Promise<void> }

/** False: this nats.js is another, and waits as it does. */
export function reconnectOnce(): boolean {
  const prototype = protocolPrototype()
  if (prototype === undefined) return false
  const { disconnected } = prototype
  prototype.disconnected = async function (error) {
    if (!this.connectPromise) await disconnected.call(this, error)
  }
  return true
}

function protocolPrototype(): Prototype | undefined {
  try {
    const { ProtocolHandler } = createRequire(import.meta.url)('nats/lib/nats-base-client/internal_mod.js') as {
      ProtocolHandler?: { prototype: Partial<Prototype> }
    }
    const prototype = ProtocolHandler?.prototype
    return typeof prototype?.disconnected === 'function' ? (prototype as Prototype) : undefined
  } catch {
    return undefined
  }
}

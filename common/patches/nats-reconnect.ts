// While nats.js connects anew, it begins to wait for that once more whenever a server that was reached ends the attempt, as one does that refuses our
// credentials: 8 KB each time, for as long as that lasts, and in the end as many reconnects. Here it waits once. That leans on internals of nats.js; one
// that has others waits as it does.
import { createRequire } from 'node:module'

type Protocol = { connectPromise?: Promise<void> | null }
type Prototype = { disconnected: (this: Protocol, error?: Error) => Promise<void> }

export function reconnectOnce(): void {
  const prototype = protocolPrototype()
  if (prototype === undefined) return
  const { disconnected } = prototype
  prototype.disconnected = async function (error) {
    if (!this.connectPromise) await disconnected.call(this, error)
  }
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

// A request that is refused on purpose. Each transport turns the kind into a status of its own: gRPC in rpc/status.ts.

export type RefusalKind =
  'unauthenticated' | 'invalid' | 'notFound' | 'outOfRange' | 'precondition' | 'denied' | 'unavailable' | 'exhausted'

/** The message is for the client. */
export class Refusal extends Error {
  readonly kind: RefusalKind
  constructor(kind: RefusalKind, message: string) {
    super(message)
    this.kind = kind
  }
}

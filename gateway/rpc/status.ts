// Errors become gRPC statuses here and nowhere else.
import { status } from '@grpc/grpc-js'
import type { Logger } from '../../common/log.ts'
import { Refusal, type RefusalKind } from '../refusal.ts'

const CODE = {
  unauthenticated: status.UNAUTHENTICATED,
  invalid: status.INVALID_ARGUMENT,
  notFound: status.NOT_FOUND,
  outOfRange: status.OUT_OF_RANGE,
  precondition: status.FAILED_PRECONDITION,
  denied: status.PERMISSION_DENIED,
  unavailable: status.UNAVAILABLE,
  exhausted: status.RESOURCE_EXHAUSTED,
} as const satisfies Record<RefusalKind, status>

export type Status = { code: status; details: string }

/** What the client is told. An error that is no Refusal is ours: logged in full, and nothing of it leaks. */
export function toStatus(error: unknown, method: string, log: Logger): Status {
  if (error instanceof Refusal) return { code: CODE[error.kind], details: error.message }
  log.error({ method, err: error }, 'a call failed')
  return { code: status.INTERNAL, details: 'internal error' }
}

// Answers that are no frames: JSON, text, and errors, which become HTTP statuses here and nowhere else.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from '../../common/log.ts'
import { Refusal, type RefusalKind } from '../refusal.ts'

const STATUS = {
  unauthenticated: 401,
  invalid: 400,
  notFound: 404,
  outOfRange: 404,
  precondition: 409,
  denied: 403,
  unavailable: 503,
  exhausted: 429,
} as const satisfies Record<RefusalKind, number>

/** Nothing is loaded from elsewhere, and nothing stands in the page itself. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; media-src 'self' blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

export const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
} as const

/** Of an answer without end: proxies must not collect it. */
export const STREAM_HEADERS = { ...HEADERS, 'x-accel-buffering': 'no' } as const

/** Why there is no frame, for a person and a program. */
export type Problem = { reason: string; message: string; advice?: string }

export function answerJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { ...HEADERS, 'content-type': 'application/json; charset=utf-8' }).end(`${JSON.stringify(body)}\n`)
}

/** As JSON, or as text to a client that asks for text. */
export function answerProblem(response: ServerResponse, status: number, problem: Problem): void {
  if (response.headersSent) return void response.destroy()
  const accept = response.req.headers.accept ?? ''
  const wantsText = /text\/(plain|html)/.test(accept) && !accept.includes('application/json')
  if (!wantsText) return answerJson(response, status, problem)
  const text = [`${problem.reason}: ${problem.message}`, problem.advice].filter(line => line !== undefined && line !== '').join('\n')
  response.writeHead(status, { ...HEADERS, 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`)
}

/** An error that is no Refusal is ours: logged in full, and nothing of it leaks. */
export function problemOf(error: unknown, request: IncomingMessage, log: Logger): Problem {
  if (error instanceof Refusal) return { reason: REASON[error.kind], message: error.message }
  log.error({ path: request.url?.split('?')[0]?.slice(0, 200), err: error }, 'an HTTP request failed')
  return { reason: 'InternalError', message: 'internal error' }
}

export function answerError(response: ServerResponse, error: unknown, log: Logger): void {
  const status = error instanceof Refusal ? STATUS[error.kind] : 500
  answerProblem(response, status, problemOf(error, response.req, log))
}

const REASON = {
  unauthenticated: 'Unauthenticated',
  invalid: 'InvalidRequest',
  notFound: 'NotFound',
  outOfRange: 'OutOfRange',
  precondition: 'FailedPrecondition',
  denied: 'PermissionDenied',
  unavailable: 'Unavailable',
  exhausted: 'ResourceExhausted',
} as const satisfies Record<RefusalKind, string>

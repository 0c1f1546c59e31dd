// Who a request is from: a bearer token, or the session cookie that the page's login sets, which holds one.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Refusal } from '../refusal.ts'
import { HEADERS } from './answer.ts'

const COOKIE = 'chrysalis-session'
const BODY_MAX = 20_000

/** The `authorization` of a request. */
export function authorizationOf({ headers }: IncomingMessage): string | undefined {
  if (headers.authorization !== undefined) return headers.authorization
  const pairs = (headers.cookie ?? '').split(';').map(pair => pair.trim())
  const found = pairs.find(pair => pair.startsWith(`${COOKIE}=`))
  return found === undefined ? undefined : `Bearer ${decodeURIComponent(found.slice(COOKIE.length + 1))}`
}

/** The token of a login form. Throws a Refusal. */
export async function tokenIn(request: IncomingMessage): Promise<string> {
  // A form on another site must not log a browser in.
  const site = request.headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') throw new Refusal('denied', 'a login from another site is refused')
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > BODY_MAX) throw new Refusal('invalid', 'the form is too large')
    chunks.push(chunk)
  }
  const token = new URLSearchParams(Buffer.concat(chunks).toString()).get('token')?.trim() ?? ''
  if (token === '') throw new Refusal('invalid', 'token is required')
  return token
}

/** Sets the session cookie, or removes it, and leads back to the page. */
export function answerSession(response: ServerResponse, token: string | undefined, isTls: boolean): void {
  const value = token === undefined ? '; Max-Age=0' : encodeURIComponent(token)
  const cookie = `${COOKIE}=${value}; Path=/; HttpOnly; SameSite=Strict${isTls ? '; Secure' : ''}`
  response.writeHead(303, { ...HEADERS, 'set-cookie': cookie, location: '/' }).end()
}

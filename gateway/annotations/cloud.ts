// Signed calls of the cloud's HTTPS API.
import { createHash, createHmac } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { messageOf } from '../../common/errors.ts'
import { oneLine, scrub } from '../../common/text.ts'
import type { AnnotationMetrics } from './metrics.ts'

export type CloudOptions = {
  /** Files that hold the edge key and its secret; read again at each call, so that changed ones take effect. */
  keyFile: string
  secretFile: string
  /** For a whole call. */
  timeoutMs: number
}

export type CloudCall = { method: 'POST' | 'PUT'; url: string; body: string; headers?: Record<string, string> }

/** What became of a call. `text` is for a person: bounded, on one line, without our credentials. */
export type Outcome =
  | { kind: 'answered'; status: number; text: string; retryAfterMs: number | undefined }
  | { kind: 'failed'; cause: 'timeout' | 'unreachable' | 'credentials' | 'cancelled'; text: string }

type Credentials = { key: string; secret: string }

const ANSWER_BYTES_MAX = 16_384
const TEXT_LENGTH_MAX = 300
/** A server's wish to be left alone is heeded up to here. */
const RETRY_AFTER_MS_MAX = 3_600_000

export const describe = (outcome: Outcome): string =>
  outcome.kind === 'failed' ? outcome.text : `the cloud answered ${outcome.status}${outcome.text === '' ? '' : `: ${outcome.text}`}`

export class Cloud {
  readonly #options: CloudOptions
  readonly #metrics: AnnotationMetrics

  constructor(options: CloudOptions, metrics: AnnotationMetrics) {
    this.#options = options
    this.#metrics = metrics
  }

  /** Never rejects. `purpose` labels the metric. */
  async call(purpose: 'annotations' | 'storage', call: CloudCall, signal: AbortSignal): Promise<Outcome> {
    const outcome = await this.#call(call, signal)
    this.#metrics.cloudCalls.inc({ purpose, outcome: outcome.kind === 'failed' ? outcome.cause : String(outcome.status) })
    return outcome
  }

  async #call(call: CloudCall, signal: AbortSignal): Promise<Outcome> {
    let credentials: Credentials
    try {
      credentials = await this.#credentials()
    } catch (error) {
      return { kind: 'failed', cause: 'credentials', text: messageOf(error) }
    }
    const timeout = new AbortController()
    const timer = setTimeout(() => timeout.abort(), this.#options.timeoutMs)
    try {
      return await request(call, credentials, AbortSignal.any([signal, timeout.signal]))
    } catch (error) {
      if (signal.aborted) return { kind: 'failed', cause: 'cancelled', text: 'the call of the cloud was cancelled' }
      if (timeout.signal.aborted) {
        return { kind: 'failed', cause: 'timeout', text: `the cloud did not answer within ${this.#options.timeoutMs} ms` }
      }
      return { kind: 'failed', cause: 'unreachable', text: `the cloud cannot be reached: ${clean(causeOf(error), credentials)}` }
    } finally {
      clearTimeout(timer)
    }
  }

  async #credentials(): Promise<Credentials> {
    const { keyFile, secretFile } = this.#options
    const [key, secret] = await Promise.all([readSecret(keyFile), readSecret(secretFile)])
    return { key, secret }
  }
}

async function readSecret(file: string): Promise<string> {
  const text = (await readFile(file, 'utf8').catch(() => '')).trim()
  if (text === '') throw new Error(`${file} is missing or empty`)
  if (!/^[\x21-\x7e]+$/.test(text)) throw new Error(`${file} must hold visible ASCII characters only`)
  return text
}

/** The headers that prove who sends the body. */
function signed({ key, secret }: Credentials, body: string, nowMs: number): Record<string, string> {
  const md5 = createHash('md5').update(body).digest('hex')
  const mac = createHmac('sha256', secret).update(`${nowMs}${md5}`).digest('hex')
  return { 'X-ChrysEdge-Auth': `${key}:${mac}`, 'X-Chrys-Date': String(nowMs), 'Content-MD5': md5 }
}

/** Redirects are not followed: the signature is meant for this server only. */
async function request({ method, url, body, headers = {} }: CloudCall, credentials: Credentials, signal: AbortSignal): Promise<Outcome> {
  const own = { 'Content-Type': 'application/json', 'User-Agent': 'chrysalis-edge', ...signed(credentials, body, Date.now()) }
  const response = await fetch(url, { method, body, headers: { ...headers, ...own }, redirect: 'manual', signal })
  const text = clean(await beginning(response).catch(() => ''), credentials) // the status says what it decided, whatever becomes of its words
  return { kind: 'answered', status: response.status, text, retryAfterMs: retryAfter(response.headers.get('retry-after'), Date.now()) }
}

async function beginning({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body ?? []) {
    chunks.push(chunk)
    if ((size += chunk.length) >= ANSWER_BYTES_MAX) break // which ends the connection
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Seconds, or a date, as ms from now. */
export function retryAfter(header: string | null, nowMs: number): number | undefined {
  if (header === null) return undefined
  const ms = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - nowMs
  return Number.isNaN(ms) ? undefined : Math.min(RETRY_AFTER_MS_MAX, Math.max(0, ms))
}

/** fetch says no more than that it failed; why stands in the causes. */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.cause !== undefined) return causeOf(error.cause)
  const code = 'code' in error ? String(error.code) : ''
  return [code, error.message].filter(part => part !== '').join(': ')
}

const clean = (text: string, { key, secret }: Credentials): string => oneLine(scrub(text, [secret, key]), TEXT_LENGTH_MAX)

// The gateway's URLs (docs/http.md), with the token of a file where there is one.
import { readFile } from 'node:fs/promises'

const TIMEOUT_MS = 15_000
/** Of one answer. */
const BYTES_MAX = 16 * 2 ** 20

/** Its message is for a person: why there is no answer, and what to do. */
export class NoAnswer extends Error {}

export class GatewayUrls {
  readonly #base: URL
  readonly #tokenFile: string | undefined

  constructor(base: URL, tokenFile: string | undefined) {
    this.#base = base
    this.#tokenFile = tokenFile
  }

  /** `path`: the camera's resource; the parts of a name are checked, so that it cannot lead elsewhere. Throws NoAnswer. */
  async camera(name: string, resource: string, query: Record<string, string | number | undefined>): Promise<Response> {
    if (!/^[a-z0-9-]+(\/[a-z0-9-]+)?$/.test(name)) throw new NoAnswer('camera must be a name or namespace/name, as list_cameras gives it')
    const url = new URL(`cameras/${name}/${resource}`, this.#base)
    for (const [key, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(key, String(value))
    return await this.#get(url)
  }

  async cameras(): Promise<Response> {
    return await this.#get(new URL('cameras', this.#base))
  }

  async #get(url: URL): Promise<Response> {
    const headers = { accept: 'application/json', ...(await this.#authorization()) }
    const answer = await fetch(url, { headers, redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) }).catch((error: unknown) => {
      throw new NoAnswer(`the gateway at ${this.#base.origin} does not answer`, { cause: error })
    })
    if (Number(answer.headers.get('content-length') ?? 0) > BYTES_MAX) throw new NoAnswer('the answer is too large')
    if (answer.ok) return answer
    const { reason, message, advice } = (await answer.json()) as Record<string, string | undefined>
    throw new NoAnswer([`${reason ?? answer.status}: ${message ?? ''}`, advice].filter(Boolean).join('. '))
  }

  async #authorization(): Promise<{ authorization?: string }> {
    if (this.#tokenFile === undefined) return {}
    const token = await readFile(this.#tokenFile, 'utf8').catch(() => '')
    if (token.trim() === '') throw new NoAnswer('the token file is missing or empty')
    return { authorization: `Bearer ${token.trim()}` }
  }
}

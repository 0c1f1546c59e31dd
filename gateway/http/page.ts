// The page's files. Its TypeScript is stripped of types here, once, so that there is no build step.
import { readFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { stripTypeScriptTypes } from 'node:module'
import { Refusal } from '../refusal.ts'
import { HEADERS } from './answer.ts'

const TYPES: Record<string, string> = { html: 'text/html', ts: 'text/javascript', css: 'text/css' }
const files = new Map<string, Promise<Buffer>>()

async function read(name: string): Promise<Buffer> {
  const text = await readFile(new URL(`page/${name}`, import.meta.url), 'utf8')
  return Buffer.from(name.endsWith('.ts') ? stripTypeScriptTypes(text) : text)
}

/** `name`: without a path. Throws a Refusal where there is no such file. */
export async function pageFile(name: string, response: ServerResponse): Promise<void> {
  const file = files.get(name) ?? read(name)
  const body = await file.catch(() => undefined)
  if (body === undefined) throw new Refusal('notFound', 'nothing is served here; see docs/http.md')
  files.set(name, file)
  const type = TYPES[name.split('.').at(-1) ?? ''] ?? 'application/octet-stream'
  response.writeHead(200, { ...HEADERS, 'content-type': `${type}; charset=utf-8`, 'content-length': body.length }).end(body)
}

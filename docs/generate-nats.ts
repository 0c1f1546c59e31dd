// Writes the table of docs/nats.md from proto/permissions.ts: `node docs/generate-nats.ts`; `--check` only says whether it is up to date.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { cameraPermissions, rolePermissions, type Permissions } from '../proto/permissions.ts'

const FILE = fileURLToPath(new URL('nats.md', import.meta.url))
/** A camera that may be told from words of ours. */
const SAMPLE = { namespace: 'namespace', name: 'name' }

const list = (subjects: readonly string[] = []): string =>
  subjects.length === 0 ? '–' : subjects.map(subject => `\`${subject}\``).join('<br>')

const row = (who: string, { pub, sub, resp }: Permissions): string =>
  `| ${who} | ${list(pub.allow)} | ${list(pub.deny)} | ${list(sub.allow)} | ${resp === undefined ? '–' : `${resp.max} in ${resp.ttl / 1e9} s`} |`

const table = [
  '| user | may publish | but not | may hear | answers to a request |',
  '|---|---|---|---|---|',
  row('camera `namespace/name`', cameraPermissions(SAMPLE)),
  row('gateway', rolePermissions('gateway')),
  row('operator', rolePermissions('operator')),
].join('\n')

const before = readFileSync(FILE, 'utf8')
const place = /(<!-- permissions -->)[^]*?(<!-- \/permissions -->)/
if (!place.test(before)) throw new Error('docs/nats.md has no place for permissions')
const after = before.replace(place, (_, begin: string, end: string) => `${begin}\n\n${table}\n\n${end}`)

if (!process.argv.includes('--check')) writeFileSync(FILE, after)
else if (before !== after) {
  process.stderr.write('docs/nats.md is not up to date: run node docs/generate-nats.ts\n')
  process.exitCode = 1
}

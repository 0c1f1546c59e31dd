// Camera, sidecar and NATS on one side of a gigabit link, the gateway and its client on the other.
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { end, spawnMortal } from '../test/fixtures/processes.ts'
import { within } from '../test/fixtures/wait.ts'
import type { Options } from './options.ts'
import type { Measured } from './scenario.ts'
import { figure, dropText } from './table.ts'
import { LINK_MBIT, LINKED, type LinkOptions, type LinkRow } from './thin-link-run.ts'

const PROGRAM = fileURLToPath(new URL('thin-link-inside.ts', import.meta.url))
/** Of one row, beyond its measurement. */
const ROW_MS = 90_000

export async function measureThinLink({ seconds, env }: Options): Promise<Measured> {
  const rows = await runInside({ seconds, env })
  const head = ['', 'decoded in', 'fps', 'p50 ms', 'p99 ms', 'missing', 'link MB/s', 'CPU %', 'drops', 'lost', 'hung up', 'noise %']
  const cells = rows.map(({ picture, placement, client, linkMBs, usage, account, lost, hangUps }) => [
    ...[picture, placement, figure(client.fps, 1), figure(client.latencyMs.p50), figure(client.latencyMs.p99), figure(client.missing)],
    ...[figure(linkMBs, 1), figure(usage.ours.cpu, 1), dropText(account.drops), figure(lost), figure(hangUps), figure(usage.noise)],
  ])
  const title = `Between NATS and the gateway a link of ${LINK_MBIT} Mbit/s (what a gigabit Ethernet leaves to TCP), one client`
  return { tables: [{ title, rows: [head, ...cells] }], targets: [], figures: rows }
}

/** In a network namespace that goes away with its last process: what is done to its loopback is done to no other's. */
async function runInside(options: LinkOptions): Promise<LinkRow[]> {
  const own = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
  const child = spawnMortal('unshare', ['--net', ...own, '--', process.execPath, PROGRAM, JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  if (child.stdout === null) throw new Error('the namespace has no output')
  try {
    const closed = once(child, 'close') as Promise<[number | null]>
    const timeoutMs = LINKED.length * (ROW_MS + options.seconds * 1000)
    const [output, [code]] = await within(Promise.all([text(child.stdout), closed]), { what: 'the figures of the link', timeoutMs })
    if (code !== 0) {
      throw new Error(
        'the link could not be measured: it needs a network namespace and tc with htb and u32 (as root, or where users may make namespaces)',
      )
    }
    return JSON.parse(output) as LinkRow[]
  } finally {
    await end(child)
  }
}

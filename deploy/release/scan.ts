// `npm run scan`: known vulnerabilities, by each means that there is here. What could not be looked at is said, never taken for good.
import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { messageOf } from '../../common/errors.ts'
import { onPath } from '../../common/which.mjs'
import { hasImage, missingPodman, podman, podmanOk } from '../image/podman.ts'
import { debianPackages, type DebianPackage } from './debian.ts'
import { readVersion } from './versions.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const STAGE = 'localhost/chrysalis-edge-build:system'

/** `clean`: looked at, nothing found. `undone`: not looked at, and why. */
export type Outcome = { verdict: 'clean' | 'found' | 'undone'; text: string }
const undone = (text: string): Outcome => ({ verdict: 'undone', text })

type Ran = { code: number; output: string }

async function ran(command: string, args: readonly string[]): Promise<Ran> {
  try {
    const { stdout, stderr } = await promisify(execFile)(command, args, { cwd: ROOT, maxBuffer: 64 << 20, timeout: 300_000 })
    return { code: 0, output: stdout + stderr }
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: unknown; stdout?: string; stderr?: string }
    return { code: typeof code === 'number' ? code : -1, output: `${stdout}${stderr}` || messageOf(error) }
  }
}

const last = (output: string, lines: number) => output.trim().split('\n').slice(-lines).join('\n  ')

/** npm ends with 1 both when it found something and when it could not look: only what names a finding is one. */
export function outcomeOfNpm({ code, output }: Ran): Outcome {
  if (code === 0) return { verdict: 'clean', text: last(output, 2) }
  if (/\d+ [a-z ]*vulnerabilit|(?:invalid|missing) (?:registry )?(?:signature|attestation)/i.test(output)) {
    return { verdict: 'found', text: last(output, 40) }
  }
  return undone(
    output
      .trim()
      .split('\n')
      .find(line => line.startsWith('npm ')) ?? last(output, 1),
  )
}

/** `apt-cache policy` names a candidate for each package; another one than ours is newer, as ours came from there. */
export function outdated(packages: readonly DebianPackage[], policy: string): string[] {
  const candidates = new Map(
    [...policy.matchAll(/^(\S+):\n {2}Installed: .*\n {2}Candidate: (.*)$/gm)].map(([, name = '', version = '']) => [name, version]),
  )
  return packages.flatMap(({ name, version }) => {
    const candidate = candidates.get(name)
    return candidate === undefined || candidate === version ? [] : [`${name}: the image has ${version}, Debian has ${candidate}`]
  })
}

function scanDebian(): Outcome {
  const missing = missingPodman()
  if (missing !== undefined) return undone(missing)
  const image = `docker.io/chrysalis/chrysalis-edge:${readVersion(ROOT).version}`
  const absent = [image, STAGE].find(name => !hasImage(name))
  if (absent !== undefined) return undone(`there is no image ${absent}: npm run release first`)
  const root = podmanOk(['image', 'mount', image]).trim()
  try {
    const packages = debianPackages(root)
    const script = `apt-get update -qq && apt-cache policy ${packages.map(({ name }) => name).join(' ')}`
    const { status, stdout, stderr } = podman(['run', '--rm', '--network=host', STAGE, 'sh', '-c', script], { timeoutMs: 300_000 })
    if (status !== 0) return undone(`Debian's mirror: ${last(stderr, 1)}`)
    const found = outdated(packages, stdout)
    if (found.length > 0) return { verdict: 'found', text: `build it again without podman's cache:\n  ${found.join('\n  ')}` }
    return { verdict: 'clean', text: `all ${packages.length} packages are Debian's newest` }
  } finally {
    podman(['image', 'unmount', image])
  }
}

/** A scanner with a database of its own. */
async function scanSbom(): Promise<Outcome> {
  const dist = join(ROOT, 'dist')
  const sbom = existsSync(dist) ? readdirSync(dist).find(file => file.endsWith('.cdx.json')) : undefined
  if (sbom === undefined) return undone('there is no SBOM in dist: npm run release first')
  const file = join(dist, sbom)
  const scanners = [
    ['grype', [`sbom:${file}`, '--fail-on', 'medium']],
    ['trivy', ['sbom', '--exit-code', '1', file]],
  ] as const
  const found = scanners.find(([name]) => onPath(name, process.env) !== undefined)
  if (found === undefined) return undone('neither grype nor trivy is on PATH; both need their database, from the internet or copied here')
  const { code, output } = await ran(found[0], found[1])
  return { verdict: code === 0 ? 'clean' : 'found', text: last(output, 40) }
}

/** `npm run -s` keeps npm silent further down, too. */
const LOUD = ['--loglevel=warn']

const STEPS: readonly (readonly [string, () => Outcome | Promise<Outcome>])[] = [
  ['signatures of npm packages', async () => outcomeOfNpm(await ran('npm', ['audit', 'signatures', ...LOUD]))],
  ['advisories of npm packages', async () => outcomeOfNpm(await ran('npm', ['audit', '--omit=dev', ...LOUD]))],
  ['Debian packages of the image', scanDebian],
  ['the SBOM', scanSbom],
]

const WORDS = { clean: 'nothing found', found: 'FOUND', undone: 'not done' } as const

if (import.meta.main) {
  for (const [what, scan] of STEPS) {
    const { verdict, text } = await scan()
    process.stdout.write(`${what}: ${WORDS[verdict]}: ${text}\n`)
    if (verdict === 'found') process.exitCode = 1
  }
}

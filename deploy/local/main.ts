// Cameras on this machine, without a cluster: `npm start`.
import { fileURLToPath } from 'node:url'
import { ConfigError, EXIT_CONFIG, messageOf } from '../../common/errors.ts'
import { checkEnv } from './cloud-env.ts'
import { makeFolders } from './folders.ts'
import { ManifestError, readManifests, type Manifests } from './manifests.ts'
import { HELP, parseOptions, type Options } from './options.ts'
import { reservePort } from './ports.ts'
import { runLocal } from './run.ts'
import { catchSignals } from './signals.ts'
import { openScreen } from './table.ts'
import { fromUser } from './user-path.ts'

const EXIT = { ok: 0, failure: 1, usage: 64, manifests: 65, killed: 130 } as const
const DEMO = fileURLToPath(new URL('../examples/demo.yaml', import.meta.url))

/** For the page, unless it is taken. */
const PAGE_PORT = 8_080

const say = (line: string) => void process.stderr.write(`${line}\n`)

async function main(options: Options): Promise<number> {
  if (!isConfigured()) return EXIT_CONFIG
  const manifests = await read(options.files)
  if (manifests === undefined) return EXIT.manifests
  using screen = openScreen(process.stdout)
  const isOfNpm = process.env['npm_lifecycle_event'] !== undefined // which tells us of signals, but not of a SIGKILL
  using signals = catchSignals(() => screen.say('stopping; Ctrl-C again ends everything at once'), isOfNpm)
  try {
    const port = await reservePort(options.port)
    const httpPort = await reservePort(options.httpPort ?? PAGE_PORT).catch(error => {
      if (options.httpPort !== undefined) throw error
      return reservePort(0)
    })
    await using folders = await makeFolders(options.data === undefined ? undefined : fromUser(options.data))
    await runLocal({ ...manifests, port, httpPort, logLevel: options.logLevel, folders, screen, signals })
  } catch (error) {
    say(messageOf(error))
    return EXIT.failure
  }
  return signals.isHard() ? EXIT.killed : EXIT.ok
}

function isConfigured(): boolean {
  try {
    checkEnv(process.env)
    return true
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    for (const problem of error.problems) say(`config: ${problem}`)
    return false
  }
}

async function read(files: readonly string[]): Promise<Manifests | undefined> {
  try {
    return await readManifests(files.length === 0 ? [DEMO] : files.map(fromUser))
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error
    for (const problem of error.problems) say(problem)
    say('nothing was started')
    return undefined
  }
}

process.stdout.on('error', () => {}) // its reader has gone; that is no reason to leave cameras unsupervised
const parsed = parseOptions(process.argv.slice(2))
if (parsed.do === 'help') {
  process.stdout.write(HELP)
} else if (parsed.do === 'refuse') {
  say(`${parsed.problem}; see npm start -- --help`)
  process.exitCode = EXIT.usage
} else {
  process.exitCode = await main(parsed.options)
  // Whatever still holds the event loop must not keep a stopped process alive.
  setTimeout(() => process.exit(), 2_000).unref()
}

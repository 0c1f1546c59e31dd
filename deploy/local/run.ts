// One run of local mode: nats-server, the gateway and a process per camera, from their start to their end.
import { fileURLToPath } from 'node:url'
import pino, { type Logger } from 'pino'
import { cacheFolder } from '../../common/cache.mjs'
import { compiledIn, FRUGAL_ENV, FRUGAL_FLAGS } from '../../common/node-options.ts'
import { watchBucket } from '../../common/nats/buckets.ts'
import { toEnv } from '../../common/env.ts'
import { messageOf } from '../../common/errors.ts'
import { connectNats } from '../../common/nats/connect.ts'
import type { PodState } from '../../common/camera-record.ts'
import { unlessStopped } from '../../common/abort.ts'
import type { Camera } from '../../proto/camera.ts'
import { BadMessage, parseJson } from '../../proto/messages.ts'
import { CameraState } from '../../proto/state.ts'
import { type GATEWAY, type LogLevel, type SERVICE } from '../../proto/settings.ts'
import { cameraKey } from '../../proto/subjects.ts'
import type { Program } from './child.ts'
import { cloudEnv } from './cloud-env.ts'
import type { Folders } from './folders.ts'
import { Guard } from './guard.ts'
import { answersLivez } from './liveness.ts'
import { ChildLog } from './log-lines.ts'
import type { Manifests } from './manifests.ts'
import { startNats } from './nats.ts'
import { reservePort } from './ports.ts'
import { followReadiness } from './readiness.ts'
import { Records } from './records.ts'
import { deviceId, NAMESPACE, sidecarEnv } from './sidecar-env.ts'
import type { Signals } from './signals.ts'
import { Starts } from './starts.ts'
import { Status, type Endpoint } from './status.ts'
import { keepRunning, STARTING } from './supervisor.ts'
import type { Screen } from './table.ts'

export type Run = Manifests & { port: number; httpPort: number; logLevel: LogLevel; folders: Folders; screen: Screen; signals: Signals }

const SIDECAR_GRACE_MS = 5_000
/** The gateway lets running calls end first. */
const GATEWAY_GRACE_MS = 12_000

/** Runs until a signal stops it. Rejects when it can't go on; either way nothing is left running. */
export async function runLocal(run: Run): Promise<void> {
  const { folders, screen, signals } = run
  using guard = new Guard(folders.scratch)
  using logs = new Logs(run)
  const records = new Records(run.cameras)
  using status = new Status(records, endpointOf(run), screen, signals.ending.stop)
  const natsStop = new AbortController()
  const server = await startNats(
    {
      ...{ scratch: folders.scratch, store: folders.store, guard },
      onLine: logs.open('nats-server'),
      onTrouble: message => status.setNats(message),
    },
    { stop: natsStop.signal, kill: signals.ending.kill },
  )
  try {
    const url = await unlessStopped(server.url, signals.ending.stop)
    if (url !== undefined)
      await runCameras(
        { ...run, records, status, logs, starts: new Starts(), env: childEnv(url, server.credsFile, run.logLevel) },
        { url, credsFile: server.credsFile },
      )
  } finally {
    natsStop.abort()
    await server.ended
  }
}

/** A run that has come so far as to start its processes. */
type Started = Run & { records: Records; status: Status; logs: Logs; starts: Starts; env: NodeJS.ProcessEnv }

async function runCameras(run: Started, at: { url: string; credsFile: string }): Promise<void> {
  const { records, status, logs, starts, signals } = run
  const { stop } = signals.ending
  const log = logs.own('local-mode')
  const connection = await unlessStopped(connectNats('local mode', at, log, stop), stop)
  if (connection === undefined) return
  await using nats = connection
  const following = new AbortController()
  const view = {
    changed: (key: string, value: Uint8Array | undefined, ageMs: number) => {
      starts.done(key) // whatever it says, its start is behind it
      report(status, log, key, value, ageMs)
    },
    complete: () => {},
  }
  const tasks = [
    records.run(nats, message => log.warn(message), following.signal),
    watchBucket(nats, 'states', view, log, following.signal),
  ]
  const active = run.cameras.filter(({ spec }) => !spec.suspend)
  try {
    await Promise.all([runGateway(run), ...active.map(camera => runSidecar(run, camera))])
  } finally {
    following.abort()
    await Promise.all(tasks)
  }
}

async function runSidecar({ records, status, logs, starts, env, signals, secrets, folders }: Started, camera: Camera): Promise<void> {
  const key = cameraKey(camera.metadata)
  const onPod = (pod: PodState) => {
    records.set(camera, pod)
    if (pod.running) return status.refresh()
    starts.done(key)
    status.setReport(key, undefined)
  }
  let own: Record<string, string>
  try {
    own = await sidecarEnv(camera, secrets, folders)
  } catch (error) {
    return onPod({ ...STARTING, dead: true, reason: 'FoldersUnavailable', message: messageOf(error) })
  }
  await starts.turn(key, signals.ending.stop)
  const onLine = logs.open(`camera-${deviceId(camera).replace('/', '.')}`)
  const port = await reservePort(0)
  const probe = { CHRYS_PROBE_PORT: String(port) }
  const frugal = { ...FRUGAL_ENV, ...compiledIn(cacheFolder(process.env)) }
  await keepRunning(
    program('sidecar', { ...env, ...frugal, ...own, ...probe }, SIDECAR_GRACE_MS, FRUGAL_FLAGS),
    { onPod, onLine, answers: answersLivez(port) },
    signals.ending,
  )
}

async function runGateway({ status, logs, env, signals, port, httpPort }: Started): Promise<void> {
  const onLine = logs.open('gateway')
  const probePort = await reservePort(0)
  let last: PodState = STARTING
  let over = new AbortController()
  const onPod = (pod: PodState) => {
    last = pod
    over.abort()
    if (!pod.running) return status.setGateway(pod.message ?? 'stopped')
    over = new AbortController()
    void followReadiness(probePort, missing => status.setGateway(missing && `starting: ${missing}`), over.signal)
  }
  const settings = {
    ...{ CHRYS_NAMESPACE: NAMESPACE, CHRYS_GRPC_HOST: '127.0.0.1', CHRYS_GRPC_PORT: port, CHRYS_PROBE_PORT: probePort },
    ...{ CHRYS_HTTP_HOST: '127.0.0.1', CHRYS_HTTP_PORT: httpPort },
    // What sidecars decode takes from the same cores, and costs twice as much. A camera too many gives fewer frames instead.
    CHRYS_RAW_FRAMES_MAX_MB: 0,
  }
  const own = { ...cloudEnv(process.env), ...toEnv<Omit<typeof GATEWAY, Exclude<keyof typeof SERVICE, 'CHRYS_PROBE_PORT'>>>(settings) }
  await keepRunning(
    program('gateway', { ...env, ...own }, GATEWAY_GRACE_MS, GATEWAY_FLAGS),
    { onPod, onLine, answers: answersLivez(probePort) },
    signals.ending,
  )
  if (!last.dead) return
  signals.stop()
  throw new Error(`the gateway ${last.message ?? 'ended'}`)
}

/** Node strips the page's types, and warns that this is new. */
const GATEWAY_FLAGS = ['--disable-warning=ExperimentalWarning']

const program = (name: 'sidecar' | 'gateway', env: NodeJS.ProcessEnv, graceMs: number, flags: readonly string[] = []): Program => ({
  command: process.execPath,
  args: [...flags, fileURLToPath(new URL(`../../${name}/main.ts`, import.meta.url))],
  ...{ env, graceMs },
})

/** What Node, OpenSSL and ffmpeg go by: nothing that a shell may hold of other programs' keys. */
const INHERITED = /^(PATH|HOME|TMPDIR|TZ|LANG|LC_\w+|XDG_CACHE_HOME|FFMPEG_PATH|NODE_\w+|SSL_CERT_\w+|OPENSSL_\w+|LD_\w+)$/

function childEnv(natsUrl: string, credsFile: string, logLevel: LogLevel): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => INHERITED.test(name))
  return {
    ...Object.fromEntries(inherited),
    ...toEnv<typeof SERVICE>({
      CHRYS_NATS_URL: natsUrl,
      CHRYS_NATS_CREDS_FILE: credsFile,
      CHRYS_PROBE_HOST: '127.0.0.1',
      CHRYS_PROBE_PORT: 0,
      // The files are worth more with what went well in them, too.
      CHRYS_LOG_LEVEL: logLevel === 'debug' ? 'debug' : 'info',
      CHRYS_LOG_FORMAT: 'json',
      CHRYS_EXIT_ON_STDIN_CLOSE: '1',
    }),
  }
}

function report(status: Status, log: Logger, key: string, value: Uint8Array | undefined, ageMs: number): void {
  try {
    status.setReport(key, value === undefined ? undefined : parseJson(CameraState, value), ageMs)
  } catch (error) {
    if (!(error instanceof BadMessage)) throw error
    log.warn({ key, reason: error.message }, 'dropped an invalid camera state')
  }
}

function endpointOf({ cameras, port, httpPort }: Run): Endpoint {
  const address = `127.0.0.1:${port}`
  const camera = cameras.find(({ spec }) => !spec.suspend) ?? cameras[0]
  const where = port === 50_001 ? '' : ` --address ${address}`
  return {
    page: `http://127.0.0.1:${httpPort}/`,
    address,
    command: `npm run watch -- ${camera === undefined ? 'CAMERA' : deviceId(camera)}${where}`,
  }
}

class Logs implements Disposable {
  readonly #run: Run
  readonly #stack = new DisposableStack()

  constructor(run: Run) {
    this.#run = run
  }

  open(name: string): (line: string) => void {
    const log = this.#stack.use(new ChildLog(this.#run.folders.logs, name, this.#run.logLevel, line => this.#run.screen.say(line)))
    return line => log.take(line)
  }

  own(name: string): Logger {
    const write = this.open(name)
    return pino({ level: 'info', base: null }, { write: line => write(line.trimEnd()) })
  }

  [Symbol.dispose](): void {
    this.#stack.dispose()
  }
}

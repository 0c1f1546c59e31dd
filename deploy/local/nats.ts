// The nats-server of local mode: a child of ours, on loopback, on a port of its own choosing.
import { statfsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { encodeUser, fmtCreds } from '@nats-io/jwt'
import { createAccount, createUser } from '@nats-io/nkeys'
import { sleep } from '../../common/abort.ts'
import { parseBytes, SPEC_DEFAULTS } from '../../proto/camera.ts'
import type { Ending } from './child.ts'
import type { Guard } from './guard.ts'
import { answersNats } from './liveness.ts'
import { natsServerPath } from './locate-nats.ts'
import { keepRunning } from './supervisor.ts'

const MIB = 2 ** 20
/** Frames up to this size cross NATS whole; larger ones in parts. */
const PAYLOAD_BYTES_MAX = 8 * MIB
/** What the server holds for a reader that is slow, before it cuts it off. */
const PENDING_BYTES_MAX = 64 * MIB
const READY_TIMEOUT_MS = 30_000
const POLL_MS = 25
/** What the server could not write on a full disk it never writes again, however much there is later, until it restarts. */
const NO_ROOM = /Critical write error: .*no space left on device/
const ROOM_POLL_MS = 5_000
/** A camera's buffer, unless its spec says otherwise. */
const ROOM_BYTES = parseBytes(SPEC_DEFAULTS.buffer.maxBytes)

export type NatsServer = {
  /** The one user that the server lets in. */
  credsFile: string
  /** Resolves when the server first serves; rejects when it can't be started. */
  url: Promise<string>
  /** Resolves when the server has ended, after `ending.stop` aborted. */
  ended: Promise<void>
}

type Settings = {
  /** For configuration, port and credentials; goes away with us. */
  scratch: string
  /** Where streams are kept. */
  store: string
  guard: Guard
  onLine: (line: string) => void
  /** Why it is not running, when it should be. */
  onTrouble: (message: string | undefined) => void
}

/** Starts the server, and again when it ends, on the same port. */
export async function startNats({ scratch, store, guard, onLine, onTrouble }: Settings, ending: Ending): Promise<NatsServer> {
  const command = natsServerPath(process.env)
  const ports = join(scratch, 'ports')
  const config = join(scratch, 'nats.conf')
  await mkdir(store, { recursive: true, mode: 0o700 })
  await mkdir(ports)
  const settings = { ports, store, limits: limitsFor(store), user: await makeUser(join(scratch, 'nats.creds')) }
  await writeFile(config, configuration(-1, settings))

  let trouble: string | undefined
  let pid: number | undefined
  let port: number | undefined
  let lacksRoom = false
  const ended = keepRunning(
    { command, args: ['-c', config], env: process.env, graceMs: 5_000 },
    {
      onLine: line => {
        lacksRoom ||= NO_ROOM.test(line)
        onLine(line)
      },
      answers: answersNats(() => port),
      onStart: started => guard.watch((pid = started)),
      onPod: ({ running, message }) => {
        if (!running) {
          guard.watch((pid = undefined))
          lacksRoom = false
        }
        trouble = running ? undefined : message
        onTrouble(trouble)
      },
    },
    ending,
  )
  const timer = setInterval(() => {
    try {
      if (!lacksRoom || roomIn(store) < ROOM_BYTES || pid === undefined) return
      lacksRoom = false
      onLine('the disk was full and has room again: restarting the server so that it writes again')
      process.kill(pid, 'SIGTERM')
    } catch {
      // it has just ended, or the disk does not answer
    }
  }, ROOM_POLL_MS)
  void ended.then(() => clearInterval(timer))
  const url = chosenPort(ports, () => trouble, ending.stop).then(async chosen => {
    port = chosen
    // From now on it is this port: the others have been told.
    await writeFile(config, configuration(port, settings))
    return `nats://127.0.0.1:${port}`
  })
  return { credsFile: settings.user.credsFile, url, ended }
}

type Limits = { memory: number; file: number }

/** JetStream reserves what streams ask for within these, and refuses the rest. */
function limitsFor(store: string): Limits {
  return { memory: Math.floor(totalmem() / 2), file: Math.max(256 * MIB, Math.floor(roomIn(store) / 2)) }
}

function roomIn(folder: string): number {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}

type Fixed = { ports: string; store: string; limits: Limits; user: { nkey: string } }

function configuration(port: number, { ports, store, limits: { memory, file }, user }: Fixed): string {
  return `listen: "127.0.0.1:${port}"
authorization { users: [{ nkey: "${user.nkey}" }] }
ports_file_dir: ${JSON.stringify(ports)}
max_payload: ${PAYLOAD_BYTES_MAX}
max_pending: ${PENDING_BYTES_MAX}
jetstream {
  store_dir: ${JSON.stringify(store)}
  max_memory_store: ${memory}
  max_file_store: ${file}
}
`
}

/** A key of this run: no other user of the machine may read cameras' frames. In a token, as processes of ours know a user's file. */
async function makeUser(credsFile: string): Promise<{ nkey: string; credsFile: string }> {
  const key = createUser()
  await writeFile(credsFile, fmtCreds(await encodeUser('local mode', key, createAccount()), key), { mode: 0o600, flag: 'wx' })
  return { nkey: key.getPublicKey(), credsFile }
}

/** The server writes its ports file once it accepts connections, JetStream included. */
async function chosenPort(folder: string, trouble: () => string | undefined, signal: AbortSignal): Promise<number> {
  for (let waitedMs = 0; waitedMs < READY_TIMEOUT_MS && !signal.aborted; waitedMs += POLL_MS) {
    const message = trouble()
    if (message !== undefined) throw new Error(`nats-server ${message}`)
    const [name] = await readdir(folder)
    const port = name === undefined ? undefined : portOf(await readFile(join(folder, name), 'utf8'))
    if (port !== undefined) return port
    await sleep(POLL_MS, signal)
  }
  throw new Error(signal.aborted ? 'stopped before nats-server was up' : `nats-server was not up within ${READY_TIMEOUT_MS / 1000} s`)
}

function portOf(text: string): number | undefined {
  try {
    const { nats } = JSON.parse(text) as { nats: string[] }
    return Number(URL.parse(nats[0] ?? '')?.port) || undefined
  } catch {
    return undefined // half written
  }
}

// One run of ffmpeg: arguments in, pipes and stderr lines out, an end that always comes.
import { execFile, spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs'
import { Socket } from 'node:net'
import { getPriority, setPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { promisify } from 'node:util'
import { Failure, messageOf } from '../errors.ts'
import { readLines } from '../lines.ts'
import { confined, type Reach } from './confine.ts'
import { ffmpegPath } from './ffmpeg-path.ts'

/** Said by every run: levels in front of lines, no banner, no progress, no keyboard. */
const QUIET = ['-nostdin', '-nostats', '-hide_banner', '-loglevel', 'level+info']
/** The second signal interrupts a read or a write that blocks. */
const INTERRUPT_AFTER_MS = 1_000
const KILL_AFTER_MS = 5_000
/** Of decoders: there are many, and on a full machine what reads packets and sends frames must not wait behind all of them. */
const DECODER_NICENESS = 5
const NICENESS_MAX = 19

export type End = { code: number | null; signal: NodeJS.Signals | null }

export type Run = AsyncDisposable & {
  pid: number
  /** ffmpeg's pipe:0; present when `stdin: true`. */
  stdin: Writable | undefined
  /** ffmpeg's pipe:3, pipe:4 …, as many as `pipes`. */
  pipes: readonly Readable[]
  /** Settles when the process has gone and its pipes are closed. */
  ended: Promise<End>
  /** SIGTERM, again after 1 s (more than three signals make ffmpeg exit uncleanly), SIGKILL after 5 s; resolves with the end. */
  stop(): Promise<End>
}

export type RunOptions = {
  /** Bounded unless given. */
  reach?: Reach
  stdin?: boolean
  /** How many extra output pipes, from descriptor 3 on. */
  pipes?: number
  /** Descriptors of ours that become ffmpeg's pipe:3, pipe:4 … instead; closed here once ffmpeg has them. */
  outputFds?: readonly number[]
  onLine: (line: string) => void
}

/** Starts ffmpeg. Rejects with Failure SpawnFailed when it can't be started; nothing is left behind then. */
export async function runFfmpeg(
  args: readonly string[],
  { stdin = false, pipes = 0, outputFds, onLine, reach = 'bounded' }: RunOptions,
): Promise<Run> {
  const extra = outputFds ?? Array.from({ length: pipes }, () => 'pipe' as const)
  const child = start([...QUIET, ...args], [stdin ? 'pipe' : 'ignore', 'ignore', 'pipe', ...extra], reach, outputFds)
  if (reach === 'sealed') giveWay(child)
  // 'close' follows 'exit' and 'error' alike, when the pipes have closed too.
  const ended = new Promise<End>(resolve => child.once('close', (code, signal) => resolve({ code, signal })))
  try {
    await once(child, 'spawn')
  } catch (error) {
    throw spawnFailed(error)
  }
  readLines(child.stderr as Readable, onLine)
  // A write to an ffmpeg that has gone is no error of its own: `ended` tells.
  child.stdin?.on('error', () => {})
  const outputs = outputFds === undefined ? (child.stdio.slice(3) as Readable[]) : []
  for (const output of outputs) output.on('error', () => {})
  const stop = async () => {
    child.kill('SIGTERM')
    const interrupt = setTimeout(() => child.kill('SIGTERM'), INTERRUPT_AFTER_MS)
    const kill = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS)
    // The reader may have gone; ffmpeg must not wait for room in its pipes.
    for (const output of outputs) output.destroy()
    child.stdin?.destroy()
    const end = await ended
    clearTimeout(interrupt)
    clearTimeout(kill)
    return end
  }
  let stopping: Promise<End> | undefined
  return {
    pid: child.pid ?? 0,
    stdin: child.stdin ?? undefined,
    pipes: outputs,
    ended,
    stop: () => (stopping ??= stop()),
    async [Symbol.asyncDispose]() {
      await (stopping ??= stop())
    },
  }
}

function start(args: string[], stdio: StdioOptions, reach: Reach, outputFds: readonly number[] = []): ChildProcess {
  try {
    return spawn(...confined(ffmpegPath(process.env), args, reach), { stdio, env: {} })
  } catch (error) {
    throw spawnFailed(error) // no descriptors left, no ffmpeg
  } finally {
    for (const fd of outputFds) closeSync(fd)
  }
}

/** Before ffmpeg makes its threads, which are as it is. */
function giveWay({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) setPriority(pid, Math.min(NICENESS_MAX, getPriority() + DECODER_NICENESS))
  } catch {
    // It has ended already.
  }
}

const spawnFailed = (error: unknown) => new Failure('SpawnFailed', `ffmpeg could not be started: ${messageOf(error)}`)

/**
 * A pipe whose reading end fills buffers of ours: Node's own child pipes bring 64 KiB chunks in fresh memory, which costs
 * more than decoding. `next` gives the memory for the next read, `onBytes` tells how much arrived in it; false pauses.
 */
export async function openPipe(
  next: () => Uint8Array,
  onBytes: (count: number, into: Uint8Array) => boolean,
): Promise<{ reader: Socket; writeFd: number }> {
  const { readFd, writeFd } = await takePipe().catch((error: unknown) => {
    throw spawnFailed(error)
  })
  const reader = new Socket({
    fd: readFd,
    readable: true,
    writable: false,
    onread: { buffer: next, callback: onBytes },
  })
  return { reader, writeFd }
}

type Pipe = { readFd: number; writeFd: number }

/** Made ahead, as making it takes a process: ten milliseconds that a first picture need not wait for. */
let spare: Promise<Pipe> | undefined

function takePipe(): Promise<Pipe> {
  const made = spare?.catch(makePipe) ?? makePipe()
  spare = makePipe()
  spare.catch(() => {}) // tried again when it is needed
  return made
}

/** Node makes no pipes, but opens them. */
async function makePipe(): Promise<Pipe> {
  const folder = mkdtempSync(join(tmpdir(), 'chrysalis-'))
  try {
    const path = join(folder, 'pipe')
    await promisify(execFile)('mkfifo', ['-m', '600', path])
    const readFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK) // does not wait for a writer
    return { readFd, writeFd: openSync(path, constants.O_WRONLY) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

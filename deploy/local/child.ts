// One child process, from its start to its end. It leads a process group of its own: Ctrl-C at the terminal reaches us alone, so
// that we stop the children in order, and whatever the child leaves behind can be ended with it.
import { spawn, type ChildProcess } from 'node:child_process'
import { readLines } from '../../common/lines.ts'
import { whenAborted } from '../../common/abort.ts'

export type Program = {
  command: string
  args: readonly string[]
  env: NodeJS.ProcessEnv
  /** How long it may take to end after SIGTERM, before SIGKILL. */
  graceMs: number
}

export type Exit = {
  /** As a shell has it: 128 + the signal's number for one that was killed; 127 where the program could not be started. */
  code: number
  /** What happened, for a person: `exited with code 1`. */
  message: string
  ranMs: number
}

export type ChildEvents = {
  onStart?: (pid: number) => void
  onLine: (line: string) => void
}

/** Stop gently when `stop` aborts, at once when `kill` does. */
export type Ending = { stop: AbortSignal; kill: AbortSignal }

const SIGNAL_NUMBERS: Partial<Record<NodeJS.Signals, number>> = { SIGHUP: 1, SIGINT: 2, SIGABRT: 6, SIGKILL: 9, SIGSEGV: 11, SIGTERM: 15 }

/** Runs a program until it ends, by itself or as `ending` says. Resolves when it and its whole group are gone; never rejects. */
export async function runChild({ command, args, env, graceMs }: Program, events: ChildEvents, ending: Ending): Promise<Exit> {
  const startedMs = performance.now()
  // stdin is never written to: its end tells a child of ours that we are gone (CHRYS_EXIT_ON_STDIN_CLOSE).
  const child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  child.stdin.on('error', () => {})
  const ended = endOf(child)
  for (const output of [child.stdout, child.stderr]) readLines(output, line => line !== '' && events.onLine(line))
  if (child.pid !== undefined) events.onStart?.(child.pid)

  let timer: NodeJS.Timeout | undefined
  const kill = () => killGroup(child, 'SIGKILL')
  const stop = () => {
    child.kill('SIGTERM')
    timer = setTimeout(kill, graceMs)
  }
  using _stopped = whenAborted(ending.stop, stop)
  using _killed = whenAborted(ending.kill, kill)
  const exit = await ended
  clearTimeout(timer)
  return { ...exit, ranMs: performance.now() - startedMs }
}

function endOf(child: ChildProcess): Promise<Omit<Exit, 'ranMs'>> {
  return new Promise(resolve => {
    child.once('error', error => resolve({ code: 127, message: `could not be started: ${error.message}` }))
    // `close` waits for everyone who holds the output, and a grandchild may: the rest of the group ends with its leader.
    child.once('exit', () => killGroup(child, 'SIGKILL'))
    child.once('close', (code, signal) => {
      if (signal !== null) resolve({ code: 128 + (SIGNAL_NUMBERS[signal] ?? 0), message: `was ended by ${signal}` })
      else resolve({ code: code ?? 0, message: `exited with code ${code}` })
    })
  })
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // The group is empty.
  }
}

// Every ffmpeg is started by deploy/confine/confine.c, where that is installed: it takes from ffmpeg what it does not need.
import { execFile } from 'node:child_process'
import { basename } from 'node:path'
import { promisify } from 'node:util'
import { Gauge, type Registry } from 'prom-client'
import { confineProgram } from '../cache.mjs'
import { memoryLimit } from '../memory.ts'
import type { Logger } from '../log.ts'
import { isProgram, onPath } from '../which.mjs'

/**
 * What is left to an ffmpeg. `sealed`: no network, no files but its program and libraries, no other processes. `inbound`: as sealed, but with the
 * network. `bounded`: all, within a memory limit. None leaves its memory behind in a file when it crashes.
 */
export type Reach = 'sealed' | 'inbound' | 'bounded'

/** What may be taken from an ffmpeg. */
const TAKEN = ['files', 'network', 'processes', 'memory'] as const
type Taken = (typeof TAKEN)[number]

/** No decoder of frames of 40 megapixels takes more. */
const MEMORY_MAX = 3 * 2 ** 30
const CHECK_TIMEOUT_MS = 5_000

let found: { path: string | undefined } | undefined

/** The image has it on PATH, the set-up compiles it. */
function confinePath(): string | undefined {
  found ??= {
    path: [onPath(basename(confineProgram(process.env)), process.env), confineProgram(process.env)].find(path => path && isProgram(path)),
  }
  return found.path
}

/** The command that starts `program`, confined where that can be had. */
export function confined(program: string, args: readonly string[], reach: Reach): [command: string, args: string[]] {
  const confine = confinePath()
  if (confine === undefined) return [program, [...args]]
  return [confine, [String(Math.min(MEMORY_MAX, memoryLimit())), reach, program, ...args]]
}

export const createConfinementMetric = (registry: Registry) =>
  new Gauge({
    name: 'chrysalis_ffmpeg_confined',
    help: '1 for what is taken from decoders (files, network, processes) and bounded (memory); 0 for what this machine cannot take',
    labelNames: ['what'],
    registers: [registry],
  })

/** Asks the machine once what can be taken from an ffmpeg; a warning and a metric say what can't. */
export async function reportConfinement(registry: Registry, log: Logger): Promise<void> {
  const gauge = createConfinementMetric(registry)
  const taken = await takenHere()
  for (const what of TAKEN) gauge.set({ what }, taken.has(what) ? 1 : 0)
  const lacking = TAKEN.filter(what => !taken.has(what))
  if (lacking.length > 0) log.warn({ lacking }, 'ffmpeg is not fully confined on this machine: see docs/security.md')
}

async function takenHere(): Promise<ReadonlySet<Taken>> {
  const confine = confinePath()
  if (confine === undefined) return new Set()
  try {
    const { stdout } = await promisify(execFile)(confine, ['--version'], { env: {}, timeout: CHECK_TIMEOUT_MS })
    const words = stdout.trim().split(' ')
    return new Set(TAKEN.filter(what => words.includes(what)))
  } catch {
    return new Set() // of another machine's kind
  }
}

import pino, { type Logger } from 'pino'
import type { LogConfig } from './env.ts'

export type { Logger } from 'pino'

/** JSON lines on stdout; `pretty` for a terminal. Written synchronously: a process that dies has said why. */
export async function createLog(name: string, { level, format }: LogConfig): Promise<Logger> {
  const options = { name, level, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime }
  if (format === 'json') return pino(options, pino.destination({ dest: 1, sync: true }))
  const { default: pretty } = await import('pino-pretty') // for people at a terminal; not in the image
  return pino(options, pretty({ destination: 1, sync: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss' }))
}

/** Says a thing at most once a minute, with how often it happened since: a storm becomes a line. */
export function everyMinute(
  say: (count: number, message: string) => void,
  now: () => number = performance.now.bind(performance),
): (message: string) => void {
  let lastMs = -Infinity
  let count = 0
  return message => {
    count++
    if (now() - lastMs < 60_000) return
    lastMs = now()
    say(count, message)
    count = 0
  }
}

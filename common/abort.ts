import { ConfigError, EXIT_CONFIG, messageOf } from './errors.ts'
import type { Env } from './env.ts'

/** The end of a wait of `ms`, or of `signal`, whichever comes first. Leaves no listener and no timer behind. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) return resolve()
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end, { once: true })
  })
}

/** Acts every `ms`, until `signal` aborts; never twice at once. Rejects where `act` does. */
export async function every(ms: number, act: () => void | Promise<void>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(ms, signal)
    if (!signal.aborted) await act()
  }
}

/** Resolves when `signal` aborts. */
export const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise(resolve => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), { once: true })))

/** The promise's value; undefined where it was rejected because `signal` aborted. */
export async function unlessStopped<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  try {
    return await promise
  } catch (error) {
    if (signal.aborted) return undefined
    throw error
  }
}

/** Acts when `signal` aborts, at once where it has; until it is disposed of. */
export function whenAborted(signal: AbortSignal, act: () => void): Disposable {
  signal.addEventListener('abort', act)
  if (signal.aborted) act()
  return { [Symbol.dispose]: () => signal.removeEventListener('abort', act) }
}

/** The promise's value; a rejection as soon as `signal` aborts. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: abort, reject } = Promise.withResolvers<never>()
  using _ = whenAborted(signal, () => reject(signal.reason as Error))
  return await Promise.race([promise, abort])
}

/** `promise`, or a rejection with `what` after `ms`. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`${what}: no answer within ${ms} ms`)), ms)
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Thrown by what a stop interrupted: no failure of the process. */
export class Stopped extends Error {}

/**
 * Runs a process of ours: `main` gets a signal that SIGTERM or SIGINT aborts and ends when it has cleaned up.
 * Exit codes: 0 stopped as asked, 78 bad configuration (a line for each problem), 1 anything else.
 * With CHRYS_EXIT_ON_STDIN_CLOSE the end of stdin stops it too: a child never outlives the parent that holds the pipe.
 */
export async function runProcess(env: Env, main: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const stop = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort(name))
  if (env['CHRYS_EXIT_ON_STDIN_CLOSE'] === '1') {
    process.stdin.on('end', () => stop.abort('stdin closed')).on('error', () => stop.abort('stdin closed'))
    process.stdin.resume()
  }
  try {
    await main(stop.signal)
    process.exitCode = 0
  } catch (error) {
    if (error instanceof ConfigError) {
      for (const problem of error.problems) process.stderr.write(`config: ${problem}\n`)
      process.exitCode = EXIT_CONFIG
    } else if (error instanceof Stopped) {
      process.exitCode = 0
    } else {
      process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : messageOf(error)}\n`)
      process.exitCode = 1
    }
  }
  process.stdin.destroy()
  // Whatever still holds the event loop (a socket in a library's hands) must not keep a stopped process alive.
  setTimeout(() => process.exit(), 2_000).unref()
}

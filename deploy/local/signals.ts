import type { Ending } from './child.ts'

/** npm passes Ctrl-C on to us though the terminal has sent it already: what comes so soon is the same keystroke. */
const SAME_KEYSTROKE_MS = 1_000
const PARENT_POLL_MS = 500

export type Signals = Disposable & {
  ending: Ending
  /** Stops everything, as the first Ctrl-C does. */
  stop(): void
  /** A signal or a stop() has come a second time. */
  isHard(): boolean
}

/** SIGINT, SIGTERM and SIGHUP: the first stops gently, a later one at once. `isChild`: that the parent has gone is a signal, too. */
export function catchSignals(onFirst: () => void, isChild: boolean): Signals {
  const stop = new AbortController()
  const kill = new AbortController()
  let firstMs: number | undefined
  const onSignal = () => {
    if (firstMs === undefined) {
      firstMs = performance.now()
      onFirst()
      stop.abort()
    } else if (performance.now() - firstMs > SAME_KEYSTROKE_MS) {
      kill.abort()
    }
  }
  const parent = process.ppid
  const orphaned = setInterval(() => {
    if (!isChild || process.ppid === parent) return
    clearInterval(orphaned)
    onSignal()
  }, PARENT_POLL_MS)
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const name of names) process.on(name, onSignal)
  return {
    ending: { stop: stop.signal, kill: kill.signal },
    stop: () => stop.abort(),
    isHard: () => kill.signal.aborted,
    [Symbol.dispose]() {
      clearInterval(orphaned)
      for (const name of names) process.off(name, onSignal)
    },
  }
}

// Files that may come, go and change while we run, such as those of a mounted Secret.
import { readFile } from 'node:fs/promises'
import { sleep } from './abort.ts'

const INTERVAL_MS = 2_000
/** Characters. What is mounted here is a password, a URL. */
const LENGTH_MAX = 4_096

/**
 * What `read` gives, now and then every 2 s, until `signal` aborts. Kubernetes swaps a whole folder by a link, which watchers of files miss in
 * more than one way. Small reads do not.
 */
export async function* readRepeatedly<T>(read: () => Promise<T>, signal: AbortSignal, intervalMs = INTERVAL_MS): AsyncGenerator<T, void> {
  for (; !signal.aborted; await sleep(intervalMs, signal)) {
    const content = await read()
    if (!signal.aborted) yield content
  }
}

/** The file's text without the line break at its end, which `echo` leaves in a Secret. Undefined where it cannot be read. */
export async function readMounted(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).slice(0, LENGTH_MAX).replace(/\r?\n$/, '')
  } catch {
    return undefined
  }
}

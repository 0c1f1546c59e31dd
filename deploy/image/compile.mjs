// `node compile.mjs APP`: lets each program load everything and end for want of a configuration, so that Node keeps what V8 made of the
// sources. To be run as the user of the image: the cache belongs to a version of Node, a model of processor, flags and a user.
import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { join } from 'node:path'

const BAD_CONFIGURATION = 78

const app = process.argv[2]
if (app === undefined) throw new Error('usage: node compile.mjs APP')
/** @type {typeof import('../../common/node-options.ts')} */
const { compiledIn, FRUGAL_FLAGS } = await import(join(app, 'common', 'node-options.ts'))

for (const program of globSync('*/main.ts', { cwd: app })) {
  const flags = program.startsWith('sidecar') ? FRUGAL_FLAGS : []
  const env = { ...process.env, ...compiledIn(app) }
  const { status, stderr } = spawnSync(process.execPath, [...flags, program], { cwd: app, env, encoding: 'utf8' })
  if (status !== BAD_CONFIGURATION) throw new Error(`${program} ended with ${status}: ${stderr}`)
}

import { execFile } from 'node:child_process'
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { cacheFolder, fetchedFfmpeg } from '../common/cache.mjs'
import { NATS_SERVER_OLDEST } from '../common/nats/server-version.mjs'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { natsServerPath } from '../deploy/local/locate-nats.ts'
import { temporaryFolder } from './fixtures/tmp.ts'

const SETUP = fileURLToPath(new URL('../deploy/setup/setup.mjs', import.meta.url))
const run = promisify(execFile)

async function program(path: string): Promise<string> {
  await mkdir(join(path, '..'), { recursive: true })
  await writeFile(path, '#!/bin/sh\nexit 1\n')
  await chmod(path, 0o755)
  return path
}

test('the cache follows the usual variables', t => {
  t.is(cacheFolder({ XDG_CACHE_HOME: '/x', HOME: '/h' }), '/x/chrysalis-edge')
  t.is(cacheFolder({ XDG_CACHE_HOME: '', HOME: '/h' }), '/h/.cache/chrysalis-edge')
})

test('ffmpeg is the chosen one, else the one that the set-up fetched, else that on PATH', async t => {
  await using folder = await temporaryFolder()
  const env = { XDG_CACHE_HOME: folder.file('cache'), PATH: folder.file('bin') }
  const installed = await program(folder.file('bin/ffmpeg'))
  t.is(ffmpegPath(env), installed)
  const fetched = await program(fetchedFfmpeg(env))
  t.is(ffmpegPath({ ...env, FFMPEG_PATH: '' }), fetched)
  const chosen = await program(folder.file('mine'))
  t.is(ffmpegPath({ ...env, FFMPEG_PATH: chosen }), chosen)
})

test('a chosen ffmpeg that is no program is an error, whatever else there is', async t => {
  await using folder = await temporaryFolder()
  await program(folder.file('bin/ffmpeg'))
  for (const wrong of [folder.file('missing'), folder.path]) {
    t.throws(() => ffmpegPath({ PATH: folder.file('bin'), FFMPEG_PATH: wrong }), { message: /FFMPEG_PATH is .* not a program/ })
  }
})

test('nats-server is the chosen one, else that in the cache, else that on PATH; without any, it is said what to do', async t => {
  await using folder = await temporaryFolder()
  const env = { XDG_CACHE_HOME: folder.file('cache'), PATH: folder.file('bin') }
  t.throws(() => natsServerPath(env), { message: /nats-server was not found: run `node deploy\/setup\/setup\.mjs`/ })
  const installed = await program(folder.file('bin/nats-server'))
  t.is(natsServerPath(env), installed)
  const cached = await program(folder.file('cache/chrysalis-edge/bin/nats-server'))
  t.is(natsServerPath(env), cached)
  const chosen = await program(folder.file('mine'))
  t.is(natsServerPath({ ...env, NATS_SERVER: chosen }), chosen)
  t.throws(() => natsServerPath({ ...env, NATS_SERVER: folder.file('missing') }), { message: /NATS_SERVER is .* not a program/ })
})

test('a set-up with nothing to do says nothing', async t => {
  const { stdout, stderr } = await run(process.execPath, [SETUP])
  t.is(stdout + stderr, '')
})

test('a set-up says everything that is wrong at once, and fails', async t => {
  await using folder = await temporaryFolder()
  const env = { ...process.env, FFMPEG_PATH: folder.file('no-ffmpeg'), NATS_SERVER: folder.file('no-nats') }
  const error = await t.throwsAsync<Error & { code: number; stderr: string }>(run(process.execPath, [SETUP], { env }))
  t.is(error?.code, 1)
  t.regex(error?.stderr ?? '', /^setup: FFMPEG_PATH is .*\nsetup: NATS_SERVER is .*\n$/)
})

test('a cache that cannot be written to is told, with what to do', async t => {
  await using folder = await temporaryFolder()
  await writeFile(folder.file('cache'), 'a file')
  const env = { ...process.env, XDG_CACHE_HOME: folder.file('cache'), FFMPEG_PATH: process.execPath, NATS_SERVER: '', PATH: folder.path }
  await symlink('/bin/false', folder.file('go')) // a way to fetch, without which nothing is tried
  const error = await t.throwsAsync<Error & { code: number; stderr: string }>(run(process.execPath, [SETUP], { env }))
  t.is(error?.code, 1)
  const said =
    /\nsetup: nothing can be fetched to .*cache\/chrysalis-edge \(ENOTDIR: .*\): set XDG_CACHE_HOME to a folder that can be written to\n$/
  t.regex(error?.stderr ?? '', said)
})

test('an npm that fails is quoted, without the places in its own code', async t => {
  await using folder = await temporaryFolder()
  const npm = ['npm error code ECONNREFUSED', 'npm error     at connect (net.js:1)', 'npm error Is there a proxy?'].map(
    line => `echo '${line}'`,
  )
  await writeFile(folder.file('npm'), ['#!/bin/sh', ...npm, 'exit 1'].join('\n'), { mode: 0o755 })
  const module = JSON.stringify(new URL('../deploy/setup/packages.mjs', import.meta.url).href)
  const code = `import(${module}).then(({ preparePackages }) => preparePackages('${folder.path}')).catch(error => console.log(error.message))`
  const { stdout } = await run(process.execPath, ['-e', code], { env: { PATH: folder.path } })
  t.is(stdout, 'npm ci failed:\n  npm error code ECONNREFUSED\n  npm error Is there a proxy?\n')
})

test('an old nats-server on PATH is used only where no other can be had, and never in silence', async t => {
  await using folder = await temporaryFolder()
  await mkdir(folder.file('bin'))
  await writeFile(folder.file('bin/nats-server'), '#!/bin/sh\necho "nats-server: v2.9.10"\n', { mode: 0o755 })
  await writeFile(folder.file('bin/python3'), '#!/bin/sh\nexit 1\n', { mode: 0o755 })
  await symlink(process.execPath, folder.file('bin/node'))
  // No registry answers on this port, whichever pip asks.
  const nowhere = { PIP_INDEX_URL: 'http://127.0.0.1:1/', PIP_FIND_LINKS: '', PIP_RETRIES: '0', PIP_CONFIG_FILE: '/dev/null' }
  const env = { ...nowhere, HOME: folder.path, XDG_CACHE_HOME: folder.file('cache'), PATH: folder.file('bin') }
  const module = JSON.stringify(new URL('../deploy/setup/nats-server.mjs', import.meta.url).href)
  const { stderr } = await run(process.execPath, ['-e', `import(${module}).then(({ prepareNatsServer }) => prepareNatsServer())`], { env })
  t.regex(stderr, new RegExp(`using .*bin/nats-server, which is older than ${NATS_SERVER_OLDEST.replace('.', '[.]')}`))
})

test('continuous integration fails when tests were skipped for want of a control plane, and says which part', async t => {
  const tally = fileURLToPath(new URL('../.ci/tally.mjs', import.meta.url))
  await using folder = await temporaryFolder()
  const root = fileURLToPath(new URL('../', import.meta.url))
  const env = { ...process.env, XDG_CACHE_HOME: folder.path, KUBEBUILDER_ASSETS: '' }
  const command = [tally, process.execPath, 'node_modules/ava/entrypoints/cli.js', 'test/kube/crd.test.ts']
  const error = await t.throwsAsync<Error & { code: number; stdout: string }>(run(process.execPath, command, { env, cwd: root }))
  t.is(error?.code, 1)
  t.regex(error?.stdout ?? '', /^tests were skipped that continuous integration has to run: etcd, kube-apiserver missing: see deploy/m)
  t.regex(error?.stdout ?? '', /, 1 failed, \d+ skipped\n$/)
})

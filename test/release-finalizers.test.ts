// What runs before an uninstall, where it can't do its work; test/kube/chart.test.ts sees it do it.
import ava from 'ava'
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePort } from './fixtures/ports.ts'
import { temporaryFolder } from './fixtures/tmp.ts'

const PROGRAM = fileURLToPath(new URL('../operator/release-finalizers.ts', import.meta.url))

async function fails(env: Record<string, string>): Promise<{ code: number; stderr: string }> {
  try {
    await promisify(execFile)(process.execPath, [PROGRAM], { env: { PATH: process.env['PATH'], ...env } })
  } catch (error) {
    return error as { code: number; stderr: string }
  }
  throw new Error('it did not fail')
}

ava('an API server that is away is waited for so long, and no longer', async t => {
  await using folder = await temporaryFolder()
  const config = folder.file('kubeconfig')
  const cluster = { server: `http://127.0.0.1:${await freePort()}` }
  await writeFile(
    config,
    JSON.stringify({ clusters: [{ name: 'c', cluster }], contexts: [{ name: 'c', context: { cluster: 'c' } }], 'current-context': 'c' }),
  )
  const begun = performance.now()
  const env = { CHRYS_KUBECONFIG: config, CHRYS_NAMESPACE: 'cams', CHRYS_OPERATOR: 'operator', CHRYS_TIMEOUT_SECONDS: '2' }
  const { code, stderr } = await fails(env)
  t.is(code, 1)
  t.regex(stderr, /not done within 2 s; go on without it: helm uninstall --no-hooks/)
  t.true(performance.now() - begun < 20_000)
})

ava('a wrong configuration is refused with a line for each problem', async t => {
  const { code, stderr } = await fails({ CHRYS_NAMESPACE: 'No', CHRYS_REMOVE_SECRETS: 'a b', CHRYS_SECRETS: 'x' })
  t.is(code, 78)
  t.deepEqual(stderr.trim().split('\n').toSorted(), [
    'config: CHRYS_NAMESPACE: must be a DNS label',
    'config: CHRYS_OPERATOR: is required',
    'config: CHRYS_REMOVE_SECRETS: must be the name of a Secret',
    'config: CHRYS_SECRETS: unknown variable',
  ])
})

// helm, with which tests render and install the chart: the pinned one in the cache, else the one on PATH; else built with Go.
import { readFileSync } from 'node:fs'
import { mkdir, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cacheFolder } from '../../common/cache.mjs'
import { isProgram, onPath } from '../../common/which.mjs'
import { inScratch, run, say, tail } from './system.mjs'

const tools = fileURLToPath(new URL('tools/helm', import.meta.url))
const VERSION = / v(\d+\.\d+\.\d+)/.exec(readFileSync(join(tools, 'go.mod'), 'utf8').match(/helm\.sh\/helm\/v3 v\S+/)?.[0] ?? '')?.[1]

/** @param {NodeJS.ProcessEnv} env */
const cached = env => join(cacheFolder(env), `helm-${VERSION}`, 'helm')

/**
 * Where helm is; undefined where it is not.
 * @param {NodeJS.ProcessEnv} env
 * @returns {string | undefined}
 */
export const helmProgram = env => (isProgram(cached(env)) ? cached(env) : onPath('helm', env))

export async function prepareHelm() {
  if (helmProgram(process.env) !== undefined) return
  const go = onPath('go', process.env)
  if (go === undefined) return say('tests of the chart will be skipped: install helm (helm.sh), or Go 1.26')
  say('building helm with Go, for tests (this takes minutes, once)')
  await inScratch(async folder => {
    const file = join(folder, 'helm')
    const args = ['build', '-trimpath', '-mod=readonly', '-ldflags', linkerFlags, '-o', file, 'helm.sh/helm/v3/cmd/helm']
    const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off' }
    const { ok, output } = await run('nice', ['-n', '19', go, ...args], { cwd: tools, env })
    if (!ok) return say(`tests of the chart will be skipped: helm could not be built:\n  ${tail(output)}`)
    await mkdir(dirname(cached(process.env)), { recursive: true })
    await rename(file, cached(process.env))
  })
}

/** helm asks charts' kubeVersion of the Kubernetes libraries that it is built with, unless it talks to a cluster. */
const linkerFlags = `-s -w -X helm.sh/helm/v3/internal/version.version=v${VERSION} -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=34 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=34`

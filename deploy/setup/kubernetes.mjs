// The control plane that tests of the operator run against: kube-apiserver, etcd, kube-controller-manager. Looked for in
// KUBEBUILDER_ASSETS (envtest's binaries), then in the cache; else built into it with Go, from what tools/*/go.mod and go.sum pin.
import { readFileSync } from 'node:fs'
import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cacheFolder } from '../../common/cache.mjs'
import { isProgram, onPath } from '../../common/which.mjs'
import { inScratch, run, say, tail } from './system.mjs'

/** @typedef {'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kube-scheduler' | 'kubelet' | 'kube-proxy' | 'kubectl'} Program */

const tools = (/** @type {string} */ name) => fileURLToPath(new URL(`tools/${name}`, import.meta.url))
const ETCD = 'go.etcd.io/etcd/server/v3'
const VERSIONS = { kubernetes: pinned('kubernetes', 'k8s.io/kubernetes'), etcd: pinned('etcd', ETCD) }

/** @type {readonly Program[]} */
export const CONTROL_PLANE = ['etcd', 'kube-apiserver', 'kube-controller-manager']

/**
 * The version that a module file requires, e.g. `1.34.4`.
 * @param {string} folder
 * @param {string} module
 */
function pinned(folder, module) {
  const lines = readFileSync(join(tools(folder), 'go.mod'), 'utf8').split('\n')
  const version = lines.find(line => line.includes(`${module} v`) && !line.includes('=>'))?.match(/ v(\d+\.\d+\.\d+)/)?.[1]
  if (version === undefined) throw new Error(`${folder}/go.mod requires no ${module}`)
  return version
}

/** @param {NodeJS.ProcessEnv} env */
const folderOf = env => join(cacheFolder(env), `kubernetes-${VERSIONS.kubernetes}-etcd-${VERSIONS.etcd}`)

/**
 * Where the program is; undefined where it is not.
 * @param {Program} program
 * @param {NodeJS.ProcessEnv} env
 * @returns {string | undefined}
 */
export function kubernetesProgram(program, env) {
  const folders = [env['KUBEBUILDER_ASSETS'] ?? '', folderOf(env)].filter(folder => folder !== '')
  return folders.map(folder => join(folder, program)).find(isProgram)
}

/** @param {readonly Program[]} programs what to build where it is missing */
export async function prepareKubernetes(programs = CONTROL_PLANE) {
  const missing = programs.filter(program => kubernetesProgram(program, process.env) === undefined)
  if (missing.length === 0) return
  const go = onPath('go', process.env)
  if (go === undefined) {
    say(`tests on a Kubernetes API will be skipped: ${missing.join(', ')} missing; set KUBEBUILDER_ASSETS to envtest's, or install Go 1.24`)
    return
  }
  say(`building ${missing.join(', ')} with Go, for tests (this takes up to ten minutes, once)`)
  await mkdir(folderOf(process.env), { recursive: true })
  for (const program of missing) if (!(await build(go, program))) return
}

/**
 * @param {string} go
 * @param {Program} program
 */
function build(go, program) {
  const source = program === 'etcd' ? ETCD : `k8s.io/kubernetes/cmd/${program}`
  const cwd = tools(program === 'etcd' ? 'etcd' : 'kubernetes')
  return inScratch(async folder => {
    const file = join(folder, program)
    const args = ['build', '-trimpath', '-mod=readonly', '-ldflags', linkerFlags(), '-o', file, source]
    const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off' }
    const { ok, output } = await run('nice', ['-n', '19', go, ...args], { cwd, env })
    if (ok) await rename(file, join(folderOf(process.env), program))
    else say(`tests on a Kubernetes API will be skipped: ${program} could not be built:\n  ${tail(output)}`)
    return ok
  })
}

/** Kubernetes' programs are told their version by the linker. */
function linkerFlags() {
  const [major, minor] = VERSIONS.kubernetes.split('.')
  const set = (/** @type {string} */ name, /** @type {string | undefined} */ value) => `-X k8s.io/component-base/version.${name}=${value}`
  return ['-s', '-w', set('gitVersion', `v${VERSIONS.kubernetes}`), set('gitMajor', major), set('gitMinor', minor)].join(' ')
}

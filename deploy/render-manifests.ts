// Renders deploy/manifests/chrysalis-edge.yaml, for `kubectl apply`, from the chart: `node deploy/render-manifests.ts`; `--check` only says
// whether it is up to date. Both need helm.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { helmProgram } from './setup/helm.mjs'

const FILE = fileURLToPath(new URL('manifests/chrysalis-edge.yaml', import.meta.url))
const CHART = fileURLToPath(new URL('../charts/chrysalis-edge', import.meta.url))
const NAME = 'chrysalis-edge'

const HEAD = `# Chrysalis Edge with its defaults, in namespace ${NAME}: kubectl apply --server-side -f chrysalis-edge.yaml
# Rendered from the chart (node deploy/render-manifests.ts); for other values render it yourself, see docs/install.md.
apiVersion: v1
kind: Namespace
metadata:
  name: ${NAME}
  labels:
    pod-security.kubernetes.io/enforce: restricted
`

/** What is applied by kubectl is not helm's, and does not say so. */
const HELMS_OWN = /^ +(app\.kubernetes\.io\/managed-by: Helm|helm\.sh\/chart: .*)\n/gm

function render(helm: string): string {
  const args = ['template', NAME, CHART, '--namespace', NAME, '--set', 'hooks.enabled=false,crds.keep=false']
  return HEAD + execFileSync(helm, args, { encoding: 'utf8', maxBuffer: 16 << 20 }).replaceAll(HELMS_OWN, '')
}

const helm = helmProgram(process.env)
const isCheck = process.argv.includes('--check')
if (helm === undefined) {
  process.stderr.write(
    `deploy/manifests was not ${isCheck ? 'checked' : 'rendered'}: helm is missing (node deploy/setup/setup.mjs --test)\n`,
  )
} else if (!isCheck) {
  writeFileSync(FILE, render(helm))
} else if (readFileSync(FILE, 'utf8') !== render(helm)) {
  process.stderr.write('deploy/manifests is not up to date: run node deploy/render-manifests.ts\n')
  process.exitCode = 1
}

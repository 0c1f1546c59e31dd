// `npm run e2e`: the product on a cluster, from the installation of the chart to its removal. With KUBECONFIG on that cluster, else on one of a
// single node, made for the run and gone with it. See docs/e2e.md.
import { rm } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { fileURLToPath } from 'node:url'
import { KubeApi } from '../../common/kube/client.ts'
import { missingPodman } from '../../deploy/image/podman.ts'
import type { Cluster } from './cluster.ts'
import { ownedFolder, runEnclosed } from './enclosure.ts'
import { archiveImages } from './images.ts'
import { step } from './journal.ts'
import { report } from './logs.ts'
import { missingNode } from './node.ts'
import { runScenario } from './scenario.ts'

const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => stop.abort())
const kubeconfig = process.env['KUBECONFIG']
process.exitCode = kubeconfig === undefined || kubeconfig === '' ? await onOwnNode() : await onCluster(kubeconfig)

async function onOwnNode(): Promise<number> {
  const missing = missingNode() ?? missingPodman()
  if (missing !== undefined) {
    console.error(`no cluster can be made here: ${missing}. Set KUBECONFIG to use one that is there.`)
    return 1
  }
  const folder = await ownedFolder()
  try {
    const archive = await step('the images are built', () => archiveImages(folder).then(path => ({ path })))
    if (stop.signal.aborted) return 130
    const inside = fileURLToPath(new URL('inside.ts', import.meta.url))
    return await runEnclosed([process.execPath, ...process.execArgv, inside], { ...process.env, E2E_IMAGES: archive.path }, stop.signal)
  } catch (error) {
    await report(error, undefined)
    return 1
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The cluster has the images, or reaches the registry that E2E_REGISTRY names; its pods reach this machine at E2E_CAMERA_HOST. */
async function onCluster(file: string): Promise<number> {
  const api = new KubeApi(file)
  const cluster: Cluster = {
    kubeconfig: file,
    api,
    cameraHost: process.env['E2E_CAMERA_HOST'] ?? ownAddress(),
    registry: process.env['E2E_REGISTRY'] ?? '',
    killing: 'deletion of the pod',
    kill: async ({ metadata }) => {
      await api.request('DELETE', `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}`, { body: { gracePeriodSeconds: 0 } })
    },
  }
  try {
    await runScenario(cluster)
    return 0
  } catch (error) {
    await report(error, file)
    return 1
  }
}

function ownAddress(): string {
  const own = Object.values(networkInterfaces())
    .flatMap(each => each ?? [])
    .find(({ internal, family }) => !internal && family === 'IPv4')
  if (own === undefined) throw new Error('this machine has no address that pods could reach: set E2E_CAMERA_HOST')
  return own.address
}

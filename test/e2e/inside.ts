// Runs in the enclosure: the node, then the scenario on it.
import { chmodSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { resigned } from '../fixtures/kube.ts'
import { apply, type Cluster } from './cluster.ts'
import { REGISTRY } from './images.ts'
import { step } from './journal.ts'
import { report } from './logs.ts'
import { NODE_IP } from './node-config.ts'
import { startNode } from './node.ts'
import { storage } from './objects.ts'
import { runScenario } from './scenario.ts'

const folder = process.env['E2E_FOLDER'] ?? ''
const archive = process.env['E2E_IMAGES'] ?? ''
// Its end tells that the run is to stop: what the enclosure holds goes with it.
process.stdin.on('end', () => process.exit(130)).resume()

let kubeconfig: string | undefined
try {
  const node = await step('a cluster of one node', () => startNode(folder, process.env['E2E_CGROUP'] ?? ''))
  kubeconfig = node.kubeconfig
  await step('the images reach the node as an archive', () => node.importImage(archive))
  const data = join(folder, 'volume')
  mkdirSync(data)
  chmodSync(data, 0o777)
  const { class: storageClass, volume } = storage(data)
  await apply(node.api, '/apis/storage.k8s.io/v1/storageclasses/local', storageClass)
  await apply(node.api, '/api/v1/persistentvolumes/local', volume)
  const cluster: Cluster = {
    ...node,
    cameraHost: NODE_IP,
    registry: REGISTRY,
    expired: token => resigned(token, { exp: Math.floor(Date.now() / 1_000) - 3_600 }, readFileSync(join(folder, 'sa.key'), 'utf8')),
    killing: 'SIGKILL',
    kill: async (pod, container) => {
      const id = pod.status.containerStatuses?.find(({ name }) => name === container)?.containerID
      await node.killContainer(id?.replace('containerd://', '') ?? '')
    },
  }
  await runScenario(cluster)
  process.exit(0)
} catch (error) {
  await report(error, kubeconfig, join(folder, 'logs'))
  process.exit(1)
}

// From nothing to frames and back to nothing: what a site does with the chart, and what happens to it meanwhile.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { helmProgram } from '../../deploy/setup/helm.mjs'
import { CHART } from '../fixtures/helm.ts'
import { startCamera } from '../fixtures/rtsp-camera.ts'
import { until } from '../fixtures/wait.ts'
import { checkAccess, SECURE } from './access.ts'
import { apply, get, getText, list, type Cluster, type Pod } from './cluster.ts'
import { imageNames } from './images.ts'
import { StepFailed, step } from './journal.ts'
import { keepLogs } from './logs.ts'
import * as objects from './objects.ts'
import { clientReport, interruption, recoveryOf, steadyFrames, table, type Recovery } from './recovery.ts'

const { RELEASE, NAMESPACE, CLIENTS, CAMERA, CAMERAS } = objects
const BACK_WITHIN_MS = 10_000
/** A new gateway and a new camera pod are ready before the old ones end. */
const UPGRADE_GAP_MS = 5_000

type Camera = {
  metadata: { uid: string; name: string }
  status?: { conditions?: { type: string; status: string; reason: string; message?: string }[] }
}

export async function runScenario(cluster: Cluster): Promise<void> {
  const { api } = cluster
  const helm = (...args: string[]) => runHelm(cluster, args)
  const release = [RELEASE, CHART, '--namespace', NAMESPACE, ...values(cluster), '--wait', '--timeout', '3m']

  await step('namespaces under the restricted Pod Security profile', async () => {
    for (const namespace of objects.namespaces) await apply(api, `/api/v1/namespaces/${namespace.metadata.name}`, namespace)
  })
  await step('helm install', () => helm('install', ...release))
  await using source = await startCamera({ host: cluster.cameraHost, auth: objects.LOGIN, fps: 15 })
  const uid = await step(`Camera ${CAMERA} on an RTSP camera outside of the cluster is Ready`, () => addCamera(cluster, source.url))
  await step('a gRPC client in a pod gets its frames', () => addClient(cluster))
  await step('every pod tells its metrics as Prometheus’ text', () => scrape(cluster))
  const recoveries = await killEach(cluster)
  await step('helm upgrade, with the Camera alive', () => upgrade(cluster, helm, [...release, '--set', 'log.level=debug'], uid))
  await checkAccess(cluster, () => helm('upgrade', ...release, ...SECURE))
  await step('the Camera is deleted', () => deleteCamera(cluster))
  await step('helm uninstall, with another Camera alive', () => uninstall(cluster, helm))
  await step('nothing is left', () => nothingLeft(cluster))
  console.log(`\n${table(recoveries).join('\n')}\n`)
  const late = recoveries.filter(({ backMs }) => backMs > BACK_WITHIN_MS).map(({ what }) => what)
  if (late.length > 0) throw new StepFailed(`frames were away for more than ${BACK_WITHIN_MS / 1000} s after a kill of: ${late.join(', ')}`)
}

const values = ({ registry }: Cluster): string[] => [
  ...['--set', `global.imageRegistry=${registry}`],
  // The camera is on the network of the pods.
  ...['--set', 'cameras.clusterCidrs={10.96.0.0/16}'],
  // Everything goes with the release.
  ...['--set', 'crds.keep=false', '--set', 'nats.persistence.keep=false'],
]

async function runHelm({ kubeconfig }: Cluster, args: readonly string[]): Promise<void> {
  const helm = helmProgram(process.env)
  if (helm === undefined) throw new Error('helm is missing: see what `node deploy/setup/setup.mjs --e2e` says')
  // helm's own files: nothing of this machine's, and nothing left on it.
  const home = { HELM_CACHE_HOME: '/nonexistent', HELM_CONFIG_HOME: '/nonexistent', HELM_DATA_HOME: '/nonexistent' }
  const env = { ...process.env, ...home, KUBECONFIG: kubeconfig }
  await promisify(execFile)(helm, args, { env, timeout: 300_000, maxBuffer: 16 << 20 })
}

async function addCamera(cluster: Cluster, url: string): Promise<string> {
  await apply(cluster.api, `/api/v1/namespaces/${NAMESPACE}/secrets/${CAMERA}`, objects.cameraSecret)
  await apply(cluster.api, `${CAMERAS}/${CAMERA}`, objects.camera(url))
  let last = ''
  const ready = async () => {
    const camera = await get<Camera>(cluster.api, `${CAMERAS}/${CAMERA}`)
    const condition = camera?.status?.conditions?.find(({ type }) => type === 'Ready')
    last = `${condition?.status} ${condition?.reason} ${condition?.message ?? ''}`
    return condition?.status === 'True' && camera?.metadata.uid
  }
  try {
    return await until(ready, { what: 'a Camera that is Ready', timeoutMs: 90_000, everyMs: 100 })
  } catch {
    throw new StepFailed(`the Camera is not Ready after 90 s but ${last}: look at its pod's log`)
  }
}

async function addClient(cluster: Cluster): Promise<string> {
  await apply(cluster.api, `/api/v1/namespaces/${CLIENTS}/configmaps/client`, objects.clientProgram())
  const { ours } = imageNames(cluster.registry)
  await until(() => get(cluster.api, `/api/v1/namespaces/${CLIENTS}/serviceaccounts/default`), { what: 'the client’s ServiceAccount' })
  await apply(cluster.api, `/api/v1/namespaces/${CLIENTS}/pods/client`, objects.clientPod(ours, 'open'))
  const begun = Date.now()
  await steadyFrames(cluster, begun, 'frames at the client: look at the logs of client, gateway and the camera’s pod')
  const { frames } = await clientReport(cluster, Date.now() - 3_000)
  const [frame] = frames
  return `${frame?.width}x${frame?.height}, ${(frames.length / 3).toFixed(1)} frames a second`
}

const podsOf = (cluster: Cluster) => list<Pod>(cluster.api, `/api/v1/namespaces/${NAMESPACE}/pods`)
const component = (pod: Pod) => pod.metadata.labels['app.kubernetes.io/component'] ?? '?'
const isOver = ({ status }: Pod) => status.phase === 'Succeeded' || status.phase === 'Failed'

async function scrape(cluster: Cluster): Promise<string> {
  const said: string[] = []
  for (const pod of await podsOf(cluster)) {
    if (isOver(pod)) continue
    const { name } = pod.metadata
    // NATS has no such text of its own: its monitoring port answers in JSON.
    const [port, path, sign] = component(pod) === 'nats' ? [8222, 'varz', '"server_id"'] : [9090, 'metrics', 'process_cpu_seconds_total']
    const text = await getText(cluster.kubeconfig, `/api/v1/namespaces/${NAMESPACE}/pods/${name}:${port}/proxy/${path}`)
    if (!text.includes(sign)) throw new Error(`pod ${name} answers without ${sign}: ${text.slice(0, 200)}`)
    said.push(`${component(pod)} ${text.split('\n').filter(line => line !== '' && !line.startsWith('#')).length}`)
  }
  for (const wanted of ['operator', 'gateway', 'camera', 'nats']) {
    if (!said.some(line => line.startsWith(wanted))) throw new Error(`there is no pod of component ${wanted}`)
  }
  return `${said.join(', ')} lines`
}

async function killEach(cluster: Cluster): Promise<Recovery[]> {
  const recoveries: Recovery[] = []
  for (const pod of (await podsOf(cluster)).filter(each => !isOver(each))) {
    for (const { name } of pod.spec.containers) {
      await step(`${cluster.killing} of ${component(pod)}’s container ${name}`, async () => {
        const recovery = await recoveryOf(cluster, pod, name, component(pod))
        recoveries.push(recovery)
        const late = recovery.backMs > BACK_WITHIN_MS ? `, which is too late: see ${await keepLogs(cluster.kubeconfig)}` : ''
        return recovery.backMs === 0 ? 'frames were never away' : `frames back after ${(recovery.backMs / 1000).toFixed(1)} s${late}`
      })
    }
  }
  return recoveries
}

async function upgrade(cluster: Cluster, helm: (...args: string[]) => Promise<void>, args: string[], uid: string): Promise<string> {
  const begun = Date.now()
  const cameraPods = async () => (await podsOf(cluster)).filter(pod => component(pod) === 'camera')
  const [before] = await cameraPods()
  await helm('upgrade', ...args)
  const isReplaced = async () => {
    const [pod, ...others] = await cameraPods()
    return others.length === 0 && pod !== undefined && pod.metadata.uid !== before?.metadata.uid
  }
  await until(isReplaced, { what: 'a new pod in place of the camera’s', timeoutMs: 90_000, everyMs: 200 })
  const times = await steadyFrames(cluster, Date.now(), 'frames after the upgrade', begun)
  const camera = await get<Camera>(cluster.api, `${CAMERAS}/${CAMERA}`)
  if (camera?.metadata.uid !== uid) throw new Error('the Camera is not the one of before')
  const { gapMs } = interruption(times, begun)
  const gap = `${(gapMs / 1000).toFixed(1)} s without a frame`
  if (gapMs > UPGRADE_GAP_MS) throw new StepFailed(`${gap} at the upgrade, which is too long: see ${await keepLogs(cluster.kubeconfig)}`)
  return `the Camera stays, at most ${gap}`
}

async function deleteCamera(cluster: Cluster): Promise<void> {
  await cluster.api.request('DELETE', `${CAMERAS}/${CAMERA}`)
  const left = async () => {
    const camera = await get(cluster.api, `${CAMERAS}/${CAMERA}`)
    const pods = (await podsOf(cluster)).filter(pod => component(pod) === 'camera')
    return camera === undefined && pods.length === 0
  }
  await until(left, { what: 'the end of the Camera and its pod: look at the operator’s log', timeoutMs: 90_000, everyMs: 100 })
}

async function uninstall(cluster: Cluster, helm: (...args: string[]) => Promise<void>): Promise<void> {
  await apply(cluster.api, `${CAMERAS}/left-behind`, objects.leftCamera)
  await until(async () => (await podsOf(cluster)).some(pod => component(pod) === 'camera' && pod.status.phase === 'Running'), {
    what: 'the other Camera’s pod',
    timeoutMs: 60_000,
  })
  await helm('uninstall', RELEASE, '--namespace', NAMESPACE, '--wait', '--timeout', '3m')
}

const LEFT = [
  ...['pods', 'services', 'persistentvolumeclaims', 'secrets'].map(name => `/api/v1/namespaces/${NAMESPACE}/${name}`),
  ...['deployments', 'statefulsets', 'daemonsets', 'replicasets'].map(name => `/apis/apps/v1/namespaces/${NAMESPACE}/${name}`),
  `/apis/batch/v1/namespaces/${NAMESPACE}/jobs`,
  `/apis/networking.k8s.io/v1/namespaces/${NAMESPACE}/networkpolicies`,
  ...['roles', 'rolebindings'].map(name => `/apis/rbac.authorization.k8s.io/v1/namespaces/${NAMESPACE}/${name}`),
]

async function nothingLeft(cluster: Cluster): Promise<void> {
  const mine = ({ metadata }: { metadata: { name: string } }) => metadata.name !== CAMERA // the user's own Secret
  let left: string[] = []
  const none = async () => {
    left = []
    for (const path of LEFT) {
      const kind = path.slice(path.lastIndexOf('/') + 1)
      const found = await list<{ metadata: { name: string } }>(cluster.api, path)
      left.push(...found.filter(mine).map(({ metadata }) => `${kind}/${metadata.name}`))
    }
    if ((await get(cluster.api, '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/cameras.video.chrys.cloud')) !== undefined)
      left.push('the CRD')
    for (const kind of ['clusterroles', 'clusterrolebindings']) {
      const found = await list<{ metadata: { name: string } }>(cluster.api, `/apis/rbac.authorization.k8s.io/v1/${kind}`)
      left.push(...found.filter(({ metadata }) => metadata.name.startsWith(RELEASE)).map(({ metadata }) => `${kind}/${metadata.name}`))
    }
    return left.length === 0
  }
  try {
    await until(none, { what: 'nothing', timeoutMs: 60_000, everyMs: 500 })
  } catch (cause) {
    throw new Error(`still there: ${left.join(', ')}`, { cause })
  }
  for (const { metadata } of objects.namespaces) await cluster.api.request('DELETE', `/api/v1/namespaces/${metadata.name}`)
  await until(async () => (await get(cluster.api, `/api/v1/namespaces/${NAMESPACE}`)) === undefined, {
    what: 'the end of the namespace: something in it keeps a finalizer',
    timeoutMs: 90_000,
    everyMs: 200,
  })
}

// Who may see what, with a release of values-secure.yaml: a program in a pod with a token of its own gets frames, and every RPC and URL answers
// each kind of token as docs/access.md says.
import { ignoringMissing } from '../../common/kube/client.ts'
import { CHART } from '../fixtures/helm.ts'
import { makeAccounts } from '../fixtures/access-accounts.ts'
import { until } from '../fixtures/wait.ts'
import { apply, get, getText, type Cluster } from './cluster.ts'
import { imageNames } from './images.ts'
import { StepFailed, step } from './journal.ts'
import * as objects from './objects.ts'
import { clientReport, steadyFrames } from './recovery.ts'

const { RELEASE, NAMESPACE, CLIENTS, CAMERA, OTHERS } = objects

export const SECURE = ['--values', `${CHART}/values-secure.yaml`, '--set', `gateway.accessAudiences={${objects.AUDIENCE}}`]

export async function checkAccess(cluster: Cluster, upgrade: () => Promise<void>): Promise<void> {
  await step('helm upgrade to values-secure.yaml', upgrade)
  await step('a client without a token gets nothing more', () => shutOut(cluster))
  await step('a client in a pod gets frames with its pod’s token, by TLS', () => letIn(cluster))
  await step('every RPC and URL with every kind of token', () => askAll(cluster))
}

async function shutOut(cluster: Cluster): Promise<void> {
  const { now } = await clientReport(cluster, 0)
  await until(async () => (await clientReport(cluster, now)).now - now > 3_000, { what: 'three seconds', everyMs: 500 })
  const { frames } = await clientReport(cluster, now)
  if (frames.length > 0) throw new StepFailed(`a client without a token got ${frames.length} frames: look at the gateway’s log`)
  await removePod(cluster, 'client')
}

async function removePod({ api }: Cluster, name: string): Promise<void> {
  const path = `/api/v1/namespaces/${CLIENTS}/pods/${name}`
  await api.request('DELETE', path)
  await until(async () => (await get(api, path)) === undefined, { what: `the end of pod ${name}`, timeoutMs: 60_000, everyMs: 200 })
}

async function letIn(cluster: Cluster): Promise<string> {
  const { api } = cluster
  const secret = await api.request<{ data: Record<string, string> }>(
    'GET',
    `/api/v1/namespaces/${NAMESPACE}/secrets/${RELEASE}-gateway-tls`,
  )
  const authority = Buffer.from(secret.data['ca.crt'] ?? '', 'base64').toString()
  await apply(api, `/api/v1/namespaces/${CLIENTS}/configmaps/gateway-ca`, objects.authority(authority))
  await apply(api, `${objects.RBAC}/namespaces/${NAMESPACE}/rolebindings/client`, objects.consumer)
  const begun = Date.now()
  await apply(api, `/api/v1/namespaces/${CLIENTS}/pods/client`, objects.clientPod(imageNames(cluster.registry).ours, 'secure'))
  await steadyFrames(cluster, begun, 'frames at the client with a token: look at the logs of client and gateway')
  const { frames } = await clientReport(cluster, Date.now() - 3_000)
  return `${(frames.length / 3).toFixed(1)} frames a second`
}

type Report = { isDone: boolean; rows: number; tokens: string[]; problems: string[] }

async function askAll(cluster: Cluster): Promise<string> {
  const { api, kubeconfig, registry } = cluster
  for (const { metadata } of objects.accessCameras) {
    const path = `/apis/video.chrys.cloud/v1beta1/namespaces/${metadata.namespace}/cameras/${metadata.name}`
    await apply(api, path, objects.suspended(metadata))
  }
  const tokens = await makeAccounts(api, { namespace: NAMESPACE, other: OTHERS, door: CAMERA, audience: objects.AUDIENCE })
  if (cluster.expired !== undefined) tokens['expired'] = cluster.expired(tokens['all'] ?? '')
  await apply(api, `/api/v1/namespaces/${CLIENTS}/secrets/tokens`, objects.tokenSecret(tokens))
  await apply(api, `/api/v1/namespaces/${CLIENTS}/configmaps/asker`, objects.askerProgram())
  await apply(api, `/api/v1/namespaces/${CLIENTS}/pods/asker`, objects.askerPod(imageNames(registry).ours))
  const read = async () => {
    const text = await getText(kubeconfig, `/api/v1/namespaces/${CLIENTS}/pods/asker:8080/proxy/`)
    const report = JSON.parse(text) as Report
    return report.isDone && report
  }
  const {
    rows,
    tokens: used,
    problems,
  } = await until(read, { what: 'the end of pod asker: look at its log', timeoutMs: 300_000, everyMs: 1_000 })
  if (problems.length > 0) throw new StepFailed(`access is not as docs/access.md says:\n  ${problems.join('\n  ')}`)
  await removePod(cluster, 'asker')
  await removeAll(cluster)
  return `${rows} of them, as ${used.join(', ')}`
}

/** So that what is left at the end is the release's. */
async function removeAll({ api }: Cluster): Promise<void> {
  for (const { metadata } of objects.accessCameras) {
    await api.request('DELETE', `/apis/video.chrys.cloud/v1beta1/namespaces/${metadata.namespace}/cameras/${metadata.name}`)
  }
  const roles = `${objects.RBAC}/namespaces/${NAMESPACE}`
  for (const name of ['nothing', 'all', 'door', 'viewer']) await api.request('DELETE', `${roles}/roles/${name}`)
  for (const name of ['nothing', 'all', 'door', 'viewer', 'elsewhere', 'client'])
    await ignoringMissing(api.request('DELETE', `${roles}/rolebindings/${name}`))
}

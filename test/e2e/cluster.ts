// The cluster as the run sees it, our own or one that is given.
import { KubeConfig } from '@kubernetes/client-node'
import { request, type RequestOptions } from 'node:https'
import { text } from 'node:stream/consumers'
import { APPLY_PATCH, isApiError, KubeApi } from '../../common/kube/client.ts'

export type Cluster = {
  readonly kubeconfig: string
  readonly api: KubeApi
  /** Of this machine, as pods reach it. */
  readonly cameraHost: string
  /** The chart's `global.imageRegistry`. */
  readonly registry: string
  /** Ends a container at once. */
  kill(pod: Pod, container: string): Promise<void>
  /** The same token, but expired; where the key that signs them is at hand. */
  expired?(token: string): string
  /** How `kill` does it, for the report. */
  readonly killing: string
}

export type Pod = {
  metadata: { name: string; namespace: string; uid: string; labels: Record<string, string>; deletionTimestamp?: string }
  spec: { containers: { name: string; image: string }[] }
  status: {
    phase: string
    podIP?: string
    containerStatuses?: { name: string; ready: boolean; restartCount: number; containerID?: string }[]
  }
}

/** Creates or changes an object as `kubectl apply --server-side` would. */
export const apply = (api: KubeApi, path: string, object: object): Promise<unknown> =>
  api.request('PATCH', path, {
    query: { fieldManager: 'e2e', force: true, fieldValidation: 'Strict' },
    body: object,
    contentType: APPLY_PATCH,
  })

export async function list<T>(api: KubeApi, path: string): Promise<T[]> {
  return (await api.request<{ items: T[] }>('GET', path)).items
}

/** undefined: there is none. */
export async function get<T>(api: KubeApi, path: string): Promise<T | undefined> {
  try {
    return await api.request<T>('GET', path)
  } catch (error) {
    if (isApiError(error, 404)) return undefined
    throw error
  }
}

/** What the API server answers where it is no JSON: logs, and what pods say by way of its proxy. Rejects unless the status is 200. */
export async function getText(kubeconfig: string, path: string): Promise<string> {
  const config = new KubeConfig()
  config.loadFromFile(kubeconfig)
  const options: RequestOptions = {}
  await config.applyToHTTPSOptions(options)
  const url = new URL(`${config.getCurrentCluster()?.server ?? ''}${path}`)
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const call = request(url, { ...options, timeout: 10_000 }, response => {
    text(response).then(body => {
      if (response.statusCode === 200) resolve(body)
      else reject(new Error(`${path}: ${response.statusCode} ${body.slice(0, 300)}`))
    }, reject)
  })
  call.on('timeout', () => call.destroy(new Error(`${path}: no answer within 10 s`)))
  call.on('error', reject)
  call.end()
  return promise
}

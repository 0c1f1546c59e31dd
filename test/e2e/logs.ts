// What a failed run leaves for a person: a sentence, and a folder with the logs of all pods.
import { cp, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KubeApi } from '../../common/kube/client.ts'
import { getText, list, type Pod } from './cluster.ts'
import { CLIENTS, NAMESPACE } from './objects.ts'

/** `programs`: a folder with the logs of the node's own programs. */
export async function report(failure: unknown, kubeconfig: string | undefined, programs?: string): Promise<void> {
  console.error(`\nfailed: ${failure instanceof Error ? failure.message : String(failure)}`)
  const folder = await keepLogs(kubeconfig)
  if (programs !== undefined) await cp(programs, join(folder, 'node'), { recursive: true }).catch(() => {}) // there is no node
  console.error(`the logs are in ${folder}`)
}

/** Copies what all pods have said so far; returns the folder. */
export async function keepLogs(kubeconfig: string | undefined): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'chrysalis-logs-'))
  if (kubeconfig !== undefined) {
    await save(kubeconfig, folder).catch((problem: unknown) => console.error(`the pods’ logs could not be read: ${String(problem)}`))
  }
  return folder
}

async function save(kubeconfig: string, folder: string): Promise<void> {
  const api = new KubeApi(kubeconfig)
  for (const namespace of [NAMESPACE, CLIENTS]) {
    for (const kind of ['pods', 'events']) {
      const objects = await list<object>(api, `/api/v1/namespaces/${namespace}/${kind}`)
      await writeFile(join(folder, `${namespace}-${kind}.json`), JSON.stringify(objects, null, 1))
    }
    for (const { metadata, spec } of await list<Pod>(api, `/api/v1/namespaces/${namespace}/pods`)) {
      for (const { name } of spec.containers) {
        for (const previous of [false, true]) {
          const path = `/api/v1/namespaces/${namespace}/pods/${metadata.name}/log?container=${name}&previous=${previous}`
          const text = await getText(kubeconfig, path).catch(() => undefined) // it has no previous life, or none at all
          if (text !== undefined) await writeFile(join(folder, `${metadata.name}-${name}${previous ? '-previous' : ''}.log`), text)
        }
      }
    }
  }
}

// What is known of the cluster: Cameras, their Deployments, their pods; each change wants its camera reconciled.
import type { Logger } from '../../common/log.ts'
import { CAMERAS, DEPLOYMENTS, labelSelector, PODS, type KubeApi } from '../../common/kube/client.ts'
import { cameraKeyOfDeployment, MANAGED_BY } from './deployment.ts'
import { cameraKeyOf, keepCamera, keepDeployment, keepPod, type Deployment, type Pod, type WatchedCamera } from '../kube/kinds.ts'
import type { OperatorMetrics } from '../metrics.ts'
import { keyOf } from '../kube/reflector.ts'
import { Reflectors } from '../kube/reflectors.ts'

export class World {
  readonly cameras: Reflectors<WatchedCamera>
  readonly #deployments: Reflectors<Deployment>
  readonly #pods: Reflectors<Pod>
  /** By camera. */
  readonly #podsOf = new Map<string, Map<string, Pod>>()
  readonly #deploymentOf = new Map<string, Deployment>()

  /** `namespaces`: those with Cameras; none stands for all. */
  constructor(api: KubeApi, namespaces: readonly string[], metrics: OperatorMetrics, log: Logger, onChange: (key: string) => void) {
    const common = { api, metrics, log }
    const ours = { ...common, labelSelector: labelSelector(MANAGED_BY) }
    const changed = (key: string | undefined) => key !== undefined && onChange(key)
    this.cameras = new Reflectors<WatchedCamera>(CAMERAS, namespaces, {
      ...common,
      keep: keepCamera,
      onChange: (now, before) => changed(keyOf((now ?? before) as WatchedCamera)),
    })
    this.#deployments = new Reflectors<Deployment>(DEPLOYMENTS, namespaces, {
      ...ours,
      keep: keepDeployment,
      onChange: (now, before) => {
        const key = cameraKeyOfDeployment((now ?? before) as Deployment)
        if (key === undefined) return
        if (now === undefined) this.#deploymentOf.delete(key)
        else this.#deploymentOf.set(key, now)
        onChange(key)
      },
    })
    this.#pods = new Reflectors<Pod>(PODS, namespaces, {
      ...ours,
      keep: keepPod,
      onChange: (now, before) => {
        const [key, oldKey] = [now && cameraKeyOf(now), before && cameraKeyOf(before)]
        // It is gone, or somebody changed its label.
        if (oldKey !== undefined && oldKey !== key) {
          this.#indexPod(oldKey, undefined, before)
          onChange(oldKey)
        }
        if (key === undefined) return
        this.#indexPod(key, now, before)
        onChange(key)
      },
    })
  }

  /** Runs until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#reflectors().map(reflector => reflector.run(signal)))
  }

  get isSynced(): boolean {
    return this.#reflectors().every(({ isSynced }) => isSynced)
  }
  get synced(): Promise<unknown> {
    return Promise.all(this.#reflectors().map(({ synced }) => synced))
  }

  deployment(key: string): Deployment | undefined {
    return this.#deploymentOf.get(key)
  }

  pods(key: string): Pod[] {
    return [...(this.#podsOf.get(key)?.values() ?? [])]
  }

  #reflectors() {
    return [this.cameras, this.#deployments, this.#pods]
  }

  #indexPod(key: string, now: Pod | undefined, before: Pod | undefined): void {
    const pods = this.#podsOf.get(key) ?? new Map<string, Pod>()
    if (now !== undefined) pods.set(now.metadata.name, now)
    else if (before !== undefined) pods.delete(before.metadata.name)
    if (pods.size === 0) this.#podsOf.delete(key)
    else this.#podsOf.set(key, pods)
  }
}

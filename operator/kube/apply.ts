// The only writer to the API server.
import type { V1Deployment, V1Secret } from '@kubernetes/client-node'
import {
  ApiError,
  APPLY_PATCH,
  cameraPath,
  isApiError,
  JSON_PATCH,
  type KubeApi,
  type Method,
  type RequestOptions,
} from '../../common/kube/client.ts'
import { API_VERSION } from '../../proto/camera.ts'
import type { DiscoveryStatus, WatchedDiscovery } from '../discovery/objects.ts'
import type { CameraManifest } from '../discovery/status.ts'
import { eventObject, type EventRecord } from './events.ts'
import { FIELD_MANAGER, FINALIZER, isControlledBy, type CameraStatus, type Deployment, type Pod, type WatchedCamera } from './kinds.ts'
import type { OperatorMetrics } from '../metrics.ts'
import type { Reason } from '../../proto/reasons.ts'

const COMPONENT = 'chrysalis-edge-operator'
const APPLY = { fieldManager: FIELD_MANAGER, force: true }

/** The API server will not take the object as it is: trying again helps only when something else changed. */
export class Refused extends Error {
  readonly reason: Reason
  constructor(reason: Reason, message: string) {
    super(message)
    this.reason = reason
  }
}

export class Writer {
  readonly #api: KubeApi
  readonly #metrics: OperatorMetrics
  /** Aborts when we may not write any more: the lease is lost, or we stop. */
  readonly #mayWrite: AbortSignal

  constructor(api: KubeApi, metrics: OperatorMetrics, mayWrite: AbortSignal) {
    this.#api = api
    this.#metrics = metrics
    this.#mayWrite = mayWrite
  }

  async addFinalizer(camera: WatchedCamera): Promise<void> {
    await this.#write('PATCH', cameraPath(camera), {
      query: APPLY,
      body: { ...identity(camera), metadata: { ...named(camera), finalizers: [FINALIZER] } },
      contentType: APPLY_PATCH,
    })
  }

  /** By its place, since others may have taken it over in their own applies. */
  async removeFinalizer(camera: WatchedCamera): Promise<void> {
    const index = camera.metadata.finalizers?.indexOf(FINALIZER) ?? -1
    if (index < 0) return
    const path = `/metadata/finalizers/${index}`
    await this.#gone(
      this.#write('PATCH', cameraPath(camera), {
        query: { fieldManager: FIELD_MANAGER },
        body: [
          { op: 'test', path: '/metadata/uid', value: camera.metadata.uid },
          { op: 'test', path, value: FINALIZER },
          { op: 'remove', path },
        ],
        contentType: JSON_PATCH,
      }),
    )
  }

  /** Gives the generation that the Deployment has now. Rejects with Refused when that is no use to try again. */
  async applyDeployment(desired: V1Deployment, owner: string): Promise<number> {
    const { namespace, name } = desired.metadata as { namespace: string; name: string }
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`
    try {
      const query = { ...APPLY, fieldValidation: 'Strict' }
      const { metadata } = await this.#write<Deployment>('PATCH', path, { query, body: desired, contentType: APPLY_PATCH })
      this.#metrics.deploymentWrites.inc()
      return metadata.generation ?? 0
    } catch (error) {
      if (!(error instanceof ApiError) || !isVerdict(error)) throw error
      const taken = [403, 422].includes(error.code) && (await this.#isTaken(path, owner))
      throw taken
        ? new Refused('NameTaken', `Deployment ${name} exists and is not this Camera’s`)
        : new Refused('DeploymentRefused', error.message)
    }
  }

  /** One that exists stays as it is. Rejects with Refused when that is no use to try again. */
  async createSecret(desired: V1Secret): Promise<void> {
    const { namespace, name } = desired.metadata as { namespace: string; name: string }
    try {
      await this.#write('POST', `/api/v1/namespaces/${namespace}/secrets`, {
        query: { fieldManager: FIELD_MANAGER, fieldValidation: 'Strict' },
        body: desired,
      })
      this.#metrics.secretWrites.inc()
    } catch (error) {
      if (isApiError(error, 409)) return
      if (!(error instanceof ApiError) || !isVerdict(error)) throw error
      throw new Refused('DeploymentRefused', `the Secret ${name} with its NATS user: ${error.message}`)
    }
  }

  async deletePod(pod: Pod): Promise<void> {
    const { namespace = '', name, uid } = pod.metadata
    await this.#gone(this.#write('DELETE', `/api/v1/namespaces/${namespace}/pods/${name}`, { body: { preconditions: { uid } } }))
    this.#metrics.podsDeleted.inc()
  }

  async writeStatus(camera: WatchedCamera, status: CameraStatus): Promise<void> {
    await this.#write('PATCH', `${cameraPath(camera)}/status`, {
      query: APPLY,
      body: { ...identity(camera), metadata: named(camera), status },
      contentType: APPLY_PATCH,
    })
    this.#metrics.statusWrites.inc()
  }

  /** One that exists is left as it is. Rejects with Refused for what the API server does not take. */
  async createCamera(manifest: CameraManifest): Promise<void> {
    const { namespace, name } = manifest.metadata
    try {
      const query = { fieldManager: FIELD_MANAGER, fieldValidation: 'Strict' }
      await this.#write('POST', `/apis/${API_VERSION}/namespaces/${namespace}/cameras`, { query, body: manifest })
    } catch (error) {
      if (isApiError(error, 409)) return
      if (!(error instanceof ApiError) || ![400, 403, 422].includes(error.code)) throw error
      throw new Refused('TemplateInvalid', `Camera ${name}: ${error.message}`)
    }
  }

  async writeDiscoveryStatus({ apiVersion, kind, metadata }: WatchedDiscovery, status: DiscoveryStatus): Promise<void> {
    const { namespace, name, uid } = metadata
    await this.#write('PATCH', `/apis/${API_VERSION}/namespaces/${namespace}/cameradiscoveries/${name}/status`, {
      query: APPLY,
      body: { apiVersion, kind, metadata: { namespace, name, uid }, status },
      contentType: APPLY_PATCH,
    })
  }

  async writeEvent(record: EventRecord): Promise<void> {
    const { namespace } = record.camera.metadata
    await this.#write('PATCH', `/api/v1/namespaces/${namespace}/events/${record.name}`, {
      query: APPLY,
      body: eventObject(record, COMPONENT),
      contentType: APPLY_PATCH,
    })
  }

  /** A Deployment of another owner, or of none: its selector can't be replaced, and the chart's admission policy protects it. */
  async #isTaken(path: string, owner: string): Promise<boolean> {
    try {
      return !isControlledBy(await this.#api.request<Deployment>('GET', path), owner)
    } catch (error) {
      if (isApiError(error, 404)) return false
      throw error
    }
  }

  async #write<T>(method: Method, path: string, options: RequestOptions): Promise<T> {
    this.#mayWrite.throwIfAborted()
    return this.#api.request<T>(method, path, options)
  }

  /** What is gone already needs no removal; another object of its name is none of ours. */
  async #gone(write: Promise<unknown>): Promise<void> {
    try {
      await write
    } catch (error) {
      if (!isApiError(error, 404) && !isApiError(error, 409)) throw error
    }
  }
}

/** About the object, not about the server's own state. An unknown field in an apply comes as an internal error, a webhook that is away too. */
const isVerdict = ({ code, message }: ApiError): boolean =>
  [400, 403, 422].includes(code) || (code === 500 && /^failed to create typed patch object|failed calling webhook/.test(message))

const identity = ({ apiVersion, kind }: WatchedCamera) => ({ apiVersion, kind })

/** With the uid, so that nothing is created or written that was deleted meanwhile. */
const named = ({ metadata: { namespace, name, uid } }: WatchedCamera) => ({ namespace, name, uid })

// A CameraDiscovery, and what is made of it: a Deployment, and the Secret with its NATS user. Pure.
import { createHash } from 'node:crypto'
import type { V1Deployment, V1OwnerReference } from '@kubernetes/client-node'
import { toEnv } from '../../common/env.ts'
import { FRUGAL_ENV, FRUGAL_FLAGS } from '../../common/node-options.ts'
import type { CameraDiscoverySpec } from '../../proto/discovery.ts'
import type { SEARCH } from '../../proto/settings.ts'
import {
  CONTAINER_SECURITY,
  MANAGED_BY,
  POD_SECURITY,
  METRICS_PORT,
  PORTS,
  PROBE_PORT,
  probesOf,
  RUN,
  secretVolume,
  TMP,
  verbatim,
  type PodSettings,
} from '../camera/deployment.ts'
import { CREDS } from '../identity/secrets.ts'
import { userSecret, type UserSecret, type Validity } from '../identity/user-secret.ts'
import { discoveryCreds, type Signing } from '../identity/users.ts'
import { sortedJson } from '../kube/json.ts'
import type { KubeObject } from '../kube/reflector.ts'

export type WatchedDiscovery = {
  apiVersion: string
  kind: string
  metadata: KubeObject['metadata'] & { namespace: string; generation: number; creationTimestamp?: string; deletionTimestamp?: string }
  spec: CameraDiscoverySpec
  status?: DiscoveryStatus
}

export type DiscoveryCondition = {
  type: 'Ready'
  status: 'True' | 'False' | 'Unknown'
  observedGeneration: number
  lastTransitionTime: string
  reason: string
  message: string
}
export type ListedDevice = {
  uuid?: string
  address: string
  name?: string
  maker?: string
  model?: string
  firmware?: string
  serial?: string
  profiles?: string[]
  camera?: string
  reason: string
  message?: string
}
export type DiscoveryStatus = {
  observedGeneration?: number
  conditions?: DiscoveryCondition[]
  lastSearchTime?: string
  found?: number
  cameras?: number
  devices?: ListedDevice[]
}

const COMPONENT = 'discovery'

const objectName = ({ metadata: { name } }: WatchedDiscovery): string => `discovery-${name}`

const labelsOf = ({ metadata: { name } }: WatchedDiscovery) => ({
  'app.kubernetes.io/name': 'chrysalis-edge',
  'app.kubernetes.io/component': COMPONENT,
  'app.kubernetes.io/instance': name,
  'app.kubernetes.io/part-of': 'chrysalis-edge',
  ...MANAGED_BY,
})

const ownerOf = ({ apiVersion, kind, metadata: { name, uid } }: WatchedDiscovery): V1OwnerReference => ({
  ...{ apiVersion, kind, name, uid },
  ...{ controller: true, blockOwnerDeletion: true },
})

/** Its NATS user now: the same for the same CameraDiscovery and key until half of its validity is over. */
export function discoverySecret(signing: Signing, discovery: WatchedDiscovery, validity: Validity, nowMs: number): UserSecret {
  const { namespace, name, uid, creationTimestamp } = discovery.metadata
  const owner = { prefix: objectName(discovery), namespace, labels: labelsOf(discovery), reference: ownerOf(discovery), creationTimestamp }
  return userSecret(owner, times => discoveryCreds(signing, { namespace, name, uid }, times), validity, nowMs)
}

/** `natsSecret`: with its NATS user, if it has one. */
export function discoveryDeployment(
  discovery: WatchedDiscovery,
  settings: PodSettings,
  natsSecret: string | undefined = settings.natsSecret,
): V1Deployment {
  const { namespace, name, uid } = discovery.metadata
  const { cidrs, interfaces, profile, interval, hostNetwork, nodeSelector, credentialsSecretRef } = discovery.spec
  const volumes = [
    TMP,
    ...(natsSecret === undefined ? [] : [secretVolume('nats', natsSecret, { [CREDS]: CREDS }, false)]),
    ...(credentialsSecretRef === undefined
      ? []
      : [secretVolume('credentials', credentialsSecretRef.name, { username: 'username', password: 'password' }, true)]),
  ]
  const env = {
    ...FRUGAL_ENV,
    ...toEnv<typeof SEARCH>({
      CHRYS_DISCOVERY_NAMESPACE: namespace,
      CHRYS_DISCOVERY_NAME: name,
      CHRYS_DISCOVERY_UID: uid,
      CHRYS_DISCOVERY_SPEC: sortedJson({ cidrs, interfaces, profile, interval }),
      CHRYS_NATS_URL: settings.natsUrl,
      CHRYS_NATS_CA: settings.natsCa,
      // In the node's network ports are the node's: none is taken there, so nothing can be probed.
      CHRYS_PROBE_HOST: hostNetwork ? '127.0.0.1' : '0.0.0.0',
      CHRYS_PROBE_PORT: hostNetwork ? 0 : PROBE_PORT,
      CHRYS_METRICS_PORT: hostNetwork ? 0 : METRICS_PORT,
      CHRYS_LOG_LEVEL: settings.log.level,
      CHRYS_LOG_FORMAT: settings.log.format,
      CHRYS_DENY_CIDRS: settings.denyCidrs,
      CHRYS_CREDENTIALS_DIR: credentialsSecretRef && `${RUN}/credentials`,
      CHRYS_CREDENTIALS_SECRET: credentialsSecretRef?.name,
      CHRYS_NATS_CREDS_FILE: natsSecret && `${RUN}/nats/${CREDS}`,
    }),
  }
  const selector = {
    'app.kubernetes.io/name': 'chrysalis-edge',
    'app.kubernetes.io/component': COMPONENT,
    'app.kubernetes.io/instance': name,
  }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: objectName(discovery), namespace, labels: labelsOf(discovery), ownerReferences: [ownerOf(discovery)] },
    spec: {
      replicas: 1,
      revisionHistoryLimit: 1,
      strategy: { type: 'Recreate' },
      selector: { matchLabels: selector },
      template: {
        metadata: { labels: labelsOf(discovery) },
        spec: {
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          ...(hostNetwork ? { hostNetwork, dnsPolicy: 'ClusterFirstWithHostNet' } : {}),
          ...(nodeSelector === undefined ? {} : { nodeSelector }),
          ...(settings.imagePullSecrets.length > 0 ? { imagePullSecrets: settings.imagePullSecrets.map(name => ({ name })) } : {}),
          securityContext: POD_SECURITY,
          containers: [
            {
              name: 'discovery',
              image: settings.image,
              imagePullPolicy: settings.imagePullPolicy,
              args: ['node', ...FRUGAL_FLAGS, 'operator/discovery/search.ts'],
              env: Object.entries(env).map(([key, value]) => ({ name: key, value: verbatim(value) })),
              ...(hostNetwork ? {} : { ports: PORTS, ...probesOf() }),
              resources: settings.resources,
              securityContext: CONTAINER_SECURITY,
              volumeMounts: volumes.map(({ volume, mount }) => ({ name: volume.name, ...mount })),
            },
          ],
          volumes: volumes.map(({ volume }) => volume),
        },
      },
    },
  }
}

/** Another one when something would be applied otherwise than before. */
export const fingerprint = (...objects: (object | undefined)[]): string =>
  createHash('sha256')
    .update(objects.map(each => sortedJson(each ?? {})).join())
    .digest('hex')

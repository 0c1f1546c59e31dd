// What the run creates on the cluster besides the chart.
import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'

export const RELEASE = 'chrysalis-edge'
export const NAMESPACE = 'chrysalis-e2e'
export const CLIENTS = 'chrysalis-e2e-client'
/** Where another team's Cameras are. */
export const OTHERS = 'chrysalis-e2e-others'
export const CAMERA = 'front-door'
/** What clients' tokens are for, with values-secure.yaml. */
export const AUDIENCE = 'chrysalis-edge'
export const LOGIN = { user: 'viewer', password: 'e2e-camera-password' }

export const CAMERAS = `/apis/video.chrys.cloud/v1beta1/namespaces/${NAMESPACE}/cameras`
export const CLIENT_POD = `/api/v1/namespaces/${CLIENTS}/pods/client:8080`

export const RBAC = '/apis/rbac.authorization.k8s.io/v1'

const RESTRICTED = { 'pod-security.kubernetes.io/enforce': 'restricted' }

export const namespaces = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE, labels: RESTRICTED } },
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: OTHERS, labels: RESTRICTED } },
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: CLIENTS, labels: { ...RESTRICTED, 'video.chrys.cloud/client': 'true' } } },
]

/** A default storage class with one volume, a folder of the node's; k3s has one that makes volumes by itself. */
export const storage = (folder: string): { class: object; volume: object } => ({
  class: {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: 'local', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
    provisioner: 'kubernetes.io/no-provisioner',
  },
  volume: {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'local' },
    spec: {
      capacity: { storage: '20Gi' },
      accessModes: ['ReadWriteOnce'],
      storageClassName: 'local',
      persistentVolumeReclaimPolicy: 'Retain',
      hostPath: { path: folder },
    },
  },
})

export const cameraSecret = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: CAMERA, namespace: NAMESPACE },
  stringData: { username: LOGIN.user, password: LOGIN.password },
}

export const camera = (url: string) => ({
  apiVersion: 'video.chrys.cloud/v1beta1',
  kind: 'Camera',
  metadata: { name: CAMERA, namespace: NAMESPACE },
  spec: { source: { url, credentialsSecretRef: { name: CAMERA } } },
})

export const leftCamera = {
  apiVersion: 'video.chrys.cloud/v1beta1',
  kind: 'Camera',
  metadata: { name: 'left-behind', namespace: NAMESPACE },
  spec: { source: { url: 'testsrc:' } },
}

/** The program, and what it imports, as the image's Node runs them. */
const program = (name: string, files: Record<string, string>) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: CLIENTS },
  data: Object.fromEntries(Object.entries(files).map(([file, path]) => [file, javascript(path)])),
})
const javascript = (path: string) =>
  stripTypeScriptTypes(readFileSync(new URL(path, import.meta.url), 'utf8')).replaceAll(/(from '\.)[./a-z]*(\/[-a-z]+)\.ts'/g, "$1$2.mjs'")

export const clientProgram = () => program('client', { 'client.mjs': 'client.ts' })
export const askerProgram = () =>
  program('asker', {
    'asker.mjs': 'access-client.ts',
    'access-table.mjs': '../fixtures/access-table.ts',
    'access-rows.mjs': '../fixtures/access-rows.ts',
  })

type Volume = { name: string; mountPath: string; source: object }

/** Of the product's image, since that has gRPC; in a namespace of its own, as clients of users are. */
const pod = (name: string, image: string, args: string[], volumes: Volume[] = []) => {
  const all = [{ name: 'program', mountPath: '/app/e2e', source: { configMap: { name } } }, ...volumes]
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: CLIENTS },
    spec: {
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 1,
      securityContext: { runAsNonRoot: true, runAsUser: 65_532, fsGroup: 65_532, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name,
          image,
          imagePullPolicy: 'IfNotPresent',
          args: ['node', `/app/e2e/${name}.mjs`, ...args],
          securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
          volumeMounts: all.map(({ name: volume, mountPath }) => ({ name: volume, mountPath, readOnly: true })),
        },
      ],
      volumes: all.map(({ name: volume, source }) => ({ name: volume, ...source })),
    },
  }
}

const SERVICE = `${RELEASE}.${NAMESPACE}.svc`
const CA: Volume = { name: 'ca', mountPath: '/run/ca', source: { configMap: { name: 'gateway-ca' } } }
const token = { serviceAccountToken: { audience: AUDIENCE, expirationSeconds: 3_600, path: 'token' } }

/** `secure`: by TLS, with the pod's own token. */
export const clientPod = (image: string, how: 'open' | 'secure') =>
  pod(
    'client',
    image,
    [`${SERVICE}:50001`, `${NAMESPACE}/${CAMERA}`, how],
    how === 'open' ? [] : [CA, { name: 'token', mountPath: '/run/token', source: { projected: { sources: [token] } } }],
  )

export const authority = (pem: string) => ({
  ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'gateway-ca', namespace: CLIENTS } },
  data: { 'ca.crt': pem },
})

/** Lets the client's pod see the cameras of the release's namespace. */
export const consumer = {
  ...{ apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'RoleBinding', metadata: { name: 'client', namespace: NAMESPACE } },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: `${RELEASE}-consumer` },
  subjects: [{ kind: 'ServiceAccount', name: 'default', namespace: CLIENTS }],
}

/** Besides CAMERA: those that some of the tokens may not see. */
export const accessCameras = [{ metadata: { name: 'gate', namespace: NAMESPACE } }, { metadata: { name: 'barn', namespace: OTHERS } }]
export const suspended = (metadata: { name: string; namespace: string }) => ({
  ...{ apiVersion: 'video.chrys.cloud/v1beta1', kind: 'Camera', metadata },
  spec: { source: { url: 'testsrc:' }, suspend: true },
})

export const tokenSecret = (tokens: Record<string, string>) => ({
  ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'tokens', namespace: CLIENTS } },
  stringData: tokens,
})

/** Asks for everything with every kind of token. */
export const askerPod = (image: string) => {
  const cast = { namespace: NAMESPACE, door: CAMERA, gate: 'gate', barn: `${OTHERS}/barn` }
  const tokens = { name: 'tokens', mountPath: '/run/tokens', source: { secret: { secretName: 'tokens', defaultMode: 0o440 } } }
  return pod('asker', image, [SERVICE, JSON.stringify(cast)], [CA, tokens])
}

// What the run creates on the cluster besides the chart.
import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'

export const RELEASE = 'chrysalis-edge'
export const NAMESPACE = 'chrysalis-e2e'
export const CLIENTS = 'chrysalis-e2e-client'
export const CAMERA = 'front-door'
export const LOGIN = { user: 'viewer', password: 'e2e-camera-password' }

export const CAMERAS = `/apis/video.chrys.cloud/v1beta1/namespaces/${NAMESPACE}/cameras`
export const CLIENT_POD = `/api/v1/namespaces/${CLIENTS}/pods/client:8080`

const RESTRICTED = { 'pod-security.kubernetes.io/enforce': 'restricted' }

export const namespaces = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE, labels: RESTRICTED } },
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

export const clientProgram = () => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'client', namespace: CLIENTS },
  data: { 'client.mjs': stripTypeScriptTypes(readFileSync(new URL('client.ts', import.meta.url), 'utf8')) },
})

/** A client as users run them, in a namespace of its own; of the product's image since that has gRPC. */
export const clientPod = (image: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'client', namespace: CLIENTS },
  spec: {
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 1,
    securityContext: { runAsNonRoot: true, runAsUser: 65_532, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: 'client',
        image,
        imagePullPolicy: 'IfNotPresent',
        args: ['node', '/app/e2e/client.mjs', `${RELEASE}.${NAMESPACE}.svc:50001`, `${NAMESPACE}/${CAMERA}`],
        securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
        volumeMounts: [{ name: 'program', mountPath: '/app/e2e', readOnly: true }],
      },
    ],
    volumes: [{ name: 'program', configMap: { name: 'client' } }],
  },
})

import test from 'ava'
import type { CameraSpec } from '../proto/camera.ts'
import { desiredDeployment, specHash, type PodSettings } from '../operator/camera/deployment.ts'
import { SETTINGS, UID, watchedCamera } from './fixtures/camera-objects.ts'

const desired = (spec: Partial<CameraSpec> = {}, settings: Partial<PodSettings> = {}, replicas: 0 | 1 = 1) => {
  const deployment = desiredDeployment(watchedCamera(spec), { ...SETTINGS, ...settings }, { replicas })
  const podSpec = deployment.spec?.template.spec
  const [container, ...others] = podSpec?.containers ?? []
  if (podSpec === undefined || container === undefined || others.length > 0) throw new Error('one container was expected')
  const env = Object.fromEntries((container.env ?? []).map(({ name, value, valueFrom }) => [name, value ?? valueFrom]))
  return { deployment, podSpec, container, env }
}

test('a Camera becomes one Deployment that it owns, with one pod', t => {
  const { deployment } = desired()
  t.like(deployment.metadata, { name: 'camera-front', namespace: 'shop' })
  t.deepEqual(deployment.metadata?.ownerReferences, [
    { apiVersion: 'video.chrys.cloud/v1beta1', kind: 'Camera', name: 'front', uid: UID, controller: true, blockOwnerDeletion: true },
  ])
  t.like(deployment.spec, { replicas: 1, revisionHistoryLimit: 1 })
  t.like(deployment.metadata?.labels, { 'app.kubernetes.io/name': 'chrysalis-edge', 'app.kubernetes.io/instance': 'front' })
  const selector = deployment.spec?.selector.matchLabels ?? {}
  t.like(deployment.spec?.template.metadata?.labels, selector)
  t.false('app.kubernetes.io/version' in selector)
})

test('a new pod waits before the old one ends, unless they would share an archive or no node has room for both', t => {
  const strategyOf = (spec: Partial<CameraSpec>, isCrowded = false) =>
    desiredDeployment(watchedCamera(spec), SETTINGS, { replicas: 1, isCrowded }).spec?.strategy
  t.deepEqual(strategyOf({}), { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } })
  t.deepEqual(strategyOf({}, true), { type: 'Recreate' })
  t.deepEqual(strategyOf({ archive: { volume: { emptyDir: {} }, segment: 'GOP', retention: '5m' } }), { type: 'Recreate' })
})

test('the pod fits Pod Security restricted', t => {
  const { podSpec, container } = desired({ archive: { volume: { emptyDir: {} }, segment: 'GOP', retention: '5m' } })
  t.like(podSpec, {
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
  })
  t.true((podSpec.securityContext?.runAsUser ?? 0) > 0)
  t.deepEqual(container.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  })
})

test('the sidecar is told who it is and what to do, and nothing secret', t => {
  const spec = { source: { url: 'rtsp://h/', transport: 'udp' as const, credentialsSecretRef: { name: 's' } }, pod: { image: 'x' } }
  const { env, container } = desired(spec, { denyCidrs: ['10.0.0.0/8', '127.0.0.0/8'], natsCa: 'authority' })
  t.deepEqual(container.args, ['node', '--max-semi-space-size=1', 'sidecar/main.ts'])
  const { CHRYS_CAMERA_SPEC, ...rest } = env
  t.deepEqual(rest, {
    MALLOC_ARENA_MAX: '1',
    CHRYS_CAMERA_NAMESPACE: 'shop',
    CHRYS_CAMERA_NAME: 'front',
    CHRYS_CAMERA_UID: UID,
    CHRYS_CAMERA_GENERATION: '3',
    CHRYS_DEVICE_ID: 'shop/front',
    CHRYS_CREDENTIALS_DIR: '/run/chrysalis/credentials',
    CHRYS_DENY_CIDRS: '10.0.0.0/8,127.0.0.0/8',
    CHRYS_NATS_URL: 'nats://nats:4222',
    CHRYS_NATS_CA: 'authority',
    CHRYS_PROBE_HOST: '0.0.0.0',
    CHRYS_PROBE_PORT: '9091',
    CHRYS_METRICS_PORT: '9090',
    CHRYS_LOG_LEVEL: 'info',
    CHRYS_LOG_FORMAT: 'json',
    CHRYS_LEASE_HOLDER: { fieldRef: { fieldPath: 'metadata.name' } },
  })
  const told = JSON.parse(typeof CHRYS_CAMERA_SPEC === 'string' ? CHRYS_CAMERA_SPEC : '') as CameraSpec
  t.deepEqual(told.source, spec.source)
  t.false('pod' in told)
})

test('dollar signs of the spec are the sidecar’s to see, not the kubelet’s', t => {
  const url = 'rtsp://h/$$live/$(CHRYS_NATS_URL)/$x?a=$(b'
  const told = desired({ source: { url, transport: 'tcp' } }).env['CHRYS_CAMERA_SPEC'] as string
  // As the kubelet expands it.
  const seen = told.replaceAll(/\$(\$|\(CHRYS_NATS_URL\))/g, (_, what) => (what === '$' ? '$' : 'nats://nats:4222'))
  t.is((JSON.parse(seen) as CameraSpec).source.url, url)
})

test('a camera in the gateway’s own namespace is called by its bare name', t => {
  t.is(desired({}, { gatewayNamespace: 'shop' }).env['CHRYS_DEVICE_ID'], 'front')
})

test('Secrets are whole volumes, optional where they are the user’s, with no key but the wanted ones', t => {
  const { podSpec, container, env } = desired(
    {
      source: { url: 'rtsp://h/', transport: 'tcp', credentialsSecretRef: { name: 'login' } },
      proxy: { enabled: true, urlSecretRef: { name: 'rtmp', key: 'target' } },
    },
    { natsSecret: 'nats-user' },
  )
  const secrets = podSpec.volumes?.flatMap(({ secret }) => (secret === undefined ? [] : [secret]))
  t.deepEqual(secrets, [
    { secretName: 'nats-user', optional: false, defaultMode: 0o440, items: [{ key: 'user.creds', path: 'user.creds' }] },
    {
      secretName: 'login',
      optional: true,
      defaultMode: 0o440,
      items: [
        { key: 'username', path: 'username' },
        { key: 'password', path: 'password' },
      ],
    },
    { secretName: 'rtmp', optional: true, defaultMode: 0o440, items: [{ key: 'target', path: 'url' }] },
  ])
  t.false(container.volumeMounts?.some(mount => mount.subPath !== undefined))
  t.true(container.volumeMounts?.filter(({ mountPath }) => mountPath.startsWith('/run/')).every(({ readOnly }) => readOnly))
  t.is(env['CHRYS_PROXY_URL_FILE'], '/run/chrysalis/proxy/url')
  t.is(env['CHRYS_NATS_CREDS_FILE'], '/run/chrysalis/nats/user.creds')
})

test('the authority of a camera’s certificate is a file of its Secret or ConfigMap', t => {
  const tls = { trustOnFirstUse: false, minVersion: 'TLSv1.2' } as const
  const of = (ref: object) => desired({ source: { url: 'rtsps://h/', transport: 'tcp', tls: { ...tls, ...ref } } })
  for (const [ref, volume] of [
    [
      { caSecretRef: { name: 'ca', key: 'root.pem' } },
      { secret: { secretName: 'ca', optional: true, items: [{ key: 'root.pem', path: 'ca.crt' }] } },
    ],
    [
      { caConfigMapRef: { name: 'ca', key: 'root.pem' } },
      { configMap: { name: 'ca', optional: true, items: [{ key: 'root.pem', path: 'ca.crt' }] } },
    ],
  ] as const) {
    const { podSpec, container, env } = of(ref)
    t.like(
      podSpec.volumes?.find(({ name }) => name === 'camera-ca'),
      volume,
    )
    const mounted = container.volumeMounts?.find(({ name }) => name === 'camera-ca')
    t.is(env['CHRYS_CAMERA_CA_FILE'], `${mounted?.mountPath}/ca.crt`)
  }
  t.is(of({ trustOnFirstUse: true }).env['CHRYS_CAMERA_CA_FILE'], undefined)
})

test('the archive’s volume is mounted where the sidecar is told', t => {
  const { podSpec, container, env } = desired({
    archive: { volume: { persistentVolumeClaim: { claimName: 'disk' } }, segment: 'GOP', retention: '5m' },
  })
  t.like(
    podSpec.volumes?.find(({ name }) => name === 'archive'),
    { persistentVolumeClaim: { claimName: 'disk' } },
  )
  t.deepEqual(env['CHRYS_ARCHIVE_DIR'], container.volumeMounts?.find(({ name }) => name === 'archive')?.mountPath)
})

test('onNodeFailure says how long a lost node keeps its pod, unless the user’s own toleration does', t => {
  const seconds = (spec: Partial<CameraSpec>) => desired(spec).podSpec.tolerations?.map(each => [each.key, each.tolerationSeconds])
  const keys = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'] as const
  t.deepEqual(seconds({ onNodeFailure: 'Stay' }), [
    [keys[0], undefined],
    [keys[1], undefined],
  ])
  t.deepEqual(seconds({ onNodeFailure: 'Move' }), [
    [keys[0], 60],
    [keys[1], 60],
  ])
  const own = { key: keys[1], operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 5 } as const
  t.deepEqual(seconds({ onNodeFailure: 'Move', pod: { tolerations: [own] } }), [
    [keys[1], 5],
    [keys[0], 60],
  ])
})

test('spec.pod overrides what pods are made of, but not what the sidecar is told', t => {
  const { podSpec, container, env } = desired({
    pod: {
      image: 'mine:2',
      resources: { limits: { cpu: 2 } },
      nodeSelector: { a: 'b' },
      affinity: { nodeAffinity: {} },
      runtimeClassName: 'nvidia',
      env: [
        { name: 'MINE', value: '1' },
        { name: 'CHRYS_NATS_URL', value: 'nats://evil' },
        { name: 'CHRYS_LEASE_HOLDER', value: 'me' },
      ],
    },
  })
  t.like(container, { image: 'mine:2', resources: { limits: { cpu: 2 } } })
  t.like(podSpec, { nodeSelector: { a: 'b' }, affinity: { nodeAffinity: {} }, runtimeClassName: 'nvidia' })
  t.is(env['MINE'], '1')
  t.is(env['CHRYS_NATS_URL'], 'nats://nats:4222')
  for (const told of ['CHRYS_NATS_URL', 'CHRYS_LEASE_HOLDER']) t.is(container.env?.filter(({ name }) => name === told).length, 1)
})

test('the hash is the same for the same object, whatever the order of its keys, and another for any change', t => {
  const { source, ...rest } = watchedCamera().spec
  const reordered = desiredDeployment({ ...watchedCamera(), spec: { ...rest, source } }, SETTINGS, { replicas: 1 })
  const hash = specHash(desired().deployment)
  t.is(specHash(reordered), hash)
  const others = [desired({}, {}, 0), desired({ decoding: { keyFramesOnly: true, placement: 'Auto' } }), desired({}, { image: 'x' })]
  t.is(new Set([hash, ...others.map(({ deployment }) => specHash(deployment))]).size, 4)
})

import test from 'ava'
import { ConfigError } from '../common/errors.ts'
import { readConfig } from '../operator/config.ts'

const MINIMAL = { CHRYS_NATS_URL: 'nats://nats:4222', CHRYS_NAMESPACE: 'chrysalis', CHRYS_SIDECAR_IMAGE: 'chrysalis-edge:1' }

test('the least that is needed, and the defaults', t => {
  const config = readConfig(MINIMAL)
  t.like(config, { namespace: 'chrysalis', kubeconfig: undefined, workers: 8, cleanUpMs: 300_000 })
  t.deepEqual(config.sidecar, {
    image: 'chrysalis-edge:1',
    imagePullPolicy: 'IfNotPresent',
    imagePullSecrets: [],
    version: 'unknown',
    gatewayNamespace: 'chrysalis',
    natsUrl: 'nats://nats:4222',
    natsReplicas: 1,
    natsCa: undefined,
    natsSecret: undefined,
    signingDir: undefined,
    userValidity: { days: 90 },
    deniedFields: [],
    denyCidrs: ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '::/128', '::1/128', 'fe80::/10'],
    resources: { requests: { cpu: '100m', memory: '192Mi' }, limits: { memory: '1Gi' } },
    log: { level: 'info', format: 'json' },
  })
  t.not(config.identity, readConfig(MINIMAL).identity)
})

test('everything that can be told', t => {
  const { sidecar } = readConfig({
    ...MINIMAL,
    CHRYS_SIDECAR_PULL_POLICY: 'Never',
    CHRYS_SIDECAR_PULL_SECRETS: 'one, two',
    CHRYS_SIDECAR_NATS_URL: 'tls://nats.other:4222',
    CHRYS_SIDECAR_NATS_SECRET: 'nats-user',
    CHRYS_SIDECAR_RESOURCES: '{"limits":{"memory":"2Gi"}}',
    CHRYS_DENY_CIDRS: '10.0.0.0/8,127.0.0.0/8',
    CHRYS_VERSION: '1.2.3',
    CHRYS_NATS_CA: '-----BEGIN CERTIFICATE-----\nMIIB',
  })
  t.like(sidecar, {
    imagePullPolicy: 'Never',
    natsUrl: 'tls://nats.other:4222',
    natsSecret: 'nats-user',
    natsCa: '-----BEGIN CERTIFICATE-----\nMIIB',
    resources: { limits: { memory: '2Gi' } },
    version: '1.2.3',
  })
  t.deepEqual(sidecar.imagePullSecrets, ['one', 'two'])
  t.deepEqual(sidecar.denyCidrs, ['10.0.0.0/8', '127.0.0.0/8'])
})

test('every problem is named at once', t => {
  const error = t.throws(
    () =>
      readConfig({
        CHRYS_NAMESPACE: 'Not A Label',
        CHRYS_WORKERS: '0',
        CHRYS_SIDECAR_PULL_POLICY: 'never',
        CHRYS_SIDECAR_RESOURCES: '{"limit":{}}',
        CHRYS_SIDECAR_NATS_SECRET: 'a/b',
        CHRYS_KUBECONFIG: '/does/not/exist',
        CHRYS_TYPO: '1',
        CHRYS_DENY_CIDRS: '10.0.0.0',
      }),
    { instanceOf: ConfigError },
  )
  const names = error?.problems.map(problem => problem.replace(/:.*/, ''))
  t.deepEqual(
    names?.toSorted((one, other) => (one < other ? -1 : 1)),
    [
      'CHRYS_DENY_CIDRS',
      'CHRYS_KUBECONFIG',
      'CHRYS_NAMESPACE',
      'CHRYS_NATS_URL',
      'CHRYS_SIDECAR_IMAGE',
      'CHRYS_SIDECAR_NATS_SECRET',
      'CHRYS_SIDECAR_PULL_POLICY',
      'CHRYS_SIDECAR_RESOURCES',
      'CHRYS_TYPO',
      'CHRYS_WORKERS',
    ],
  )
})

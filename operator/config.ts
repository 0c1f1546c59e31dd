import * as v from 'valibot'
import { checkCidr } from '../common/cidr.ts'
import { EnvReader, readCommonConfig, type CommonConfig, type Env } from '../common/env.ts'
import { isNamespace } from '../proto/subjects.ts'
import { newIdentity } from './kube/leader.ts'

export type Resources = { requests?: Record<string, string>; limits?: Record<string, string> }

export type OperatorConfig = CommonConfig & {
  /** undefined: the pod's own ServiceAccount. */
  kubeconfig: string | undefined
  /** The operator's own namespace, where its Lease is. */
  namespace: string
  /** Names this process in the Lease. */
  identity: string
  /** Cameras reconciled at the same time. */
  workers: number
  /** How long a deleted Camera waits for NATS, to remove what it left there. */
  cleanUpMs: number
  /** What cameras' pods are made of. */
  sidecar: {
    image: string
    imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never'
    imagePullSecrets: readonly string[]
    version: string
    /** Where the gateway is: cameras there are called by their bare names. */
    gatewayNamespace: string
    natsUrl: string
    /** A Secret in each camera's namespace with the key `user.creds`. */
    natsSecret: string | undefined
    /** A folder with the keys that NATS users are made with, one for each camera; undefined: they all use `natsSecret`. */
    signingDir: string | undefined
    denyCidrs: readonly string[]
    resources: Resources
    log: CommonConfig['log']
  }
}

const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never'] as const
const DEFAULT_RESOURCES: Resources = { requests: { cpu: '100m', memory: '192Mi' }, limits: { memory: '1Gi' } }

/** The pod itself and its node, and link-local addresses, where clouds keep their metadata. */
const NO_CAMERAS_HERE = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '::/128', '::1/128', 'fe80::/10']

const Quantities = v.optional(v.record(v.string(), v.string()))
const ResourcesSchema = v.strictObject({ requests: Quantities, limits: Quantities })

/** Throws ConfigError with every problem. */
export function readConfig(env: Env): OperatorConfig {
  const reader = new EnvReader(env)
  const common = readCommonConfig(reader)
  const namespace = reader.text('CHRYS_NAMESPACE')
  if (namespace !== '' && !isNamespace(namespace)) reader.problem('CHRYS_NAMESPACE', 'must be a DNS label')
  const image = reader.text('CHRYS_SIDECAR_IMAGE')
  const denyCidrs = reader.list('CHRYS_DENY_CIDRS', checkCidr)
  const config: OperatorConfig = {
    ...common,
    kubeconfig: reader.file('CHRYS_KUBECONFIG'),
    namespace,
    identity: reader.text('CHRYS_IDENTITY', newIdentity()),
    workers: reader.integer('CHRYS_WORKERS', { min: 1, max: 64, fallback: 8 }),
    cleanUpMs: reader.integer('CHRYS_CLEAN_UP_SECONDS', { min: 1, max: 3_600, fallback: 300 }) * 1_000,
    sidecar: {
      image,
      imagePullPolicy: reader.oneOf('CHRYS_SIDECAR_PULL_POLICY', PULL_POLICIES, 'IfNotPresent'),
      imagePullSecrets: reader.list('CHRYS_SIDECAR_PULL_SECRETS', objectName),
      version: reader.text('CHRYS_VERSION', 'unknown'),
      gatewayNamespace: namespace,
      natsUrl: reader.url('CHRYS_SIDECAR_NATS_URL', ['nats:', 'tls:'], common.nats.url),
      natsSecret: reader.list('CHRYS_SIDECAR_NATS_SECRET', objectName)[0],
      signingDir: reader.file('CHRYS_NATS_SIGNING_DIR'),
      denyCidrs: denyCidrs.length > 0 ? denyCidrs : NO_CAMERAS_HERE,
      resources: readResources(reader),
      log: common.log,
    },
  }
  if (config.sidecar.natsSecret !== undefined && config.sidecar.signingDir !== undefined) {
    reader.problem('CHRYS_SIDECAR_NATS_SECRET', 'is for a NATS of others; with CHRYS_NATS_SIGNING_DIR each camera has its own Secret')
  }
  reader.done()
  return config
}

export const objectName = (name: string): string | undefined =>
  /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(name) ? undefined : 'must be the name of a Secret'

function readResources(reader: EnvReader): Resources {
  if (reader.optional('CHRYS_SIDECAR_RESOURCES') === undefined) return DEFAULT_RESOURCES
  const resources = reader.json('CHRYS_SIDECAR_RESOURCES', value => v.parse(ResourcesSchema, value))
  return JSON.parse(JSON.stringify(resources ?? {})) as Resources
}

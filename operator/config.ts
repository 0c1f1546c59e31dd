import * as v from 'valibot'
import { readSettings, serviceConfig, type Env, type LogConfig, type ServiceConfig } from '../common/env.ts'
import { OPERATOR, type DeniedField } from '../proto/settings.ts'
import { newIdentity } from './kube/leader.ts'

export type Resources = { requests?: Record<string, string>; limits?: Record<string, string> }

export type OperatorConfig = ServiceConfig & {
  /** undefined: the pod's own ServiceAccount. */
  kubeconfig: string | undefined
  /** The operator's own namespace, where its Lease is. */
  namespace: string
  /** Where Cameras are looked for; empty: in all namespaces. */
  cameraNamespaces: readonly string[]
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
    natsReplicas: number
    /** Who signed the certificate of its servers; undefined: an authority that camera pods know. */
    natsCa: string | undefined
    /** A Secret in each camera's namespace with the key `user.creds`. */
    natsSecret: string | undefined
    /** A folder with the keys that NATS users are made with, one for each camera; undefined: they all use `natsSecret`. */
    signingDir: string | undefined
    /** Of such a user. */
    userValidity: { days: number }
    /** Fields of a Camera that its author may not use. */
    deniedFields: readonly DeniedField[]
    denyCidrs: readonly string[]
    resources: Resources
    log: LogConfig
  }
}

const Quantities = v.optional(v.record(v.string(), v.string()))
const ResourcesSchema = v.strictObject({ requests: Quantities, limits: Quantities })

/** Throws ConfigError with every problem. */
export function readConfig(env: Env): OperatorConfig {
  const { values, problem, done } = readSettings(env, OPERATOR)
  const service = serviceConfig(values)
  const { CHRYS_SIDECAR_NATS_SECRET: natsSecret, CHRYS_NATS_SIGNING_DIR: signingDir } = values
  if (natsSecret !== undefined && signingDir !== undefined) {
    problem('CHRYS_SIDECAR_NATS_SECRET', 'is for a NATS of others; with CHRYS_NATS_SIGNING_DIR each camera has its own Secret')
  }
  const resources = v.safeParse(ResourcesSchema, values.CHRYS_SIDECAR_RESOURCES ?? {})
  for (const issue of resources.issues ?? []) problem('CHRYS_SIDECAR_RESOURCES', `${v.getDotPath(issue) ?? ''}: ${issue.message}`)
  done()
  return {
    ...service,
    kubeconfig: values.CHRYS_KUBECONFIG,
    namespace: values.CHRYS_NAMESPACE,
    cameraNamespaces: values.CHRYS_CAMERA_NAMESPACES,
    identity: values.CHRYS_IDENTITY ?? newIdentity(),
    workers: values.CHRYS_WORKERS,
    cleanUpMs: values.CHRYS_CLEAN_UP_SECONDS * 1_000,
    sidecar: {
      image: values.CHRYS_SIDECAR_IMAGE,
      imagePullPolicy: values.CHRYS_SIDECAR_PULL_POLICY,
      imagePullSecrets: values.CHRYS_SIDECAR_PULL_SECRETS,
      version: values.CHRYS_VERSION,
      gatewayNamespace: values.CHRYS_NAMESPACE,
      natsUrl: values.CHRYS_SIDECAR_NATS_URL ?? service.nats.url,
      natsReplicas: service.nats.replicas,
      natsCa: service.nats.ca,
      natsSecret,
      signingDir,
      userValidity: { days: values.CHRYS_NATS_USER_DAYS },
      deniedFields: values.CHRYS_DENY_FIELDS as readonly DeniedField[],
      denyCidrs: values.CHRYS_DENY_CIDRS,
      resources: JSON.parse(JSON.stringify(resources.output)) as Resources,
      log: service.log,
    },
  }
}

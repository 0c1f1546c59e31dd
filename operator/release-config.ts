import { logConfig, readSettings, type Env, type LogConfig } from '../common/env.ts'
import { RELEASE_FINALIZERS } from '../proto/settings.ts'

export type ReleaseConfig = {
  /** undefined: the pod's own ServiceAccount. */
  kubeconfig: string | undefined
  namespace: string
  /** Where Cameras are; empty: in all namespaces. */
  cameraNamespaces: readonly string[]
  /** Name of the operator's Deployment. */
  operator: string
  /** Secrets that go with the release. */
  secrets: readonly string[]
  /** For all of it. */
  timeoutMs: number
  log: LogConfig
}

/** Throws ConfigError with every problem. */
export function readReleaseConfig(env: Env): ReleaseConfig {
  const { values, done } = readSettings(env, RELEASE_FINALIZERS)
  done()
  return {
    kubeconfig: values.CHRYS_KUBECONFIG,
    namespace: values.CHRYS_NAMESPACE,
    cameraNamespaces: values.CHRYS_CAMERA_NAMESPACES,
    operator: values.CHRYS_OPERATOR,
    secrets: values.CHRYS_REMOVE_SECRETS,
    timeoutMs: values.CHRYS_TIMEOUT_SECONDS * 1_000,
    log: logConfig(values),
  }
}

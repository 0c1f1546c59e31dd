import { EnvReader, readLogConfig, type CommonConfig, type Env } from '../common/env.ts'
import { isNamespace } from '../proto/subjects.ts'
import { objectName } from './config.ts'

export type ReleaseConfig = {
  /** undefined: the pod's own ServiceAccount. */
  kubeconfig: string | undefined
  namespace: string
  /** Name of the operator's Deployment. */
  operator: string
  /** Secrets that go with the release. */
  secrets: readonly string[]
  /** For all of it. */
  timeoutMs: number
  log: CommonConfig['log']
}

/** Throws ConfigError with every problem. */
export function readReleaseConfig(env: Env): ReleaseConfig {
  const reader = new EnvReader(env)
  const config: ReleaseConfig = {
    kubeconfig: reader.file('CHRYS_KUBECONFIG'),
    namespace: reader.text('CHRYS_NAMESPACE'),
    operator: reader.text('CHRYS_OPERATOR'),
    secrets: reader.list('CHRYS_REMOVE_SECRETS', objectName),
    timeoutMs: reader.integer('CHRYS_TIMEOUT_SECONDS', { min: 1, max: 3_600, fallback: 120 }) * 1_000,
    log: readLogConfig(reader),
  }
  if (config.namespace !== '' && !isNamespace(config.namespace)) reader.problem('CHRYS_NAMESPACE', 'must be a DNS label')
  reader.done()
  return config
}

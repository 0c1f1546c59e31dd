// The settings that the user of local mode may give by variables: those of the cloud and of annotations, which the gateway gets.
import { readSettings, type Env } from '../../common/env.ts'
import { CLOUD } from '../../proto/settings.ts'

/** Throws ConfigError with every problem, variables of ours that local mode does not take included. */
export function checkEnv(env: Env): void {
  readSettings(env, CLOUD).done()
}

/** What the gateway gets of `env`. */
export const cloudEnv = (env: Env): Record<string, string> =>
  Object.fromEntries(Object.keys(CLOUD).flatMap(name => (env[name] === undefined ? [] : [[name, env[name]]])))

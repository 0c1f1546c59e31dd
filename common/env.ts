// Configuration comes from environment variables with our prefix, read once at start; every problem is
// reported at once. Secrets are never among them: variables name the files that hold secrets.
import { accessSync, constants } from 'node:fs'
import { ConfigError, messageOf } from './errors.ts'

const PREFIX = 'CHRYS_'

export type Env = Readonly<Record<string, string | undefined>>

/** Read by every process (stop.ts), whatever its own configuration asks for. */
const COMMON = ['CHRYS_EXIT_ON_STDIN_CLOSE']

export class EnvReader {
  readonly #env: Env
  readonly #known = new Set(COMMON)
  readonly #problems: string[] = []

  constructor(env: Env) {
    this.#env = env
  }

  /** The variable, trimmed; empty counts as absent. */
  optional(name: string): string | undefined {
    this.#known.add(name)
    const text = this.#env[name]?.trim()
    return text === '' ? undefined : text
  }

  text(name: string, fallback?: string): string {
    const text = this.optional(name) ?? fallback
    if (text === undefined) this.problem(name, 'is required')
    return text ?? ''
  }

  integer(name: string, { min, max, fallback }: { min: number; max: number; fallback: number }): number {
    const text = this.optional(name)
    if (text === undefined) return fallback
    const value = Number(text)
    if (/^-?\d+$/.test(text) && value >= min && value <= max) return value
    this.problem(name, `must be a whole number from ${min} to ${max}`)
    return fallback
  }

  port(name: string, fallback: number): number {
    return this.integer(name, { min: 0, max: 65_535, fallback })
  }

  oneOf<const T extends string>(name: string, allowed: readonly T[], fallback: T): T {
    const text = this.optional(name) ?? fallback
    const found = allowed.find(value => value === text)
    if (found === undefined) this.problem(name, `must be one of ${allowed.join(', ')}`)
    return found ?? fallback
  }

  /** A comma-separated list; absent: empty. */
  list(name: string, check: (item: string) => string | undefined): string[] {
    const items = (this.optional(name) ?? '').split(',').map(item => item.trim())
    const present = items.filter(item => item !== '')
    for (const item of present) {
      const reason = check(item)
      if (reason !== undefined) this.problem(name, reason)
    }
    return present
  }

  url(name: string, protocols: readonly string[], fallback?: string): string {
    const text = this.text(name, fallback)
    if (text === '') return text
    const parsed = URL.parse(text)
    if (parsed === null || !protocols.includes(parsed.protocol) || parsed.hostname === '') {
      this.problem(name, `must be a URL such as ${protocols[0]}//host:port`)
    } else if (parsed.username !== '' || parsed.password !== '') {
      this.problem(name, 'must hold no user or password; name a credentials file instead')
    }
    return text
  }

  /** A file that must be readable now; its content may change later. */
  file(name: string): string | undefined {
    const path = this.optional(name)
    if (path === undefined) return undefined
    try {
      accessSync(path, constants.R_OK)
    } catch {
      this.problem(name, `${path} is not readable`)
    }
    return path
  }

  json<T>(name: string, parse: (value: unknown) => T): T | undefined {
    const text = this.text(name)
    if (text === '') return undefined
    try {
      return parse(JSON.parse(text))
    } catch (error) {
      this.problem(name, error instanceof SyntaxError ? 'is not JSON' : messageOf(error))
      return undefined
    }
  }

  problem(name: string, reason: string): void {
    this.#problems.push(`${name}: ${reason}`)
  }

  /** Call last: throws ConfigError when anything was wrong, an unknown variable with our prefix included. */
  done(): void {
    for (const name of Object.keys(this.#env)) {
      if (name.startsWith(PREFIX) && !this.#known.has(name)) this.problem(name, 'unknown variable')
    }
    if (this.#problems.length > 0) throw new ConfigError(this.#problems)
  }
}

export type CommonConfig = {
  nats: { url: string; credsFile: string | undefined }
  probes: { host: string; port: number }
  log: { level: LogLevel; format: LogFormat }
}
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
const FORMATS = ['json', 'pretty'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]
export type LogFormat = (typeof FORMATS)[number]

/** What every process of ours is told. */
export function readCommonConfig(env: EnvReader): CommonConfig {
  return {
    nats: { url: env.url('CHRYS_NATS_URL', ['nats:', 'tls:']), credsFile: env.file('CHRYS_NATS_CREDS_FILE') },
    probes: { host: env.text('CHRYS_PROBE_HOST', '0.0.0.0'), port: env.port('CHRYS_PROBE_PORT', 9090) },
    log: readLogConfig(env),
  }
}

export const readLogConfig = (env: EnvReader): CommonConfig['log'] => ({
  level: env.oneOf('CHRYS_LOG_LEVEL', LOG_LEVELS, 'info'),
  format: env.oneOf('CHRYS_LOG_FORMAT', FORMATS, 'json'),
})

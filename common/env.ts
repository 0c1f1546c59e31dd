// Reads a process's variables as proto/settings.ts declares them, once at start; every problem is reported at once. Writes them for processes
// that we start.
import { accessSync, constants } from 'node:fs'
import { parseBytes } from '../proto/camera.ts'
import {
  PREFIX,
  type GivenValues,
  type LogFormat,
  type LogLevel,
  type SERVICE,
  type Setting,
  type Settings,
  type Values,
} from '../proto/settings.ts'
import { ConfigError, messageOf } from './errors.ts'

export type Env = Readonly<Record<string, string | undefined>>

export type Reading<G extends Settings> = {
  /** What is wrong or missing has a value of its type that nothing may use: `done` throws. */
  values: Values<G>
  problem: (name: keyof G & string, reason: string) => void
  /** Call last: throws ConfigError when anything was wrong. */
  done: () => void
}

/** An empty variable counts as absent. One with our prefix that `settings` does not have is a problem. */
export function readSettings<G extends Settings>(env: Env, settings: G): Reading<G> {
  const problems: string[] = []
  const values: Record<string, unknown> = {}
  for (const [name, setting] of Object.entries(settings)) {
    const text = env[name]?.trim() || undefined
    if (text === undefined) {
      const isMissing = 'required' in setting
      if (isMissing) problems.push(`${name}: is required`)
      values[name] = isMissing ? nothing(setting) : absent(setting)
      continue
    }
    const { value, reasons } = parse(setting, text)
    problems.push(...reasons.map(reason => `${name}: ${reason}`))
    values[name] = reasons.length === 0 ? value : nothing(setting)
  }
  for (const name of Object.keys(env)) {
    if (name.startsWith(PREFIX) && !Object.hasOwn(settings, name)) problems.push(`${name}: unknown variable`)
  }
  return {
    values: values as Values<G>,
    problem: (name, reason) => void problems.push(`${name}: ${reason}`),
    done: () => {
      if (problems.length > 0) throw new ConfigError(problems)
    },
  }
}

function absent(setting: Setting): unknown {
  if (setting.type === 'bytes') return setting.default === undefined ? undefined : parseBytes(setting.default)
  if (setting.type === 'list') return setting.default ?? []
  return 'default' in setting ? setting.default : undefined
}

function nothing({ type }: Setting): unknown {
  if (type === 'json') return undefined
  if (type === 'list') return []
  return type === 'integer' || type === 'bytes' ? 0 : ''
}

type Parsed = { value: unknown; reasons: readonly string[] }
const sound = (value: unknown): Parsed => ({ value, reasons: [] })
const wrong = (reason: string): Parsed => ({ value: undefined, reasons: [reason] })

function parse(setting: Setting, text: string): Parsed {
  switch (setting.type) {
    case 'text': {
      const reason = setting.check?.(text)
      return reason === undefined ? sound(text) : wrong(reason)
    }
    case 'integer':
      return parseInteger(setting, text)
    case 'bytes':
      return parseAmount(setting, text)
    case 'choice':
      return setting.of.includes(text) ? sound(text) : wrong(`must be one of ${setting.of.join(', ')}`)
    case 'list': {
      const items = text.split(',').map(item => item.trim())
      const present = items.filter(item => item !== '')
      return { value: present.length === 0 ? absent(setting) : present, reasons: present.flatMap(item => setting.check(item) ?? []) }
    }
    case 'url':
      return parseUrl(setting, text)
    case 'readable':
      return isReadable(text) ? sound(text) : wrong(`${text} is not readable`)
    case 'path':
      return sound(text)
    case 'json':
      return parseJson(text)
  }
}

function parseInteger({ min, max }: { min: number; max: number }, text: string): Parsed {
  const value = Number(text)
  return /^-?\d+$/.test(text) && value >= min && value <= max ? sound(value) : wrong(`must be a whole number from ${min} to ${max}`)
}

function parseAmount({ min, max }: { min: string; max: string }, text: string): Parsed {
  try {
    const value = parseBytes(text)
    return value >= parseBytes(min) && value <= parseBytes(max) ? sound(value) : wrong(`must be from ${min} to ${max}`)
  } catch (error) {
    return wrong(messageOf(error))
  }
}

function parseUrl({ schemes, check }: Extract<Setting, { type: 'url' }>, text: string): Parsed {
  const url = URL.parse(text)
  if (url === null || !schemes.includes(url.protocol) || url.hostname === '') return wrong(`must be a URL such as ${schemes[0]}//host:port`)
  if (url.username !== '' || url.password !== '') return wrong('must hold no user or password; name a credentials file instead')
  const reason = check?.(url)
  return reason === undefined ? sound(text) : wrong(reason)
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch {
    return false
  }
}

function parseJson(text: string): Parsed {
  try {
    return sound(JSON.parse(text))
  } catch {
    return wrong('is not JSON')
  }
}

/** The variables with which a process reads these values. */
export function toEnv<G extends Settings>(values: GivenValues<G>): Record<string, string> {
  const present = Object.entries<unknown>(values).filter(
    ([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
  )
  return Object.fromEntries(present.map(([name, value]) => [name, Array.isArray(value) ? value.join(',') : String(value)]))
}

/** `metricsPort`: undefined: metrics are served where the probes are. */
export type ProbesAt = { host: string; port: number; metricsPort?: number | undefined }

export type ServiceConfig = {
  nats: { url: string; credsFile: string | undefined; ca: string | undefined; replicas: number }
  probes: ProbesAt
  log: LogConfig
}
export type LogConfig = { level: LogLevel; format: LogFormat }

/** What every process is told that keeps running. */
export const serviceConfig = (values: Values<typeof SERVICE>): ServiceConfig => ({
  nats: {
    url: values.CHRYS_NATS_URL,
    credsFile: values.CHRYS_NATS_CREDS_FILE,
    ca: values.CHRYS_NATS_CA,
    replicas: values.CHRYS_NATS_REPLICAS,
  },
  probes: { host: values.CHRYS_PROBE_HOST, port: values.CHRYS_PROBE_PORT, metricsPort: values.CHRYS_METRICS_PORT },
  log: logConfig(values),
})

type LogValues = Pick<Values<typeof SERVICE>, 'CHRYS_LOG_LEVEL' | 'CHRYS_LOG_FORMAT'>
export const logConfig = (values: LogValues): LogConfig => ({ level: values.CHRYS_LOG_LEVEL, format: values.CHRYS_LOG_FORMAT })

// proto/settings.ts against what else says a setting's name, default or bounds: the chart's templates, values and schema.
import { spawnSync } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import test from 'ava'
import { readSettings, toEnv } from '../common/env.ts'
import { ConfigError } from '../common/errors.ts'
import { NATS_SERVER_OLDEST } from '../common/nats/server-version.mjs'
import { parseBytes } from '../proto/camera.ts'
import {
  CLOUD,
  GATEWAY,
  MAKE_CERTIFICATES,
  MAKE_IDENTITY,
  OPERATOR,
  RELEASE_FINALIZERS,
  SIDECAR,
  type GivenValues,
  type Setting,
} from '../proto/settings.ts'
import { CHART, chartFile } from './fixtures/helm.ts'

/** What the chart computes, so that there is no default to compare: 0 decoders stands for none given, and lists are joined. */
const COMPUTED = ['CHRYS_DECODERS_MAX']

type Schema = { properties?: Record<string, Schema>; $ref?: string; minimum?: number; maximum?: number; enum?: unknown[]; pattern?: string }
type Tree = { [name: string]: Tree | undefined }

const at = (tree: unknown, path: string): unknown => path.split('.').reduce((node, name) => (node as Tree)[name], tree as Tree | undefined)

/** What the chart's schema says of a value. */
function ruleAt(whole: Schema & { $defs: Record<string, Schema> }, path: string): Schema {
  const resolved = (schema: Schema | undefined): Schema =>
    (schema?.$ref === undefined ? schema : whole.$defs[schema.$ref.slice('#/$defs/'.length)]) ?? {}
  return path.split('.').reduce((schema, name) => resolved(schema.properties?.[name]), whole as Schema)
}

/** Every variable that a template sets from one value: `CHRYS_WORKERS` → `operator.workers`. */
async function variablesOf(template: string): Promise<[name: string, path: string][]> {
  const text = (await readFile(`${CHART}/templates/${template}`, 'utf8'))
    .replaceAll('$cloud.', '.Values.gateway.cloud.')
    .replaceAll('$root', '')
  return [...text.matchAll(/(?:\{\{- with ([.\w]+) \}\}\s*)?- \{ name: (CHRYS_\w+), value: \{\{ (?:quote )?\.(\S*)/g)].flatMap(
    ([, outer, name, path]) => {
      const value = path === '' ? outer?.slice(1) : path
      return value?.startsWith('Values.') ? [[name ?? '', value.slice('Values.'.length)] as [string, string]] : []
    },
  )
}

const FROM_VALUES = [
  ['gateway.yaml', GATEWAY, 12],
  ['operator.yaml', OPERATOR, 5],
  ['_helpers.tpl', GATEWAY, 1],
  ['_helpers.tpl', OPERATOR, 1],
] as const

for (const [template, settings, count] of FROM_VALUES) {
  test(`${template} sets variables that ${settings === GATEWAY ? 'the gateway' : 'the operator'} has, with its defaults and bounds`, async t => {
    const [values, schema] = [
      await chartFile('values.yaml'),
      (await chartFile('values.schema.json')) as Schema & { $defs: Record<string, Schema> },
    ]
    const variables = await variablesOf(template)
    t.is(variables.length, count, variables.join('; '))
    for (const [name, path] of variables) {
      const setting = (settings as Record<string, Setting>)[name]
      if (setting === undefined) {
        t.fail(`${name} does not exist`)
        continue
      }
      const value = at(values, path)
      if ('default' in setting && !COMPUTED.includes(name)) t.is(value, setting.default, `${path} in values.yaml and ${name}`)
      const rule = ruleAt(schema, path)
      if (setting.type === 'integer')
        t.deepEqual([rule.minimum, rule.maximum], [setting.min, setting.max], `${path} in values.schema.json and ${name}`)
      if (setting.type === 'choice') t.deepEqual(rule.enum, [...setting.of], `${path} in values.schema.json and ${name}`)
    }
  })
}

test('the chart gives cameras the resources, and denies them the addresses, that the operator gives and denies by itself', async t => {
  const cameras = ((await chartFile('values.yaml')) as { cameras: { resources: object; denyCidrs: string[] } }).cameras
  t.deepEqual(cameras.resources, OPERATOR.CHRYS_SIDECAR_RESOURCES.default)
  t.deepEqual(cameras.denyCidrs, OPERATOR.CHRYS_DENY_CIDRS.default)
})

test('no template of the chart names a variable that no program has', async t => {
  const known = new Set(
    [SIDECAR, GATEWAY, OPERATOR, MAKE_CERTIFICATES, MAKE_IDENTITY, RELEASE_FINALIZERS].flatMap(settings => Object.keys(settings)),
  )
  const folder = `${CHART}/templates`
  for (const file of await readdir(folder)) {
    for (const [name] of (await readFile(`${folder}/${file}`, 'utf8')).matchAll(/CHRYS_\w+/g)) t.true(known.has(name), `${name} in ${file}`)
  }
})

const reading = (env: Record<string, string>): readonly string[] => {
  try {
    readSettings(env, CLOUD).done()
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

for (const [name, { min, max }] of [
  ['CHRYS_CLOUD_TIMEOUT_MS', CLOUD.CHRYS_CLOUD_TIMEOUT_MS],
  ['CHRYS_ANNOTATION_QUEUE_MAX', CLOUD.CHRYS_ANNOTATION_QUEUE_MAX],
] as const) {
  test(`${name} is taken from its least to its greatest value, and no further`, t => {
    for (const value of [min, max]) t.deepEqual(reading({ [name]: String(value) }), [])
    for (const value of [min - 1, max + 1, min + 0.5])
      t.deepEqual(reading({ [name]: String(value) }), [`${name}: must be a whole number from ${min} to ${max}`])
  })
}

test('a queue of no bytes, which JetStream would take for one without a limit, is refused', t => {
  const name = 'CHRYS_ANNOTATION_QUEUE_MAX_BYTES'
  t.deepEqual(reading({ [name]: '0' }), [`${name}: must be from 1 to 16Ti`])
  t.deepEqual(reading({ [name]: '1' }), [])
})

test('local mode refuses variables that it does not take, and values out of bounds, before it starts anything', t => {
  const env = { PATH: process.env['PATH'], CHRYS_NATS_URL: 'nats://u:canary@h', CHRYS_CLOUD_TIMEOUT_MS: '5', CHRYS_CLOUD_API_ULR: 'x' }
  const { status, stdout, stderr } = spawnSync(process.execPath, ['deploy/local/main.ts', '--port', '0'], {
    env,
    encoding: 'utf8',
    timeout: 60_000,
  })
  t.is(status, 78)
  t.is(stdout, '')
  t.deepEqual(stderr.trim().split('\n'), [
    'config: CHRYS_CLOUD_TIMEOUT_MS: must be a whole number from 100 to 300000',
    'config: CHRYS_NATS_URL: unknown variable',
    'config: CHRYS_CLOUD_API_ULR: unknown variable',
  ])
})

test('every default is a value that its own setting takes', t => {
  for (const settings of [SIDECAR, GATEWAY, OPERATOR]) {
    for (const [name, setting] of Object.entries<Setting>(settings)) {
      if ('required' in setting || !('default' in setting)) continue
      const { default: value } = setting
      const text = Array.isArray(value) ? value.join(',') : typeof value === 'object' ? JSON.stringify(value) : String(value)
      const { values, done } = readSettings({ [name]: text }, { [name]: setting })
      t.notThrows(done, name)
      t.deepEqual(values[name], setting.type === 'bytes' ? parseBytes(setting.default) : value)
    }
  }
})

test('what is written for a sidecar is what it reads', t => {
  const given: GivenValues<typeof SIDECAR> = {
    CHRYS_NATS_URL: 'nats://127.0.0.1:4222',
    CHRYS_NATS_CREDS_FILE: undefined,
    CHRYS_PROBE_PORT: 0,
    CHRYS_LOG_LEVEL: 'debug',
    CHRYS_CAMERA_NAMESPACE: 'shop',
    CHRYS_CAMERA_NAME: 'door',
    CHRYS_CAMERA_UID: 'u',
    CHRYS_CAMERA_GENERATION: 7,
    CHRYS_CAMERA_SPEC: '{"a":1}',
    CHRYS_DENY_CIDRS: ['10.0.0.0/8', '::1/128'],
  }
  const env = toEnv<typeof SIDECAR>(given)
  t.false('CHRYS_NATS_CREDS_FILE' in env)
  const { values, done } = readSettings(env, SIDECAR)
  done()
  const present = Object.keys(env) as (keyof typeof SIDECAR)[]
  t.deepEqual(Object.fromEntries(present.map(name => [name, values[name]])), {
    ...Object.fromEntries(present.map(name => [name, given[name]])),
    CHRYS_CAMERA_SPEC: { a: 1 },
  })
})

test('every document names the same oldest nats-server as the set-up', async t => {
  const root = new URL('../', import.meta.url)
  const files = ['README.md', ...(await readdir(new URL('docs', root), { recursive: true })).map(name => `docs/${name}`)]
  const told: [file: string, version: string | undefined][] = []
  for (const file of files.filter(name => name.endsWith('.md'))) {
    const text = await readFile(new URL(file, root), 'utf8')
    for (const [, version] of text.matchAll(/(?:nats-server|NATS)[^\d\n]{0,20}(\d+\.\d+) (?:or newer|or later|on\b)/g))
      told.push([file, version])
  }
  t.true(told.length >= 3)
  t.deepEqual(
    told.filter(([, version]) => version !== NATS_SERVER_OLDEST),
    [],
  )
})

import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { SPEC_BOUNDS, SPEC_DEFAULTS } from '../proto/camera.ts'
import { cameraSchema } from '../deploy/local/manifests.ts'
import type { Schema } from '../deploy/local/schema.ts'
import { temporaryFolder } from './fixtures/tmp.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** What the API server hands out: a field is there when it is required or has a default. */
function typeOf(schema: Schema): string {
  if (schema['x-kubernetes-int-or-string'] === true) return 'string | number'
  switch (schema.type) {
    case 'object':
      return schema.properties === undefined
        ? `Record<string, ${schema.additionalProperties ? typeOf(schema.additionalProperties) : 'unknown'}>`
        : fields(schema)
    case 'array':
      return `(${typeOf(schema.items as Schema)})[]`
    case 'string':
      return schema.enum === undefined ? 'string' : schema.enum.map(value => JSON.stringify(value)).join(' | ')
    case 'integer':
      return 'number'
    default:
      return schema.type ?? 'unknown'
  }
}

function fields({ properties = {}, required = [] }: Schema): string {
  const field = ([name, schema]: [string, Schema]) =>
    `${name}${required.includes(name) || schema.default !== undefined ? '' : '?'}: ${typeOf(schema)}`
  return `{ ${Object.entries(properties).map(field).join('; ')} }`
}

async function compile(source: string): Promise<string> {
  await using folder = await temporaryFolder()
  await writeFile(folder.file('check.mts'), source)
  await writeFile(
    folder.file('tsconfig.json'),
    JSON.stringify({ extends: `${ROOT}tsconfig.json`, compilerOptions: { types: [] }, include: [], files: ['check.mts'] }),
  )
  const tsc = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url))
  try {
    await promisify(execFile)(process.execPath, [tsc, '-p', folder.path], { timeout: 60_000 })
    return ''
  } catch (error) {
    return (error as { stdout: string }).stdout
  }
}

const check = (generated: string) => `
import type { CameraSpec } from '${ROOT}proto/camera.ts'
type Generated = ${generated}
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
export const written: CameraSpec = {} as Generated
export const schema: Generated = {} as CameraSpec
export const same: Same<Generated, CameraSpec> = true
`

test('the type CameraSpec says what the schema says', async t => {
  const spec = cameraSchema().properties?.['spec'] as Schema
  t.is(await compile(check(typeOf(spec))), '')
})

test('a field that only one of schema and type has is noticed', async t => {
  const spec = structuredClone(cameraSchema().properties?.['spec'] as Schema)
  const decoding = spec.properties?.['decoding']?.properties as Record<string, Schema>
  decoding['rotate'] = { type: 'integer' }
  t.regex(await compile(check(typeOf(spec))), /Type 'true' is not assignable to type 'false'/)
})

/** Every default in the schema, by its field's path: `buffer.duration` → `60s`. */
const schemaDefaults = ({ properties = {} }: Schema, path: string): [string, unknown][] =>
  Object.entries(properties).flatMap(([name, schema]) =>
    schema.default === undefined || typeof schema.default === 'object'
      ? schemaDefaults(schema, `${path}${name}.`)
      : [[`${path}${name}`, schema.default]],
  )

const leaves = (tree: object, path: string): [string, unknown][] =>
  Object.entries(tree).flatMap(([name, value]: [string, unknown]) =>
    typeof value === 'object' && value !== null ? leaves(value, `${path}${name}.`) : [[`${path}${name}`, value]],
  )

test('the defaults that the processes know are those of the schema', t => {
  const spec = cameraSchema().properties?.['spec'] as Schema
  const ofSchema = Object.fromEntries(schemaDefaults(spec, ''))
  t.deepEqual(Object.fromEntries(leaves(SPEC_DEFAULTS, '')), ofSchema)
})

test('the bounds that the processes know are those of the schema', t => {
  const spec = cameraSchema().properties?.['spec'] as Schema
  const decoding = spec.properties?.['decoding']?.properties ?? {}
  const { maxFps, scale } = decoding as Record<'maxFps' | 'scale', Schema & { minimum?: number; maximum?: number }>
  t.deepEqual({ min: maxFps.minimum, max: maxFps.maximum }, { ...SPEC_BOUNDS.maxFps })
  t.is(scale.maxLength, SPEC_BOUNDS.scale.lengthMax)
  t.is(spec.properties?.['buffer']?.properties?.['scale']?.maxLength, SPEC_BOUNDS.scale.lengthMax)
})

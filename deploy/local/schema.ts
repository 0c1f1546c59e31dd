// Validates an object as the API server would: structural schema, defaults, list types, CEL rules, unknown fields. Messages are worded
// like the API server's, but never repeat a text of the object's: it may be a password in the wrong place.
import { Ajv, type ErrorObject } from 'ajv'
import { compileRule, type Rule, type RuleCheck } from './rules.ts'

/** What we use of the OpenAPI schema in a CustomResourceDefinition. */
export type Schema = {
  type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean'
  description?: string
  properties?: Record<string, Schema>
  additionalProperties?: Schema
  items?: Schema
  required?: string[]
  default?: unknown
  enum?: string[]
  pattern?: string
  maxLength?: number
  'x-kubernetes-validations'?: Rule[]
  'x-kubernetes-preserve-unknown-fields'?: boolean
  'x-kubernetes-int-or-string'?: boolean
  'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map'
  'x-kubernetes-list-map-keys'?: string[]
}

/** Sets defaults and removes nulls in `value` itself. Returns one line for each problem; with none, `value` is what the API server would store. */
export type Validator = (value: object) => string[]

/** A field's place, e.g. `.spec.pod.env[0].name`; empty for the object itself. */
type Path = string
type Problem = { path: Path; message: string }

export function compileSchema(schema: Schema): Validator {
  const validate = new Ajv({ allErrors: true, verbose: true, useDefaults: true, strict: false, validateFormats: false }).compile(
    closed(schema),
  )
  const rules = new Map<Schema, RuleCheck[]>()
  walkSchema(schema, node => rules.set(node, (node['x-kubernetes-validations'] ?? []).map(compileRule)))
  return value => {
    dropNulls(value)
    validate(value)
    const problems = (validate.errors ?? []).map(error => problemOf(error, value))
    const malformed = new Set(problems.map(({ path }) => path))
    walk(schema, value, '', (node, at, path) => {
      problems.push(...duplicates(node, at, path))
      if (!malformed.has(path)) problems.push(...broken(rules.get(node) ?? [], node, at, path, malformed.size > 0))
    })
    return [...new Set(problems.map(({ path, message }) => (path === '' ? message : `${path.slice(1)}: ${message}`)))]
  }
}

function broken(checks: RuleCheck[], schema: Schema, value: unknown, path: Path, isObjectMalformed: boolean): Problem[] {
  return checks.flatMap(check => {
    const verdict = check(value, schema)
    // A rule that can't be evaluated on a malformed object has been explained by what is malformed.
    if (verdict.holds || (verdict.error && isObjectMalformed)) return []
    return [{ path: path + verdict.fieldPath, message: `${verdict.kind}: ${verdict.message}` }]
  })
}

/** The schema for ajv: fields that it doesn't name are refused, and Kubernetes' own keywords are said in JSON Schema's. */
function closed(schema: Schema): object {
  const { properties, additionalProperties, items, ...rest } = schema
  const others = additionalProperties === undefined ? schema['x-kubernetes-preserve-unknown-fields'] === true : closed(additionalProperties)
  return {
    ...rest,
    ...(schema['x-kubernetes-int-or-string'] === true ? { type: ['integer', 'string'] } : {}),
    ...(schema.type === 'object' ? { additionalProperties: others } : {}),
    ...(properties === undefined ? {} : { properties: mapValues(properties, closed) }),
    ...(items === undefined ? {} : { items: closed(items) }),
  }
}

const mapValues = <T, U>(object: Record<string, T>, change: (value: T) => U): Record<string, U> =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]))

/** None of our fields is nullable, and the API server drops such nulls before it sets defaults. */
function dropNulls(value: unknown): void {
  if (Array.isArray(value)) return value.forEach(dropNulls)
  if (!isObject(value)) return
  for (const [key, child] of Object.entries(value)) {
    if (child === null) delete value[key]
    else dropNulls(child)
  }
}

function walkSchema(schema: Schema, visit: (schema: Schema) => void): void {
  visit(schema)
  for (const child of [...Object.values(schema.properties ?? {}), schema.additionalProperties, schema.items]) {
    if (child !== undefined) walkSchema(child, visit)
  }
}

/** Visits every value that the schema says something about. */
function walk(schema: Schema, value: unknown, path: Path, visit: (schema: Schema, value: unknown, path: Path) => void): void {
  visit(schema, value, path)
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) if (schema.items !== undefined) walk(schema.items, item, `${path}[${index}]`, visit)
  } else if (isObject(value)) {
    for (const [key, child] of Object.entries(value)) {
      const next = fieldOf(schema, key)
      if (next !== undefined) walk(next, child, `${path}.${key}`, visit)
    }
  }
}

const fieldOf = (schema: Schema, key: string): Schema | undefined =>
  schema.properties !== undefined && Object.hasOwn(schema.properties, key) ? schema.properties[key] : schema.additionalProperties

function duplicates(schema: Schema, value: unknown, path: Path): Problem[] {
  const keys = schema['x-kubernetes-list-map-keys']
  if (keys === undefined || !Array.isArray(value)) return []
  const identities = value.map((item: unknown) => JSON.stringify(keys.map(key => (isObject(item) ? item[key] : undefined))))
  return identities.flatMap((identity, index) =>
    identities.indexOf(identity) === index
      ? []
      : [{ path: `${path}[${index}]`, message: `Duplicate value: ${keys.join(', ')} must differ` }],
  )
}

function problemOf({ keyword, instancePath, params, parentSchema, data }: ErrorObject, root: object): Problem {
  const path = pathOf(instancePath, root)
  const limit = Number(params['limit'])
  switch (keyword) {
    case 'required':
      return { path: `${path}.${params['missingProperty']}`, message: 'Required value' }
    case 'additionalProperties':
      return {
        path: '',
        message: `unknown field "${`${path}.${params['additionalProperty']}`.slice(1)}"${known(parentSchema as Schema | undefined)}`,
      }
    case 'type':
      return { path, message: `Invalid value: must be of type ${[params['type']].flat().join(' or ')}${hint(params['type'], data)}` }
    case 'enum':
      return { path, message: `Unsupported value: supported values: ${(params['allowedValues'] as string[]).map(quote).join(', ')}` }
    case 'minimum':
      return { path, message: `Invalid value: the minimum is ${limit}` }
    case 'maximum':
      return { path, message: `Invalid value: the maximum is ${limit}` }
    case 'minLength':
      return { path, message: 'Required value' }
    case 'maxLength':
      return { path, message: `Too long: may not be more than ${limit} characters` }
    case 'maxItems':
    case 'maxProperties':
      return { path, message: `Too many: must have at most ${limit} items` }
    case 'pattern':
      return { path, message: `Invalid value: must match ${params['pattern']}` }
    default:
      return { path, message: `Invalid value: ${keyword} does not hold` }
  }
}

/** `on`, `n` or `007` without quotes is no text to YAML. */
const hint = (type: unknown, data: unknown) =>
  type === 'string' && (typeof data === 'boolean' || typeof data === 'number') ? '; write it in quotes' : ''

const quote = (text: string) => JSON.stringify(text)

function known(schema: Schema | undefined): string {
  const names = Object.keys(schema?.properties ?? {})
  return names.length === 0 ? '' : ` (known here: ${names.join(', ')})`
}

/** ajv's JSON pointer, as Kubernetes writes it. */
function pathOf(pointer: string, root: object): Path {
  let at: unknown = root
  let path = ''
  for (const segment of pointer.split('/').slice(1)) {
    const key = segment.replaceAll('~1', '/').replaceAll('~0', '~')
    path += Array.isArray(at) ? `[${key}]` : `.${key}`
    at = (at as Record<string, unknown> | undefined)?.[key]
  }
  return path
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

// Secrets and ConfigMaps that stand in a manifest file beside the Cameras which name them.
import { OBJECT_META } from './metadata.ts'
import { compileSchema, type Schema } from './schema.ts'

export type Secret = { kind: 'Secret' | 'ConfigMap'; namespace: string; name: string; data: ReadonlyMap<string, Buffer> }

type SecretManifest = { metadata: { namespace?: string; name: string }; data?: Record<string, string>; stringData?: Record<string, string> }

const VALUES: Schema = { type: 'object', additionalProperties: { type: 'string', maxLength: 1 << 20 } }
/** What both kinds have. */
const PROPERTIES = {
  apiVersion: { type: 'string', enum: ['v1'] },
  kind: { type: 'string' },
  metadata: OBJECT_META,
  immutable: { type: 'boolean' },
  data: VALUES,
} satisfies Record<string, Schema>
const schemaOf = (properties: Record<string, Schema>): Schema => ({ type: 'object', required: ['metadata'], properties })
const validate = compileSchema(schemaOf({ ...PROPERTIES, type: { type: 'string', maxLength: 253 }, stringData: VALUES }))
const validateConfigMap = compileSchema(schemaOf(PROPERTIES))

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const OBJECT_NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

export function secretProblems(value: object): string[] {
  const problems = validate(value)
  if (problems.length > 0) return problems
  const { metadata, data = {}, stringData = {} } = value as SecretManifest
  if (metadata.name.length > 253 || !OBJECT_NAME.test(metadata.name)) {
    problems.push('metadata.name: Invalid value: must be the name of an object, in lower case letters, digits, - and .')
  }
  if (Object.keys({ ...data, ...stringData }).some(key => !/^[-._a-zA-Z0-9]{1,253}$/.test(key))) {
    problems.push('data: Invalid value: a key must consist of letters, digits, -, _ and .')
  }
  for (const [key, text] of Object.entries(data)) {
    if (!BASE64.test(text.replaceAll(/\s/g, ''))) {
      problems.push(`data.${key}: Invalid value: must be base64; plain text belongs in stringData`)
    }
  }
  return problems
}

/** Of a value without problems. stringData wins over data, as on a cluster. */
export function secretOf(value: object, namespace: string): Secret {
  const { metadata, data = {}, stringData = {} } = value as SecretManifest
  const decoded = [...Object.entries(data).map(([key, text]) => [key, Buffer.from(text, 'base64')] as const)]
  const plain = Object.entries(stringData).map(([key, text]) => [key, Buffer.from(text)] as const)
  return { kind: 'Secret', namespace, name: metadata.name, data: new Map([...decoded, ...plain]) }
}

type ConfigMapManifest = { metadata: { name: string }; data?: Record<string, string> }

export const configMapProblems = (value: object): string[] => validateConfigMap(value)

/** Of a value without problems. */
export function configMapOf(value: object, namespace: string): Secret {
  const { metadata, data = {} } = value as ConfigMapManifest
  return {
    kind: 'ConfigMap',
    namespace,
    name: metadata.name,
    data: new Map(Object.entries(data).map(([key, text]) => [key, Buffer.from(text)])),
  }
}

// Camera manifests, as `kubectl apply` would take them: what a user gives to local mode.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { parse as parseYaml } from 'yaml'
import { API_VERSION, KIND, VERSION, type Camera } from '../../proto/camera.ts'
import { messageOf } from '../../common/errors.ts'
import { OBJECT_META } from './metadata.ts'
import { compileSchema, isObject, type Schema, type Validator } from './schema.ts'
import { configMapOf, configMapProblems, secretOf, secretProblems, type Secret } from './secrets.ts'
import { readYaml } from './yaml.ts'

export type Manifests = { cameras: Camera[]; secrets: Secret[] }

/** Every problem of every file, a line each: file, document, field, what is wrong with it. No line repeats a secret or a URL. */
export class ManifestError extends Error {
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(`refused: ${problems.join('; ')}`)
    this.problems = problems
  }
}

const CRD_FILE = new URL('../../charts/chrysalis-edge/files/cameras.video.chrys.cloud.yaml', import.meta.url)
const FILE_BYTES_MAX = 4 << 20
const CAMERAS_MAX = 256

/** The Camera's schema, from the chart's CustomResourceDefinition. */
export function cameraSchema(): Schema {
  const crd = parseYaml(readFileSync(CRD_FILE, 'utf8')) as { spec: { versions: { name: string; schema: { openAPIV3Schema: Schema } }[] } }
  const version = crd.spec.versions.find(({ name }) => name === VERSION)
  if (version === undefined) throw new Error(`the CRD has no version ${VERSION}`)
  return version.schema.openAPIV3Schema
}

/** As the API server checks a Camera, metadata included, which it checks by other means than the CRD's schema. */
export function cameraValidator(): Validator {
  const schema = cameraSchema()
  return compileSchema({
    ...schema,
    required: ['metadata', ...(schema.required ?? [])],
    properties: { ...schema.properties, metadata: OBJECT_META },
  })
}

/** Reads Cameras and Secrets. Rejects with a ManifestError that holds every problem, else all of it is valid and has its defaults. */
export async function readManifests(files: readonly string[]): Promise<Manifests> {
  const collector = new Collector()
  for (const file of files) {
    const text = await textOf(file)
    if ('problem' in text) collector.problems.push(`${file}: ${text.problem}`)
    else collector.add(file, text.content)
  }
  return collector.done(files)
}

async function textOf(file: string): Promise<{ content: string } | { problem: string }> {
  try {
    const { size } = await stat(file)
    if (size > FILE_BYTES_MAX) return { problem: `larger than ${FILE_BYTES_MAX >> 20} MiB, so hardly a list of cameras` }
    return { content: await readFile(file, 'utf8') }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT') return { problem: 'no such file' }
    if (code === 'EISDIR') return { problem: 'is a folder; name the files in it' }
    return { problem: `cannot be read: ${messageOf(error)}` }
  }
}

class Collector {
  readonly problems: string[] = []
  readonly #validateCamera = cameraValidator()
  readonly #cameras: Camera[] = []
  readonly #secrets: Secret[] = []
  /** Where each object was first seen. */
  readonly #seen = new Map<string, string>()

  add(file: string, text: string): void {
    const { documents, problems } = readYaml(text)
    for (const problem of problems) this.problems.push(`${file}: ${problem}`)
    for (const { number, value } of documents) {
      const at = `${file}: document ${number}`
      for (const problem of this.#take(value, at)) this.problems.push(`${at}${label(value)}: ${problem}`)
    }
  }

  done(files: readonly string[]): Manifests {
    if (this.#cameras.length > CAMERAS_MAX) this.problems.push(`${this.#cameras.length} cameras: local mode takes ${CAMERAS_MAX} at most`)
    if (this.problems.length === 0 && this.#cameras.length === 0) this.problems.push(`${files.join(', ')}: no Camera in there`)
    if (this.problems.length > 0) throw new ManifestError(this.problems)
    return { cameras: this.#cameras, secrets: this.#secrets }
  }

  /** The problems of one document; one without any is kept. */
  #take(value: unknown, at: string): string[] {
    if (!isObject(value)) return ['not an object: a manifest starts with apiVersion, kind and metadata']
    const { apiVersion, kind } = value
    if (kind === KIND) {
      if (apiVersion !== API_VERSION) return [`apiVersion: Unsupported value: a Camera's is ${API_VERSION}`]
      const problems = [...this.#validateCamera(value), ...this.#duplicate(value, at)]
      if (problems.length === 0) this.#cameras.push(cameraOf(value))
      return problems
    }
    if (kind === 'Secret') {
      if (apiVersion !== 'v1') return ["apiVersion: Unsupported value: a Secret's is v1"]
      const problems = [...secretProblems(value), ...this.#duplicate(value, at)]
      if (problems.length === 0) this.#secrets.push(secretOf(value, identityOf(value).namespace))
      return problems
    }
    if (kind === 'ConfigMap') {
      if (apiVersion !== 'v1') return ["apiVersion: Unsupported value: a ConfigMap's is v1"]
      const problems = [...configMapProblems(value), ...this.#duplicate(value, at)]
      if (problems.length === 0) this.#secrets.push(configMapOf(value, identityOf(value).namespace))
      return problems
    }
    if (typeof kind !== 'string') return ['kind: Required value: Camera, Secret or ConfigMap']
    return ['kind: Unsupported value: local mode takes Cameras, Secrets and ConfigMaps; other kinds need a cluster']
  }

  #duplicate(value: Record<string, unknown>, at: string): string[] {
    const { namespace, name } = identityOf(value)
    if (name === undefined) return []
    const identity = `${String(value['kind'])} ${namespace}/${name}`
    const first = this.#seen.get(identity)
    if (first !== undefined) return [`metadata.name: Duplicate value: ${first} has this name already`]
    this.#seen.set(identity, at)
    return []
  }
}

function identityOf(value: Record<string, unknown>): { namespace: string; name: string | undefined } {
  const { namespace, name } = isObject(value['metadata']) ? value['metadata'] : {}
  return { namespace: typeof namespace === 'string' ? namespace : 'default', name: typeof name === 'string' ? name : undefined }
}

/** ` (Camera garden/pond)`, where the manifest has come so far as to say so. */
function label(value: unknown): string {
  if (!isObject(value) || typeof value['kind'] !== 'string') return ''
  const { namespace, name } = identityOf(value)
  const text = `${value['kind']} ${namespace}/${name ?? ''}`
  return name !== undefined && /^[\w ./-]{1,160}$/.test(text) ? ` (${text})` : ''
}

/** What the API server would make of a valid manifest. */
function cameraOf(value: Record<string, unknown>): Camera {
  const { metadata, spec } = value as Pick<Camera, 'metadata' | 'spec'>
  const { labels, annotations, name } = metadata
  const { namespace } = identityOf(value)
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: {
      namespace,
      name,
      uid: uidOf(`${namespace}/${name}`),
      generation: 1,
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
    },
    spec,
  }
}

/** The same in each run: what the buffer in a data folder holds is this camera's. */
function uidOf(identity: string): string {
  const hex = createHash('sha256').update(identity).digest('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-')
}

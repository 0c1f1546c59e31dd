// The Camera's schema on a real API server: its verdicts, its words, its defaults, and that local mode's are the same.
import anyTest, { type TestFn } from 'ava'
import { cameraSchema, cameraValidator } from '../../deploy/local/manifests.ts'
import { ApiError } from '../../common/kube/client.ts'
import { BAD_CAMERAS, camera, GOOD_SPECS } from '../fixtures/camera-manifests.ts'
import { missingControlPlane, startKube, type Kube } from '../fixtures/kube.ts'

const missing = missingControlPlane(['etcd', 'kube-apiserver'])
const ava = anyTest as TestFn<{ kube: Kube }>
const test = missing === undefined ? ava : ava.skip
const suffix = missing === undefined ? '' : ` (skipped: ${missing})`

if (missing === undefined) {
  ava.before(async t => {
    t.context.kube = await startKube({ crd: true })
  })
  ava.after.always(t => t.context.kube?.[Symbol.asyncDispose]())
}

type Schema = {
  type?: string
  description?: string
  format?: string
  enum?: string[]
  maxLength?: number
  maxItems?: number
  maxProperties?: number
  properties?: Record<string, Schema>
  items?: Schema
  additionalProperties?: Schema
}

const CAMERAS = '/apis/video.chrys.cloud/v1beta1/namespaces/default/cameras'

type Verdict = { stored: { spec: object } } | { refusal: string }

/** As kubectl creates an object: unknown fields are refused. */
async function create(kube: Kube, object: object, dryRun = true): Promise<Verdict> {
  try {
    const query = { fieldValidation: 'Strict', ...(dryRun ? { dryRun: 'All' } : {}) }
    return { stored: await kube.api.request<{ spec: object }>('POST', CAMERAS, { query, body: object }) }
  } catch (error) {
    if (!(error instanceof ApiError) || error.code >= 500) throw error
    return { refusal: error.message }
  }
}

for (const { title, name, spec, at, message } of BAD_CAMERAS) {
  test(`the API server refuses: ${title}${suffix}`, async t => {
    const verdict = await create(t.context.kube, camera(spec, name))
    const refusal = 'refusal' in verdict ? verdict.refusal : 'nothing'
    t.true(refusal.includes(at), refusal)
    t.true(refusal.includes(message ?? ''), refusal)
    t.false(refusal.includes('u:p@'), 'a refusal repeats a password')
  })
}

const validate = cameraValidator()
for (const spec of GOOD_SPECS) {
  test(`the API server accepts, with local mode's defaults: ${JSON.stringify(spec).slice(0, 100)}${suffix}`, async t => {
    const local = camera(structuredClone(spec)) as { spec: object }
    t.deepEqual(validate(local), [])
    const verdict = await create(t.context.kube, camera(spec))
    t.deepEqual('stored' in verdict ? verdict.stored.spec : verdict.refusal, local.spec)
  })
}

test(`where the buffer is kept can't be changed later${suffix}`, async t => {
  const { kube } = t.context
  const put = (storage: string) =>
    kube.apply(`${CAMERAS}/immutable`, camera({ source: { url: 'testsrc:' }, buffer: { storage } }, 'immutable'))
  await put('Memory')
  await t.throwsAsync(put('File'), { instanceOf: ApiError, message: /spec\.buffer\.storage: .*cannot be changed; delete the Camera/ })
})

type Stored = { spec: { suspend: boolean }; status?: { reason?: string } }

test(`status is written at its own place only${suffix}`, async t => {
  const { kube } = t.context
  const path = `${CAMERAS}/parts`
  const whole = { ...camera({ source: { url: 'testsrc:' } }, 'parts'), status: { reason: 'Streaming' } }
  t.is((await kube.apply<Stored>(path, whole)).status, undefined)
  const change = { ...camera({ source: { url: 'testsrc:' }, suspend: true }, 'parts'), status: { reason: 'Streaming' } }
  const stored = await kube.apply<Stored>(`${path}/status`, change)
  t.is(stored.status?.reason, 'Streaming')
  t.false(stored.spec.suspend)
})

type Table = { columnDefinitions: { name: string; priority: number; description: string }[]; rows: { cells: unknown[] }[] }

test(`kubectl get shows what a person wants to know first${suffix}`, async t => {
  const { kube } = t.context
  const path = `${CAMERAS}/columns`
  const object = camera({ source: { url: 'testsrc:' } }, 'columns')
  await kube.apply(path, object)
  const ready = { type: 'Ready', status: 'False', reason: 'AuthFailed', message: 'm', lastTransitionTime: '2026-01-01T00:00:00Z' }
  const status = { conditions: [ready], reason: 'AuthFailed', node: 'edge-1', codec: 'h264', fps: 25 }
  await kube.apply(`${path}/status`, { ...object, status })
  const table = await kube.api.request<Table>('GET', path, { accept: 'application/json;as=Table;g=meta.k8s.io;v=v1' })
  const always = table.columnDefinitions.flatMap(({ name, priority }, i) => (priority === 0 ? [[name, table.rows[0]?.cells[i]]] : []))
  t.deepEqual(always.slice(0, 6), [
    ['Name', 'columns'],
    ['Ready', 'False'],
    ['Reason', 'AuthFailed'],
    ['Node', 'edge-1'],
    ['Codec', 'h264'],
    ['FPS', 25],
  ])
  t.is(always[6]?.[0], 'Age')
  t.true(table.columnDefinitions.some(({ priority }) => priority === 1))
})

test(`it is known as cam, and in kubectl get all${suffix}`, async t => {
  const { resources } = await t.context.kube.api.request<{ resources: { name: string; shortNames?: string[]; categories?: string[] }[] }>(
    'GET',
    '/apis/video.chrys.cloud/v1beta1',
  )
  t.like(
    resources.find(({ name }) => name === 'cameras'),
    { shortNames: ['cam'], categories: ['all'] },
  )
})

ava('every field is described and bounded', t => {
  const walk = (schema: Schema, path: string) => {
    const { type, properties, items, additionalProperties } = schema
    if (!path.endsWith('[]') && !path.endsWith('{}')) t.truthy(schema.description, `${path} is not described`)
    if (type === 'string' && schema.enum === undefined && schema.format !== 'date-time') t.truthy(schema.maxLength, `${path} is unbounded`)
    if (type === 'array') t.truthy(schema.maxItems, `${path} is unbounded`)
    if (type === 'object' && properties === undefined) t.truthy(schema.maxProperties, `${path} is unbounded`)
    for (const [name, each] of Object.entries(properties ?? {})) walk(each, `${path}.${name}`)
    if (items !== undefined) walk(items, `${path}[]`)
    if (additionalProperties !== undefined) walk(additionalProperties, `${path}{}`)
  }
  const { spec, status } = (cameraSchema() as Schema).properties ?? {}
  walk(spec ?? {}, 'spec')
  walk(status ?? {}, 'status')
})

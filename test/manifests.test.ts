import { writeFile } from 'node:fs/promises'
import test from 'ava'
import { stringify } from 'yaml'
import { cameraValidator, ManifestError, readManifests, type Manifests } from '../deploy/local/manifests.ts'
import { BAD_CAMERAS, camera, GOOD_SPECS } from './fixtures/camera-manifests.ts'
import { temporaryFolder } from './fixtures/tmp.ts'

const validate = cameraValidator()

for (const { title, name, spec, at, message, local = message ?? '' } of BAD_CAMERAS) {
  test(`refused: ${title}`, t => {
    const problems = validate(camera(structuredClone(spec), name))
    t.is(problems.length, 1, problems.join('\n'))
    t.true(problems[0]?.startsWith(at), problems[0])
    t.true(problems[0]?.includes(local), problems[0])
  })
}

for (const spec of GOOD_SPECS) {
  test(`accepted: ${JSON.stringify(spec).slice(0, 100)}`, t => {
    t.deepEqual(validate(camera(structuredClone(spec))), [])
  })
}

/** Reads these documents (objects, or YAML text as it is) from one file. */
async function read(...documents: (object | string)[]): Promise<Manifests> {
  await using folder = await temporaryFolder()
  const file = folder.file('cameras.yaml')
  await writeFile(file, documents.map(document => (typeof document === 'string' ? document : stringify(document))).join('\n---\n'))
  try {
    return await readManifests([file])
  } catch (error) {
    throw error instanceof ManifestError ? new ManifestError(error.problems.map(problem => problem.replace(file, 'cameras.yaml'))) : error
  }
}

/** The problems of documents that are refused; none where they are not. */
async function refused(...documents: (object | string)[]): Promise<readonly string[]> {
  try {
    await read(...documents)
    return []
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error
    return error.problems
  }
}

const good = camera({ source: { url: 'testsrc:' } })
const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'front' }, stringData: { username: 'u', password: 'hunter2' } }

test('defaults are those of the API server', async t => {
  const manifests = await read(camera({ source: { url: 'rtsp://h/' }, archive: { volume: { emptyDir: {} } }, proxy: {} }))
  t.deepEqual(manifests.cameras[0]?.spec, {
    source: { url: 'rtsp://h/', transport: 'tcp' },
    decoding: { keyFramesOnly: false, placement: 'Auto' },
    buffer: { duration: '60s', maxBytes: '64Mi', storage: 'Memory' },
    archive: { volume: { emptyDir: {} }, segment: 'GOP', retention: '5m' },
    proxy: { enabled: false },
    suspend: false,
    onNodeFailure: 'Stay',
  })
})

test('a Camera without a namespace is in default, and has a uid and generation 1', async t => {
  const { cameras } = await read({ ...good, metadata: { name: 'front', labels: { floor: '1' } } })
  const [only] = cameras
  t.like(only?.metadata, { namespace: 'default', name: 'front', generation: 1, labels: { floor: '1' } })
  t.regex(only?.metadata.uid ?? '', /^[0-9a-f-]{36}$/)
})

test('a Camera is the same one in each run, and its namesake in another namespace is not', async t => {
  const uids = async () =>
    (await read(good, { ...good, metadata: { name: 'front', namespace: 'garden' } })).cameras.map(({ metadata }) => metadata.uid)
  const [front, other] = await uids()
  t.not(front, other)
  t.deepEqual(await uids(), [front, other])
})

test('several documents, comments and empty ones among them, are read from a file', async t => {
  const manifests = await read('# cameras', good, '', secret, camera({ source: { url: 'testsrc:' } }, 'back'), '...')
  t.deepEqual(
    manifests.cameras.map(({ metadata }) => metadata.name),
    ['front', 'back'],
  )
  t.deepEqual(
    manifests.secrets.map(({ namespace, name, data }) => [namespace, name, data.get('password')?.toString()]),
    [['default', 'front', 'hunter2']],
  )
})

test('the data of a Secret is decoded, and stringData wins', async t => {
  const data = { username: 'dXNlcg==', password: 'b2xk' }
  const { secrets } = await read(good, { ...secret, data, stringData: { password: 'new' } })
  t.deepEqual(
    new Map([...(secrets[0]?.data ?? [])].map(([key, value]) => [key, value.toString()])),
    new Map([
      ['username', 'user'],
      ['password', 'new'],
    ]),
  )
})

test('booleans are read as kubectl reads them', async t => {
  const { cameras } = await read(`${stringify(good)}  suspend: yes\n  decoding: { keyFramesOnly: Off }\n`)
  t.like(cameras[0]?.spec, { suspend: true, decoding: { keyFramesOnly: false } })
})

test('a scale that looks like a number of base 60 stays a text', async t => {
  const { cameras } = await read(`${stringify(good)}  decoding: { scale: 640:36 }\n`)
  t.is(cameras[0]?.spec.decoding.scale, '640:36')
})

test('every problem of every document is told at once, with its place', async t => {
  const problems = await refused(
    camera({ source: { url: 'rtsp://u:hunter2@h:0/' }, decoding: { maxFps: 0 }, foo: 1 }),
    camera({ source: {} }, 'a.b'),
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'x' } },
  )
  t.deepEqual(problems, [
    'cameras.yaml: document 1 (Camera default/front): unknown field "spec.foo" (known here: source, decoding, buffer, archive, proxy, suspend, onNodeFailure, pod)',
    'cameras.yaml: document 1 (Camera default/front): spec.decoding.maxFps: Invalid value: the minimum is 1',
    'cameras.yaml: document 1 (Camera default/front): spec.source.url: Invalid value: credentials belong in spec.source.credentialsSecretRef',
    'cameras.yaml: document 1 (Camera default/front): spec.source.url: Invalid value: port must be 1-65535',
    'cameras.yaml: document 2 (Camera default/a.b): metadata.name: Invalid value: must be a DNS label of at most 52 characters',
    'cameras.yaml: document 2 (Camera default/a.b): spec.source.url: Required value: url or onvif is required',
    'cameras.yaml: document 3 (Deployment default/x): kind: Unsupported value: local mode takes Cameras, Secrets and ConfigMaps; other kinds need a cluster',
  ])
})

const lines: readonly [string, (object | string)[], RegExp][] = [
  [
    'a name that is taken',
    [good, good],
    /^cameras.yaml: document 2 .*: metadata.name: Duplicate value: .*document 1 has this name already$/,
  ],
  ['a Secret twice', [good, secret, secret], /document 3 \(Secret default\/front\): metadata.name: Duplicate value/],
  [
    'another version',
    [{ ...good, apiVersion: 'video.chrys.cloud/v2' }],
    /apiVersion: Unsupported value: a Camera's is video.chrys.cloud\/v1beta1$/,
  ],
  ['no kind', [{ metadata: { name: 'x' } }], /document 1: kind: Required value: Camera, Secret or ConfigMap$/],
  ['no object', ['- 1'], /document 1: not an object/],
  ['no metadata', [{ ...good, metadata: undefined }], /document 1: metadata: Required value$/],
  ['no name', [{ ...good, metadata: {} }], /document 1: metadata.name: Required value$/],
  ['a bad namespace', [camera(good.spec, 'x', 'a.b')], /metadata.namespace: Invalid value: must be a DNS label$/],
  ['no Camera at all', [secret], /no Camera in there$/],
  ['the same key twice', ['kind: Camera\nkind: Secret'], /document 1 \(line 2, column 1\): not YAML: the same key stands twice$/],
  ['a tab', ['a:\n\tb: 1'], /document 1 \(line 2, column 1\): not YAML: a tab is used/],
  ['a bomb of aliases', [`a: &a [${'x,'.repeat(50)}]\nb: &b [${'*a,'.repeat(50)}]\nc: [${'*b,'.repeat(50)}]`], /not YAML: aliases/],
  [
    'a Secret with a number',
    [good, { ...secret, stringData: { password: 1234 } }],
    /stringData.password: Invalid value: must be of type string; write it in quotes$/,
  ],
  [
    'a Secret that is not base64',
    [good, { ...secret, data: { password: 'hunter2' } }],
    /data.password: Invalid value: must be base64; plain text belongs in stringData$/,
  ],
  ['a Secret with a path as a key', [good, { ...secret, stringData: { '../x': 'a' } }], /data: Invalid value: a key must consist of/],
]
for (const [title, documents, expected] of lines) {
  test(`refused: ${title}`, async t => {
    const problems = await refused(...documents)
    t.true(
      problems.some(problem => expected.test(problem)),
      problems.join('\n'),
    )
  })
}

test('no refusal repeats a password, wherever it was put', async t => {
  const password = 'hunter2'
  const spec = good.spec
  const documents: (object | string)[] = [
    camera({ source: { url: `rtsp://admin:${password}@h/` } }),
    camera({ source: { url: `admin:${password}` } }),
    camera({ source: { url: 'rtsp://h/', transport: password } }),
    camera({ source: { url: 'rtsp://h/', credentialsSecretRef: { name: `${password}!` } } }),
    camera({ source: { url: 'rtsp://h/', credentialsSecretRef: password } }),
    camera({ ...spec, decoding: { scale: password, maxFps: password } }),
    camera({ ...spec, pod: { resources: { limits: { cpu: password } }, env: [{ name: `${password}-`, value: 1 }] } }),
    { ...secret, data: { password: `${password}?` } },
    { ...secret, stringData: { password: [password] } },
    `${stringify(secret)}\n  x: ${password}\n y: ${password}`,
    `stringData:\n  password: "${password}`,
    `stringData:\n  password: |${password}\n   x`,
    `stringData:\n  password: *${password}`,
    `stringData:\n  password: !${password} x`,
  ]
  for (const document of documents) {
    const problems = await refused(document)
    t.not(problems.length, 0, JSON.stringify(document))
    t.false(problems.join('\n').includes(password), problems.join('\n'))
  }
})

test('a file that is not there, or is a folder, is named', async t => {
  await using folder = await temporaryFolder()
  const error = await t.throwsAsync(readManifests([folder.file('missing.yaml'), folder.path]), { instanceOf: ManifestError })
  t.deepEqual(error.problems, [`${folder.file('missing.yaml')}: no such file`, `${folder.path}: is a folder; name the files in it`])
})

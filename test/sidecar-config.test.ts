// Junk in a sidecar's environment: every problem at once, a line for each, and nothing started.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import test from 'ava'
import { ConfigError } from '../common/errors.ts'
import { readConfig } from '../sidecar/config.ts'
import { SCALE } from '../sidecar/spec.ts'

const GOOD = {
  CHRYS_CAMERA_NAMESPACE: 'default',
  CHRYS_CAMERA_NAME: 'door',
  CHRYS_CAMERA_UID: '11111111-1111-4111-8111-111111111111',
  CHRYS_CAMERA_SPEC: JSON.stringify({ source: { url: 'rtsp://camera/video' } }),
  CHRYS_NATS_URL: 'nats://127.0.0.1:4222',
}
const problems = (env: Record<string, string>): readonly string[] => {
  try {
    readConfig({ ...GOOD, ...env })
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}
const spec = (change: object) => ({ CHRYS_CAMERA_SPEC: JSON.stringify({ source: { url: 'rtsp://camera/video' }, ...change }) })

test('what is not said has a default', t => {
  t.like(readConfig(GOOD), {
    camera: { namespace: 'default', name: 'door', generation: 1 },
    deviceId: 'door',
    source: { mayBeFile: false },
    decoding: { scale: undefined, maxFps: undefined, keyFramesOnly: false },
    buffer: { durationMs: 60_000, maxBytes: 64 * 2 ** 20, storage: 'Memory' },
    probes: { port: 9090 },
    denyCidrs: [],
    archive: undefined,
    proxy: undefined,
  })
})

for (const [what, env, expected] of [
  ['a NATS URL that is none', { CHRYS_NATS_URL: 'junk' }, /^CHRYS_NATS_URL: must be a URL/],
  ['a port that is none', { CHRYS_PROBE_PORT: 'abc' }, /^CHRYS_PROBE_PORT: must be a whole number from 0 to 65535/],
  ['an unknown variable', { CHRYS_CAMRA_NAME: 'x' }, /^CHRYS_CAMRA_NAME: unknown variable/],
  ['an unreadable file', { CHRYS_NATS_CREDS_FILE: '/nonexistent' }, /^CHRYS_NATS_CREDS_FILE: .*not readable/],
  ['a name that is none', { CHRYS_CAMERA_NAME: '../x' }, /^CHRYS_CAMERA_NAME: must be a DNS label/],
  ['a namespace with a wildcard', { CHRYS_CAMERA_NAMESPACE: 'a.>' }, /^CHRYS_CAMERA_NAMESPACE: must be a DNS label/],
  ['a uid that is too long', { CHRYS_CAMERA_UID: 'x'.repeat(65) }, /^CHRYS_CAMERA_UID: must be at most/],
  ['a negative generation', { CHRYS_CAMERA_GENERATION: '-1' }, /^CHRYS_CAMERA_GENERATION: must be a whole number/],
  ['a range that is none', { CHRYS_DENY_CIDRS: '10.0.0.0/8,10.0.0.0/99' }, /^CHRYS_DENY_CIDRS: "10.0.0.0\/99"/],
  ['a spec that is no JSON', { CHRYS_CAMERA_SPEC: '{' }, /^CHRYS_CAMERA_SPEC: is not JSON/],
  ['a spec that is none', { CHRYS_CAMERA_SPEC: '5' }, /^CHRYS_CAMERA_SPEC: spec\./],
  ['no URL', spec({ source: {} }), /^CHRYS_CAMERA_SPEC: spec\.source\.url: /],
  ['a file as source', spec({ source: { url: 'file:///etc/passwd' } }), /spec\.source\.url: must start with rtsp/],
  ['credentials in the URL', spec({ source: { url: 'rtsp://u:canary@h/' } }), /credentials belong in/],
  [
    'a filter in the scale',
    spec({ decoding: { scale: '640:-2,movie=/etc/passwd' } }),
    /spec\.decoding\.scale: must be an ffmpeg scale expression/,
  ],
  ['a rate of nothing', spec({ decoding: { maxFps: 0 } }), /spec\.decoding\.maxFps: /],
  ['a rate beyond the schema’s', spec({ decoding: { maxFps: 241 } }), /spec\.decoding\.maxFps: /],
  ['a duration that is none', spec({ buffer: { duration: 'soon' } }), /spec\.buffer\.duration: must be a duration/],
  ['a buffer of no time', spec({ buffer: { duration: '0s' } }), /spec\.buffer\.duration: must be more than nothing/],
  ['a buffer of no size', spec({ buffer: { maxBytes: '0' } }), /spec\.buffer\.maxBytes: must be more than nothing/],
  ['an archive without a place', spec({ archive: {} }), /^CHRYS_ARCHIVE_DIR: is required/],
  [
    'an archive that keeps nothing',
    { ...spec({ archive: { retention: '0s' } }), CHRYS_ARCHIVE_DIR: '/x' },
    /spec\.archive\.retention: must be more than nothing/,
  ],
] as const satisfies readonly (readonly [string, Record<string, string>, RegExp])[]) {
  test(`${what} is refused, by name and reason, on one line`, t => {
    const found = problems(env)
    t.is(found.length, 1)
    t.regex(found[0] ?? '', expected)
    t.false(/[\r\n]|canary/.test(found.join()))
  })
}

test('the scale that is taken is the one that the schema takes', async t => {
  const schema = await readFile(new URL('../charts/chrysalis-edge/files/cameras.video.chrys.cloud.yaml', import.meta.url), 'utf8')
  t.true(schema.includes(`self.matches('${SCALE.source}')`))
  for (const scale of ['640:-2', 'iw/2:ih/2', 'trunc(iw/4)*2:-1', '400:-1']) t.deepEqual(problems(spec({ decoding: { scale } })), [])
  for (const scale of [';rm', '-1:-1:x', '640', '640:-2[x]', "640:'1'", '640:-2;split'])
    t.is(problems(spec({ decoding: { scale } })).length, 1, scale)
})

test('a process with junk in its environment ends with 78 and says all that is wrong', async t => {
  const env = {
    PATH: process.env['PATH'],
    CHRYS_NATS_URL: 'nats://user:canary@h',
    CHRYS_PROBE_PORT: '-5',
    CHRYS_CAMERA_NAME: 'A',
    CHRYS_CAMERA_SPEC: JSON.stringify({ source: { url: 'rtsp://u:canary@h/' }, buffer: { duration: 'x', maxBytes: '1' } }),
    CHRYS_JUNK: '1',
  }
  const { code, stderr, stdout } = await new Promise<{ code: unknown; stderr: string; stdout: string }>(resolve => {
    execFile(process.execPath, ['sidecar/main.ts'], { env }, (error, out, err) => resolve({ code: error?.code, stdout: out, stderr: err }))
  })
  t.is(code, 78)
  t.is(stdout, '')
  t.false(stderr.includes('canary'))
  t.deepEqual(
    stderr
      .trim()
      .split('\n')
      .map(line => /^config: (CHRYS_\w+): ./.exec(line)?.[1])
      .toSorted((a = '', b = '') => a.localeCompare(b)),
    [
      'CHRYS_CAMERA_NAME',
      'CHRYS_CAMERA_NAMESPACE',
      'CHRYS_CAMERA_SPEC',
      'CHRYS_CAMERA_SPEC',
      'CHRYS_CAMERA_UID',
      'CHRYS_JUNK',
      'CHRYS_NATS_URL',
      'CHRYS_PROBE_PORT',
    ],
  )
})

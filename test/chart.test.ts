// What helm makes of the chart, without a cluster.
import ava from 'ava'
import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { connect, StorageType } from 'nats'
import { parse } from 'yaml'
import { natsServerPath } from '../deploy/local/locate-nats.ts'
import { readConfig as readGatewayConfig } from '../gateway/config.ts'
import { readConfig as readOperatorConfig } from '../operator/config.ts'
import { readSettings } from '../common/env.ts'
import { newAuthority, newServerCertificate } from '../operator/identity/certificates.ts'
import { MAKE_CERTIFICATES, MAKE_IDENTITY, RELEASE_FINALIZERS } from '../proto/settings.ts'
import { MATRIX, REFUSED } from './fixtures/chart-values.ts'
import { chartFile, helm, missingHelm, render, type Container, type Rendered } from './fixtures/helm.ts'
import { startNats } from './fixtures/nats.ts'
import { freePort } from './fixtures/ports.ts'
import { temporaryFolder } from './fixtures/tmp.ts'

const missing = missingHelm()
const test = missing === undefined ? ava : ava.skip
const titled = (title: string) => (missing === undefined ? title : `${title} (skipped: ${missing})`)

const CLUSTER_WIDE = [
  'CustomResourceDefinition',
  'ClusterRole',
  'ClusterRoleBinding',
  'ValidatingAdmissionPolicy',
  'ValidatingAdmissionPolicyBinding',
]
const PODS = ['Deployment', 'DaemonSet', 'StatefulSet', 'Job']

const podsOf = (objects: Rendered[]) =>
  objects.flatMap(object =>
    object.spec?.template !== undefined && PODS.includes(object.kind) ? [{ object, pod: object.spec.template }] : [],
  )
const named = (objects: Rendered[], kind: string, suffix: string): Rendered => {
  const found = objects.find(each => each.kind === kind && each.metadata.name.endsWith(suffix))
  if (found === undefined) throw new Error(`no ${kind} …${suffix}`)
  return found
}
const authority = newAuthority(Date.now())
const { cert, key } = newServerCertificate(authority, { names: ['edge'] }, Date.now())
/** What is mounted, where it must not be empty. */
const FILES: Record<string, string> = { CHRYS_TLS_CERT_FILE: cert, CHRYS_TLS_KEY_FILE: key, CHRYS_TLS_CLIENT_CA_FILE: authority.cert }
const containerOf = (objects: Rendered[], component: string): Container => {
  const pod = podsOf(objects).find(({ pod: { spec } }) => spec.containers[0]?.name === component)?.pod
  if (pod?.spec.containers[0] === undefined) throw new Error(`no container ${component}`)
  return pod.spec.containers[0]
}
const envOf = ({ env }: Container) => Object.fromEntries(env.map(({ name, value }) => [name, value]))
const matches = (selector: Record<string, string>, labels: Record<string, string>) =>
  Object.entries(selector).every(([key, value]) => labels[key] === value)

for (const [title, values] of Object.entries(MATRIX)) {
  const rendered = missing === undefined ? render(values) : undefined
  test(titled(`helm lints and renders: ${title}`), async t => {
    await helm(['lint', '--strict', '--quiet', 'CHART'], { values })
    const objects = (await rendered) ?? []
    const keys = objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`)
    t.deepEqual(keys, [...new Set(keys)], 'two objects of one name')
    for (const { kind, metadata } of objects) {
      t.is(metadata.namespace !== undefined, !CLUSTER_WIDE.includes(kind), `${kind} ${metadata.name}: namespace`)
      t.true(metadata.name.length <= 63, metadata.name)
      t.is(metadata.labels['app.kubernetes.io/part-of'], 'chrysalis-edge')
    }
    for (const { object, pod } of podsOf(objects)) {
      const { matchLabels = {} } = (object.spec?.['selector'] ?? {}) as { matchLabels?: Record<string, string> }
      t.true(matches(matchLabels, pod.metadata.labels), `${object.metadata.name} does not choose its own pods`)
      for (const container of pod.spec.containers) {
        const volumes = pod.spec.volumes.map(({ name }) => name)
        if (object.kind === 'StatefulSet') volumes.push('data')
        t.deepEqual(container.volumeMounts.map(({ name }) => name).toSorted(), volumes.toSorted())
        t.is(container.command, undefined, 'the entrypoint of the image is PID 1')
      }
    }
  })

  test(titled(`services, budgets and policies choose pods that there are: ${title}`), async t => {
    const objects = (await rendered) ?? []
    const pods = podsOf(objects).map(({ pod }) => pod)
    for (const { kind, metadata, spec = {} } of objects) {
      const { selector, podSelector } = spec as {
        selector?: Record<string, unknown>
        podSelector?: { matchLabels: Record<string, string> }
      }
      const chosen =
        kind === 'Service'
          ? selector
          : kind === 'PodDisruptionBudget'
            ? selector?.['matchLabels']
            : kind === 'NetworkPolicy' && podSelector?.matchLabels
      if (!chosen || metadata.name.endsWith('-cameras')) continue
      t.is(pods.filter(pod => matches(chosen as Record<string, string>, pod.metadata.labels)).length, 1, `${kind} ${metadata.name}`)
    }
  })

  test(titled(`every program of the chart takes the settings that it gets: ${title}`), async t => {
    const objects = (await rendered) ?? []
    await using folder = await temporaryFolder()
    for (const [component, read] of [
      ['operator', readOperatorConfig],
      ['gateway', readGatewayConfig],
    ] as const) {
      const container = containerOf(objects, component)
      const env = envOf(container)
      const files = Object.entries(env).filter(([name]) => /_(FILE|DIR)$/.test(name))
      for (const [name, path] of files) {
        const mount = container.volumeMounts.find(({ mountPath }) => path === mountPath || path.startsWith(`${mountPath}/`))
        t.truthy(mount, `${name} is not mounted`)
        env[name] = folder.file(name)
        await (name.endsWith('_DIR') ? mkdir(env[name], { recursive: true }) : writeFile(env[name], FILES[name] ?? ''))
      }
      t.notThrows(() => read(env), component)
    }
    const jobs = podsOf(objects).filter(({ object }) => object.kind === 'Job')
    t.true(jobs.length > 0)
    for (const { pod } of jobs) {
      const [container] = pod.spec.containers as [Container]
      const settings = JOBS[container.name as keyof typeof JOBS]
      t.notThrows(() => readSettings(envOf(container), settings).done(), container.name)
    }
  })
}

const JOBS = { 'make-identity': MAKE_IDENTITY, 'make-certificates': MAKE_CERTIFICATES, 'release-finalizers': RELEASE_FINALIZERS }

for (const [title, values, message] of REFUSED) {
  test(titled(`helm refuses with a sentence: ${title}`), async t => {
    await t.throwsAsync(render(values), { message })
  })
}

test(titled('all problems of the values are named at once'), async t => {
  const values = { gateway: { service: { type: 'NodePort' } }, nats: { persistence: { size: '1Gi' } } }
  const { message } = (await t.throwsAsync(render(values))) ?? { message: '' }
  t.regex(message, /without encryption/)
  t.regex(message, /persistence\.size/)
})

test(titled('a name that looks like a number, or a truth, is text'), async t => {
  const values = {
    fullnameOverride: 'true',
    nameOverride: '1',
    global: { imagePullSecrets: ['2'] },
    operator: { priorityClassName: '3' },
    gateway: {
      tls: { existingSecret: '4', clientCaSecret: '5' },
      cloud: { apiUrl: 'https://cloud.example', existingSecret: '6' },
      service: { type: 'LoadBalancer', loadBalancerClass: '7' },
    },
    nats: { external: { url: 'nats://nats.messaging', existingSecret: '8', cameraSecret: '9' } },
    networkPolicy: { cameraNamespaces: ['10'] },
    monitoring: { podMonitor: { enabled: true } },
  }
  const others: string[] = []
  const search = (value: unknown, path: string): void => {
    if (['number', 'boolean'].includes(typeof value) && /(name|Name|namespace|Class|instance|value|dnsNames\.\d)$/.test(path))
      others.push(path)
    if (typeof value === 'object' && value !== null) for (const [key, inner] of Object.entries(value)) search(inner, `${path}.${key}`)
  }
  for (const [chosen, more] of [
    [values, []],
    [{}, ['--namespace', '4711']],
    [
      {
        fullnameOverride: 'true',
        nats: { persistence: { storageClass: '1' } },
        gateway: { tls: { certManager: { enabled: true, issuerRef: { name: '2' } } } },
      },
      [],
    ],
  ] as const) {
    for (const object of await render(chosen, more)) if (object.kind !== 'CustomResourceDefinition') search(object, object.kind)
  }
  t.deepEqual(others, [])
})

test(titled('the CRD is rendered as it is written, and kept unless told otherwise'), async t => {
  type Crd = Rendered & { metadata: { annotations?: Record<string, string> } }
  const written = (await chartFile('files/cameras.video.chrys.cloud.yaml')) as Crd
  const kept = named(await render(), 'CustomResourceDefinition', '')
  t.deepEqual(kept.spec, written.spec)
  t.is(kept.metadata.annotations?.['helm.sh/resource-policy'], 'keep')
  const gone = named(await render({ crds: { keep: false } }), 'CustomResourceDefinition', '')
  t.is(gone.metadata.annotations?.['helm.sh/resource-policy'], undefined)
  t.false((await render({ crds: { install: false } })).some(({ kind }) => kind === 'CustomResourceDefinition'))
})

test(titled('a policy that names nobody lets nobody in'), async t => {
  type Rules = { ingress?: { from: unknown[]; ports: { port: string }[] }[] }
  const ingress = async (values: object) =>
    (await render(values)).filter(({ kind }) => kind === 'NetworkPolicy').flatMap(({ spec }) => (spec as Rules).ingress ?? [])
  const asItComes = await ingress({})
  const unread = await ingress({ networkPolicy: { prometheus: [] } })
  for (const { from } of [...asItComes, ...unread]) t.true(from.length > 0)
  const read = ({ ports }: (typeof unread)[number]) => ports.some(({ port }) => port === 'metrics')
  t.deepEqual([asItComes.filter(read).length, unread.filter(read).length], [3, 0])
  t.is(unread.length, asItComes.length - 3)
})

test(titled('an Ingress leads to the page and nothing else, and its controller alone is let in'), async t => {
  const plain = await render({})
  t.false(plain.some(({ kind }) => kind === 'Ingress'))
  const from = [{ podSelector: { matchLabels: { app: 'proxy' } } }]
  const ingress = { enabled: true, className: 'traefik', host: 'cameras.example', tlsSecret: 'tls', annotations: { a: 'b' }, from }
  const objects = await render({ gateway: { ingress: { ...ingress, proxyCidrs: ['10.42.0.0/16', 'fd42::/48'] } } })
  const { spec, metadata } = named(objects, 'Ingress', 'chrysalis-edge')
  t.is(metadata.annotations?.['a'], 'b')
  const service = named(objects, 'Service', 'chrysalis-edge')
  const backend = { service: { name: service.metadata.name, port: { name: 'http' } } }
  t.deepEqual(spec as unknown, {
    ingressClassName: 'traefik',
    tls: [{ hosts: ['cameras.example'], secretName: 'tls' }],
    rules: [{ host: 'cameras.example', http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } }],
  })
  const rules = (list: Rendered[]) => named(list, 'NetworkPolicy', '-gateway').spec?.['ingress'] as object[]
  const added = rules(objects).filter(rule => !rules(plain).some(before => JSON.stringify(before) === JSON.stringify(rule)))
  t.deepEqual(added, [{ from, ports: [{ port: 'http' }] }])
  t.is(envOf(containerOf(objects, 'gateway'))['CHRYS_HTTP_PROXIES'], '10.42.0.0/16,fd42::/48')
  t.is(envOf(containerOf(plain, 'gateway'))['CHRYS_HTTP_PROXIES'], undefined)
})

test(titled('without a port for HTTP neither the Service nor the policy has one'), async t => {
  const objects = await render({ gateway: { service: { httpPort: 0 } } })
  const ports = (named(objects, 'Service', 'chrysalis-edge').spec?.['ports'] ?? []) as { name: string }[]
  t.deepEqual(
    ports.map(({ name }) => name),
    ['grpc'],
  )
  t.notRegex(JSON.stringify(named(objects, 'NetworkPolicy', '-gateway').spec), /"http"/)
})

test(titled('decoders may connect to the cameras’ networks without what no camera may have of them'), async t => {
  type Block = { ipBlock: { cidr: string; except?: string[] } }
  const blocks = async (cidrs: string[], clusterCidrs: string[]) => {
    const { spec = {} } = named(await render({ cameras: { cidrs, clusterCidrs } }), 'NetworkPolicy', '-cameras')
    const { to } = (spec['egress'] as { to: Block[] }[]).at(-1) ?? { to: [] }
    return to.map(({ ipBlock: { cidr, except = [] } }) => [cidr, ...except].join(' '))
  }
  t.deepEqual(await blocks(['0.0.0.0/0', '::/0'], ['10.42.0.0/16', 'fd42::/48']), [
    '0.0.0.0/0 0.0.0.0/8 127.0.0.0/8 169.254.0.0/16 10.42.0.0/16',
    '::/0 ::/128 ::1/128 fe80::/10 fd42::/48',
  ])
  t.deepEqual(await blocks(['10.0.0.0/8', '10.32.0.0/11', '10.44.0.0/14', '192.168.0.0/16'], ['10.42.0.0/16', '10.43.0.0/16']), [
    '10.0.0.0/8 10.42.0.0/16 10.43.0.0/16',
    '10.32.0.0/11 10.42.0.0/16 10.43.0.0/16',
    '10.44.0.0/14',
    '192.168.0.0/16',
  ])
  t.deepEqual(
    await blocks(['2001:DB8::/33', '2001:db8::1:0:0/80', '::ff:0/112'], ['2001:0db8:7fff::/48', '2001:db8:0:0:0:1::/96', '::ff:7/128']),
    ['2001:DB8::/33 2001:0db8:7fff::/48 2001:db8:0:0:0:1::/96', '2001:db8::1:0:0/80 2001:db8:0:0:0:1::/96', '::ff:0/112 ::ff:7/128'],
  )
})

test(titled('every image comes from the registry of the site, by digest where there is one'), async t => {
  const objects = await render(MATRIX['a site without internet'])
  const images = podsOf(objects).flatMap(({ pod }) => pod.spec.containers.map(({ image }) => image))
  images.push(envOf(containerOf(objects, 'operator'))['CHRYS_SIDECAR_IMAGE'] ?? '')
  const ours = `registry.local:5000/mirror/chrysalis/chrysalis-edge@sha256:${'0'.repeat(64)}`
  t.deepEqual([...new Set(images)].toSorted(), [ours, 'registry.local:5000/mirror/nats:local'])
  for (const { pod } of podsOf(objects)) t.deepEqual(pod.spec['imagePullSecrets'], [{ name: 'pull' }])
})

test(titled('with a NATS of the user’s own nothing of ours for NATS is rendered'), async t => {
  for (const title of ['a NATS of the user’s own, with credentials', 'a NATS of the user’s own that asks for nothing']) {
    const objects = await render(MATRIX[title])
    const kinds = objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`)
    t.deepEqual(
      kinds.filter(kind => /StatefulSet|nats|make-identity/.test(kind)),
      [],
    )
    t.is(envOf(containerOf(objects, 'operator'))['CHRYS_NATS_SIGNING_DIR'], undefined)
  }
})

test(titled('what kubectl applies has no hooks, and the keys are made by a Job whose name changes with it'), async t => {
  const jobs = async (values: object) =>
    (await render({ ...values, hooks: { enabled: false } })).filter(({ kind }) => kind === 'Job').map(({ metadata }) => metadata)
  const [job, ...others] = await jobs({})
  t.deepEqual(others, [])
  t.regex(job?.name ?? '', /-make-identity-[0-9a-f]{8}$/)
  t.false(JSON.stringify(await render({ hooks: { enabled: false } })).includes('helm.sh/hook'))
  t.not((await jobs({ image: { tag: 'next' } }))[0]?.name, job?.name)
})

for (const [replicas, enabled] of [
  [1, false],
  [3, false],
  [3, true],
] as const) {
  test(titled(`nats-server takes the configuration: ${replicas}${enabled ? ' with TLS' : ''}`), async t => {
    await using folder = await temporaryFolder()
    for (const folderName of ['nats', 'nats-keys']) await mkdir(folder.file(folderName))
    const objects = await render({ nats: { replicas, tls: { enabled } } })
    const { data = {} } = named(objects, 'ConfigMap', '-nats')
    for (const [name, text] of Object.entries({ 'ca.crt': authority.cert, 'tls.crt': cert, 'tls.key': key }))
      await writeFile(folder.file(name), text)
    await writeFile(folder.file('nats/nats.conf'), data['nats.conf']?.replaceAll('/etc/nats-tls', folder.path) ?? '')
    await writeFile(folder.file('nats-keys/accounts.conf'), 'max_connections: 1000\n')
    const env = { ...process.env, ...(replicas === 1 ? {} : { POD_NAME: 'edge-nats-0' }) }
    await t.notThrowsAsync(promisify(execFile)(natsServerPath(process.env), ['-t', '-c', folder.file('nats/nats.conf')], { env }))
    for (const component of ['gateway', 'operator']) {
      t.is(envOf(containerOf(objects, component))['CHRYS_NATS_REPLICAS'], replicas === 1 ? undefined : '3')
    }
  })
}

// Only root may mount; elsewhere nothing stands in for a full disk.
const asRoot = missing === undefined && process.getuid?.() === 0 ? ava.serial : ava.skip
const run = promisify(execFile)

/** Whether the container's liveness probe succeeds for a server whose monitor is at the port; `seconds` to be unhealthy for. */
async function livenessOf(port: number, remembered: string, seconds: number): Promise<boolean> {
  const { livenessProbe } = containerOf(await render(), 'nats') as unknown as { livenessProbe: { exec: { command: string[] } } }
  const [shell = '', , ...values] = livenessProbe.exec.command
  const script = fileURLToPath(new URL('../charts/chrysalis-edge/files/nats-alive.sh', import.meta.url))
  const given = values.map(
    value =>
      ({ 'http://127.0.0.1:8222': `http://127.0.0.1:${port}`, '/run/alive/unhealthy-since': remembered, '600': `${seconds}` })[value] ?? '',
  )
  return await run(shell, [script, ...given]).then(
    () => true,
    () => false,
  )
}

test(titled('a nats-server that stands still fails its liveness probe, and is replaced within two minutes'), async t => {
  type Probe = Record<'periodSeconds' | 'timeoutSeconds' | 'failureThreshold', number>
  const objects = await render()
  const { livenessProbe } = containerOf(objects, 'nats') as unknown as { livenessProbe: Probe }
  const { terminationGracePeriodSeconds: graceSeconds = Infinity } = (named(objects, 'StatefulSet', '-nats').spec?.template?.spec ??
    {}) as { terminationGracePeriodSeconds?: number }
  const { periodSeconds, timeoutSeconds, failureThreshold } = livenessProbe
  t.true(periodSeconds * failureThreshold + timeoutSeconds + graceSeconds < 115)
  await using folder = await temporaryFolder()
  const port = await freePort()
  await using server = await startNats({ extraConfig: `http: "127.0.0.1:${port}"` })
  const isAlive = () => livenessOf(port, folder.file('since'), 600)
  t.true(await isAlive())
  server.stop()
  t.false(await isAlive())
  server.cont()
  t.true(await isAlive())
})

asRoot(titled('a nats-server whose disk was full fails its liveness probe until it is started anew, with what was stored'), async t => {
  type Probes = Record<'startupProbe' | 'readinessProbe', { httpGet: { path: string } }>
  const probes = containerOf(await render(), 'nats') as unknown as Probes
  await using folder = await temporaryFolder()
  await run('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder.path])
  await using stack = new AsyncDisposableStack()
  stack.defer(async () => void (await run('umount', ['--lazy', folder.path])))
  const port = await freePort()
  await using server = await startNats({ storeDir: folder.file('store'), extraConfig: `http: "127.0.0.1:${port}"` })
  await using memory = await temporaryFolder()
  const isAlive = (seconds: number) => livenessOf(port, memory.file('since'), seconds)
  /** Startup and readiness; whether it lives, if it may be unhealthy for ever, and for no time. */
  const statuses = async () => [
    ...(await Promise.all(
      (['startupProbe', 'readinessProbe'] as const).map(
        async name => (await fetch(`http://127.0.0.1:${port}${probes[name].httpGet.path}`)).status,
      ),
    )),
    await isAlive(600),
    await isAlive(0),
  ]
  const stored = async (name: string) => {
    const nc = await connect({ servers: server.url })
    await using _closed = { [Symbol.asyncDispose]: () => nc.close() }
    const jsm = await nc.jetstreamManager()
    await jsm.streams.add({ name: 'x', subjects: ['x.*'], storage: StorageType.File, max_bytes: 2 ** 20 })
    const { seq } = await nc.jetstream().publish(name, Buffer.alloc(200_000), { timeout: 1_000 })
    return seq
  }
  t.is(await stored('x.before'), 1)
  t.deepEqual(await statuses(), [200, 200, true, true])
  await t.throwsAsync(writeFile(folder.file('ballast'), Buffer.alloc(8 * 2 ** 20)), { code: 'ENOSPC' })
  await t.throwsAsync(stored('x.full'), { message: 'TIMEOUT' })
  t.deepEqual((await statuses()).slice(1), [200, true, false], 'what is not stored is served all the same')

  await server.restart()
  t.deepEqual(await statuses(), [200, 200, true, true], 'it starts though the disk is full still')
  await t.throwsAsync(stored('x.full'), { message: 'TIMEOUT' })
  await rm(folder.file('ballast'))
  await t.throwsAsync(stored('x.after'), { message: 'TIMEOUT' })
  t.is((await statuses())[3], false)

  await server.restart()
  t.is(await stored('x.after'), 2)
  t.deepEqual(await statuses(), [200, 200, true, true])
})

test(titled('alerts and dashboard ask for metrics that there are'), async t => {
  const text = await Promise.all(
    ['../docs/metrics.md', '../docs/operator.md'].map(path => readFile(new URL(path, import.meta.url), 'utf8')),
  )
  const known = new Set(
    text
      .join('\n')
      .match(/^\| `[a-z_]+`/gm)
      ?.map(line => line.slice(3, -1)),
  )
  const node = ['process_cpu_seconds_total', 'process_resident_memory_bytes']
  const asked = (await Promise.all(['files/alerts.yaml', 'files/dashboard.json'].map(async name => JSON.stringify(await chartFile(name)))))
    .join('\n')
    .match(/\b(?:chrysalis|controller_runtime|workqueue|leader|process)_[a-z_]+/g)
  const unknown = [...new Set(asked)].filter(name => !known.has(name.replace(/_(bucket|count|sum)$/, '')) && !node.includes(name))
  t.deepEqual(unknown, [])
})

test(titled('alerts ask for reasons that exist'), async t => {
  const { groups } = (await chartFile('files/alerts.yaml')) as { groups: { rules: { expr: string }[] }[] }
  const exprs = groups.flatMap(({ rules }) => rules.map(({ expr }) => expr))
  const values = exprs.flatMap(expr => [...expr.matchAll(/\breason[!=]~"([^"]+)"/g)].flatMap(([, list = '']) => list.split('|')))
  const folders = ['common', 'gateway', 'operator', 'proto', 'sidecar'].map(name => new URL(`../${name}/`, import.meta.url))
  const files = await Promise.all(
    folders.map(async folder =>
      (await readdir(folder, { recursive: true })).filter(name => name.endsWith('.ts')).map(name => new URL(name, folder)),
    ),
  )
  const code = (await Promise.all(files.flat().map(file => readFile(file, 'utf8')))).join('\n')
  t.true(values.length > 10)
  t.deepEqual(
    values.filter(value => !new RegExp(`'${value}'|^  ${value}: {`, 'm').test(code)),
    [],
  )
})

test(titled('each alert links to its section of the troubleshooting page'), async t => {
  const { groups } = (await chartFile('files/alerts.yaml')) as {
    groups: { rules: { alert: string; annotations: Record<string, string> }[] }[]
  }
  const page = await readFile(new URL('../docs/troubleshooting.md', import.meta.url), 'utf8')
  for (const { alert, annotations } of groups.flatMap(({ rules }) => rules)) {
    t.is(annotations['runbook_url'], `RUNBOOKS#${alert.toLowerCase()}`)
    t.true(page.includes(`\n### ${alert}\n`), alert)
  }
})

test(titled('the plain manifests are what the chart renders'), async t => {
  await t.notThrowsAsync(
    promisify(execFile)(process.execPath, [fileURLToPath(new URL('../deploy/render-manifests.ts', import.meta.url)), '--check']),
  )
})

test(titled('the small box of the how-to for k3s is accepted'), async t => {
  const text = await readFile(new URL('../docs/k3s.md', import.meta.url), 'utf8')
  const values = parse(/```yaml\n([^]*?)```/.exec(text)?.[1] ?? 'none: at all') as object
  await t.notThrowsAsync(render(values))
})

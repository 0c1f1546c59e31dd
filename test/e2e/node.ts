// A Kubernetes cluster of one node, inside of the enclosure: everything that k3s is made of, each program by itself.
import { spawnSync, type ChildProcess } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { createWriteStream, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { onPath } from '../../common/which.mjs'
import { cniFolder, missingNodePackages } from '../../deploy/setup/containers.mjs'
import { kubernetesProgram } from '../../deploy/setup/kubernetes.mjs'
import { KubeApi } from '../../common/kube/client.ts'
import { isRunning, spawnMortal } from '../fixtures/processes.ts'
import { until } from '../fixtures/wait.ts'
import { serveDns } from './dns.ts'
import * as config from './node-config.ts'

export type Node = {
  readonly kubeconfig: string
  readonly api: KubeApi
  /** Where the programs' logs are. */
  readonly logs: string
  importImage(archive: string): Promise<void>
  /** SIGKILL, as the kernel's OOM killer sends it, to the container's first process and with it to all others. */
  killContainer(id: string): Promise<void>
}

const PROGRAMS = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kube-proxy'] as const
/** Why no node can be made here; undefined where it can. */
export function missingNode(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'a node is made by root of a Linux machine only'
  const missing = [...missingNodePackages(), ...PROGRAMS.filter(program => kubernetesProgram(program, process.env) === undefined)]
  return missing.length === 0 ? undefined : `${missing.join(', ')} missing: see what \`node deploy/setup/setup.mjs --e2e\` says`
}

export async function startNode(folder: string, cgroup: string): Promise<Node> {
  const logs = join(folder, 'logs')
  await mkdir(logs)
  prepareMounts(folder)
  prepareNetwork()
  const kubeconfig = await writeFiles(folder, cgroup)
  const start = (name: string, args: readonly string[]) => startProgram(name, args, logs)

  start('etcd', config.etcdArguments(folder))
  const server = start('kube-apiserver', config.apiServerArguments(folder))
  await until(() => existsSync(join(folder, 'pki', 'apiserver.crt')), { what: 'the API server’s certificate' })
  const api = new KubeApi(kubeconfig)
  await ready(server, 'kube-apiserver', logs, () => api.request('GET', '/api/v1/namespaces/default'))
  start('kube-controller-manager', config.controllerManagerArguments(folder, kubeconfig))
  start('kube-scheduler', config.schedulerArguments(kubeconfig))
  const containerd = start('containerd', ['--config', join(folder, 'containerd.toml')])
  const ctr = (...args: string[]) => run('ctr', ['--address', config.socketOf(folder), '--namespace', 'k8s.io', ...args])
  await ready(containerd, 'containerd', logs, () => Promise.resolve(ctr('version')))
  const kubelet = start('kubelet', config.kubeletArguments(folder, kubeconfig))
  start('kube-proxy', [`--config=${join(folder, 'kube-proxy.json')}`])
  await serveDns(api, config.NODE_IP)
  await ready(kubelet, 'kubelet', logs, () => nodeIsReady(api), 120_000)
  return {
    kubeconfig,
    api,
    logs,
    importImage: async archive => void ctr('image', 'import', archive),
    killContainer: async id => void ctr('task', 'kill', '--signal', 'SIGKILL', id),
  }
}

/** This machine's own files keep their contents: what the cluster writes outside of its folder lies in mounts that only it sees. */
function prepareMounts(folder: string): void {
  run('mount', ['--make-rshared', '/'])
  for (const path of ['/run', '/var/log', '/var/lib/cni', '/var/lib/kubelet']) {
    if (!existsSync(path)) continue
    run('mount', ['-t', 'tmpfs', 'tmpfs', path])
  }
  // What the kubelet would set for the whole machine: it finds it set.
  const wanted = { 'vm/overcommit_memory': 1, 'vm/panic_on_oom': 0, 'kernel/panic': 10, 'kernel/panic_on_oops': 1 }
  const keys = { 'kernel/keys/root_maxkeys': 1_000_000, 'kernel/keys/root_maxbytes': 25_000_000 }
  for (const [name, value] of Object.entries({ ...wanted, ...keys })) {
    const file = join(folder, `sysctl-${name.replaceAll('/', '-')}`)
    writeFileSync(file, `${value}\n`)
    run('mount', ['--bind', file, join('/proc/sys', name)])
  }
}

function prepareNetwork(): void {
  run('ip', ['link', 'set', 'lo', 'up'])
  run('ip', ['link', 'add', config.BRIDGE, 'type', 'bridge'])
  run('ip', ['address', 'add', `${config.NODE_IP}/24`, 'dev', config.BRIDGE])
  run('ip', ['link', 'set', config.BRIDGE, 'up'])
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1')
  // Packets between pods of the bridge pass the rules that Services are made of.
  const rules = '/proc/sys/net/bridge/bridge-nf-call-iptables'
  if (existsSync(rules)) writeFileSync(rules, '1')
}

async function writeFiles(folder: string, cgroup: string): Promise<string> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'sec1', format: 'pem' },
  })
  await writeFile(join(folder, 'sa.key'), privateKey)
  await writeFile(join(folder, 'sa.pub'), publicKey)
  await writeFile(join(folder, 'tokens.csv'), 'token-of-admin,admin,admin,"system:masters"\n')
  const kubeconfig = join(folder, 'kubeconfig')
  await writeFile(kubeconfig, JSON.stringify(config.kubeconfigOf(folder)))
  await writeFile(join(folder, 'kubelet.json'), JSON.stringify(config.kubeletConfig(folder, cgroup)))
  await writeFile(join(folder, 'kube-proxy.json'), JSON.stringify(config.proxyConfig(kubeconfig)))
  await writeFile(join(folder, 'containerd.toml'), config.containerdConfig(folder, cniFolder() ?? ''))
  await mkdir(join(folder, 'cni'))
  await writeFile(join(folder, 'cni', '10-edge.conflist'), JSON.stringify(config.cniConfig(folder)))
  return kubeconfig
}

function startProgram(name: string, args: readonly string[], logs: string): ChildProcess {
  const ours = PROGRAMS.find(program => program === name)
  const path = ours === undefined ? onPath(name, process.env) : kubernetesProgram(ours, process.env)
  if (path === undefined) throw new Error(`${name} is missing`)
  const child = spawnMortal(path, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const log = createWriteStream(join(logs, `${name}.log`))
  child.stdout?.pipe(log, { end: false })
  child.stderr?.pipe(log, { end: false })
  return child
}

async function ready(child: ChildProcess, name: string, logs: string, works: () => Promise<unknown>, timeoutMs = 60_000): Promise<void> {
  const state = await until(async () => (isRunning(child) ? (await works()) !== false && 'ready' : 'ended'), {
    what: name,
    timeoutMs,
    everyMs: 100,
  })
  if (state === 'ended') throw new Error(`${name} ended at its start:\n${readFileSync(join(logs, `${name}.log`), 'utf8').slice(-2000)}`)
}

type NodeObject = { status: { conditions?: { type: string; status: string }[] } }

async function nodeIsReady(api: KubeApi): Promise<boolean> {
  const { status } = await api.request<NodeObject>('GET', `/api/v1/nodes/${config.NODE}`)
  return status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
}

function run(command: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 120_000 })
  if (status === 0) return stdout
  throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr}`)
}

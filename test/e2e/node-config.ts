// What the programs of the one-node cluster are told.
import { join } from 'node:path'

/** The node's address, on the bridge that its pods are on; the camera is there too. */
export const NODE_IP = '10.244.0.1'
export const NODE = 'edge'
export const BRIDGE = 'edge0'
export const API_PORT = 6443
const SERVICES = '10.96.0.0/16'
const PODS = '10.244.0.0/24'
export const PAUSE_IMAGE = 'registry.e2e/pause:1'

export const socketOf = (folder: string): string => join(folder, 'containerd.sock')

export const etcdArguments = (folder: string): string[] => [
  `--data-dir=${join(folder, 'etcd')}`,
  '--unsafe-no-fsync',
  '--log-level=warn',
  '--listen-client-urls=http://127.0.0.1:2379',
  '--advertise-client-urls=http://127.0.0.1:2379',
]

export const apiServerArguments = (folder: string): string[] => [
  '--etcd-servers=http://127.0.0.1:2379',
  `--bind-address=${NODE_IP}`,
  `--advertise-address=${NODE_IP}`,
  `--secure-port=${API_PORT}`,
  `--cert-dir=${join(folder, 'pki')}`,
  `--token-auth-file=${join(folder, 'tokens.csv')}`,
  '--authorization-mode=RBAC',
  '--service-account-issuer=https://kubernetes.default.svc',
  `--service-account-signing-key-file=${join(folder, 'sa.key')}`,
  `--service-account-key-file=${join(folder, 'sa.pub')}`,
  `--service-cluster-ip-range=${SERVICES}`,
  '--allow-privileged=true',
  '--enable-admission-plugins=OwnerReferencesPermissionEnforcement',
  '--kubelet-preferred-address-types=InternalIP',
  '--shutdown-delay-duration=0s',
]

export const controllerManagerArguments = (folder: string, kubeconfig: string): string[] => [
  `--kubeconfig=${kubeconfig}`,
  `--root-ca-file=${join(folder, 'pki', 'apiserver.crt')}`,
  `--service-account-private-key-file=${join(folder, 'sa.key')}`,
  '--use-service-account-credentials=true',
  '--leader-elect=false',
  '--secure-port=0',
]

export const schedulerArguments = (kubeconfig: string): string[] => [
  `--kubeconfig=${kubeconfig}`,
  '--leader-elect=false',
  '--secure-port=0',
]

export const kubeletArguments = (folder: string, kubeconfig: string): string[] => [
  `--config=${join(folder, 'kubelet.json')}`,
  `--kubeconfig=${kubeconfig}`,
  `--hostname-override=${NODE}`,
  `--node-ip=${NODE_IP}`,
  `--root-dir=${join(folder, 'kubelet')}`,
]

export const kubeletConfig = (folder: string, cgroup: string): object => ({
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  kind: 'KubeletConfiguration',
  address: NODE_IP,
  readOnlyPort: 0,
  healthzPort: 0,
  // Nobody but this cluster reaches its network.
  authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
  authorization: { mode: 'AlwaysAllow' },
  cgroupRoot: `/${cgroup}`,
  cgroupDriver: 'cgroupfs',
  failCgroupV1: false,
  failSwapOn: false,
  oomScoreAdj: 0,
  evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
  imageGCHighThresholdPercent: 100,
  resolvConf: '',
  clusterDNS: [NODE_IP],
  clusterDomain: 'cluster.local',
  podLogsDir: join(folder, 'pods'),
  containerRuntimeEndpoint: `unix://${socketOf(folder)}`,
  // Secrets and ConfigMaps reach their files at the next of these.
  syncFrequency: '5s',
})

export const proxyConfig = (kubeconfig: string): object => ({
  apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
  kind: 'KubeProxyConfiguration',
  bindAddress: NODE_IP,
  clientConnection: { kubeconfig },
  mode: 'iptables',
  clusterCIDR: PODS,
  hostnameOverride: NODE,
  conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
})

export const cniConfig = (folder: string): object => ({
  cniVersion: '0.4.0',
  name: 'edge',
  plugins: [
    {
      type: 'bridge',
      bridge: BRIDGE,
      isDefaultGateway: true,
      hairpinMode: true,
      ipam: { type: 'host-local', ranges: [[{ subnet: PODS, rangeStart: '10.244.0.10' }]], dataDir: join(folder, 'addresses') },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
})

export const containerdConfig = (folder: string, cniPlugins: string): string => `
version = 2
root = "${join(folder, 'containerd')}"
state = "/run/containerd"
oom_score = 0
[grpc]
  address = "${socketOf(folder)}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${cniPlugins}"
    conf_dir = "${join(folder, 'cni')}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
`

export const kubeconfigOf = (folder: string): object => ({
  apiVersion: 'v1',
  kind: 'Config',
  clusters: [
    { name: 'e2e', cluster: { server: `https://${NODE_IP}:${API_PORT}`, 'certificate-authority': join(folder, 'pki', 'apiserver.crt') } },
  ],
  users: [{ name: 'admin', user: { token: 'token-of-admin' } }],
  contexts: [{ name: 'e2e', context: { cluster: 'e2e', user: 'admin' } }],
  'current-context': 'e2e',
})

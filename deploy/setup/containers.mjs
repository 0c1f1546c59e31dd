// What builds and runs the image, and what a one-node cluster is made of: `npm run test:image`, `npm run e2e`.
import { existsSync } from 'node:fs'
import { onPath } from '../../common/which.mjs'
import { CONTROL_PLANE, prepareKubernetes } from './kubernetes.mjs'
import { aptCommand, aptInstall, canInstall, say } from './system.mjs'

/** Debian's packages, each with a program by which it is known. */
const IMAGE_PACKAGES = { podman: 'podman', runc: 'runc', debootstrap: 'debootstrap' }
const NODE_PACKAGES = { containerd: 'containerd', runc: 'runc', iptables: 'iptables', conntrack: 'conntrack', iproute2: 'ip' }
const CNI_PACKAGE = 'containernetworking-plugins'
const CNI_FOLDERS = ['/opt/cni/bin', '/usr/lib/cni', '/usr/libexec/cni']

/** Where the network plugins of containers are; undefined where they are not. */
export const cniFolder = () => CNI_FOLDERS.find(folder => existsSync(`${folder}/bridge`))

export const missingImagePackages = () => missing(IMAGE_PACKAGES)
export const missingNodePackages = () => [...missing(NODE_PACKAGES), ...(cniFolder() === undefined ? [CNI_PACKAGE] : [])]

/** @param {Record<string, string>} packages */
const missing = packages =>
  Object.entries(packages)
    .filter(([, program]) => onPath(program, process.env) === undefined)
    .map(([name]) => name)

export const prepareImageTools = () => install(missingImagePackages(), 'what builds images')

export async function prepareNode() {
  await install(missingNodePackages(), 'what a cluster of one node is made of')
  await prepareKubernetes([...CONTROL_PLANE, 'kube-scheduler', 'kubelet', 'kube-proxy'])
}

/**
 * @param {readonly string[]} packages
 * @param {string} what
 */
async function install(packages, what) {
  if (packages.length === 0) return
  if (canInstall()) await aptInstall(packages, what)
  else say(`${what} is missing: install it (as root: ${aptCommand(packages)})`)
}

// The cluster's DNS: A records of Services, and of the pods behind headless ones. Everything else does not exist.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { KubeApi } from '../../common/kube/client.ts'

type Service = { metadata: { name: string; namespace: string }; spec: { clusterIP?: string } }
type Endpoints = {
  metadata: { name: string; namespace: string }
  subsets?: { addresses?: { ip: string; hostname?: string }[] }[]
}
type List<T> = { items: T[] }

const DOMAIN = 'svc.cluster.local'
const TYPE_A = 1
const NAME_ERROR = 3
const TTL_S = 5
const REFRESH_MS = 1_000

/** Answers as long as the process lives. */
export async function serveDns(api: KubeApi, address: string): Promise<void> {
  let records = new Map<string, string[]>()
  const refresh = async () => {
    records = await read(api).catch(() => records) // the API server is busy: what was true a second ago
    setTimeout(() => void refresh(), REFRESH_MS).unref()
  }
  await refresh()
  const socket = createSocket('udp4')
  socket.on('message', (query, from) => {
    const answer = answerTo(query, records)
    if (answer !== undefined) socket.send(answer, from.port, from.address)
  })
  socket.bind(53, address)
  await once(socket, 'listening')
}

async function read(api: KubeApi): Promise<Map<string, string[]>> {
  const records = new Map<string, string[]>()
  const add = (name: string, ip: string) => records.set(name, [...(records.get(name) ?? []), ip])
  const services = await api.request<List<Service>>('GET', '/api/v1/services')
  const endpoints = await api.request<List<Endpoints>>('GET', '/api/v1/endpoints')
  for (const { metadata, spec } of services.items) {
    const name = `${metadata.name}.${metadata.namespace}.${DOMAIN}`
    if (spec.clusterIP !== undefined && spec.clusterIP !== 'None') {
      add(name, spec.clusterIP)
      continue
    }
    const own = endpoints.items.find(each => each.metadata.name === metadata.name && each.metadata.namespace === metadata.namespace)
    for (const { ip, hostname } of own?.subsets?.flatMap(({ addresses = [] }) => addresses) ?? []) {
      add(name, ip)
      if (hostname !== undefined) add(`${hostname}.${name}`, ip)
    }
  }
  return records
}

/** A whole answer to a query with one question; undefined where there is nothing to answer. */
export function answerTo(query: Buffer, records: ReadonlyMap<string, readonly string[]>): Buffer | undefined {
  if (query.length < 17 || query.readUInt16BE(4) !== 1) return undefined
  const labels: string[] = []
  let at = 12
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    if (length > 63 || at + 1 + length >= query.length) return undefined
    labels.push(query.toString('latin1', at + 1, at + 1 + length).toLowerCase())
    at += 1 + length
  }
  const end = at + 5
  if (end > query.length) return undefined
  const addresses = records.get(labels.join('.'))
  const answers = query.readUInt16BE(at + 1) === TYPE_A ? (addresses ?? []) : []
  const header = Buffer.alloc(12)
  header.writeUInt16BE(query.readUInt16BE(0), 0)
  // An answer, authoritative; recursion as it was desired, and available.
  header.writeUInt16BE(0x8480 | (query.readUInt16BE(2) & 0x0100) | (addresses === undefined ? NAME_ERROR : 0), 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(answers.length, 6)
  return Buffer.concat([header, query.subarray(12, end), ...answers.map(addressRecord)])
}

function addressRecord(ip: string): Buffer {
  const record = Buffer.alloc(16)
  record.writeUInt16BE(0xc00c, 0) // the name of the question
  record.writeUInt16BE(TYPE_A, 2)
  record.writeUInt16BE(1, 4)
  record.writeUInt32BE(TTL_S, 6)
  record.writeUInt16BE(4, 10)
  for (const [i, part] of ip.split('.').entries()) record.writeUInt8(Number(part), 12 + i)
  return record
}

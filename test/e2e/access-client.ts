// Runs in a pod of the product's image: asks for everything with every kind of token. GET / tells what was not as it should be.
import { credentials, loadPackageDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { ROWS } from '../fixtures/access-rows.ts'
import { problemsOf, type Cast } from '../fixtures/access-table.ts'
import type { ProtoGrpcType as FramesProto } from '../../proto/generated/frames.ts'
import type { ProtoGrpcType as ImageProto } from '../../proto/generated/video_streaming.ts'

const PORT = 8080
const AT_ONCE = 4
const [host = '', cast = '{}'] = process.argv.slice(2)

const load = (name: string) =>
  loadPackageDefinition(
    loadSync(`/app/proto/${name}.proto`, { keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true }),
  )
const { FramesService } = (load('frames') as unknown as FramesProto).chrys.cloud.frames.v1
const { Image } = (load('video_streaming') as unknown as ImageProto).chrys.cloud.videostreaming.v1beta1

const ca = readFileSync('/run/ca/ca.crt')
const security = credentials.createSsl(ca)
const options = { 'grpc.max_receive_message_length': -1 }
const clients = {
  image: new Image(`${host}:50001`, security, options),
  frames: new FramesService(`${host}:50001`, security, options),
  ...{ url: `https://${host}:8080`, ca },
}
const names = readdirSync('/run/tokens').filter(name => !name.startsWith('.'))
const tokens = Object.fromEntries(names.map(name => [name, readFileSync(`/run/tokens/${name}`, 'utf8')]))

const report = { isDone: false, rows: Object.keys(ROWS).length, tokens: names.toSorted(), problems: [] as string[] }
createServer((_, response) => response.end(JSON.stringify(report))).listen(PORT)
const queue = Object.keys(ROWS).values()
const work = async () => {
  for (const name of queue) {
    const found = await problemsOf(name, clients, tokens, JSON.parse(cast) as Cast).catch((error: unknown) => [`${name}: ${String(error)}`])
    report.problems.push(...found)
  }
}
await Promise.all(Array.from({ length: AT_ONCE }, work))
report.isDone = true

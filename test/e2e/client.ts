// Runs in a pod of the product's image: a gRPC client that notes when each frame comes. GET /frames?since=MS tells.
import { credentials, loadPackageDefinition, Metadata } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { VideoFrame__Output } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoFrame.ts'
import type { ProtoGrpcType } from '../../proto/generated/video_streaming.ts'

const KEPT = 50_000
const SILENCE_MS = 3_000
const AGAIN_MS = 100
const PORT = 8080

const [address = '', device = '', how] = process.argv.slice(2)
const isSecure = how === 'secure'
const definition = loadSync('/app/proto/video_streaming.proto', { keepCase: true, longs: Number, defaults: true })
const { Image } = (loadPackageDefinition(definition) as unknown as ProtoGrpcType).chrys.cloud.videostreaming.v1beta1
const client = new Image(address, isSecure ? credentials.createSsl(readFileSync('/run/ca/ca.crt')) : credentials.createInsecure(), {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  'grpc.max_receive_message_length': -1,
})

const frames: { at: number; timestamp: number; width: number; height: number }[] = []
const errors: Record<string, number> = {}
const count = (error: string) => void (errors[error] = (errors[error] ?? 0) + 1)

function ask(): void {
  const metadata = new Metadata()
  // Read for each call, since it is renewed.
  if (isSecure) metadata.set('authorization', `Bearer ${readFileSync('/run/token/token', 'utf8')}`)
  const call = client.VideoLatestImage(metadata)
  let timer: NodeJS.Timeout | undefined
  let over = false
  const request = () => {
    call.write({ device_id: device })
    clearTimeout(timer)
    timer = setTimeout(() => call.cancel(), SILENCE_MS)
  }
  const again = () => {
    if (over) return
    over = true
    clearTimeout(timer)
    setTimeout(ask, AGAIN_MS)
  }
  call.on('data', (frame: VideoFrame__Output) => {
    const { width, height, timestamp } = frame
    if (frame.data.length !== width * height * 3) count('a frame of another size')
    else if (frame.data.length > 0) frames.push({ at: Date.now(), timestamp, width, height })
    if (frames.length > KEPT) frames.shift()
    request()
  })
  call.on('error', (error: Error) => {
    count(error.message)
    again()
  })
  call.on('end', again)
  request()
}

ask()
createServer((request, response) => {
  const since = Number(new URL(request.url ?? '/', 'http://client').searchParams.get('since') ?? 0)
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ now: Date.now(), frames: frames.filter(({ at }) => at >= since), errors }))
}).listen(PORT)

// What every client needs: a connection, and frames as they come.
import { credentials, loadPackageDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { ImageClient } from '../../../proto/generated/chrys/cloud/videostreaming/v1beta1/Image.ts'
import type { VideoFrame__Output } from '../../../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoFrame.ts'
import type { ProtoGrpcType } from '../../../proto/generated/video_streaming.ts'

const PROTO = fileURLToPath(new URL('../../../proto/video_streaming.proto', import.meta.url))

export function connect(address: string): ImageClient {
  const definition = loadSync(PROTO, { keepCase: true, longs: Number, defaults: true })
  const { Image } = (loadPackageDefinition(definition) as unknown as ProtoGrpcType).chrys.cloud.videostreaming.v1beta1
  // A picture of 3840 x 2160 has 25 MB; gRPC takes 4 unless it is told otherwise.
  return new Image(address, credentials.createInsecure(), { 'grpc.max_receive_message_length': 32 * 2 ** 20 })
}

/** New frames, without end: each once and in order; a reader slower than the camera goes on at the newest. */
export async function* latest(client: ImageClient, device: string, keyframesOnly = false): AsyncGenerator<VideoFrame__Output> {
  const call = client.VideoLatestImage()
  const ask = () => void call.write({ device_id: device, key_frame_only: keyframesOnly })
  try {
    ask()
    // An answer comes at once when there is a new frame, else within 48 ms, without a picture.
    for await (const frame of call as AsyncIterable<VideoFrame__Output>) {
      if (frame.data.length > 0) yield frame
      ask()
    }
  } finally {
    call.cancel()
  }
}

/** `DEVICE [--address HOST:PORT] [--NUMBER N]…` */
export function options(defaults: Record<string, number>): { device: string; address: string; numbers: Record<string, number> } {
  const names = Object.fromEntries(['address', ...Object.keys(defaults)].map(name => [name, { type: 'string' as const }]))
  const { values, positionals } = parseArgs({ options: names, allowPositionals: true })
  const [device] = positionals
  if (device === undefined) throw new Error('which camera? Its name, or namespace/name')
  const numbers = Object.entries(defaults).map(([name, value]) => [name, Number(values[name] ?? value)] as const)
  return { device, address: values['address'] ?? '127.0.0.1:50001', numbers: Object.fromEntries(numbers) }
}

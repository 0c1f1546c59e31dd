// A small client: `npm run watch -- CAMERA`.
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { credentials, loadPackageDefinition, status, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { messageOf } from '../../common/errors.ts'
import type { ImageClient } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/Image.ts'
import type { ListStream__Output } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/ListStream.ts'
import type { VideoFrame__Output } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoFrame.ts'
import type { VideoFrameRequest } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoFrameRequest.ts'
import type { ProtoGrpcType } from '../../proto/generated/video_streaming.ts'
import { encodePng } from './png.ts'
import { fromUser } from './user-path.ts'
import { WatchStats } from './watch-stats.ts'

const HELP = `usage: npm run watch -- CAMERA [options]

Asks for a camera's frames and prints what comes, once a second. CAMERA is a name, or namespace/name.

      --address A:P    where the gRPC service is (default 127.0.0.1:50001)
      --save FILE.png  write one frame as a picture, and end
      --keyframes      key frames only
      --help           this text
`
const PROTO = fileURLToPath(new URL('../../proto/video_streaming.proto', import.meta.url))
const CONNECT_TIMEOUT_MS = 5_000
const SAVE_TIMEOUT_MS = 30_000
const REPORT_MS = 1_000
/** A picture of 4K has 25 MB; gRPC's own limit is 4. */
const MESSAGE_BYTES_MAX = 128 << 20
const EXIT_USAGE = 64

type Options = { camera: string; address: string; save: string | undefined; keyframes: boolean }
type Call = ClientDuplexStream<VideoFrameRequest, VideoFrame__Output>

/** Something to be said to the user, who then gets exit code 1. */
class Problem extends Error {}

function parseOptions(args: string[]): Options | 'help' | Problem {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        address: { type: 'string', default: '127.0.0.1:50001' },
        save: { type: 'string' },
        keyframes: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) return 'help'
    const [camera, ...rest] = positionals
    if (camera === undefined || rest.length > 0) return new Problem('name one camera')
    return { camera, address: values.address, save: values.save, keyframes: values.keyframes }
  } catch (error) {
    return new Problem(messageOf(error).split('. ')[0])
  }
}

function connect(address: string): ImageClient {
  const loaded = loadPackageDefinition(loadSync(PROTO, { keepCase: true, longs: Number, defaults: true })) as unknown as ProtoGrpcType
  return new loaded.chrys.cloud.videostreaming.v1beta1.Image(address, credentials.createInsecure(), {
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
  })
}

async function watch({ camera, address, save, keyframes }: Options, signal: AbortSignal): Promise<void> {
  const client = connect(address)
  try {
    await reach(client, address)
    const call = client.VideoLatestImage()
    signal.addEventListener('abort', () => call.cancel(), { once: true })
    const ask = () => call.write({ device_id: camera, key_frame_only: keyframes })
    if (save === undefined) await report(client, call, ask, camera)
    else await savePicture(client, call, ask, camera, save)
    call.cancel()
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    client.close()
  }
}

function reach(client: ImageClient, address: string): Promise<void> {
  const advice = `nothing answers at ${address}: start it with npm start, or say where it is with --address HOST:PORT`
  return new Promise((done, fail) =>
    client.waitForReady(Date.now() + CONNECT_TIMEOUT_MS, error => (error === undefined ? done() : fail(new Problem(advice)))),
  )
}

/** The call's frames; each is asked for when the one before has been dealt with. Those without data are passed on, too. */
async function* frames(call: Call, ask: () => void): AsyncGenerator<VideoFrame__Output> {
  ask()
  try {
    for await (const frame of call as AsyncIterable<VideoFrame__Output>) {
      yield frame
      ask()
    }
  } catch (error) {
    const { code, details } = error as ServiceError
    throw code === status.CANCELLED ? error : new Problem(details || messageOf(error))
  }
  throw new Problem('the server ended the call')
}

async function report(client: ImageClient, call: Call, ask: () => void, camera: string): Promise<void> {
  const stats = new WatchStats(camera)
  const timer = setInterval(() => {
    const line = stats.line(REPORT_MS / 1000)
    if (line !== undefined) process.stdout.write(`${line}\n`)
    else void whyNone(client, camera).then(why => process.stdout.write(`${camera}   no frame   ${why}\n`))
  }, REPORT_MS)
  try {
    for await (const frame of frames(call, ask)) {
      if (frame.data.length === 0) continue
      const { width, height, timestamp, pts, frame_type: frameType, is_corrupt: isCorrupt, codec_name: codec } = frame
      stats.add({ width, height, timestamp, pts, frameType, isCorrupt, codec }, Date.now())
    }
  } finally {
    clearInterval(timer)
  }
}

async function savePicture(client: ImageClient, call: Call, ask: () => void, camera: string, file: string): Promise<void> {
  const endMs = performance.now() + SAVE_TIMEOUT_MS
  for await (const { width, height, data } of frames(call, ask)) {
    if (data.length > 0) {
      await writeFile(fromUser(file), encodePng(width, height, data))
      process.stdout.write(`${file}: ${width}x${height}\n`)
      return
    }
    if (performance.now() > endMs) throw new Problem(`no frame within ${SAVE_TIMEOUT_MS / 1000} s: ${await whyNone(client, camera)}`)
  }
}

/** What the service says of the camera. */
async function whyNone(client: ImageClient, camera: string): Promise<string> {
  try {
    const streams = client.ListStreams({}, { deadline: Date.now() + CONNECT_TIMEOUT_MS }) as AsyncIterable<ListStream__Output>
    for await (const stream of streams)
      if (stream.name === camera) return [stream.status, stream.error].filter(text => text !== '').join(': ')
    return 'the camera is not in the list'
  } catch (error) {
    return messageOf(error)
  }
}

const options = parseOptions(process.argv.slice(2))
if (options === 'help') {
  process.stdout.write(HELP)
} else if (options instanceof Problem) {
  process.stderr.write(`${options.message}; see npm run watch -- --help\n`)
  process.exitCode = EXIT_USAGE
} else {
  const stop = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => stop.abort())
  process.stdout.on('error', () => stop.abort()) // its reader has gone
  try {
    await watch(options, stop.signal)
  } catch (error) {
    process.stderr.write(`${error instanceof Problem ? error.message : messageOf(error)}\n`)
    process.exitCode = 1
  }
}

// Looks at what a camera saw in the last seconds, every frame of it.
import type { VideoFrame__Output } from '../../../proto/generated/chrys/cloud/videostreaming/v1beta1/VideoFrame.ts'
import { connect, options } from './edge.ts'

const { device, address, numbers } = options({ seconds: 10 })
const client = connect(address)
// The clock by which frames are stamped.
const now = await new Promise<number>((resolve, reject) => {
  client.SystemTime({}, (error, response) =>
    response === undefined ? reject(error ?? new Error('no answer')) : resolve(response.current_time),
  )
})
const past = { device_id: device, timestamp_from: now - (numbers['seconds'] ?? 0) * 1_000, timestamp_to: now }
const times: number[] = []
// Decoded as they are read: a slow reader makes no other wait.
for await (const { timestamp } of client.VideoBufferedImage(past) as AsyncIterable<VideoFrame__Output>) times.push(timestamp)
const [first, last] = [times[0], times.at(-1)]
if (first === undefined || last === undefined) throw new Error('nothing is stored of that time')
console.log(`${times.length} frames, from ${now - first} to ${now - last} ms ago`)
client.close()

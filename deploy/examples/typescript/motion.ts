// Looks at a camera as it is now, and annotates when something moves.
import { Metadata, status, type ServiceError } from '@grpc/grpc-js'
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { AnnotateRequest } from '../../../proto/generated/chrys/cloud/videostreaming/v1beta1/AnnotateRequest.ts'
import type { ImageClient } from '../../../proto/generated/chrys/cloud/videostreaming/v1beta1/Image.ts'
import { connect, latest, options } from './edge.ts'

/** Of every 97th byte (a prime: all colours, all over the picture) the part that changed much, from 0 to 1. */
function moved(before: Uint8Array, now: Uint8Array): number {
  let changed = 0
  for (let i = 0; i < now.length; i += 97) if (Math.abs((now[i] ?? 0) - (before[i] ?? 0)) > 25) changed++
  return changed / Math.ceil(now.length / 97)
}

/** Tries until it is stored. Under its one key it is stored once, however often it was sent. */
async function annotate(client: ImageClient, request: AnnotateRequest): Promise<void> {
  const metadata = new Metadata()
  metadata.set('idempotency-key', randomUUID())
  for (;;) {
    const error = await new Promise<ServiceError | null>(resolve => {
      client.Annotate(request, metadata, { deadline: Date.now() + 40_000 }, resolve)
    })
    if (error === null) return
    if (error.code !== status.UNAVAILABLE && error.code !== status.DEADLINE_EXCEEDED) throw error
    await delay(1_000)
  }
}

const { device, address, numbers } = options({ frames: Infinity })
const client = connect(address)
let count = 0
let before: Uint8Array | undefined
let annotatedAt = 0
for await (const { data, timestamp, width, height, is_keyframe } of latest(client, device)) {
  const part = before?.length === data.length ? moved(before, data) : 0
  before = data
  // One a second is enough.
  if (part > 0.001 && timestamp - annotatedAt >= 1_000) {
    const object = { object_type: 'motion', confidence: Math.min(1, part * 10) }
    await annotate(client, { device_name: device, type: 'moving', start_timestamp: timestamp, width, height, is_keyframe, ...object })
    annotatedAt = timestamp
    console.log(`${timestamp} moving: ${(part * 100).toFixed(1)} % of the picture`)
  }
  if (++count === numbers['frames']) break
}
client.close()

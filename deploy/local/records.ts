// Tells the others which cameras there are and how their processes do: the operator's part in local mode.
import type { KV, NatsConnection } from 'nats'
import { openBucket } from '../../common/nats/buckets.ts'
import { messageOf } from '../../common/errors.ts'
import type { Nats } from '../../common/nats/connect.ts'
import { cameraRecord, type PodState } from '../../common/camera-record.ts'
import { sleep, whenAborted, within } from '../../common/abort.ts'
import { Wakeup } from '../../common/queue.ts'
import { isStreamMissing } from '../../common/nats/streams.ts'
import type { Camera } from '../../proto/camera.ts'
import { encodeState, type CameraRecord } from '../../proto/state.ts'
import { cameraKey, packetStream, refOfKey } from '../../proto/subjects.ts'
import { STARTING } from './supervisor.ts'

const WRITE_TIMEOUT_MS = 5_000
const RETRY_MS = 1_000

/** `runningSince`: by performance.now(), undefined while the process does not run. */
type Held = { record: CameraRecord; runningSince: number | undefined }

/** Holds one record per camera, and sees to it that NATS holds the same. */
export class Records {
  readonly #records = new Map<string, Held>()
  readonly #unwritten = new Set<string>()
  readonly #wakeup = new Wakeup()

  constructor(cameras: readonly Camera[]) {
    for (const camera of cameras) this.set(camera, STARTING)
  }

  set(camera: Camera, pod: PodState): void {
    const key = cameraKey(camera.metadata)
    const runningSince = pod.running ? (this.#records.get(key)?.runningSince ?? performance.now()) : undefined
    this.#records.set(key, { record: cameraRecord(camera, pod), runningSince })
    this.#unwritten.add(key)
    this.#wakeup.wake()
  }

  list(): Held[] {
    return [...this.#records.values()]
  }

  /** Writes what changes until `signal` aborts, and everything again after each reconnect. `onTrouble` is told what keeps failing. */
  async run(nats: Nats, onTrouble: (message: string) => void, signal: AbortSignal): Promise<void> {
    using _reconnected = nats.onReconnect(() => {
      for (const key of this.#records.keys()) this.#unwritten.add(key)
      this.#wakeup.wake()
    })
    using _stopped = whenAborted(signal, () => this.#wakeup.wake())
    let kv: KV | undefined
    while (!signal.aborted) {
      if (this.#unwritten.size === 0) {
        await this.#wakeup.next
        continue
      }
      try {
        kv ??= await this.#open(nats.nc)
        for (const key of this.#unwritten) await this.#write(kv, key)
      } catch (error) {
        kv = undefined
        onTrouble(`the list of cameras could not be written: ${messageOf(error)}`)
        await sleep(RETRY_MS, signal)
      }
    }
  }

  async #write(kv: KV, key: string): Promise<void> {
    const held = this.#records.get(key)
    if (held === undefined) return
    this.#unwritten.delete(key)
    try {
      await within(WRITE_TIMEOUT_MS, `writing ${key}`, kv.put(key, encodeState(held.record)))
    } catch (error) {
      this.#unwritten.add(key)
      throw error
    }
  }

  /** Opens the bucket, and removes what cameras of an earlier run on the same data folder left behind. */
  async #open(nc: NatsConnection): Promise<KV> {
    const kv = await openBucket(nc, 'cameras')
    const stale: string[] = []
    for await (const key of await kv.keys()) if (!this.#records.has(key)) stale.push(key)
    for (const key of stale) {
      await removeCamera(nc, key)
      await kv.delete(key)
    }
    return kv
  }
}

async function removeCamera(nc: NatsConnection, key: string): Promise<void> {
  const ref = refOfKey(key)
  if (ref === undefined) return
  const { streams } = await nc.jetstreamManager()
  await streams.delete(packetStream(ref)).catch((error: unknown) => {
    if (!isStreamMissing(error)) throw error
  })
  for (const bucket of ['states', 'switches'] as const) await (await openBucket(nc, bucket)).delete(key)
}

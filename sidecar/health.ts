// What the camera is doing, told to everyone through KV: when it changes, and every few seconds as a sign of life.
import type { KV } from 'nats'
import { openBucket } from '../common/nats/buckets.ts'
import { messageOf } from '../common/errors.ts'
import { everyMinute, type Logger } from '../common/log.ts'
import type { Nats } from '../common/nats/connect.ts'
import { sleep } from '../common/abort.ts'
import type { Packet } from '../proto/messages.ts'
import type { Reason } from '../proto/reasons.ts'
import { encodeState, MESSAGE_MAX, type CameraState, type Codec } from '../proto/state.ts'
import { cameraKey, type CameraRef } from '../proto/subjects.ts'
import type { SidecarConfig } from './config.ts'

const HEARTBEAT_MS = 5_000
/** The longest that a timer of Node's may take: 25 days. */
const NO_HEARTBEAT_MS = 2 ** 31 - 1
/** Another sidecar has the camera, and is silent: that we wait is reported once, since it may speak again. */
export const WAITING_FOR_LEASE = 'WaitingForLease' satisfies Reason
/** A camera that flaps does not flood the bucket. */
const SPACING_MS = 500
const RATE_WINDOW_MS = 5_000

/** Packets and bits per second over the last seconds. Pure. */
export class Rate {
  readonly #samples: { atMs: number; bytes: number }[] = []

  add(bytes: number, atMs: number): void {
    this.#samples.push({ atMs, bytes })
    this.#trim(atMs)
  }

  at(nowMs: number): { fps: number; bitsPerSecond: number } {
    this.#trim(nowMs)
    const first = this.#samples[0]
    if (first === undefined || this.#samples.length < 2) return { fps: 0, bitsPerSecond: 0 }
    // A connection begins with a burst of what was held while it was probed.
    const seconds = Math.max(nowMs - first.atMs, 1_000) / 1000
    const bytes = this.#samples.reduce((sum, sample) => sum + sample.bytes, 0)
    return { fps: Math.round((this.#samples.length / seconds) * 10) / 10, bitsPerSecond: Math.round((bytes * 8) / seconds) }
  }

  #trim(nowMs: number): void {
    while (this.#samples[0] !== undefined && nowMs - this.#samples[0].atMs > RATE_WINDOW_MS) this.#samples.shift()
  }
}

export type Reported = Omit<CameraState, 'v' | 'at' | 'fps' | 'bitsPerSecond'>

/** Before the first connection. */
export const initialState = ({ camera, archive, proxy, substream }: SidecarConfig): Reported => ({
  ...{ uid: camera.uid, run: Date.now(), connection: 'connecting', failingStreak: 0, reconnects: 0, pid: 0, epoch: 0 },
  decoding: { active: false, ok: true },
  buffer: { ok: true },
  publishesUnstored: true,
  makesRenditions: true,
  ...(archive === undefined ? {} : { archive: { active: false, ok: true } }),
  ...(proxy === undefined ? {} : { proxy: { active: false, ok: true } }),
  ...(substream === undefined ? {} : { substream: { connection: 'off', fps: 0 } }),
})

export class Health {
  #state: Reported
  readonly #rate = new Rate()
  #changed = Promise.withResolvers<void>()
  #isMuted = false

  constructor(initial: Reported) {
    this.#state = initial
  }

  get state(): Readonly<Reported> {
    return this.#state
  }

  set(change: Partial<Reported>): void {
    const next = { ...this.#state, ...change }
    if (next.message !== undefined) next.message = next.message.slice(0, MESSAGE_MAX)
    if (JSON.stringify(next) === JSON.stringify(this.#state)) return
    const isNews = next.reason !== WAITING_FOR_LEASE || this.#state.reason !== WAITING_FOR_LEASE
    this.#state = next
    if (isNews) this.#changed.resolve()
  }

  /** Nothing is reported while it is muted. */
  mute(isMuted: boolean): void {
    if (this.#isMuted === isMuted) return
    this.#isMuted = isMuted
    this.#changed.resolve()
  }

  packet(packet: Packet, codec: Codec): void {
    const now = performance.now()
    this.#rate.add(packet.data.length, now)
    this.#state.lastPacketAt = packet.timestamp // told with the next heartbeat
    if (this.#state.codec !== codec) this.set({ codec, epoch: packet.epoch })
  }

  snapshot(): CameraState {
    return { v: 1, ...this.#state, at: Date.now(), ...this.#rate.at(performance.now()) }
  }

  /** Writes until `signal` aborts, through outages of NATS. */
  async run(nats: Nats, camera: CameraRef, log: Logger, signal: AbortSignal): Promise<void> {
    const warn = everyMinute((count, error) => log.warn({ count, error }, 'could not publish the camera’s state'))
    let bucket: KV | undefined
    while (!signal.aborted) {
      try {
        if (nats.connected() && !this.#isMuted) {
          bucket ??= await openBucket(nats.nc, 'states')
          await bucket.put(cameraKey(camera), encodeState(this.snapshot()))
        }
      } catch (error) {
        bucket = undefined // it may have vanished with a restart of NATS
        warn(messageOf(error))
      }
      await sleep(SPACING_MS, signal)
      const over = new AbortController()
      const beatMs = this.#state.reason === WAITING_FOR_LEASE ? NO_HEARTBEAT_MS : HEARTBEAT_MS
      await Promise.race([this.#changed.promise, sleep(beatMs, AbortSignal.any([signal, over.signal]))])
      over.abort()
      this.#changed = Promise.withResolvers()
    }
  }
}

// Packets → files on a volume, as they come: cut at keyframes, not transcoded, each file there only once it is whole. A disk that is full,
// slow or gone costs the archive packets, and nothing else.
import { mkdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { NatsConnection } from 'nats'
import { Failure } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import { KeyframeGate } from '../../common/media/keyframe-gate.ts'
import { ByteQueue } from '../../common/queue.ts'
import { aborted, sleep } from '../../common/abort.ts'
import type { Packet } from '../../proto/messages.ts'
import type { Activity, Codec } from '../../proto/state.ts'
import type { CameraRef } from '../../proto/subjects.ts'
import { ArchiveAnswers } from './answers.ts'
import { Keeper } from './keeper.ts'
import type { Metrics } from '../metrics.ts'
import type { PacketSink } from '../packet-sink.ts'
import type { Policy } from './retention.ts'
import { salvage } from './salvage.ts'
import { fileFailure, Segment } from './segment.ts'

export type ArchiveConfig = Policy & {
  /** The volume. */
  dir: string
  /** Undefined: a file per group of pictures. */
  segmentMs: number | undefined
}

export type ArchiveParts = {
  deviceId: string
  nc: NatsConnection
  camera: CameraRef & { uid: string }
  metrics: Metrics
  log: Logger
  onHealth: (health: Activity) => void
}

const QUEUE_BYTES_MAX = 32 * 2 ** 20
const QUEUE_MAX = 4_096
/** Files being finished while the next is being written. */
const CLOSING_MAX = 3
/** Where every picture is a keyframe, as in JPEG, a file each would be absurd. */
const GOP_MIN_MS = 500
const RETRY_MS = 5_000
/** Room that must be there, besides what the last try took, before a full volume is tried again. */
const ROOM_MIN = 2 ** 20
const ROOM_MAX = 64 * 2 ** 20
/** Writing for this long without a complaint means that what was wrong is over. */
const HEALTHY_MS = 10_000
const SHUTDOWN_MS = 8_000

/** `isAfterLoss`: packets before it were dropped, so it begins a file. */
type Item = { packet: Packet; codec: Codec; isAfterLoss: boolean } | 'cut'

/** Why nothing can be written, and when that is tried again. */
type Trouble = { failure: Failure; sinceMs: number; resumeAtMs: number; bytesNeeded: number }

/**
 * - `idle`: no file is open; the next keyframe begins one.
 * - `writing`: packets go to the open file.
 * - `failing`: a file could not be written. Packets are dropped until `resumeAtMs`; then a keyframe begins a file, and once that is finished, or
 *   was written for a while, the trouble is over.
 */
type Phase = 'idle' | 'writing' | 'failing'

/**
 * One queue and one writer. At a keyframe the open file ends and the next begins; up to CLOSING_MAX files are finished while the next is
 * being written. `push` never waits: a full queue drops packets up to the next keyframe, which begins a file of its own. Files appear under
 * their name only once they are whole; after a failure what can be read of a file is kept.
 */
export class Archive implements PacketSink {
  readonly #config: ArchiveConfig
  readonly #folder: string
  readonly #metrics: Metrics
  readonly #log: Logger
  readonly #onHealth: (health: Activity) => void
  readonly #run = `${process.pid}${Math.random().toString(36).slice(2, 10)}`
  readonly #keeper: Keeper
  readonly #answers: ArchiveAnswers
  readonly #closing = new Map<Segment, Promise<void>>()
  /** What runs, or still does since the volume stands still. */
  #work: Promise<unknown> = Promise.resolve()
  readonly #queue = new ByteQueue<Item>({ bytesMax: QUEUE_BYTES_MAX, itemsMax: QUEUE_MAX })
  /** Closed when the queue was full. */
  readonly #gate = new KeyframeGate('open')
  #segment: Segment | undefined
  #trouble: Trouble | undefined

  /** `deviceId` names the camera's folder on the volume. */
  constructor(config: ArchiveConfig, { deviceId, nc, camera, metrics, log, onHealth }: ArchiveParts) {
    this.#config = config
    this.#folder = join(config.dir, deviceId)
    this.#metrics = metrics
    this.#log = log
    this.#onHealth = onHealth
    const writing = () => [...this.#closing.keys(), ...(this.#segment === undefined ? [] : [this.#segment])]
    const openBytes = () => writing().reduce((sum, { bytes }) => sum + bytes, 0)
    const open = () => writing().flatMap(({ readable }) => readable ?? [])
    this.#keeper = new Keeper({ folder: this.#folder, run: this.#run, policy: config, openBytes, metrics, log })
    this.#answers = new ArchiveAnswers({ nc, camera, folder: this.#folder, index: () => this.#keeper.index, open, log })
  }

  push(packet: Packet, codec: Codec): void {
    const isAfterLoss = !this.#gate.isOpen
    const { length } = packet.data
    const isTaken = this.#gate.passes(packet) && this.#queue.push({ packet, codec, isAfterLoss }, length)
    if (!isTaken) {
      this.#gate.close()
      this.#drop('queue_full')
    }
    this.#metrics.archiveQueue.set(this.#queue.bytes)
  }

  /** The stream has ended: so does the file. */
  reset(): void {
    if (this.#queue.newest !== 'cut' && !this.#queue.push('cut', 0)) this.#gate.close()
  }

  /** Writes, and looks after what is there, until `signal` aborts; finishes then what it has, and tidies no more. May be called again. */
  async run(signal: AbortSignal): Promise<void> {
    this.#work = this.#work.then(() => this.#start(signal))
    const over = new AbortController()
    await Promise.race([this.#work, aborted(signal).then(() => sleep(SHUTDOWN_MS, over.signal))])
    over.abort()
  }

  /** Nothing is left once `run` has ended. */
  async [Symbol.asyncDispose](): Promise<void> {}

  async #start(signal: AbortSignal): Promise<void> {
    await mkdir(this.#folder, { recursive: true }).catch((error: unknown) => this.#failed(fileFailure(error), 0))
    using _answering = this.#answers.listen()
    await Promise.all([this.#write(signal), this.#keeper.run(signal)])
  }

  async #write(signal: AbortSignal): Promise<void> {
    for (;;) {
      const item = this.#queue.shift()
      if (item !== undefined) {
        await this.#take(item)
        continue
      }
      if (signal.aborted) break
      await this.#queue.wait(signal)
    }
    await this.#finish(undefined)
    this.#report()
    await Promise.all(this.#closing.values())
  }

  #drop(reason: string, count = 1): void {
    this.#metrics.archiveDropped.inc({ reason }, count)
  }

  async #take(item: Item): Promise<void> {
    if (item === 'cut') {
      await this.#finish(undefined)
      return this.#report()
    }
    const { packet, codec, isAfterLoss } = item
    this.#metrics.archiveQueue.set(this.#queue.bytes)
    if (isAfterLoss) await this.#finish(undefined)
    if (packet.key) await this.#turn(packet, codec)
    const segment = this.#segment
    if (segment === undefined) return this.#drop(this.#phase === 'failing' ? 'not_writable' : 'no_keyframe')
    try {
      await segment.add(packet, codec)
      const trouble = this.#trouble
      if (trouble !== undefined && performance.now() - Math.max(segment.openedAt, trouble.sinceMs) > HEALTHY_MS) this.#succeeded()
    } catch (error) {
      this.#segment = undefined
      this.#abandon(segment, fileFailure(error))
    }
  }

  /** At a keyframe: where files end and begin. */
  async #turn(packet: Packet, codec: Codec): Promise<void> {
    const segment = this.#segment
    if (segment !== undefined) {
      const isSame = segment.epoch === packet.epoch
      const { segmentMs = GOP_MIN_MS } = this.#config
      if (isSame && packet.timestamp - segment.startMs < segmentMs) return
      await this.#finish(isSame ? packet.timestamp : undefined)
    }
    if (!(await this.#mayBegin())) return
    try {
      if (this.#phase === 'failing') await mkdir(this.#folder, { recursive: true })
      const kind = this.#config.segmentMs === undefined ? 'gop' : 'longer'
      this.#segment = await Segment.open(this.#folder, kind, this.#run, packet, codec)
      this.#report()
    } catch (error) {
      this.#failed(fileFailure(error), 0)
    }
  }

  async #mayBegin(): Promise<boolean> {
    const trouble = this.#trouble
    if (trouble === undefined) return true
    if (performance.now() < trouble.resumeAtMs) return false
    if (trouble.bytesNeeded === 0) return true
    try {
      const { bavail, bsize } = await statfs(this.#folder)
      if (bavail * bsize >= trouble.bytesNeeded) return true
    } catch {
      return true // what is wrong now is not the room: opening the file will tell
    }
    trouble.resumeAtMs = performance.now() + RETRY_MS
    return false
  }

  /** Ends the current file; its last steps are taken while the next one begins. */
  async #finish(nextMs: number | undefined): Promise<void> {
    const segment = this.#segment
    this.#segment = undefined
    if (segment === undefined) return
    this.#track(segment, () => this.#close(segment, nextMs))
    while (this.#closing.size > CLOSING_MAX) await Promise.race(this.#closing.values())
  }

  async #close(segment: Segment, nextMs: number | undefined): Promise<void> {
    try {
      const written = await segment.close(nextMs)
      this.#metrics.archiveSegments.inc()
      this.#metrics.archivePackets.inc(written.packets)
      if (written.packets < segment.packets) this.#drop('not_written', segment.packets - written.packets)
      this.#keeper.add(written)
      // One that was begun before the failure shows only that there was room then.
      if (segment.openedAt > (this.#trouble?.sinceMs ?? -Infinity)) this.#succeeded()
    } catch (error) {
      await this.#giveUp(segment, fileFailure(error))
    }
  }

  #abandon(segment: Segment, failure: Failure): void {
    this.#track(segment, () => this.#giveUp(segment, failure))
  }

  /** What was written before the failure is kept as far as it can be read. */
  async #giveUp(segment: Segment, failure: Failure): Promise<void> {
    this.#failed(failure, segment.bytes)
    let packets = 0
    try {
      await segment.abandon()
      const saved = await salvage(this.#folder, segment.part, new AbortController().signal)
      if (saved !== undefined) {
        packets = saved.packets
        this.#metrics.archiveSegments.inc()
        this.#metrics.archivePackets.inc(packets)
        this.#keeper.add(saved)
      }
    } catch (error) {
      this.#log.debug({ part: segment.part, error: fileFailure(error).message }, 'could not finish a segment; trying again')
      this.#keeper.leave(segment.part)
    }
    this.#drop('write_failed', Math.max(0, segment.packets - packets))
  }

  #track(segment: Segment, work: () => Promise<void>): void {
    const done = work().finally(() => this.#closing.delete(segment))
    this.#closing.set(segment, done)
  }

  #failed(failure: Failure, bytes: number): void {
    if (this.#trouble?.failure.reason !== failure.reason) this.#log.warn({ reason: failure.reason }, failure.message)
    this.#metrics.archiveFailures.inc({ reason: failure.reason })
    const sinceMs = performance.now()
    const bytesNeeded = failure.reason === 'ArchiveDiskFull' ? ROOM_MIN + Math.min(bytes, ROOM_MAX) : 0
    this.#trouble = { failure, sinceMs, resumeAtMs: sinceMs + RETRY_MS, bytesNeeded }
    this.#report()
  }

  #succeeded(): void {
    if (this.#phase === 'failing') this.#log.info('the archive is written again')
    this.#trouble = undefined
    this.#report()
  }

  get #phase(): Phase {
    if (this.#trouble !== undefined) return 'failing'
    return this.#segment === undefined ? 'idle' : 'writing'
  }

  #report(): void {
    const active = this.#phase === 'writing'
    this.#metrics.archiving.set(active ? 1 : 0)
    if (this.#trouble === undefined) return this.#onHealth({ active, ok: true })
    const { reason, message } = this.#trouble.failure
    this.#onHealth({ active, ok: false, reason, message })
  }
}

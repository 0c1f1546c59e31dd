// One run of ffmpeg on the camera, from the first byte to the reason it ended for.
import type { BlockList } from 'node:net'
import { Failure, messageOf } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import type { DemuxInfo, DemuxedPacket, DemuxRun } from '../../common/media/demux.ts'
import { ticksToMs } from '../../common/media/timebase.ts'
import { isDecodable } from '../../common/media/nut-writer.ts'
import { CAMERA_LINES, causeIn, moreTelling } from '../../common/media/ffmpeg-log.ts'
import { scrub } from '../../common/text.ts'
import { sleep, whenAborted } from '../../common/abort.ts'
import type { Packet } from '../../proto/messages.ts'
import type { Cause } from '../../proto/reasons.ts'
import type { Codec, DeviceReport } from '../../proto/state.ts'
import type { SidecarConfig } from '../config.ts'
import { credentialsChanged, readCredentials, type Credentials } from '../../common/net/credentials.ts'
import { EpochTracker, type Step } from '../timing/epoch.ts'
import { Opening } from '../timing/first-timestamp.ts'
import { Pictures } from './slice-joiner.ts'
import type { Progress, Relay } from '../rtsp/relay.ts'
import type { Traits } from './traits.ts'
import { isSlow, looksSparse, nextConnectMs, overdue, stallsInMs, waitsForKeyframe, type Facts } from './watchdog.ts'

/** Further ahead of the clock than any live stream's first burst: a file, which is then read at its own pace. */
const AHEAD_MAX_MS = 30_000
/** A camera whose pictures are no further apart is none whose pictures come seconds apart. */
const STEADY_MS = 1_000
/** Two jumps back of a camera's clock within this time make a clock that can't be used. */
const JUMPS_WITHIN_MS = 600_000
/** ffmpeg comes to an end by itself after its input did; what then remains is its own fault. */
const GRACE_MS = 1_000
const WATCH_MS = 250
/** Once it streams there is only its end to be noticed. */
const WATCH_STREAMING_MS = 1_000

export type SessionEvents = {
  onPacket: (packet: Packet, codec: Codec, newEpoch: boolean) => void
  /** Packets keep coming. */
  onStreaming: (pid: number) => void
  /** Connected, and there is a reason why nothing can be shown yet. */
  onWaiting: (pid: number, why: Failure) => void
  onCredentials: (credentials: Credentials | undefined) => void
  onDevice: (device: DeviceReport) => void
}

/**
 * - `connecting`: nothing that could be decoded has come.
 * - `waiting`: packets come but no keyframe, which is reported.
 * - `beginning`: packets are passed on, but have not come for long enough to count.
 * - `streaming`: they have, which is reported.
 * - `ending`: why it ends is known; the camera and ffmpeg are told.
 */
type Phase = 'connecting' | 'waiting' | 'beginning' | 'streaming' | 'ending'

/**
 * One connection, used once. ffmpeg's packets pass the slice joiner, the hold for the first timestamp and the epoch tracker, each of which may
 * hold some back; what comes out is passed on at once. A watchdog looks at the facts a few times a second. The first that calls `#end` has the
 * last word on why it ended; without such a verdict the relay's failure and ffmpeg's log tell.
 */
export class Session {
  readonly #config: SidecarConfig
  readonly #deny: BlockList
  /** What is learnt of the source holds for later sessions too. */
  readonly #traits: Traits
  readonly #events: SessionEvents
  readonly #pictures = new Pictures()
  readonly #opening = new Opening()
  readonly #tracker: EpochTracker
  lastEpoch: number
  readonly #startedMs = performance.now()
  #firstPictureMs: number | undefined
  #lastPacketMs: number | undefined
  #sized = false
  #info: DemuxInfo | undefined
  #firstTimestampMs = 0
  #timestampMs = 0
  #stepMs = 0
  /** ffmpeg found another video stream in what had begun as one. */
  #newStreamMs: number | undefined
  #phase: Phase = 'connecting'
  readonly #steadyMs: number
  #relay: Relay | undefined
  #run: DemuxRun | undefined
  #hangingUp: Promise<void> | undefined
  #cause: Cause | undefined
  #secrets: readonly string[] = []
  /** Decided here rather than by ffmpeg: a watchdog, a restart. */
  #verdict: Failure | undefined
  #restart = false

  /** `steadyMs`: packets must have come for so long before the camera counts as streaming; two at least. */
  constructor(config: SidecarConfig, deny: BlockList, traits: Traits, lastEpoch: number, steadyMs: number, events: SessionEvents) {
    this.#steadyMs = steadyMs
    this.#config = config
    this.#deny = deny
    this.#traits = traits
    this.#events = events
    this.#tracker = new EpochTracker(lastEpoch, Date.now, traits.times)
    this.lastEpoch = lastEpoch
  }

  get streamedMs(): number {
    return this.#firstPictureMs === undefined ? 0 : (this.#lastPacketMs ?? 0) - this.#firstPictureMs
  }

  /** Resolves with why it ended; `restart` when only a new connection is needed. Never rejects. */
  async run(log: Logger, signal: AbortSignal): Promise<{ failure: Failure; restart: boolean }> {
    const over = new AbortController()
    const either = AbortSignal.any([signal, over.signal])
    try {
      const { credentialsDir, source } = this.#config
      const credentials = credentialsDir === undefined ? undefined : await readCredentials(credentialsDir)
      this.#events.onCredentials(credentials)
      this.#secrets = credentials === undefined ? [] : [credentials.password]
      await using relay = await source.openRelay(credentials, this.#deny, either)
      this.#relay = relay
      if (relay?.device !== undefined) this.#events.onDevice(relay.device)
      await using run = await source.open(relay ?? { host: '', port: 0 }, credentials, this.#traits, {
        onPacket: (packet, info) => this.#packet(packet, info),
        onLine: line => this.#line(line, log),
        // A relay that cut the input off knows why.
        onDesync: problem => this.#end(relay?.progress.failure ?? new Failure('InvalidStream', problem)),
      })
      this.#run = run
      const watching = this.#watch(relay?.progress, either)
      const rotated =
        credentialsDir === undefined ? undefined : credentialsChanged(credentialsDir, credentials, either).then(() => this.#rotated(either))
      using _stopped = whenAborted(either, () => void this.#hangUp())
      if (this.#verdict !== undefined) void this.#hangUp()
      const end = await run.ended
      if (this.#info !== undefined) this.#pass(this.#opening.end(this.#info.timeBase), this.#info)
      over.abort()
      await Promise.all([watching, rotated])
      return { failure: this.#verdict ?? this.#named(relay?.progress, end.signal), restart: this.#restart }
    } catch (error) {
      return { failure: error instanceof Failure ? error : new Failure('InternalError', messageOf(error)), restart: false }
    } finally {
      over.abort()
    }
  }

  #rotated(signal: AbortSignal): void {
    if (!signal.aborted) this.#end(new Failure('CredentialsChanged'), true)
  }

  #named(progress: Progress | undefined, signal: NodeJS.Signals | null): Failure {
    const relayed = progress?.failure
    // What the relay refuses ffmpeg only sees as a server’s error.
    const cause = relayed?.reason === 'ConnectionLost' ? moreTelling(this.#cause, relayed) : (relayed ?? this.#cause)
    if (cause !== undefined) return new Failure(cause.reason, cause.message)
    if (signal !== null) return new Failure('FfmpegKilled', `the camera’s ffmpeg was ended by ${signal}`)
    if (this.#firstPictureMs !== undefined) return new Failure('StreamEnded')
    return this.#config.source.withoutFrame(progress)
  }

  #end(verdict: Failure, restart = false): void {
    if (this.#phase === 'ending') return
    this.#phase = 'ending'
    this.#verdict = verdict
    this.#restart = restart
    void this.#hangUp()
  }

  /** The camera is told first, which ends ffmpeg's input and with it ffmpeg: no signal ends one whose input is silent. */
  #hangUp(): Promise<void> | undefined {
    const run = this.#run
    if (run === undefined) return undefined
    const hangUp = async () => {
      await this.#relay?.[Symbol.asyncDispose]()
      const ended = new AbortController()
      void run.ended.then(() => ended.abort())
      if (this.#relay !== undefined) await sleep(GRACE_MS, ended.signal)
      await run.stop()
    }
    return (this.#hangingUp ??= hangUp())
  }

  #line(line: string, log: Logger): void {
    if (log.isLevelEnabled('debug')) log.debug({ ffmpeg: scrub(line, this.#secrets) }, 'ffmpeg')
    const cause = causeIn(CAMERA_LINES, line)
    if (cause !== undefined) this.#cause = moreTelling(this.#cause, cause)
    if (this.#cause?.reason === 'NoDecodableFrames') this.#traits.slow = true
    // Such as an MPEG-TS whose tables change: what follows comes in a stream that nothing reads.
    if (/New video stream (with index |\d+:)/.test(line)) this.#newStreamMs ??= performance.now()
    const trait = this.#config.source.traitIn(line)
    if (trait === undefined || this.#traits[trait]) return
    this.#traits[trait] = true
    const how =
      trait === 'paced'
        ? 'the source is no live stream by itself: reading it at its own pace'
        : 'the source has no timestamps: taking the clock’s'
    this.#end(new Failure(trait === 'paced' ? 'Paced' : 'NoTimestamps', how), true)
  }

  #packet(demuxed: DemuxedPacket, info: DemuxInfo): void {
    if (this.#phase === 'ending') return
    if (!isDecodable(info.codec))
      return this.#end(new Failure('CodecUnsupported', `the camera sends ${info.codec}, which is not supported`))
    this.#lastPacketMs = performance.now()
    if (this.#relay !== undefined) this.#relay.progress.unpackedBytes = 0
    this.#sized ||= info.width > 0 && info.height > 0
    this.#info = info
    const camera = this.#relay?.cameraClock?.timeOf(demuxed, info.timeBase)
    const timed = camera === undefined ? demuxed : { ...demuxed, camera }
    for (const picture of this.#pictures.push(timed, info)) this.#pass(this.#opening.push(picture, info.timeBase), info)
  }

  #pass(packets: readonly DemuxedPacket[], info: DemuxInfo): void {
    if (packets.length > 0 && this.#firstPictureMs === undefined) this.#tracker.startClock(this.#opening.startOffsetMs)
    for (const packet of packets) for (const step of this.#tracker.next(packet, info)) this.#step(step, info)
  }

  #step(step: Step, info: DemuxInfo): void {
    if (this.#phase === 'ending' || step.kind === 'skip') return
    this.#traits.times = this.#tracker.learnt
    if (step.kind === 'restart') {
      if (step.why === 'NoTimestamps') this.#traits.wallClock = true
      if (step.why === 'TimestampsStuck') this.#jumpedBack()
      return this.#end(new Failure(step.why, 'reconnecting: the stream’s timestamps or parameters changed'), true)
    }
    const { packet, codec, newEpoch } = step
    this.lastEpoch = packet.epoch
    // No size, no picture: parameter sets that never come are the watchdog's business.
    if (codec.width === 0 || codec.height === 0) return
    const atMs = ticksToMs(packet.dts, info.timeBase)
    if (this.#firstPictureMs === undefined) {
      this.#phase = 'beginning'
      this.#firstPictureMs = performance.now()
      this.#traits.connectMs = nextConnectMs(this.#traits, this.#firstPictureMs - this.#startedMs)
      this.#firstTimestampMs = this.#timestampMs = atMs
      this.#cause = undefined // what ffmpeg complained about while probing was not the end of it
    } else if (this.#phase === 'beginning' && this.streamedMs >= this.#steadyMs) {
      this.#phase = 'streaming'
      this.#events.onStreaming(this.#run?.pid ?? 0)
    }
    this.#stepMs = atMs - this.#timestampMs
    this.#timestampMs = atMs
    // It had only stopped: the next connection may look at more than one packet again.
    if (this.#stepMs > 0 && this.#stepMs < STEADY_MS) this.#traits.sparse = false
    this.#checkPace(atMs)
    this.#events.onPacket(packet, codec, newEpoch)
  }

  /** Once is a clock that was set; twice is a clock that can't be used. */
  #jumpedBack(): void {
    const nowMs = performance.now()
    const againMs = nowMs - (this.#traits.jumpedBackMs ?? -Infinity)
    this.#traits.jumpedBackMs = nowMs
    if (againMs < JUMPS_WITHIN_MS) this.#traits.times = { isArrival: true, rate: 1 }
  }

  #checkPace(atMs: number): void {
    if (this.#traits.paced || !this.#config.source.mayBeFile) return
    if (atMs - this.#firstTimestampMs - this.streamedMs < AHEAD_MAX_MS) return
    this.#traits.paced = true
    this.#end(new Failure('Paced', 'the source comes faster than it plays: reading it at its own pace'), true)
  }

  /** Ends the session when nothing comes of it: no connection, no packets, or packets of which no picture can be made. */
  async #watch(progress: Progress | undefined, signal: AbortSignal): Promise<void> {
    let failedMs: number | undefined
    while (!signal.aborted && this.#phase !== 'ending') {
      const isSteady = this.#firstPictureMs !== undefined && this.#newStreamMs === undefined
      await sleep(isSteady ? Math.min(WATCH_STREAMING_MS, stallsInMs(this.#facts(progress))) : WATCH_MS, signal)
      const facts = this.#facts(progress)
      if (progress?.failure !== undefined) {
        failedMs ??= facts.nowMs
        if (facts.nowMs - failedMs > GRACE_MS) return this.#end(progress.failure)
      }
      if (this.#newStreamMs !== undefined && facts.nowMs - Math.max(this.#newStreamMs, facts.lastPacketMs ?? 0) > GRACE_MS) {
        return this.#end(new Failure('StreamReplaced', 'the source continues in another stream than before'), true)
      }
      const verdict = overdue(facts)
      if (verdict !== undefined) {
        if (isSlow(verdict, facts)) this.#traits.connectMs = nextConnectMs(facts)
        if (looksSparse(verdict, facts)) this.#traits.sparse = !facts.sparse
        return this.#end(progress?.refusal ?? this.#otherTrack(verdict, progress?.tracks ?? 0) ?? verdict)
      }
      const waiting = this.#phase === 'connecting' ? waitsForKeyframe(facts) : undefined
      if (waiting !== undefined) {
        this.#phase = 'waiting'
        this.#events.onWaiting(this.#run?.pid ?? 0, waiting)
      }
    }
  }

  /** Of a camera with several tracks one that gives no frame is not the only hope. */
  #otherTrack({ reason, message }: Failure, tracks: number): Failure | undefined {
    if (tracks < 2 || this.#firstPictureMs !== undefined || (reason !== 'StreamStalled' && reason !== 'NoDecodableFrames')) return undefined
    const silent = this.#config.source.skipTrack(tracks)
    return new Failure(reason, `${message} (video track ${silent} of ${tracks}: the next one is tried)`)
  }

  #facts(progress: Progress | undefined): Facts {
    return {
      nowMs: performance.now(),
      startedMs: this.#startedMs,
      phase: progress?.phase,
      lastByteMs: progress?.lastByteAt,
      lastPacketMs: this.#lastPacketMs,
      sized: this.#sized,
      streaming: this.#firstPictureMs !== undefined,
      stepMs: this.#stepMs,
      sparse: this.#traits.sparse,
      connectMs: this.#traits.connectMs,
    }
  }
}

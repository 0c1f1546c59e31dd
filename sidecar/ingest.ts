// The camera's one connection: a loop that connects, watches, names the cause of every end and tries again.
import type { BlockList } from 'node:net'
import { retryDelayMs } from '../common/backoff.ts'
import { Failure, messageOf } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import { demux, type DemuxInfo, type DemuxedPacket, type DemuxRun } from '../common/media/demux.ts'
import { isDecodable } from '../common/media/nut.ts'
import { causeOf, moreTelling, scrub, type Cause } from '../common/media/stderr.ts'
import { sleep } from '../common/stop.ts'
import type { Packet } from '../proto/messages.ts'
import type { Codec } from '../proto/state.ts'
import { resolveHost } from './address.ts'
import { credentialsChanged, readCredentials } from './credentials.ts'
import { openEgress } from './egress.ts'
import { EpochTracker } from './epoch.ts'
import type { SidecarConfig } from './config.ts'
import { openRelay, type Progress, type Relay } from './relay.ts'
import { inputArgs, type Credentials, type Source, type Traits } from './source.ts'

export type Connection = 'connecting' | 'streaming' | 'waiting'

export type IngestEvents = {
  onPacket: (packet: Packet, codec: Codec, newEpoch: boolean) => void
  /** The connection's state changed; `failure` says why it is not streaming. */
  onState: (state: { connection: Connection; pid: number; failingStreak: number; failure?: Failure | undefined }) => void
}

const CONNECT_TIMEOUT_MS = 10_000
const STALL_MS = 5_000
const UNDECODABLE_MS = 20_000
/** Streaming for this long means that the next failure is a new one. */
const HEALTHY_MS = 10_000
const AUTH_RETRY_MIN_MS = 60_000
/** Further ahead of the clock than any live stream's first burst: a file, which is then read at its own pace. */
const AHEAD_MAX_MS = 60_000
/** ffmpeg comes to an end by itself after its input did; what then remains is its own fault. */
const GRACE_MS = 1_000

/** Runs until `signal` aborts. `poke` restarts the connection at once (a decoder found nothing decodable). */
export async function ingest(
  config: SidecarConfig,
  deny: BlockList,
  events: IngestEvents,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const traits: Traits = { wallClock: false, paced: false }
  let lastEpoch = 0
  let attempt = 0
  let failingStreak = 0
  while (!signal.aborted) {
    const credentials = { current: undefined as Credentials | undefined }
    events.onState({ connection: 'connecting', pid: 0, failingStreak })
    const session = new Session(config, deny, traits, lastEpoch, {
      onPacket: events.onPacket,
      onStreaming: pid => {
        failingStreak = 0
        events.onState({ connection: 'streaming', pid, failingStreak })
      },
      onCredentials: known => (credentials.current = known),
    })
    const { failure, restart } = await session.run(log, signal)
    lastEpoch = session.lastEpoch
    if (signal.aborted) return
    if (session.streamedMs >= HEALTHY_MS) attempt = 0
    if (restart && session.streamedMs >= STALL_MS) {
      log.info({ reason: failure.reason }, failure.message)
      continue
    }
    failingStreak++
    const delayMs = Math.max(retryDelayMs(attempt++), failure.reason === 'AuthFailed' ? AUTH_RETRY_MIN_MS : 0)
    log.warn({ reason: failure.reason, failingStreak, retryInMs: delayMs }, failure.message)
    events.onState({ connection: 'waiting', pid: 0, failingStreak, failure })
    await waitForRetry(config, credentials.current, delayMs, signal)
  }
}

/** The wait ends early when the credentials change: what failed with the old ones may work now. */
async function waitForRetry({ credentialsDir }: SidecarConfig, known: Credentials | undefined, delayMs: number, signal: AbortSignal) {
  const over = new AbortController()
  const either = AbortSignal.any([signal, over.signal])
  const waits = [sleep(delayMs, either), ...(credentialsDir === undefined ? [] : [credentialsChanged(credentialsDir, known, either)])]
  await Promise.race(waits)
  over.abort()
  await Promise.all(waits)
}

type SessionEvents = Pick<IngestEvents, 'onPacket'> & {
  onStreaming: (pid: number) => void
  onCredentials: (credentials: Credentials | undefined) => void
}

/** One run of ffmpeg on the camera. */
class Session {
  readonly #config: SidecarConfig
  readonly #deny: BlockList
  readonly #traits: Traits
  readonly #events: SessionEvents
  readonly #tracker: EpochTracker
  lastEpoch: number
  #firstPacketAt: number | undefined
  #lastPacketAt = 0
  #firstTimestampMs = 0
  #run: DemuxRun | undefined
  #cause: Cause | undefined
  #secrets: readonly string[] = []
  /** Decided here rather than by ffmpeg: a watchdog, a restart. */
  #verdict: Failure | undefined
  #restart = false

  constructor(config: SidecarConfig, deny: BlockList, traits: Traits, lastEpoch: number, events: SessionEvents) {
    this.#config = config
    this.#deny = deny
    this.#traits = traits
    this.#events = events
    this.#tracker = new EpochTracker(lastEpoch)
    this.lastEpoch = lastEpoch
  }

  get streamedMs(): number {
    return this.#firstPacketAt === undefined ? 0 : this.#lastPacketAt - this.#firstPacketAt
  }

  /** Resolves with why it ended; `restart` when the stream only needs to be taken up anew. Never rejects. */
  async run(log: Logger, signal: AbortSignal): Promise<{ failure: Failure; restart: boolean }> {
    const over = new AbortController()
    const either = AbortSignal.any([signal, over.signal])
    try {
      const { credentialsDir, source } = this.#config
      const credentials = credentialsDir === undefined ? undefined : await readCredentials(credentialsDir)
      this.#events.onCredentials(credentials)
      this.#secrets = credentials === undefined ? [] : [credentials.password]
      await using relay = await openWay(source, this.#deny)
      const { args, codecArgs, copyTimestamps } = inputArgs(source, relay ?? { host: '', port: 0 }, credentials, this.#traits)
      await using run = await demux(
        [...args],
        { codecArgs, copyTimestamps },
        {
          onPacket: (packet, info) => this.#packet(packet, info),
          onLine: line => this.#line(line, log),
          onDesync: problem => this.#end(new Failure('InvalidStream', problem)),
        },
      )
      this.#run = run
      const watching = this.#watch(relay?.progress, either)
      const rotated =
        credentialsDir === undefined ? undefined : credentialsChanged(credentialsDir, credentials, either).then(() => this.#rotated(either))
      const stopped = () => void run.stop()
      either.addEventListener('abort', stopped, { once: true })
      const end = await run.ended
      either.removeEventListener('abort', stopped)
      over.abort()
      await Promise.all([watching, rotated])
      return { failure: this.#verdict ?? this.#named(relay?.progress?.failure, end.signal), restart: this.#restart }
    } catch (error) {
      return { failure: error instanceof Failure ? error : new Failure('InternalError', messageOf(error)), restart: false }
    } finally {
      over.abort()
    }
  }

  #rotated(signal: AbortSignal): void {
    if (!signal.aborted) this.#end(new Failure('CredentialsChanged', 'the credentials changed: connecting with the new ones'), true)
  }

  #named(relayed: Failure | undefined, signal: NodeJS.Signals | null): Failure {
    const cause = relayed === undefined ? this.#cause : moreTelling(this.#cause, relayed)
    if (cause !== undefined) return new Failure(cause.reason, cause.message)
    if (signal !== null) return new Failure('FfmpegKilled', `the camera’s ffmpeg was ended by ${signal}`)
    return this.#firstPacketAt === undefined
      ? new Failure('ConnectFailed', 'the source ended before its first picture')
      : new Failure('StreamEnded', 'the camera ended the stream')
  }

  #end(verdict: Failure, restart = false): void {
    if (this.#verdict !== undefined) return
    this.#verdict = verdict
    this.#restart = restart
    void this.#run?.stop()
  }

  #line(line: string, log: Logger): void {
    const clean = scrub(line, this.#secrets)
    log.debug({ ffmpeg: clean }, 'ffmpeg')
    const cause = causeOf(clean)
    if (cause !== undefined) this.#cause = moreTelling(this.#cause, cause)
    // Followed only where no relay stands between (UDP): ffmpeg must not get as far as the other address.
    if (cause?.reason === 'RedirectRefused') this.#end(new Failure(cause.reason, cause.message))
  }

  #packet(demuxed: DemuxedPacket, info: DemuxInfo): void {
    if (this.#verdict !== undefined) return
    if (!isDecodable(info.codec))
      return this.#end(
        new Failure('CodecUnsupported', `the camera sends ${info.codec}, which is not supported: set it to H.264, H.265 or MJPEG`),
      )
    const step = this.#tracker.next(demuxed, info)
    this.#lastPacketAt = performance.now()
    if (step.kind === 'skip') return
    if (step.kind === 'restart') {
      if (step.why === 'NoTimestamps') this.#traits.wallClock = true
      return this.#end(new Failure(step.why, 'the stream is taken up anew: its timestamps or parameters no longer hold'), true)
    }
    this.lastEpoch = step.packet.epoch
    // No size, no picture: parameter sets that never come are the watchdog's business.
    if (step.codec.width === 0 || step.codec.height === 0) return
    if (this.#firstPacketAt === undefined) {
      this.#firstPacketAt = this.#lastPacketAt
      this.#firstTimestampMs = (step.packet.dts * 1000 * info.timeBase[0]) / info.timeBase[1]
      this.#cause = undefined // what ffmpeg complained about while probing was not the end of it
      this.#events.onStreaming(this.#run?.pid ?? 0)
    }
    this.#checkPace(step.packet, info)
    this.#events.onPacket(step.packet, step.codec, step.newEpoch)
  }

  #checkPace(packet: Packet, { timeBase }: DemuxInfo): void {
    if (this.#traits.paced || this.#config.source.kind !== 'http' || this.#firstPacketAt === undefined) return
    const playedMs = (packet.dts * 1000 * timeBase[0]) / timeBase[1] - this.#firstTimestampMs
    if (playedMs - this.streamedMs < AHEAD_MAX_MS) return
    this.#traits.paced = true
    this.#end(new Failure('Paced', 'the source comes faster than it plays: reading it at its own pace'), true)
  }

  /** Ends the session when nothing comes of it: no connection, no packets, or packets of which no picture can be made. */
  async #watch(progress: Progress | undefined, signal: AbortSignal): Promise<void> {
    const startedAt = performance.now()
    let failedAt: number | undefined
    while (!signal.aborted && this.#verdict === undefined) {
      await sleep(250, signal)
      const now = performance.now()
      if (progress?.failure !== undefined) failedAt ??= now
      if (failedAt !== undefined && progress?.failure !== undefined && now - failedAt > GRACE_MS) return this.#end(progress.failure)
      const verdict = this.#overdue(now, startedAt, progress)
      if (verdict !== undefined) return this.#end(verdict)
    }
  }

  #overdue(now: number, startedAt: number, progress: Progress | undefined): Failure | undefined {
    const stalled = new Failure('StreamStalled', `the camera is connected but has sent nothing for ${STALL_MS / 1000} s`)
    if (this.#firstPacketAt !== undefined) return now - this.#lastPacketAt > STALL_MS ? stalled : undefined
    if (progress?.phase === 'playing') {
      if (now - (progress.lastByteAt ?? startedAt) > STALL_MS) return stalled
      if (now - startedAt <= UNDECODABLE_MS) return undefined
      return new Failure('NoDecodableFrames', `${UNDECODABLE_MS / 1000} s of data and no picture in it`)
    }
    if (now - startedAt <= (this.#lastPacketAt > 0 ? UNDECODABLE_MS : CONNECT_TIMEOUT_MS)) return undefined
    if (this.#lastPacketAt > 0) return new Failure('NoDecodableFrames', `${UNDECODABLE_MS / 1000} s of packets and no keyframe with a size`)
    return new Failure('ConnectTimeout', `the camera gave no picture within ${CONNECT_TIMEOUT_MS / 1000} s`)
  }
}

/** Where ffmpeg connects to; undefined for a source that needs no connection. UDP can't be relayed: RTP comes from the camera itself. */
async function openWay(
  source: Source,
  deny: BlockList,
): Promise<(Relay | ({ host: string; port: number; progress: undefined } & AsyncDisposable)) | undefined> {
  if (source.kind === 'testsrc') return undefined
  if (source.kind === 'http') return openEgress(deny)
  const address = await resolveHost(source.host, deny)
  if (source.kind === 'rtsp' && source.transport === 'udp' && !source.tls) {
    return { host: address, port: source.port, progress: undefined, async [Symbol.asyncDispose]() {} }
  }
  return openRelay({ address, host: source.host, port: source.port, tls: source.tls, rtsp: source.kind === 'rtsp' })
}

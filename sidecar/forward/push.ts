// One connection to an RTMP server: packets → ffmpeg → a relay of ours → the server. Starts with the current GOP. What the server does not
// take in time is skipped up to the next keyframe; nothing waits for it.
import type { BlockList } from 'node:net'
import { Failure, messageOf } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import { NutFeed, nutCopy } from '../../common/media/nut-feed.ts'
import { causeIn, FORWARDING_LINES } from '../../common/media/ffmpeg-log.ts'
import { runFfmpeg, type End, type Run } from '../../common/media/ffmpeg.ts'
import type { Gop } from '../../common/media/gop.ts'
import { KeyframeGate } from '../../common/media/keyframe-gate.ts'
import { printable, scrub } from '../../common/text.ts'
import type { Packet } from '../../proto/messages.ts'
import type { Reason } from '../../proto/reasons.ts'
import type { Codec } from '../../proto/state.ts'
import { resolveHost } from '../../common/net/address.ts'
import type { Metrics } from '../metrics.ts'
import { openRelay, type Progress } from '../rtsp/relay.ts'
import type { Target } from './target.ts'

/** Until the server has agreed to take the stream. */
const CONNECT_TIMEOUT_MS = 10_000
/** Without taking a byte of what waits for it. */
const STALL_MS = 10_000
const WATCH_MS = 250
const BACKLOG_MAX = 8 * 2 ** 20

export type PushOptions = {
  target: Target
  codec: Codec
  gop: Gop
  deny: BlockList
  metrics: Metrics
  log: Logger
  /** The server takes the stream. */
  onActive: () => void
}

export class Push {
  readonly #options: PushOptions
  readonly #over = Promise.withResolvers<void>()
  #feed: NutFeed | undefined
  #fedBytes = 0
  /** Closed while the server is too far behind. */
  readonly #gate = new KeyframeGate('closed')
  #activeAt: number | undefined
  #verdict: Failure | undefined
  #isStopped = false

  constructor(options: PushOptions) {
    this.#options = options
  }

  get isActive(): boolean {
    return this.#activeAt !== undefined
  }

  /** How long the server has been taking the stream. */
  get activeMs(): number {
    return this.#activeAt === undefined ? 0 : performance.now() - this.#activeAt
  }

  /** Resolves with why it ended by itself, or undefined when it was stopped. Never rejects. */
  async run(): Promise<Failure | undefined> {
    const { target, deny } = this.#options
    try {
      const addresses = await resolveHost(target.host, deny)
      await using relay = await openRelay({
        host: target.host,
        addresses,
        port: target.port,
        tls: target.tls,
        trust: 'public',
      })
      if (this.#isStopped) return undefined
      await using run = await this.#start(relay)
      using _watch = this.#watch(run, relay.progress)
      const end = await Promise.race([run.ended, this.#over.promise])
      if (this.#isStopped) return undefined
      return this.#verdict ?? this.#named(relay.progress.failure, end)
    } catch (error) {
      return this.#isStopped ? undefined : forProxy(error instanceof Failure ? error : new Failure('ForwardingFailed', messageOf(error)))
    } finally {
      this.#feed = undefined
    }
  }

  feed(packet: Packet): void {
    const feed = this.#feed
    if (feed === undefined) return // it starts with the GOP, which has the packet
    if (feed.backlog > BACKLOG_MAX) this.#gate.close()
    if (!this.#gate.passes(packet, () => feed.backlog < BACKLOG_MAX / 2))
      this.#options.metrics.proxyDropped.inc({ reason: 'server_behind' })
    else this.#write(feed, packet)
  }

  stop(): void {
    this.#isStopped = true
    this.#over.resolve()
  }

  async #start(relay: { host: string; port: number }): Promise<Run> {
    const { target, codec, gop } = this.#options
    const place = `rtmp://${target.userInfo}${relay.host}:${relay.port}/${target.app}/${target.playPath}`
    const names = ['-rtmp_tcurl', target.tcUrl, '-rtmp_app', target.app, '-rtmp_playpath', target.playPath]
    const output = ['-flvflags', 'no_duration_filesize', ...names, '-f', 'flv', place]
    const run = await runFfmpeg([...nutCopy(codec), ...output], { stdin: true, onLine: line => this.#line(line) })
    const feed = new NutFeed(run, codec)
    for (const packet of gop.packets) if (this.#gate.passes(packet)) this.#write(feed, packet)
    this.#feed = feed
    return run
  }

  #write(feed: NutFeed, packet: Packet): void {
    feed.feed(packet)
    this.#fedBytes += packet.data.length
    this.#options.metrics.proxyPackets.inc()
    this.#options.metrics.proxyBytes.inc(packet.data.length)
  }

  /** Ends it when the server does not answer, or takes nothing of what waits for it. */
  #watch(run: Run, progress: Progress): Disposable {
    const startedAt = performance.now()
    let taken = 0
    let progressAt = startedAt
    const timer = setInterval(() => {
      const now = performance.now()
      const backlog = this.#feed?.backlog ?? 0
      if (backlog === 0 || this.#fedBytes - backlog > taken) progressAt = now
      taken = Math.max(taken, this.#fedBytes - backlog)
      if (this.#activeAt === undefined && now - startedAt > CONNECT_TIMEOUT_MS) {
        this.#end(run, `the RTMP server did not agree to take the stream within ${CONNECT_TIMEOUT_MS / 1000} s`)
      } else if (this.#activeAt !== undefined && now - Math.min(progressAt, progress.waitsSince ?? now) > STALL_MS) {
        this.#end(run, `the RTMP server is connected but has taken nothing for ${STALL_MS / 1000} s`)
      }
    }, WATCH_MS)
    return { [Symbol.dispose]: () => clearInterval(timer) }
  }

  #end(run: Run, message: string): void {
    this.#verdict ??= new Failure('ForwardingFailed', message)
    void run.stop()
  }

  #line(line: string): void {
    const { target, log, onActive } = this.#options
    const clean = printable(scrub(line, target.secrets))
    log.debug({ ffmpeg: clean }, 'ffmpeg')
    // Said once the header has been written, hence after the server's consent.
    if (/Output #0, flv, to/.test(line) && this.#activeAt === undefined) {
      this.#activeAt = performance.now()
      onActive()
    }
    const cause = causeIn(FORWARDING_LINES, clean)
    if (cause?.reason === 'ForwardingCodecUnsupported') {
      this.#verdict ??= new Failure(cause.reason, `RTMP, as this ffmpeg speaks it, does not carry ${this.#options.codec.name}`)
    } else if (cause !== undefined) this.#verdict ??= new Failure(cause.reason, cause.message)
  }

  #named(relayed: Failure | undefined, end: End | void): Failure {
    if (relayed !== undefined) return forProxy(relayed)
    if (end?.signal) return new Failure('ForwardingFailed', `the ffmpeg that forwards the stream was ended by ${end.signal}`)
    return new Failure(
      'ForwardingFailed',
      this.#activeAt === undefined ? 'the RTMP server ended the connection' : 'the RTMP server ended the stream',
    )
  }
}

/** The reasons of a relay, as they are called where the other side is an RTMP server. */
const OF_SERVER: Partial<Record<Reason, Reason>> = {
  HostNotFound: 'ForwardingHostNotFound',
  AddressDenied: 'ForwardingAddressDenied',
  ConnectionRefused: 'ForwardingConnectionRefused',
  ConnectTimeout: 'ForwardingConnectTimeout',
  HostUnreachable: 'ForwardingHostUnreachable',
}

/** A relay’s failure in words for an RTMP server, without the server’s name, which is part of a secret. */
function forProxy(failure: Failure): Failure {
  if (failure.reason.startsWith('Forwarding')) return failure
  const reason = OF_SERVER[failure.reason]
  if (reason !== undefined) return new Failure(reason)
  const code = /[A-Z][A-Z0-9_]{4,}/.exec(failure.message)?.[0] ?? ''
  if (/CERT|SELF_SIGNED|SIGNATURE|ALTNAME|ISSUER/.test(code)) {
    return new Failure('ForwardingCertificateInvalid', `the RTMP server’s certificate is not valid for its name (${code})`)
  }
  return new Failure(
    'ForwardingFailed',
    failure.reason === 'ConnectionLost' ? 'the RTMP server closed the connection' : 'no connection to the RTMP server',
  )
}

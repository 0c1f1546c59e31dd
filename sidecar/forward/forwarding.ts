// Passes the encoded stream on to an RTMP server while the switch is on: no second connection to the camera, nothing transcoded.
import type { BlockList } from 'node:net'
import { retryDelayMs } from '../../common/backoff.ts'
import { watchBucket } from '../../common/nats/buckets.ts'
import { Failure, messageOf } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import type { Gop } from '../../common/media/gop.ts'
import type { Nats } from '../../common/nats/connect.ts'
import { readRepeatedly } from '../../common/watch-files.ts'
import { BadMessage, parseJson, type Packet } from '../../proto/messages.ts'
import { CameraSwitches, encodeState, proxyWanted, type Activity, type Codec, type StreamKey } from '../../proto/state.ts'
import { cameraKey, streamKeySubject, type CameraRef } from '../../proto/subjects.ts'
import type { Metrics } from '../metrics.ts'
import type { PacketSink } from '../packet-sink.ts'
import { Push } from './push.ts'
import { noTarget, parseTarget, readTargetText, targetMissing, type Target } from './target.ts'

export type ForwardingOptions = {
  nats: Nats
  camera: CameraRef & { uid: string }
  /** spec.proxy.enabled */
  enabled: boolean
  /** Holds the server's URL; it may come, go and change. */
  urlFile: string | undefined
  deny: BlockList
  /** Filled by its owner, before `push`. */
  gop: Gop
  metrics: Metrics
  log: Logger
  onHealth: (health: Activity) => void
}

/** Streaming for this long means that the next failure is a new one. */
const HEALTHY_MS = 10_000
/** So many packets show how many frames the stream holds back, which the header must say. */
const KNOWN_MAX = 16

/**
 * - `off`: the switch is off, or not known yet.
 * - `blocked`: the URL is missing or wrong, or RTMP does not carry the codec: waits for another one.
 * - `idle`: no packets come.
 * - `connecting`, `active`: a push runs; the server has not yet, or has, agreed to take the stream.
 * - `waiting`: no push runs: it failed and waits for its next try, or ends, or waits for a GOP to start with.
 */
type Phase = 'off' | 'blocked' | 'idle' | 'connecting' | 'active' | 'waiting'

/**
 * At most one push at a time, started and ended by `#settle`, which everything calls that may change whether there should be one: the switch,
 * the URL, each packet. A push starts with the current GOP, which has the packet that started it; all later packets are fed to it. `push`
 * never waits: a push that is behind skips to a keyframe by itself.
 */
export class Forwarding implements PacketSink {
  readonly #options: ForwardingOptions
  #switches: CameraSwitches | undefined
  /** Until it is known whether somebody has switched it off, nothing is sent. */
  #isSwitchKnown = false
  #targetText: string | undefined
  #target: Target | Failure
  #codec: Codec | undefined
  #push: Push | undefined
  #ending: Promise<void> | undefined
  #failure: Failure | undefined
  /** A codec that RTMP was found not to carry: trying again would not mend it. */
  #uncarried: string | undefined
  #attempt = 0
  #restartAfter = 0
  /** Of the current GOP, while nothing is connected: a start sends them after all. */
  #unsent = 0
  #said = ''

  constructor(options: ForwardingOptions) {
    this.#options = options
    this.#target = options.urlFile === undefined ? noTarget() : targetMissing()
  }

  /** Follows the switch and the file until `signal` aborts. May be called again. */
  async run(signal: AbortSignal): Promise<void> {
    const { nats, camera, log, metrics } = this.#options
    const view = {
      changed: (_: string, value: Uint8Array | undefined) => this.#setSwitches(value),
      complete: (keys: ReadonlySet<string>) => {
        if (!keys.has(cameraKey(camera))) this.#switches = undefined
        this.#isSwitchKnown = true
        this.#settle()
      },
    }
    using _answers = answerStreamKey(this.#options)
    metrics.proxyActive.set(0)
    this.#report()
    await Promise.all([watchBucket(nats, 'switches', view, log, signal, cameraKey(camera)), this.#followTarget(signal)])
    this.#isSwitchKnown = false
    await this[Symbol.asyncDispose]()
  }

  push(packet: Packet, codec: Codec, newEpoch: boolean): void {
    if (packet.key) {
      if (this.#unsent > 0) this.#options.metrics.proxyDropped.inc({ reason: 'not_connected' }, this.#unsent)
      this.#unsent = 0
    }
    // ffmpeg was told how many frames the stream holds back.
    if (newEpoch || (this.#codec !== undefined && codec.reorder > this.#codec.reorder)) this.#end()
    this.#codec = codec
    if (this.#settle(packet.keyframe)) return
    if (this.#push !== undefined) this.#push.feed(packet)
    else if (this.#isWanted) this.#unsent++
  }

  /** The connection to the camera has ended. */
  reset(): void {
    this.#codec = undefined
    this.#unsent = 0
    this.#end()
    this.#report()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#codec = undefined
    this.#end()
    await this.#ending
  }

  get #isWanted(): boolean {
    return this.#isSwitchKnown && proxyWanted(this.#options.camera.uid, this.#options.enabled, this.#switches)
  }

  #setSwitches(value: Uint8Array | undefined): void {
    try {
      this.#switches = value === undefined ? undefined : parseJson(CameraSwitches, value)
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error
      this.#options.metrics.badMessages.inc({ reason: error.reason })
      return
    }
    this.#settle()
  }

  async #followTarget(signal: AbortSignal): Promise<void> {
    const { urlFile } = this.#options
    if (urlFile === undefined) return
    for await (const text of readRepeatedly(() => readTargetText(urlFile), signal)) this.#setTarget(text)
  }

  #setTarget(text: string | undefined): void {
    if (text === undefined && this.#push !== undefined) return // what runs goes on without its Secret
    if (text === this.#targetText) return
    this.#targetText = text
    try {
      this.#target = text === undefined || text === '' ? targetMissing() : parseTarget(text)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      this.#target = error
    }
    this.#forget()
    this.#end()
    this.#settle()
  }

  /** What failed before says nothing about the next try. */
  #forget(): void {
    this.#failure = undefined
    this.#uncarried = undefined
    this.#attempt = 0
    this.#restartAfter = 0
  }

  /** Starts or ends forwarding as it should be now; true when it was started, which sends the whole GOP. `keyframe`: the packet's. */
  #settle(keyframe = 1): boolean {
    const { gop, metrics, log, deny } = this.#options
    if (!this.#isWanted) {
      this.#forget()
      this.#end()
    }
    const [target, codec] = [this.#target, this.#codec]
    if (!this.#mayStart(keyframe) || codec === undefined || target instanceof Failure) {
      this.#report()
      return false
    }
    const push = new Push({ target, codec, gop, deny, metrics, log, onActive: () => this.#active(push) })
    this.#push = push
    this.#unsent = 0
    this.#ending = this.#follow(push, codec)
    this.#report()
    return true
  }

  #mayStart(keyframe: number): boolean {
    if (this.#phase !== 'waiting' || this.#ending !== undefined || performance.now() < this.#restartAfter) return false
    const { packets } = this.#options.gop
    return packets.length >= (keyframe > 1 ? 1 : KNOWN_MAX)
  }

  async #follow(push: Push, codec: Codec): Promise<void> {
    const failure = await push.run()
    this.#ending = undefined
    if (this.#push === push) this.#push = undefined
    if (failure !== undefined) this.#failed(failure, push.activeMs, codec)
    this.#report()
  }

  #active(push: Push): void {
    if (this.#push !== push) return
    this.#failure = undefined
    this.#options.log.info('forwarding to the RTMP server')
    this.#report()
  }

  #failed(failure: Failure, activeMs: number, codec: Codec): void {
    this.#uncarried = failure.reason === 'ForwardingCodecUnsupported' ? codec.name : undefined
    if (activeMs >= HEALTHY_MS) this.#attempt = 0
    const delayMs = retryDelayMs(this.#attempt++)
    this.#restartAfter = performance.now() + delayMs
    this.#options.metrics.proxyFailures.inc({ reason: failure.reason })
    this.#options.log.warn({ reason: failure.reason, retryInMs: delayMs }, failure.message)
    this.#failure = failure
  }

  #end(): void {
    this.#push?.stop()
    this.#push = undefined
  }

  #report(): void {
    const health = this.#health()
    const text = JSON.stringify(health)
    if (text === this.#said) return
    this.#said = text
    this.#options.metrics.proxyActive.set(health.active ? 1 : 0)
    this.#options.onHealth(health)
  }

  get #phase(): Phase {
    if (!this.#isWanted) return 'off'
    if (this.#push?.isActive === true) return 'active'
    if (this.#target instanceof Failure) return 'blocked'
    if (this.#push !== undefined) return 'connecting'
    if (this.#codec === undefined) return 'idle'
    return this.#codec.name === this.#uncarried ? 'blocked' : 'waiting'
  }

  #health(): Activity {
    const phase = this.#phase
    if (phase === 'off' || phase === 'active') return { active: phase === 'active', ok: true }
    // While it tries again, the reason it failed for still holds.
    const failure = this.#target instanceof Failure ? this.#target : this.#failure
    if (failure === undefined && phase === 'idle') return { active: false, ok: true }
    const { reason, message } = failure ?? new Failure('ForwardingConnecting')
    return { active: false, ok: false, reason, message }
  }
}

/** The stream key is part of a secret that no other process can read: the gateway, which needs it for the cloud, asks for it. */
function answerStreamKey({ nats: { nc }, camera, urlFile, log }: ForwardingOptions): Disposable {
  const answer = async (): Promise<StreamKey> => {
    const own = { v: 1, uid: camera.uid } as const
    try {
      if (urlFile === undefined) throw noTarget()
      const text = await readTargetText(urlFile)
      if (text === undefined || text === '') throw targetMissing()
      return { ...own, streamKey: parseTarget(text).streamKey }
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      return { ...own, reason: `${error.reason}: ${error.message}`.slice(0, 256) }
    }
  }
  const subscription = nc.subscribe(streamKeySubject(camera))
  const answering = async () => {
    try {
      for await (const message of subscription) message.respond(encodeState(await answer()))
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'cannot answer requests for the stream key')
    }
  }
  void answering()
  return { [Symbol.dispose]: () => subscription.unsubscribe() }
}

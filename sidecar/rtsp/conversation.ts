// One ffmpeg and one camera, from the connection to the TEARDOWN: what an RtspSession decides goes over the two sockets.
import type { Socket } from 'node:net'
import { Failure } from '../../common/errors.ts'
import type { Progress } from './relay.ts'
import type { Learnt, Passed, RtspSession } from './session.ts'

/** A description without a length ends when nothing more comes; so does one that is shorter than announced. */
const QUIET_MS = { endless: 500, short: 3_000 } as const
/** After RTCP BYE some go on. */
const BYE_MS = 500
/** A camera that does not answer TEARDOWN keeps no one waiting. */
const TEARDOWN_MS = 500
/** What came just before the end does not tell of a session that timed out. */
const SILENCE_MS = 3_000

export class Conversation {
  readonly #session: RtspSession
  readonly #client: Socket
  readonly #camera: Socket
  readonly #progress: Progress
  readonly #learnt: Learnt
  readonly #isUdp: boolean
  #playedAt: number | undefined
  #quiet: NodeJS.Timeout | undefined
  #bye: NodeJS.Timeout | undefined
  #keepAlive: NodeJS.Timeout | undefined
  #ending: Promise<void> | undefined
  readonly #torn = Promise.withResolvers<void>()

  constructor(session: RtspSession, sockets: { client: Socket; camera: Socket }, progress: Progress, learnt: Learnt, isUdp: boolean) {
    this.#session = session
    this.#client = sockets.client
    this.#camera = sockets.camera
    this.#progress = progress
    this.#learnt = learnt
    this.#isUdp = isUdp
    this.#camera
      .on('drain', () => this.#client.resume())
      .once('end', () => this.#pass(() => session.flush()))
      .once('close', () => {
        if (this.#ending === undefined) this.#learn(true)
        void this.hangUp()
      })
    this.#client
      .on('data', (chunk: Buffer) => this.#pass(() => session.request(chunk)))
      .once('close', () => void this.hangUp())
      .resume() // it was accepted paused
  }

  /** The camera's bytes. The memory is the caller's again unless the client holds some of it. */
  received(chunk: Buffer): void {
    const { playing, packets } = this.#session
    this.#pass(() => this.#session.response(chunk))
    // Reports and other tracks are no sign that the track is alive.
    if (!playing || this.#isUdp || this.#session.packets > packets) this.#progress.lastByteAt = performance.now()
    if (this.#progress.failure !== undefined) void this.hangUp()
    if (this.#ending !== undefined) return
    clearTimeout(this.#quiet)
    const { openBody, saidBye } = this.#session
    if (openBody !== undefined) this.#quiet = setTimeout(() => this.#pass(() => this.#session.flush()), QUIET_MS[openBody])
    if (!saidBye) {
      clearTimeout(this.#bye)
      this.#bye = undefined
    } else this.#bye ??= setTimeout(() => this.#fail(new Failure('StreamEnded', 'the camera ended the stream (RTCP BYE)')), BYE_MS)
  }

  /** The camera hears TEARDOWN, ffmpeg the end of its input; resolves when both are closed. */
  hangUp(): Promise<void> {
    return (this.#ending ??= this.#hangUp())
  }

  async #hangUp(): Promise<void> {
    for (const timer of [this.#quiet, this.#bye, this.#keepAlive]) clearTimeout(timer)
    if (!this.#camera.destroyed) this.#learn(false)
    const teardown = this.#session.teardown()
    this.#client.end()
    if (teardown !== undefined && this.#camera.writable) {
      this.#camera.resume()
      this.#camera.write(teardown)
      const timer = setTimeout(() => this.#torn.resolve(), TEARDOWN_MS)
      this.#camera.once('close', () => this.#torn.resolve())
      await this.#torn.promise
      clearTimeout(timer)
    }
    this.#camera.destroySoon()
    this.#client.destroySoon()
  }

  #pass(step: () => Passed): void {
    const passed = step()
    for (const bytes of passed.toCamera) if (this.#camera.writable) this.#camera.write(bytes)
    for (const bytes of passed.toFfmpeg) if (this.#client.writable) this.#client.write(bytes)
    if (this.#camera.writableNeedDrain) this.#client.pause()
    this.#progress.tracks = this.#session.tracks
    if (this.#session.playing && this.#playedAt === undefined) this.#plays()
    if (passed.failure !== undefined) this.#fail(passed.failure)
    if (this.#session.over) {
      this.#torn.resolve()
      void this.hangUp()
    }
  }

  #plays(): void {
    this.#playedAt = performance.now()
    this.#progress.phase = 'playing'
    this.#keepAlive = setInterval(() => {
      const request = this.#session.nextKeepAlive()
      if (request !== undefined && this.#camera.writable) this.#camera.write(request)
    }, this.#session.keepAlive.everyMs)
  }

  #fail(failure: Failure): void {
    this.#progress.failure ??= failure
    void this.hangUp()
  }

  /** Whether the session may have ended of its timeout. */
  #learn(isCamerasDoing: boolean): void {
    if (this.#playedAt === undefined) return
    const now = performance.now()
    const silentMs = this.#isUdp ? SILENCE_MS : now - (this.#progress.lastByteAt ?? now)
    if (!isCamerasDoing && silentMs < SILENCE_MS) return
    const playedMs = now - this.#playedAt - (isCamerasDoing ? 0 : silentMs)
    if (this.#session.keepAlive.isLapse(playedMs)) {
      this.#learnt.lapses++
      this.#learnt.lapsedAfterMs = Math.min(playedMs, this.#learnt.lapsedAfterMs ?? Infinity)
    }
    this.#learnt.lastPlayedMs = playedMs
  }
}

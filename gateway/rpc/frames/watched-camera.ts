// One camera of a Watch: its frames in the wished rendition, and what was said of it last.
import type { CameraStatus } from '../../../proto/generated/chrys/cloud/frames/v1/CameraStatus.ts'
import type { StreamName } from '../../../proto/camera.ts'
import { isLater, isNext, type FramePlace } from '../../../proto/frame-id.ts'
import { explain, severityOf } from '../../../proto/reasons.ts'
import type { KnownCamera } from '../../cameras.ts'
import { newCursor, resumedAt, type Reading } from '../../frames/cursor.ts'
import { checkedRendition } from '../../frames/rendition.ts'
import type { How, RenditionFrames } from '../../frames/rendition-frames.ts'
import type { FrameSource } from '../../frames/source.ts'
import { streamOf } from '../../frames/substream.ts'
import { Refusal } from '../../refusal.ts'
import { noFrames, obstacleOf, streaming } from './camera-status.ts'
import type { CheckedWish } from './wish.ts'

/** After so long it is looked whether there is a frame, though none was heard of. */
const LOOK_MS = 10_000

export class WatchedCamera {
  readonly name: string
  known: KnownCamera
  /** There may be an unread frame. */
  hasNews = true
  /** What was said of it last, as JSON. */
  said = ''
  readonly #wake: () => void
  readonly #over = new AbortController()
  readonly #cursor = newCursor()
  #frames: RenditionFrames | undefined
  #listensTo: RenditionFrames | undefined
  #refusal: Refusal | undefined
  #stream: StreamName | undefined
  /** Of the last frame that was given. */
  #last: { readonly timestamp: number; readonly sub: boolean } | undefined
  /** Of frames that were read and not sent. */
  #unsent = { missed: 0, gap: false }

  /** Frames up to this one are not sent: the client has them. */
  #after: FramePlace | undefined
  /** What follows that frame is all there. */
  #isHeld = false

  constructor(known: KnownCamera, after: FramePlace | undefined, wake: () => void) {
    this.known = known
    this.#after = after
    this.name = known.deviceId
    this.#wake = wake
  }

  /** Asks for its frames as wished for; returns what speaks against it. */
  ask(source: FrameSource, { rendition, keyframesOnly, maxFps, stream }: CheckedWish): Refusal | undefined {
    const before = this.#frames
    try {
      this.#stream = stream
      const { codec } = streamOf(this.known, stream).report?.state ?? {}
      if (codec !== undefined && codec.width > 0 && codec.height > 0) checkedRendition(rendition, codec)
      this.#frames = source.ask(this.known, { rendition, keyframesOnly, maxFps, stream }, this)
      this.#refusal = undefined
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      this.#frames = undefined
      this.#refusal = error
    }
    if (this.#frames !== before) this.hasNews = true
    return this.#refusal
  }

  /** The next frame, held for the caller, if there is one now. */
  async next({ mode, keyframesOnly, maxFps, maxAgeMs }: CheckedWish): Promise<Reading | undefined> {
    const frames = this.#frames
    this.hasNews = false
    if (frames === undefined || frames.isOver) return undefined
    this.#listen(frames)
    if (this.#after !== undefined && this.#cursor.position === undefined) {
      const { position, isHeld } = resumedAt(frames.ring, this.#after)
      this.#cursor.position = position
      this.#isHeld = isHeld
    }
    const reading = await this.#read(frames, { mode, keyframesOnly, maxFps, maxAgeMs, waitMs: 0 })
    if (reading.frame === undefined) return undefined
    this.hasNews = true
    const { missed, gap } = this.#unsent
    this.#unsent = { missed: 0, gap: false }
    return { ...reading, missed: reading.missed + missed, gap: reading.gap || gap }
  }

  /** The frame was read and is not sent. */
  withhold({ missed, gap }: Reading): void {
    this.#unsent = { missed: missed + 1, gap }
  }

  status(isConnected: boolean, nowMs: number): CameraStatus {
    const refusal = this.#refusal
    if (refusal !== undefined && refusal.kind !== 'unavailable') {
      const reason = 'RenditionUnavailable'
      return noFrames(this.name, { reason, message: explain(reason, refusal.message), severity: severityOf(reason) })
    }
    const obstacle = obstacleOf(streamOf(this.known, this.#stream), this.#frames?.why(), isConnected && refusal === undefined, nowMs)
    return obstacle === undefined ? streaming(this.name) : noFrames(this.name, obstacle)
  }

  end(): void {
    this.#over.abort()
  }

  /** Past what the client had before: in an earlier call, and of the camera's other stream. */
  async #read(frames: RenditionFrames, how: How): Promise<Reading> {
    for (;;) {
      const reading = await frames.next(this.#cursor, how, this.#over.signal)
      const { frame } = reading
      if (frame === undefined) return reading
      const { timestamp, sub = false } = frame
      const isOld = sub === this.#last?.sub || this.#last === undefined ? false : timestamp <= this.#last.timestamp
      if (!isOld && (this.#after === undefined || isLater(frame, this.#after))) {
        const isMissing = this.#after !== undefined && !this.#isHeld && !isNext(frame, this.#after)
        this.#after = undefined
        this.#last = { timestamp, sub }
        return isMissing ? { ...reading, gap: true } : reading
      }
      frame.lease?.release()
    }
  }

  #listen(frames: RenditionFrames): void {
    if (this.#listensTo === frames) return
    this.#listensTo = frames
    void frames.changed(LOOK_MS, this.#over.signal).then(() => {
      if (this.#listensTo === frames) this.#listensTo = undefined
      this.hasNews = true
      this.#wake()
    })
  }
}

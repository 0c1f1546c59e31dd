// One stream of a camera that consumers ask for: its renditions, and the upstream that their frames come from.
import type { CameraRef } from '../../proto/subjects.ts'
import {
  FULL_BGR24,
  imageDemand,
  IMAGE_KEY,
  RENDITIONS_MAX,
  renditionKey,
  type LiveFrame,
  type Rendition,
  type RenditionDemand,
} from '../../proto/rendition.ts'
import type { Demand } from '../../proto/state.ts'
import type { KnownCamera } from '../cameras.ts'
import type { Metrics } from '../metrics.ts'
import { Refusal } from '../refusal.ts'
import { release, type Takes } from './admission.ts'
import type { Wants } from './demand.ts'
import { KnownRate } from './placement.ts'
import type { Ring } from './ring.ts'
import type { Place } from './sidecar-frames.ts'
import { RenditionFrames, type Why } from './rendition-frames.ts'
import { streamLabel } from './substream.ts'
import { Takeover } from './takeover.ts'

export type CameraFramesParts = { ringBytesMax: number; metrics: Metrics }

export class CameraFrames {
  readonly ref: CameraRef
  /** As metrics and logs name it. */
  readonly camera: string
  readonly rate = new KnownRate()
  readonly upstreams = new Takeover((rendition, frame) => this.#receive(rendition, frame))
  /** As it was known at the last request. */
  known: KnownCamera
  /** The same as JSON; undefined to tell it again. */
  said = ''
  /** Why this gateway gives none of its frames; and why none in other renditions than the one of the Image service. */
  why: { image: Why | undefined; renditions: Why | undefined } = { image: undefined, renditions: undefined }
  /** Until then it is not tried to decode here again, by performance.now(). */
  failedHereUntilMs = -Infinity
  /** What it takes of this gateway's decoders, and of what sidecars may send. */
  readonly takes: Takes = {}
  /** The last frame of the sidecar's that was taken, since this gateway began to listen for the `run`th time. */
  taken: Place & { readonly run: number } = { epoch: 0, seq: 0, run: 0 }
  /** What the sidecar was told last. */
  demanded: Demand | undefined
  readonly #parts: CameraFramesParts
  readonly #renditions = new Map<string, RenditionFrames>()
  #ringBytesMax: number
  #isOver = false

  constructor(known: KnownCamera, parts: CameraFramesParts) {
    this.known = known
    this.ref = known.ref
    this.camera = streamLabel(known)
    this.#parts = parts
    this.#ringBytesMax = parts.ringBytesMax
  }

  /** The frames of a rendition; undefined: those of the Image service. Throws a Refusal when there are too many renditions. */
  of(rendition: Rendition | undefined, consumer: object | undefined, nowMs: number): RenditionFrames {
    const key = rendition === undefined ? IMAGE_KEY : renditionKey(rendition)
    if (consumer !== undefined) for (const [other, { wishes }] of this.#renditions) if (other !== key) wishes.drop(consumer)
    const known = this.#renditions.get(key)
    if (known !== undefined) return known
    this.#forgetUnwanted(nowMs)
    const others = [...this.#renditions.keys()].filter(other => other !== IMAGE_KEY)
    if (rendition !== undefined && others.length >= RENDITIONS_MAX) {
      throw new Refusal(
        'exhausted',
        `camera "${this.camera}" is given in ${RENDITIONS_MAX} renditions, at most ${RENDITIONS_MAX} are made at once`,
      )
    }
    const frames = new RenditionFrames({
      ...{ key, rendition: rendition ?? FULL_BGR24, camera: this.camera },
      ...{
        ringBytesMax: this.#ringBytesMax,
        metrics: this.#parts.metrics,
        why: () => (key === IMAGE_KEY ? this.why.image : this.why.renditions),
      },
    })
    this.#renditions.set(key, frames)
    this.#shareBytes()
    return frames
  }

  /** The consumer wants nothing of it any more. */
  drop(consumer: object): void {
    for (const { wishes } of this.#renditions.values()) wishes.drop(consumer)
  }

  /** Frames have come since it was first asked for, in some rendition. */
  get hasFrames(): boolean {
    return [...this.#renditions.values()].some(({ hasFrames }) => hasFrames)
  }

  /** Of consumers of all renditions. */
  wishes(nowMs: number): number {
    return [...this.#renditions.values()].reduce((sum, { wishes }) => sum + wishes.count(nowMs), 0)
  }

  /** What is wanted of the camera; renditions that no consumer asks for any more end. */
  demand(nowMs: number): RenditionDemand[] {
    this.#forgetUnwanted(nowMs)
    const { decoding } = this.known.record
    const wanted: RenditionDemand[] = []
    for (const [key, frames] of this.#renditions) {
      const demand = frames.demand(nowMs)
      if (demand !== undefined) wanted.push(key === IMAGE_KEY ? imageDemand(decoding, demand.wants) : demand)
    }
    return wanted
  }

  /** All frames, if one rendition's consumers want them. */
  wants(nowMs: number): Wants {
    const each = [...this.#renditions.values()].map(({ wishes }) => wishes.wants(nowMs))
    return each.find(wants => wants === 'all') ?? each.find(wants => wants === 'keyframes') ?? 'none'
  }

  /** Of the Image service alone. */
  imageWants(nowMs: number): Wants {
    return this.#renditions.get(IMAGE_KEY)?.wishes.wants(nowMs) ?? 'none'
  }

  /** Renditions beside the one of the Image service are wanted. */
  hasRenditions(nowMs: number): boolean {
    return [...this.#renditions].some(([key, { wishes }]) => key !== IMAGE_KEY && wishes.wants(nowMs) !== 'none')
  }

  /** Frames of the Image service are wanted. */
  hasImage(nowMs: number): boolean {
    return (this.#renditions.get(IMAGE_KEY)?.wishes.wants(nowMs) ?? 'none') !== 'none'
  }

  /** Bytes that its rings want, as they are and at most as set. */
  get ringsWanted(): number {
    return Math.min(
      this.#parts.ringBytesMax,
      this.#rings.reduce((sum, { bytesWanted }) => sum + bytesWanted, 0),
    )
  }

  get ringBytes(): number {
    return this.#rings.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** Its rings have this part of what they want: 1 is all of it. */
  giveRings(part: number): void {
    this.#ringBytesMax = part >= 1 ? this.#parts.ringBytesMax : this.ringsWanted * part
    this.#shareBytes()
  }

  get #rings(): Ring[] {
    return [...this.#renditions.values()].map(({ ring }) => ring)
  }

  /** Lets go of frames that are too old, and tells how many are held. */
  expire(nowMs: number): void {
    const { metrics } = this.#parts
    const rings = this.#rings
    for (const ring of rings) ring.expire(nowMs)
    metrics.ringFrames.set(
      { camera: this.camera },
      rings.reduce((sum, { depth }) => sum + depth, 0),
    )
    metrics.ringBytes.set({ camera: this.camera }, this.ringBytes)
  }

  /** Resolves when nothing of it is left; from now on no client gets a frame from it. */
  async end(): Promise<void> {
    this.#isOver = true
    release(this.takes)
    const ending = this.upstreams.end()
    for (const frames of this.#renditions.values()) frames.end()
    this.#parts.metrics.ringFrames.remove({ camera: this.camera })
    this.#parts.metrics.ringBytes.remove({ camera: this.camera })
    await ending
  }

  #receive(key: string, frame: LiveFrame): void {
    const frames = this.#isOver ? undefined : this.#renditions.get(key)
    if (frames === undefined) frame.lease?.release()
    else frames.receive(frame)
  }

  #forgetUnwanted(nowMs: number): void {
    for (const [key, frames] of this.#renditions) {
      if (frames.wishes.wants(nowMs) !== 'none') continue
      this.#renditions.delete(key)
      frames.end()
    }
    this.#shareBytes()
  }

  #shareBytes(): void {
    for (const { ring } of this.#renditions.values()) ring.bytesMax = this.#ringBytesMax / this.#renditions.size
  }
}

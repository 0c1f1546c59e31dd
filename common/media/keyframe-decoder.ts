// Single keyframes → frames.
import { FRAME_ROOM } from '../../proto/frame.ts'
import type { Packet } from '../../proto/messages.ts'
import type { Codec } from '../../proto/state.ts'
import { messageOf } from '../errors.ts'
import { Decoder, type DecodedFrame, type DecoderOutput } from './decoder.ts'
import { complaintIn } from './ffmpeg-log.ts'

export type Keyframe = {
  packet: Packet
  codec: Codec
  /** The renditions that are to show it. */
  keys: ReadonlySet<string>
}

type Options<O extends { options: DecoderOutput }> = {
  /** What the keyframe is decoded to; nothing where none wants it any more. */
  outputs: (keyframe: Keyframe) => readonly O[]
  onFrame: (output: O, frame: DecodedFrame, codec: Codec) => void
  /** No frame came out. */
  onFailed: (problem: string) => void
  /** A keyframe that waited was replaced by a newer one. */
  onDropped: () => void
  /** It has become idle. */
  onIdle: () => void
}

/** A keyframe alone is decoded in a moment, or not at all. */
const TIMEOUT_MS = 10_000

type Phase = 'idle' | 'decoding' | 'disposed'

/**
 * Each keyframe has a decoder of its own: one that runs on would hold back keyframes as if B-frames could follow. One is decoded at a time; of
 * those that come meanwhile the newest waits.
 */
export class KeyframeDecoder<O extends { options: DecoderOutput }> implements AsyncDisposable {
  readonly #options: Options<O>
  #phase: Phase = 'idle'
  /** While one is being decoded. */
  #waiting: Keyframe | undefined
  #decoder: Decoder | undefined
  #work: Promise<void> = Promise.resolve()

  constructor(options: Options<O>) {
    this.#options = options
  }

  decode(keyframe: Keyframe): void {
    if (this.#phase === 'idle') {
      this.#phase = 'decoding'
      this.#work = this.#run(keyframe)
    } else if (this.#phase === 'decoding') {
      if (this.#waiting !== undefined) this.#options.onDropped()
      this.#waiting = { ...keyframe, keys: new Set([...keyframe.keys, ...(this.#waiting?.keys ?? [])]) }
    }
  }

  /** No keyframe waits any more. */
  clear(): void {
    this.#waiting = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#phase = 'disposed'
    this.clear()
    await this.#decoder?.[Symbol.asyncDispose]()
    await this.#work
  }

  async #run(first: Keyframe): Promise<void> {
    for (let next: Keyframe | undefined = first; next !== undefined; next = this.#waiting) {
      this.clear()
      await this.#decode(next)
    }
    if (!this.#isDisposed) this.#phase = 'idle'
    this.#options.onIdle()
  }

  get #isDisposed(): boolean {
    return this.#phase === 'disposed'
  }

  async #decode(keyframe: Keyframe): Promise<void> {
    const { packet, codec } = keyframe
    const outputs = this.#options.outputs(keyframe)
    if (outputs.length === 0) return
    let made = 0
    let problem = 'no frame in a keyframe'
    try {
      await using decoder = await Decoder.start({
        ...{ codec, outputs: outputs.map(({ options }) => options), threads: 1, room: FRAME_ROOM },
        onFrame: frame => {
          made++
          this.#options.onFrame(outputs[frame.output] as O, frame, codec)
          return true
        },
        onLine: line => (problem = complaintIn(line) ?? problem),
      })
      this.#decoder = decoder
      const timer = setTimeout(() => void decoder[Symbol.asyncDispose](), TIMEOUT_MS)
      if (!this.#isDisposed) decoder.feed(packet)
      decoder.end()
      await decoder.ended
      clearTimeout(timer)
    } catch (error) {
      problem = messageOf(error)
    } finally {
      this.#decoder = undefined
    }
    if (made === 0 && !this.#isDisposed) this.#options.onFailed(problem)
  }
}

// Containers for live packets: fragmented MP4, and MPEG-TS.
import { Timeline } from '../../common/media/media-timeline.ts'
import { mp4Fragment, mp4Head, type Sample } from '../../common/media/mp4/fragments.ts'
import { mp4Track, mp4Type, trackKey, type Mp4Track } from '../../common/media/mp4/track.ts'
import { TsMuxer } from '../../common/media/mpeg-ts.ts'
import type { Packet } from '../../proto/messages.ts'
import type { Codec } from '../../proto/state.ts'
import type { LivePacket } from '../frames/packet-readers.ts'

/** One client's stream. */
export type Muxer = {
  /** The media type. */
  readonly type: string
  readonly head: Buffer
  /** Undefined where there is nothing to send yet. Packets of an epoch for which `goesOn` was true. */
  mux(packets: readonly LivePacket[]): Buffer | undefined
  /** Whether the stream can go on with an epoch that begins with this keyframe. */
  goesOn(live: LivePacket): boolean
}
/** Undefined where it does not carry the stream that begins with this keyframe. */
export type LiveFormat = (codec: Codec, key: Packet) => Muxer | undefined

export const LIVE_FORMATS = {
  'live.mp4': (codec, key) => {
    const track = mp4Track(codec, key)
    return track && new Mp4Muxer(track)
  },
  'live.ts': codec => {
    const muxer = TsMuxer.of(codec)
    return muxer && tsMuxer(muxer, codec.name)
  },
} as const satisfies Record<string, LiveFormat>

class Mp4Muxer implements Muxer {
  readonly type: string
  readonly head: Buffer
  readonly #track: Mp4Track
  readonly #key: string
  readonly #timeline = new Timeline()
  /** The newest: the next one tells how long it lasts. */
  #held: Omit<Sample, 'duration'> | undefined
  #fragments = 0

  constructor(track: Mp4Track) {
    this.#track = track
    this.#key = trackKey(track)
    this.type = mp4Type(track)
    this.head = mp4Head(track)
  }

  mux(packets: readonly LivePacket[]): Buffer | undefined {
    const samples: Sample[] = []
    for (const { packet, codec } of packets) {
      const { decode, show } = this.#timeline.place(packet, codec)
      if (this.#held !== undefined) samples.push({ ...this.#held, duration: Math.max(1, decode - this.#held.decode) })
      this.#held = { decode, show, packet, data: this.#track.sample(packet) }
    }
    return samples.length === 0 ? undefined : mp4Fragment(++this.#fragments, samples)
  }

  goesOn({ codec, packet }: LivePacket): boolean {
    const track = mp4Track(codec, packet)
    return track !== undefined && trackKey(track) === this.#key
  }
}

function tsMuxer(muxer: TsMuxer, name: string): Muxer {
  const timeline = new Timeline()
  return {
    type: 'video/mp2t',
    head: Buffer.alloc(0),
    mux: packets => Buffer.concat(packets.map(({ packet, codec }) => muxer.mux(packet, codec, timeline.place(packet, codec)))),
    goesOn: ({ codec }) => codec.name === name,
  }
}

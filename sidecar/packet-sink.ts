import type { Packet } from '../proto/messages.ts'
import type { Codec } from '../proto/state.ts'

/** What takes the camera's packets. */
export type PacketSink = AsyncDisposable & {
  /** Takes the next packet, in decoding order. It neither waits nor throws. `newEpoch`: the packets before belong to another epoch. */
  push(packet: Packet, codec: Codec, newEpoch: boolean): void
  /** The connection to the camera has ended: the next packet is not the next one of the same stream. */
  reset(): void
  /** Works while this process holds the camera's lease, until `signal` aborts. It may be called again. */
  run?(signal: AbortSignal): Promise<void>
}

/** A sink that owns nothing. */
export const plainSink = (push: PacketSink['push'], reset = () => {}): PacketSink => ({
  push,
  reset,
  async [Symbol.asyncDispose]() {},
})

/** Sinks as one: each packet is pushed into all of them, in order, before the next packet. They are disposed of in reverse order. */
export class Pipeline implements PacketSink {
  readonly #sinks: readonly PacketSink[]

  constructor(sinks: readonly PacketSink[]) {
    this.#sinks = sinks
  }

  push(packet: Packet, codec: Codec, newEpoch: boolean): void {
    for (const sink of this.#sinks) sink.push(packet, codec, newEpoch)
  }

  reset(): void {
    for (const sink of this.#sinks) sink.reset()
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#sinks.flatMap(sink => sink.run?.(signal) ?? []))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using owned = new AsyncDisposableStack()
    for (const sink of this.#sinks) owned.use(sink)
  }
}

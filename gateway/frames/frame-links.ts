// Connections to NATS for what sidecars send of cameras: control messages, annotations and reads of the past have one of their own, and wait behind
// no frame. There are a few, among which cameras are shared out: what NATS holds for one of them is bounded far below what it cuts off at.
import type { Nats } from '../../common/nats/connect.ts'

/** So many, each for 48 MiB of frames on their way. */
export const LINKS = 4

type Link = { readonly nats: Nats; bytes: number }

export class FrameLinks {
  /** For packets, live ones and those of the past. */
  readonly packets: Nats
  readonly #links: readonly Link[]

  constructor(packets: Nats, links: readonly Nats[]) {
    this.packets = packets
    this.#links = links.map(nats => ({ nats, bytes: 0 }))
  }

  /** The one with the least on its way, for `bytes` more until it is disposed of. */
  take(bytes: number): Disposable & { readonly nats: Nats } {
    const link = this.#links.reduce((best, one) => (one.bytes < best.bytes ? one : best))
    link.bytes += bytes
    return { nats: link.nats, [Symbol.dispose]: () => void (link.bytes -= bytes) }
  }
}

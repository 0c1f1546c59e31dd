// The emsg boxes of live.mp4 and clip.mp4: which frame is shown at which media time (docs/http.md).

export type ShownFrame = { readonly id: string; readonly captureTime: number }
type Event = { readonly ticks: number; readonly frame: ShownFrame }

/** Of what is played no more. */
const KEPT_MAX = 4_096
const TIMESCALE = 90_000
/** Half a frame at 120 fps. */
const TICKS_OFF_MAX = TIMESCALE / 240
const text = new TextDecoder()

export class FrameEvents {
  #events: Event[] = []

  /** Whole boxes: a message of the WebSocket, or a file. */
  read(bytes: ArrayBuffer): void {
    const view = new DataView(bytes)
    for (let at = 0; at + 8 <= bytes.byteLength;) {
      const size = view.getUint32(at)
      if (size < 8) return
      if (view.getUint32(at + 4) === 0x656d7367) this.#take(view, at, size)
      at += size
    }
    if (this.#events.length > KEPT_MAX) this.#events = this.#events.slice(-KEPT_MAX / 2)
  }

  /** The frame that is shown at a media time in seconds. */
  at(seconds: number): ShownFrame | undefined {
    const ticks = seconds * TIMESCALE
    let best: Event | undefined
    // Those around the media time are near the end.
    for (let i = this.#events.length - 1; i >= 0; i--) {
      const event = this.#events[i]
      if (event === undefined || ticks - event.ticks > TIMESCALE) break
      if (Math.abs(event.ticks - ticks) < Math.abs((best?.ticks ?? Infinity) - ticks)) best = event
    }
    return best !== undefined && Math.abs(best.ticks - ticks) <= TICKS_OFF_MAX ? best.frame : undefined
  }

  #take(view: DataView, at: number, size: number): void {
    const ticks = Number(view.getBigUint64(at + 16))
    const body = new Uint8Array(view.buffer, at + 32, size - 32)
    const scheme = body.indexOf(0)
    const value = body.indexOf(0, scheme + 1)
    if (scheme < 0 || value < 0) return
    const message = JSON.parse(text.decode(body.subarray(value + 1))) as ShownFrame
    if (typeof message.id === 'string' && typeof message.captureTime === 'number') this.#events.push({ ticks, frame: message })
  }
}

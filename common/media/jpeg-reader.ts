import { openPipe } from './ffmpeg.ts'
import type { Description, Reader } from './frame-reader.ts'

const CHUNK = 64 * 1024
const SOI = 0xd8
const EOI = 0xd9
const SOS = 0xda

/** Cuts the JPEG files that ffmpeg writes one behind the other, and gives each with its description. */
export class JpegReader implements Reader {
  readonly #room: { head: number; tail: number }
  readonly #described: Description[] = []
  onPicture: Reader['onPicture'] = () => true
  readonly ended: Promise<void>
  readonly #close: () => void
  #reader: Awaited<ReturnType<typeof openPipe>>['reader'] | undefined
  readonly #chunk = Buffer.alloc(CHUNK)
  #bytes = Buffer.alloc(0)
  #isPaused = false

  constructor(room: { head: number; tail: number }) {
    this.#room = room
    const { promise, resolve } = Promise.withResolvers<void>()
    this.ended = promise
    this.#close = resolve
  }

  async open(): Promise<{ writeFd: number }> {
    const { reader, writeFd } = await openPipe(
      () => this.#chunk,
      count => {
        this.#bytes = Buffer.concat([this.#bytes, this.#chunk.subarray(0, count)])
        this.#settle()
        return !this.#isPaused
      },
    )
    this.#reader = reader
    reader.once('close', () => this.#close()).on('error', () => {})
    return { writeFd }
  }

  describe(description: Description): void {
    this.#described.push(description)
    this.#settle()
  }

  resume(): void {
    this.#isPaused = false
    this.#settle()
    if (!this.#isPaused) this.#reader?.resume()
  }

  close(): void {
    this.#reader?.destroy()
    this.#close()
  }

  /** Delivers every file that is both described and complete. */
  #settle(): void {
    for (let next = this.#described[0]; next !== undefined && !this.#isPaused; next = this.#described[0]) {
      const size = jpegSize(this.#bytes)
      if (size === undefined) return
      const { head, tail } = this.#room
      const buffer = Buffer.allocUnsafeSlow(head + size + tail)
      this.#bytes.copy(buffer, head, 0, size)
      this.#bytes = this.#bytes.subarray(size)
      this.#described.shift()
      this.#isPaused = !this.onPicture(next, buffer, size)
    }
  }
}

/** Of the JPEG file that `bytes` begin with; undefined while its end is still to come. */
function jpegSize(bytes: Buffer): number | undefined {
  // In segments any bytes may stand; behind the start of the scan a marker is a marker.
  for (let at = 0; at + 4 <= bytes.length;) {
    const marker = bytes[at + 1]
    if (marker === SOI) {
      at += 2
      continue
    }
    if (marker === SOS) {
      const end = bytes.indexOf(Buffer.from([0xff, EOI]), at)
      return end < 0 ? undefined : end + 2
    }
    at += 2 + bytes.readUInt16BE(at + 2)
  }
  return undefined
}

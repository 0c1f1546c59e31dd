// A body in chunks (RFC 9112 7.1), taken as leniently as ffmpeg does.
import { Failure } from '../errors.ts'

const LINE_MAX = 4096
const LF = 0x0a

export class Chunks {
  /** Of the line that tells a size. */
  #line = ''
  /** Bytes of the current chunk that are still to come. */
  #remaining = 0
  #done = false

  /** The chunk of size 0 came. */
  get done(): boolean {
    return this.#done
  }

  /** The parts of the body in `chunk`. Throws Failure InvalidStream. */
  *push(chunk: Buffer): Generator<Buffer> {
    for (let at = 0; at < chunk.length && !this.#done;) {
      if (this.#remaining > 0) {
        const part = chunk.subarray(at, at + this.#remaining)
        at += part.length
        this.#remaining -= part.length
        yield part
        continue
      }
      const end = chunk.indexOf(LF, at)
      this.#line += chunk.toString('latin1', at, Math.min(end < 0 ? chunk.length : end, at + LINE_MAX + 1))
      if (this.#line.length > LINE_MAX) throw notChunked()
      if (end < 0) return
      at = end + 1
      this.#size()
    }
  }

  /** An empty line is the end of the chunk before. */
  #size(): void {
    const line = this.#line.trim()
    this.#line = ''
    if (line === '') return
    const size = /^(?:0x)?([0-9a-f]{1,12})\s*(?:;.*)?$/i.exec(line)?.[1]
    if (size === undefined) throw notChunked()
    this.#remaining = Number.parseInt(size, 16)
    this.#done = this.#remaining === 0
  }
}

const notChunked = () =>
  new Failure('InvalidStream', 'the camera’s HTTP answer is refused: it says Transfer-Encoding: chunked, but its body is not in chunks')

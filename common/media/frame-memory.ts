// Memory for pictures, used again. What is new from the kernel costs more to fill than a picture costs to copy, and as garbage it is collected
// with everything else.
import type { MemoryLease } from '../../proto/messages.ts'

/** Free buffers kept: a picture that is being read, and one that waits for its description. */
const FREE_MAX = 2

/** Of one camera, whose pictures are all of the same size. */
export class PictureMemory {
  readonly #free: Buffer[] = []

  take(size: number): Buffer {
    for (let buffer = this.#free.pop(); buffer !== undefined; buffer = this.#free.pop()) if (buffer.length === size) return buffer
    return Buffer.allocUnsafeSlow(size)
  }

  /** It is read and written no more. */
  give(buffer: Buffer): void {
    if (this.#free.length < FREE_MAX) this.#free.push(buffer)
  }

  /** Held by one, who releases it; when the last holder has, the buffer is free. */
  lease(buffer: Buffer): MemoryLease {
    let holders = 1
    let isForfeit = false
    return {
      hold: () => void holders++,
      release: () => {
        if (--holders === 0 && !isForfeit) this.give(buffer)
      },
      forfeit: () => {
        holders--
        isForfeit = true
      },
    }
  }
}

// The cameras' streams that are being asked for, and those that are on their way out.
import type { KnownCamera } from '../cameras.ts'
import type { CameraFrames } from './camera-frames.ts'
import { streamKey } from './substream.ts'

export class Registry {
  readonly #open = new Map<string, CameraFrames>()
  readonly #ending = new Set<Promise<void>>()

  get(known: Pick<KnownCamera, 'uid' | 'stream'>): CameraFrames | undefined {
    return this.#open.get(streamKey(known))
  }

  get all(): CameraFrames[] {
    return [...this.#open.values()]
  }

  add(camera: CameraFrames): void {
    this.#open.set(streamKey(camera.known), camera)
  }

  isOpen(camera: CameraFrames): boolean {
    return this.#open.get(streamKey(camera.known)) === camera
  }

  /** What is left of it ends by itself. */
  remove(camera: CameraFrames): void {
    this.#open.delete(streamKey(camera.known))
    const ending = camera.end()
    this.#ending.add(ending)
    void ending.finally(() => this.#ending.delete(ending))
  }

  /** Resolves when nothing is left of those that were removed. */
  async ended(): Promise<void> {
    await Promise.all(this.#ending)
  }
}

// The cameras that are being asked for, and those that are on their way out.
import type { CameraFrames } from './camera-frames.ts'

export class Registry {
  readonly #open = new Map<string, CameraFrames>()
  readonly #ending = new Set<Promise<void>>()

  get(uid: string): CameraFrames | undefined {
    return this.#open.get(uid)
  }

  get all(): CameraFrames[] {
    return [...this.#open.values()]
  }

  add(camera: CameraFrames): void {
    this.#open.set(camera.known.uid, camera)
  }

  isOpen(camera: CameraFrames): boolean {
    return this.#open.get(camera.known.uid) === camera
  }

  /** What is left of it ends by itself. */
  remove(camera: CameraFrames): void {
    this.#open.delete(camera.known.uid)
    const ending = camera.end()
    this.#ending.add(ending)
    void ending.finally(() => this.#ending.delete(ending))
  }

  /** Resolves when nothing is left of those that were removed. */
  async ended(): Promise<void> {
    await Promise.all(this.#ending)
  }
}

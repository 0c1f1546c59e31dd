// The cameras as one caller may see them. A camera that it may not see answers exactly as one that does not exist.
import type { Cameras, KnownCamera } from '../cameras.ts'
import { Refusal } from '../refusal.ts'
import type { Access, Subject } from './access.ts'
import { rightText, type Right } from './rights.ts'

/** What a call may rely on until it ends: checked again and again, so that a revoked right ends it. */
export type Use = { readonly right: Right; readonly camera: KnownCamera }

/** Who calls, on any transport. */
export type Visitor = {
  readonly subject: Subject
  /** Remembers what the call uses. */
  readonly uses: (use: Use) => void
}

export class VisibleCameras {
  readonly #cameras: Cameras
  readonly #access: Access

  constructor(cameras: Cameras, access: Access) {
    this.#cameras = cameras
    this.#access = access
  }

  deviceId(ref: KnownCamera['ref']): string {
    return this.#cameras.deviceId(ref)
  }

  /** The camera that the caller means by what stands in `field` of its request, and may do `right` with. Throws a Refusal. */
  async resolve(visitor: Visitor, deviceId: string, right: Right, field = 'device_id'): Promise<KnownCamera> {
    const { own, elsewhere } = this.#cameras.candidates(deviceId, field)
    const permitted = own.length > 0 ? await this.#which(visitor, right, own) : []
    const found = permitted.length > 0 ? permitted : await this.#which(visitor, right, elsewhere)
    const [camera] = found
    if (camera !== undefined && found.length === 1) {
      visitor.uses({ right, camera })
      return camera
    }
    if (camera !== undefined) throw this.#cameras.ambiguous(deviceId, found)
    const seen = await this.#which(visitor, 'camera', [...own, ...elsewhere])
    if (seen.length > 1) throw this.#cameras.ambiguous(deviceId, seen)
    if (seen[0] !== undefined) throw denied(visitor.subject, right, seen[0])
    throw this.#cameras.notFound(deviceId)
  }

  /** Those that the caller may see, in the order of the list. Throws a Refusal before the list is there. */
  async list(visitor: Visitor, right: Right = 'camera'): Promise<KnownCamera[]> {
    return await this.#which(visitor, right, this.#cameras.list())
  }

  async may(visitor: Visitor, right: Right, camera: KnownCamera): Promise<boolean> {
    return await this.#access.may(visitor.subject, right, camera.ref)
  }

  async #which(visitor: Visitor, right: Right, cameras: readonly KnownCamera[]): Promise<KnownCamera[]> {
    if (visitor.subject === undefined) return [...cameras]
    const allowed = await Promise.all(cameras.map(camera => this.may(visitor, right, camera)))
    return cameras.filter((_, index) => allowed[index])
  }
}

export function denied(subject: Subject, right: Right, { ref: { namespace, name } }: KnownCamera): Refusal {
  return new Refusal('denied', `${subject?.name} may not ${rightText(right)} "${name}" in namespace "${namespace}"`)
}

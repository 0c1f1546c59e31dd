// Which cameras a call is about: some by name, or those that a label selector matches.
import { BadSelector, parseSelector } from '../../../proto/labels.ts'
import type { Right } from '../../access/rights.ts'
import type { VisibleCameras } from '../../access/visible-cameras.ts'
import type { KnownCamera } from '../../cameras.ts'
import { Refusal } from '../../refusal.ts'
import type { Caller } from '../calls.ts'

export type Selection =
  | { readonly by: 'name'; readonly names: readonly string[]; readonly field: string }
  | { readonly by: 'selector'; readonly text: string; readonly matches: (camera: KnownCamera) => boolean }

const NAMES_MAX = 1_000

/** The same for selections that say the same. */
export const selectionText = (selection: Selection): string =>
  selection.by === 'selector' ? `selector ${selection.text}` : `names ${[...new Set(selection.names)].sort().join(' ')}`

/** The cameras of one call, which may come and go. */
export class Selected {
  readonly #cameras: VisibleCameras
  readonly #caller: Caller
  readonly #right: Right
  /** Names of cameras that existed once in this call: they may be deleted, and come again. */
  readonly #found = new Set<string>()

  constructor(cameras: VisibleCameras, caller: Caller, right: Right) {
    this.#cameras = cameras
    this.#caller = caller
    this.#right = right
  }

  /** Those that there are now. Throws a Refusal where one is named that has not existed in this call. */
  async now(selection: Selection): Promise<KnownCamera[]> {
    if (selection.by === 'selector') return (await this.#cameras.list(this.#caller, this.#right)).filter(selection.matches)
    const named = new Map<string, KnownCamera>()
    for (const name of selection.names) {
      const camera = await this.#named(name, selection.field)
      if (camera !== undefined) named.set(camera.uid, camera)
    }
    return [...named.values()]
  }

  async #named(name: string, field: string): Promise<KnownCamera | undefined> {
    try {
      const camera = await this.#cameras.resolve(this.#caller, name, this.#right, field)
      this.#found.add(name)
      return camera
    } catch (error) {
      if (error instanceof Refusal && error.kind === 'notFound' && this.#found.has(name)) return undefined
      throw error
    }
  }
}

type SelectionFields = { cameras: readonly string[]; selector?: string | undefined }

/** At most one of the two may be set; undefined: neither is. Throws a Refusal. `prefix`: of the fields' names. */
export function selectionOf({ cameras, selector }: SelectionFields, prefix: string): Selection | undefined {
  if (cameras.length > 0 && selector !== undefined) {
    throw new Refusal('invalid', `only one of ${prefix}cameras and ${prefix}selector may be set`)
  }
  if (cameras.length > NAMES_MAX) throw new Refusal('invalid', `${prefix}cameras may name at most ${NAMES_MAX} cameras`)
  if (cameras.length > 0) return { by: 'name', names: cameras, field: `${prefix}cameras` }
  if (selector === undefined) return undefined
  try {
    const matches = parseSelector(selector)
    return { by: 'selector', text: selector, matches: ({ record }) => matches(record.labels ?? {}) }
  } catch (error) {
    if (error instanceof BadSelector) throw new Refusal('invalid', `${prefix}selector ${error.message}`)
    throw error
  }
}

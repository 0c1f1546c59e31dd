// One kind of object in several places: a Reflector for each namespace, read as one.
import { listPaths } from '../../common/kube/client.ts'
import { Reflector, type KubeObject, type ReflectorOptions } from './reflector.ts'

export type Kind = { api: string; resource: string }

export class Reflectors<T extends KubeObject> {
  readonly #reflectors: Reflector<T>[]

  /** `namespaces`: none stands for all. */
  constructor(kind: Kind, namespaces: readonly string[], options: Omit<ReflectorOptions<T>, 'path'>) {
    this.#reflectors = listPaths(kind, namespaces).map(path => new Reflector({ ...options, path }))
  }

  /** Runs until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#reflectors.map(reflector => reflector.run(signal)))
  }

  get isSynced(): boolean {
    return this.#reflectors.every(({ isSynced }) => isSynced)
  }
  /** Resolves when the first list of each is complete. */
  get synced(): Promise<unknown> {
    return Promise.all(this.#reflectors.map(({ synced }) => synced))
  }

  get(key: string): T | undefined {
    for (const reflector of this.#reflectors) {
      const object = reflector.get(key)
      if (object !== undefined) return object
    }
    return undefined
  }
  keys(): string[] {
    return this.#reflectors.flatMap(reflector => [...reflector.keys()])
  }
  values(): T[] {
    return this.#reflectors.flatMap(reflector => [...reflector.values()])
  }
}

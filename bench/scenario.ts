// What a scenario hands back, whatever it measured.
import type { Options } from './options.ts'
import type { Target } from './targets.ts'

export type Table = { title: string; rows: readonly (readonly string[])[] }

export type Measured = {
  tables: readonly Table[]
  targets: readonly Target[]
  /** Everything that was measured, for `--json`. */
  figures: unknown
}

export type Scenario = (options: Options) => Promise<Measured>

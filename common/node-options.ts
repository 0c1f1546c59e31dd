// How Node is started where there is one process per camera: what it costs while unwatched is memory, and these save a third of it. A young
// generation of a megabyte is plenty for packets; one malloc arena serves the one thread that allocates.
export const FRUGAL_FLAGS: readonly string[] = ['--max-semi-space-size=1']
export const FRUGAL_ENV: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: '1' }

/** With the sources' types stripped once and kept: the compiler that strips them stays out of memory. */
export const compiledIn = (cacheFolder: string): Record<string, string> => ({ NODE_COMPILE_CACHE: `${cacheFolder}/compiled` })

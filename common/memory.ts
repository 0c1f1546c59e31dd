import { totalmem } from 'node:os'

/** Bytes that this process and its children may have together: of the container, or of the machine. */
export const memoryLimit = (): number => Math.min(process.constrainedMemory() || Infinity, totalmem())

/** For a person: `1 GiB`, `1.5 GiB`, `192 MiB`. */
export const memoryText = (bytes: number): string =>
  bytes >= 2 ** 30 ? `${Number((bytes / 2 ** 30).toFixed(1))} GiB` : `${Math.round(bytes / 2 ** 20)} MiB`

// Times in ticks of a stream's time base, and in seconds and milliseconds.

/** How many seconds a tick lasts, as a fraction. */
export type TimeBase = readonly [numerator: number, denominator: number]

export const ticksToSeconds = (ticks: number, [num, den]: TimeBase): number => (ticks * num) / den

export const ticksToMs = (ticks: number, [num, den]: TimeBase): number => (ticks * 1000 * num) / den

/** As many whole ticks as last `seconds` at least. */
export const secondsToTicks = (seconds: number, [num, den]: TimeBase): number => Math.ceil((seconds * den) / num)

import type { SystemTimeResponse } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/SystemTimeResponse.ts'

/** The gateway's clock; chrysalis_clock_skew_seconds tells how far those of the sidecars, which stamp frames, are from it. */
export const systemTime = (): SystemTimeResponse => ({ current_time: Date.now() })

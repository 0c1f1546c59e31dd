// Loaded into a sidecar before its own program: writes down when each packet arrived, which only a benchmark wants to know.
import { appendFileSync } from 'node:fs'
import { CaptureClock } from '../sidecar/timing/capture-clock.ts'

const file = process.env['BENCH_ARRIVALS_FILE']
const original = Object.getOwnPropertyDescriptor(CaptureClock.prototype, 'timestamp')?.value as CaptureClock['timestamp']
CaptureClock.prototype.timestamp = function (ptsMs, arrivedAt) {
  const timestamp = original.call(this, ptsMs, arrivedAt)
  if (file !== undefined) appendFileSync(file, `${timestamp} ${arrivedAt}\n`)
  return timestamp
}

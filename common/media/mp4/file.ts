// A whole MP4 of one video track, with its index in front, so that players can seek in it, and behind it what its frames are. Pure.
import { box, fullBox, mdatHead, text, u32, u64 } from './boxes.ts'
import { frameEvents, moov, type Sample } from './fragments.ts'
import type { Mp4Track } from './track.ts'

/** `samples`: at least one. */
export function mp4File(track: Mp4Track, samples: readonly Sample[]): Uint8Array[] {
  const sizes = samples.map(({ data }) => data.reduce((sum, part) => sum + part.length, 0))
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  const keys = samples.flatMap(({ packet }, i) => (packet.key ? [i + 1] : []))
  const durations = inRuns(samples.map(({ duration }) => duration))
  const offsets = inRuns(samples.map(({ show, decode }) => show - decode))
  const duration = samples.reduce((sum, sample) => sum + sample.duration, 0)
  const firstShow = samples[0]?.show ?? 0
  const head = mdatHead(bytes)
  const ftyp = box('ftyp', text('isom'), u32(0x200), text('isomiso2mp41'))
  const index = (position: number) =>
    moov(track, { duration, firstShow }, [
      fullBox('stts', 0, 0, u32(durations.length / 2, ...durations)),
      fullBox('ctts', 1, 0, u32(offsets.length / 2, ...offsets)),
      fullBox('stss', 0, 0, u32(keys.length, ...keys)),
      fullBox('stsc', 0, 0, u32(1, 1, samples.length, 1)),
      fullBox('stsz', 0, 0, u32(0, samples.length, ...sizes)),
      fullBox('co64', 0, 0, u32(1), u64(position)),
    ])
  const position = ftyp.length + index(0).length + head.length
  return [ftyp, index(position), head, ...samples.flatMap(({ data }) => data), ...frameEvents(samples, firstShow)]
}

/** How often each value comes, one behind the other. */
function inRuns(values: readonly number[]): number[] {
  const runs: number[] = []
  for (const value of values) {
    if (runs.length > 0 && runs.at(-1) === value) runs[runs.length - 2] = (runs.at(-2) ?? 0) + 1
    else runs.push(1, value)
  }
  return runs
}

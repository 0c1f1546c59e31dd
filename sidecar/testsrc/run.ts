// `testsrc:`, the camera that is none: its packets are made here, so it needs no ffmpeg, and no encoder of it.
import { sleep } from '../../common/abort.ts'
import type { DemuxHandlers, DemuxInfo, DemuxRun } from '../../common/media/demux.ts'
import { columnsOf, rowsOf, SquaresEncoder } from './h264.ts'
import { scene } from './scene.ts'

export type Testsrc = { width: number; height: number; rate: number; gop: number }

/** A process that was held up for longer leaves frames out, as a camera would whose connection was full. */
const LATE_MAX_MS = 1_000

/** Delivers `rate` packets a second until it is stopped. */
export function runTestsrc(options: Testsrc, { onPacket }: Pick<DemuxHandlers, 'onPacket'>): DemuxRun {
  const stopping = new AbortController()
  const ended = deliver(options, onPacket, stopping.signal).then(() => ({ code: 0, signal: null }))
  const stop = () => {
    stopping.abort()
    return ended
  }
  return { pid: 0, ended, stop, [Symbol.asyncDispose]: async () => void (await stop()) }
}

async function deliver(options: Testsrc, onPacket: DemuxHandlers['onPacket'], signal: AbortSignal): Promise<void> {
  const { width, height, rate, gop } = options
  const encoder = new SquaresEncoder(options, rate)
  const info: DemuxInfo = { codec: 'h264', timeBase: [1, rate], width, height, pixFmt: 'yuv420p', extradata: encoder.extradata }
  const stepMs = 1000 / rate
  const beganMs = performance.now() + stepMs
  for (let number = 0, sent = 0; ; number++, sent++) {
    const lateMs = performance.now() - beganMs - number * stepMs
    if (lateMs > LATE_MAX_MS) number += Math.floor(lateMs / stepMs)
    await sleep(Math.max(0, -lateMs), signal)
    if (signal.aborted) return
    const now = new Date()
    const key = sent % gop === 0
    const data = encoder.encode(scene(columnsOf(options), rowsOf(options), number, number * stepMs, now), key)
    const packet = { pts: number, dts: number, key, corrupt: false, newExtradata: false, data, arrivedAt: now.getTime() }
    onPacket(packet, info)
  }
}

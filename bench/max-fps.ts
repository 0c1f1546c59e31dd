// How many 1080p frames a second the whole chain brings to one client: the camera plays faster and faster.
import { execFile } from 'node:child_process'
import { access, rename, rm } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { PICTURES, videoOf } from './chain.ts'
import { rate } from './clients.ts'
import type { Options } from './options.ts'
import type { Measured } from './scenario.ts'
import { startStage } from './stage.ts'
import { figure } from './table.ts'
import { measureUsage, type Usage } from './usage.ts'

const run = promisify(execFile)

const PICTURE = PICTURES['1080p30']
const PLACEMENTS = ['Sidecar', 'Gateway'] as const
/** Times real time. */
const SPEEDS = [1, 1.5, 2, 3, 4]
const WARM_UP_MS = 4_000
/** What keeps up with less than this share of the camera has passed its highest rate. */
const ENOUGH = 0.75
const WANTED_FPS = { Sidecar: 40, Gateway: 80 }

type Row = { placement: (typeof PLACEMENTS)[number]; sentFps: number; fps: number; usage: Usage }

export async function measureMaxFps({ seconds, env }: Options): Promise<Measured> {
  const rows: Row[] = []
  for (const placement of PLACEMENTS) {
    for (const speed of SPEEDS) {
      const sentFps = speed * PICTURE.fps
      await using stage = await startStage({ picture: PICTURE, env, decoding: { placement }, file: await playedFaster(speed) })
      await stage.addClients(await stage.addCamera(), 1)
      await delay(WARM_UP_MS)
      const fromMs = Date.now()
      const usage = await measureUsage(stage.cast, seconds)
      const fps = rate(stage.clients[0]?.seen ?? [], fromMs, Date.now())
      rows.push({ placement, sentFps, fps, usage })
      if (fps < ENOUGH * sentFps) break
    }
  }
  const head = ['decoded in', 'camera fps', 'client fps', 'share', 'CPU %', 'client %', 'noise %']
  const cells = rows.map(({ placement, sentFps, fps, usage: { ours, roles, noise } }) => [
    ...[placement, figure(sentFps), figure(fps, 1), figure(fps / sentFps, 2), figure(ours.cpu, 1), figure(roles.client?.cpu, 1)],
    figure(noise),
  ])
  const targets = PLACEMENTS.map(placement => {
    const highest = Math.max(...rows.filter(row => row.placement === placement).map(({ fps }) => fps))
    const wanted = WANTED_FPS[placement]
    return { what: `1080p, ${placement}: highest rate ≥ ${wanted} fps`, measured: `${figure(highest, 1)} fps`, met: highest >= wanted }
  })
  return {
    tables: [{ title: '1080p to one Python client from a camera that plays faster than real time', rows: [head, ...cells] }],
    ...{ targets, figures: rows },
  }
}

/** The same packets with their timestamps closer together: made once, then kept beside the video. */
async function playedFaster(speed: number): Promise<string> {
  const video = await videoOf(PICTURE)
  if (speed === 1) return video
  const file = video.replace(/\.mp4$/, `-times${speed}.mp4`)
  const isThere = await access(file).then(
    () => true,
    () => false,
  )
  if (isThere) return file
  const unfinished = file.replace(/\.mp4$/, `.${process.pid}.mp4`)
  try {
    const input = ['-itsscale', String(1 / speed), '-i', video]
    await run(ffmpegPath(process.env), ['-nostdin', '-v', 'error', ...input, '-map', '0:v:0', '-c', 'copy', '-y', unfinished])
    await rename(unfinished, file)
  } finally {
    await rm(unfinished, { force: true })
  }
  return file
}

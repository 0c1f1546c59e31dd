// ffmpeg, which takes in and decodes every camera; and ffprobe, with which tests compare.
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fetchedFfmpeg } from '../../common/cache.mjs'
import { ffmpegStatic, isProgram, onPath } from '../../common/which.mjs'
import { aptInstall, canInstall, fromWheel, pythonWithPip, say, SetupProblem } from './system.mjs'

const requirements = fileURLToPath(new URL('tools/ffmpeg.txt', import.meta.url))

export async function prepareFfmpeg() {
  const chosen = process.env['FFMPEG_PATH']
  if (chosen) {
    if (!isProgram(chosen)) throw new SetupProblem(`FFMPEG_PATH is ${chosen}, which is not a program: correct it, or unset it`)
    return
  }
  const fetched = fetchedFfmpeg(process.env)
  if (isProgram(fetched)) return
  const python = await pythonWithPip()
  if (python !== undefined) {
    say('fetching ffmpeg (68 MB)')
    if (await fromWheel(python, requirements, 'imageio_ffmpeg/binaries/ffmpeg-*', basename(fetched))) return
  }
  if ([onPath('ffmpeg', process.env), ffmpegStatic()].some(path => path !== undefined && isProgram(path))) return
  if (canInstall() && (await aptInstall(['ffmpeg'], 'ffmpeg'))) return
  throw new SetupProblem('ffmpeg is needed: install it (as root: apt-get install ffmpeg), or set FFMPEG_PATH to one')
}

export async function prepareFfprobe() {
  if (onPath('ffprobe', process.env) !== undefined) return
  if (canInstall() && (await aptInstall(['ffmpeg'], 'ffprobe, for tests'))) return
  say('ffprobe is missing, so tests of media will fail: install it (as root: apt-get install ffmpeg)')
}

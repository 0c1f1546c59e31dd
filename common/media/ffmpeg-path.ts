// Which ffmpeg runs. The same order everywhere: the set-up, the tests and the processes.
import { fetchedFfmpeg } from '../cache.mjs'
import { ffmpegStatic, isProgram, onPath } from '../which.mjs'

/** The path of ffmpeg: FFMPEG_PATH, else what the set-up fetched, else on PATH, else ffmpeg-static. Throws an Error that says what to do. */
export function ffmpegPath(env: NodeJS.ProcessEnv): string {
  const chosen = env['FFMPEG_PATH']
  if (chosen) {
    if (!isProgram(chosen))
      throw new Error(`FFMPEG_PATH is ${chosen}, which is not a program: correct it, or unset it to use ffmpeg on PATH`)
    return chosen
  }
  const found = [fetchedFfmpeg(env), onPath('ffmpeg', env), ffmpegStatic()].find(path => path !== undefined && isProgram(path))
  if (found === undefined) throw new Error('ffmpeg was not found: install it (apt-get install ffmpeg), or set FFMPEG_PATH to one')
  return found
}

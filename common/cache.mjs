// Plain JavaScript, since the set-up runs it before there is a Node that strips types.
import { homedir } from 'node:os'
import { join } from 'node:path'

/**
 * Where programs that the set-up fetched are kept, outside of any clone: `bin/` holds ffmpeg and `nats-server`.
 * @param {NodeJS.ProcessEnv} env
 * @returns {string}
 */
export const cacheFolder = env => join(env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache'), 'chrysalis-edge')

/** What `deploy/setup/tools/ffmpeg.txt` pins. */
const FFMPEG_VERSION = '9.0.2'

/**
 * The ffmpeg that the set-up fetches: it starts in a third of the time and takes a third less memory than Debian's, which links 200 libraries.
 * @param {NodeJS.ProcessEnv} env
 * @returns {string}
 */
export const fetchedFfmpeg = env => join(cacheFolder(env), 'bin', `ffmpeg-${FFMPEG_VERSION}`)

/**
 * What the set-up compiles of `deploy/confine/confine.c`. Its name says which version of that file.
 * @param {NodeJS.ProcessEnv} env
 * @returns {string}
 */
export const confineProgram = env => join(cacheFolder(env), 'bin', 'chrysalis-confine-1')

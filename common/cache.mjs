// Plain JavaScript, since the set-up runs it before there is a Node that strips types.
import { homedir } from 'node:os'
import { join } from 'node:path'

/**
 * Where programs that the set-up fetched are kept, outside of any clone: `bin/` holds `ffmpeg` and `nats-server`.
 * @param {NodeJS.ProcessEnv} env
 * @returns {string}
 */
export const cacheFolder = env => join(env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache'), 'chrysalis-edge')

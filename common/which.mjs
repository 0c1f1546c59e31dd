// Plain JavaScript, since the set-up runs it before there is a Node that strips types.
import { accessSync, constants, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'

/**
 * @param {string} path
 * @returns {boolean}
 */
export function isProgram(path) {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/**
 * The first program of this name on PATH.
 * @param {string} name
 * @param {NodeJS.ProcessEnv} env
 * @returns {string | undefined}
 */
export function onPath(name, env) {
  return (env['PATH'] ?? '')
    .split(delimiter)
    .filter(folder => folder.startsWith('/'))
    .map(folder => join(folder, name))
    .find(isProgram)
}

/**
 * Where the npm package ffmpeg-static, an optional dependency, has its program; undefined without the package. Its installer, which downloads
 * the program, is run only by who wants it.
 * @returns {string | undefined}
 */
export function ffmpegStatic() {
  try {
    /** @type {unknown} */
    const path = createRequire(import.meta.url)('ffmpeg-static')
    return typeof path === 'string' ? path : undefined
  } catch {
    return undefined
  }
}

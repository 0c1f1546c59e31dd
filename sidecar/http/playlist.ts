// HLS playlists, as ffmpeg gets them: it reads what they name through the relay only.
import type { Origin, Origins } from './origins.ts'

/** A playlist from `base`, by which ffmpeg goes nowhere past the relay. Throws Failure RedirectRefused. */
export function tamed(playlist: string, origins: Origins, base: Origin): string {
  // As ffmpeg reads it: a backslash is left out, and lines end so.
  const unescaped = (text: string) => text.replace(/\\(.)/g, '$1')
  const line = (text: string) =>
    text.startsWith('#') ? text.replace(/(?<=URI="?)[^",]+/g, uri => origins.hide(unescaped(uri), base)) : origins.hide(text, base)
  return playlist
    .split(/[\r\n\0]/)
    .map(line)
    .join('\n')
}

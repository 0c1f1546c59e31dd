// HLS playlists, as ffmpeg gets them: it reads what they name through the relay only, and of several variants it sees one.
import type { Variant } from '../../proto/camera.ts'
import type { Origin } from '../../common/net/target.ts'
import type { Origins } from './origins.ts'

/** A playlist from `base`, by which ffmpeg goes nowhere past the relay. Throws Failure RedirectRefused. */
export function tamed(playlist: string, origins: Origins, base: Origin, variant: Variant): string {
  // As ffmpeg reads it: a backslash is left out, and lines end so.
  const unescaped = (text: string) => text.replace(/\\(.)/g, '$1')
  const line = (text: string) =>
    text.startsWith('#') ? text.replace(/(?<=URI="?)[^",]+/g, uri => origins.hide(unescaped(uri), base)) : origins.hide(text, base)
  return withOneVariant(playlist.split(/[\r\n\0]/).map(line), variant).join('\n')
}

type Offer = { from: number; to: number; width: number; height: number; bandwidth: number; isKnown: boolean }

/** ffmpeg would take the first variant of a master playlist, which is often the smallest. */
function withOneVariant(lines: readonly string[], variant: Variant): readonly string[] {
  const offers = lines.flatMap((line, from) => (line.startsWith('#EXT-X-STREAM-INF:') ? [offerAt(lines, from, line)] : []))
  const chosen = choose(offers, variant)
  if (chosen === undefined) return lines
  const others = offers.filter(offer => offer !== chosen)
  return lines.filter((_, at) => !others.some(({ from, to }) => at === from || at === to))
}

function offerAt(lines: readonly string[], from: number, line: string): Offer {
  const [, width = 0, height = 0] = /[:,]\s*RESOLUTION=(\d{1,5})x(\d{1,5})/.exec(line) ?? []
  const codecs = /[:,]\s*CODECS="([^"]*)"/.exec(line)?.[1]
  return {
    from,
    to: lines.findIndex((next, at) => at > from && next !== '' && !next.startsWith('#')),
    width: Number(width),
    height: Number(height),
    bandwidth: Number(/[:,]\s*BANDWIDTH=(\d{1,12})/.exec(line)?.[1] ?? 0),
    // A variant with sound alone names no other codec.
    isKnown: codecs === undefined || /\b(avc[13]|hvc1|hev1|av01)\b/.test(codecs),
  }
}

function choose(offers: readonly Offer[], variant: Variant): Offer | undefined {
  const known = offers.filter(({ isKnown }) => isKnown)
  const sorted = (known.length === 0 ? offers : known).toSorted(
    (a, b) => a.width * a.height - b.width * b.height || a.bandwidth - b.bandwidth,
  )
  if (variant === 'Largest') return sorted.at(-1)
  if (variant === 'Smallest') return sorted[0]
  const [width = 0, height = 0] = variant.split('x').map(Number)
  return sorted.findLast(offer => offer.width <= width && offer.height <= height) ?? sorted[0]
}

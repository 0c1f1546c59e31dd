// A moving test picture without a camera and without ffmpeg: `testsrc:?size=640x360&rate=15&gop=30`.
import { runTestsrc, type Testsrc } from '../../testsrc/run.ts'
import { LIVE, type SourceDriver } from './driver.ts'

export const testsrc: SourceDriver = {
  schemes: ['testsrc:'],
  parse(text) {
    const options = parseOptions(text)
    return {
      ...LIVE,
      openRelay: () => Promise.resolve(undefined),
      open: (_relay, _credentials, _traits, handlers) => Promise.resolve(runTestsrc(options, handlers)),
    }
  },
}

function parseOptions(text: string): Testsrc {
  const query = new URLSearchParams(text.slice('testsrc:'.length).replace(/^\?/, ''))
  const [width = 0, height = 0] = (query.get('size') ?? '640x360').split('x').map(Number)
  const whole = (name: string, fallback: number, max: number) => {
    const value = Number(query.get(name) ?? fallback)
    if (Number.isInteger(value) && value >= 1 && value <= max) return value
    throw new Error(`spec.source.url: ${name} must be a whole number from 1 to ${max}`)
  }
  const fits = (pixels: number, max: number) => Number.isInteger(pixels) && pixels >= 16 && pixels <= max && pixels % 2 === 0
  if (!fits(width, 3840) || !fits(height, 2160))
    throw new Error('spec.source.url: size must be even, WIDTHxHEIGHT, from 16x16 to 3840x2160')
  const rate = whole('rate', 15, 120)
  return { width, height, rate, gop: whole('gop', rate, 1000) }
}

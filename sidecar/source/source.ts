// A camera's URL → the driver of its scheme.
import { messageOf } from '../../common/errors.ts'
import { CameraTrust } from '../../common/net/camera-tls.ts'
import { DEFAULT_RTP_CODECS, type OnvifSource, type SubstreamSource } from '../../proto/camera.ts'
import type { Source, SourceDriver, SourceOptions } from './drivers/driver.ts'
import { http } from './drivers/http.ts'
import { onvifSource } from './drivers/onvif.ts'
import { rtmp } from './drivers/rtmp.ts'
import { rtsp } from './drivers/rtsp.ts'
import { testsrc } from './drivers/testsrc.ts'

/** The Camera's schema names the same schemes. */
const DRIVERS: readonly SourceDriver[] = [rtsp, rtmp, http, testsrc]

/** For a person: `rtsp://, rtsps:// or testsrc:`. */
export const SCHEMES = DRIVERS.flatMap(({ schemes }) => schemes)
  .join(', ')
  .replace(/, ([^,]*)$/, ' or $1')

type Given = { [K in keyof SourceOptions]?: SourceOptions[K] | undefined }

const withDefaults = ({
  transport = 'tcp',
  codecs = DEFAULT_RTP_CODECS,
  variant = 'Largest',
  trust = new CameraTrust(),
}: Given): SourceOptions => ({
  ...{ transport, codecs, variant, trust },
})

/** What spec.source says. Throws an Error that says what is wrong with it. */
export function sourceOf({ url, onvif, ...options }: Given & { url?: string | undefined; onvif?: OnvifSource | undefined }): Source {
  if (url !== undefined && onvif === undefined) return parseSource(url, options)
  if (url === undefined && onvif !== undefined) return onvifSource(onvif, withDefaults(options))
  throw new Error(`spec.source.url: ${url === undefined ? 'url or onvif is required' : 'must be exactly one of url and onvif'}`)
}

/** What spec.source.substream says: the same camera, with the same options. Throws an Error that says what is wrong with it. */
export function substreamOf({ url: _url, onvif, ...options }: Parameters<typeof sourceOf>[0], { url, profile }: SubstreamSource): Source {
  const where = 'spec.source.substream'
  if ((url === undefined) === (profile === undefined)) throw new Error(`${where}: must be exactly one of url and profile`)
  if (profile !== undefined && onvif === undefined) throw new Error(`${where}.profile: needs spec.source.onvif, whose profile it is`)
  try {
    return profile !== undefined && onvif !== undefined
      ? sourceOf({ ...options, onvif: { ...onvif, profile } })
      : sourceOf({ ...options, url })
  } catch (error) {
    throw new Error(messageOf(error).replace(/^spec\.source\.url/, `${where}.url`), { cause: error })
  }
}

/** Throws an Error that says what is wrong with `text`, without repeating it. */
export function parseSource(text: string, options: Given = {}): Source {
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u0020\u007f]/.test(text)) throw new Error('spec.source.url: control characters and spaces are not allowed')
  const lower = text.toLowerCase()
  const driver = DRIVERS.find(({ schemes }) => schemes.some(scheme => lower.startsWith(scheme)))
  if (driver === undefined) throw new Error(`spec.source.url: must start with ${SCHEMES}`)
  return driver.parse(text, withDefaults(options))
}

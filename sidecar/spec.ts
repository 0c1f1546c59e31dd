// The part of a Camera's spec that this process acts on. The schema proper has been applied before it comes here; what
// is checked again is what would do harm: what names places, becomes an argument, or removes files.
import * as v from 'valibot'
import { messageOf } from '../common/errors.ts'
import { CameraTrust } from '../common/net/camera-tls.ts'
import {
  isFingerprint,
  isVariant,
  parseBytes,
  parseDuration,
  RTP_CODECS,
  SPEC_DEFAULTS as DEFAULTS,
  STORAGES,
  TLS_VERSIONS,
  TRANSPORTS,
  VARIANT_RULE,
  type Storage,
  type SubstreamSource,
  type Variant,
} from '../proto/camera.ts'
import { MaxFps, Scale } from '../proto/state.ts'
import type { ArchiveConfig } from './archive/archive.ts'
import type { Source } from './source/drivers/driver.ts'
import { sourceOf, substreamOf } from './source/source.ts'

export type SpecConfig = {
  source: Source
  /** A smaller stream of the same camera. */
  substream: Source | undefined
  /** Whose certificate is taken for the camera's. */
  trust: CameraTrust
  decoding: { scale: string | undefined; maxFps: number | undefined; keyFramesOnly: boolean }
  buffer: { durationMs: number; maxBytes: number; storage: Storage; replicas: number }
  archive: Omit<ArchiveConfig, 'dir'> | undefined
  proxy: { enabled: boolean } | undefined
}

const OPERAND = '([0-9]+([.][0-9]+)?|iw|ih|ow|oh|in_w|in_h|out_w|out_h|a|sar|dar|(abs|ceil|floor|round|sqrt|trunc)?[(]|[-+*/)])+'
/** As in the schema: it becomes a part of ffmpeg's filter, where a comma would begin another. */
export const SCALE = new RegExp(`^${OPERAND}:${OPERAND}$`)

const Spec = v.object({
  source: v.object({
    url: v.optional(v.string()),
    onvif: v.optional(
      v.object({
        address: v.optional(v.pipe(v.string(), v.maxLength(512))),
        uuid: v.optional(v.pipe(v.string(), v.maxLength(128))),
        cidrs: v.optional(v.array(v.string())),
        profile: v.optional(v.string(), DEFAULTS.source.onvif.profile),
      }),
    ),
    substream: v.optional(v.object({ url: v.optional(v.string()), profile: v.optional(v.pipe(v.string(), v.maxLength(64))) })),
    transport: v.optional(v.picklist(TRANSPORTS), DEFAULTS.source.transport),
    codecs: v.optional(v.array(v.picklist(RTP_CODECS))),
    variant: v.optional(v.custom<Variant>(isVariant, VARIANT_RULE)),
    tls: v.optional(
      v.object({
        sha256: v.optional(v.pipe(v.string(), v.check(isFingerprint, 'must be the SHA-256 fingerprint of a certificate'))),
        trustOnFirstUse: v.optional(v.boolean(), DEFAULTS.source.tls.trustOnFirstUse),
        minVersion: v.optional(v.picklist(TLS_VERSIONS), DEFAULTS.source.tls.minVersion),
      }),
      {},
    ),
  }),
  decoding: v.optional(
    v.object({
      scale: v.optional(v.pipe(Scale, v.regex(SCALE, 'must be an ffmpeg scale expression of two parts'))),
      maxFps: v.optional(MaxFps),
      keyFramesOnly: v.optional(v.boolean(), DEFAULTS.decoding.keyFramesOnly),
    }),
    {},
  ),
  buffer: v.optional(
    v.object({
      duration: v.optional(v.string(), DEFAULTS.buffer.duration),
      maxBytes: v.optional(v.string(), DEFAULTS.buffer.maxBytes),
      storage: v.optional(v.picklist(STORAGES), DEFAULTS.buffer.storage),
      replicas: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(5)), 1),
    }),
    {},
  ),
  archive: v.optional(
    v.object({
      segment: v.optional(v.string(), DEFAULTS.archive.segment),
      retention: v.optional(v.string(), DEFAULTS.archive.retention),
      maxBytes: v.optional(v.string()),
    }),
  ),
  proxy: v.optional(v.object({ enabled: v.optional(v.boolean(), DEFAULTS.proxy.enabled) })),
})

/** Calls `problem` for each thing that is wrong; undefined when anything is. */
export function readSpec(value: unknown, caFile: string | undefined, problem: (reason: string) => void): SpecConfig | undefined {
  const parsed = v.safeParse(Spec, value)
  if (!parsed.success) {
    for (const issue of parsed.issues) problem(`spec.${v.getDotPath(issue) ?? ''}: ${issue.message}`)
    return undefined
  }
  const { source, decoding, buffer, archive, proxy } = parsed.output
  let sound = true
  const read = <T>(parse: () => T): T | undefined => {
    try {
      return parse()
    } catch (error) {
      sound = false
      problem(messageOf(error))
      return undefined
    }
  }
  const amount = (name: string, text: string, parse: (text: string) => number) => read(() => positive(name, text, parse)) ?? 0
  const { tls, substream, ...from } = source
  const trust = new CameraTrust({ caFile, sha256: tls.sha256, firstUse: tls.trustOnFirstUse, minVersion: tls.minVersion })
  const config = {
    trust,
    source: read(() => sourceOf({ ...from, trust } as Parameters<typeof sourceOf>[0])),
    substream: substream && read(() => substreamOf({ ...from, trust } as Parameters<typeof sourceOf>[0], substream as SubstreamSource)),
    decoding: { scale: decoding.scale, maxFps: decoding.maxFps, keyFramesOnly: decoding.keyFramesOnly },
    buffer: {
      durationMs: amount('spec.buffer.duration', buffer.duration, parseDuration),
      maxBytes: amount('spec.buffer.maxBytes', buffer.maxBytes, parseBytes),
      storage: buffer.storage,
      replicas: buffer.replicas,
    },
    // Strict, as files are removed by it: no duration that can't be read, and none that keeps nothing.
    archive: archive && {
      segmentMs: archive.segment === 'GOP' ? undefined : amount('spec.archive.segment', archive.segment, parseDuration),
      retentionMs: amount('spec.archive.retention', archive.retention, parseDuration),
      maxBytes: archive.maxBytes === undefined ? undefined : amount('spec.archive.maxBytes', archive.maxBytes, parseBytes),
    },
    proxy: proxy && { enabled: proxy.enabled },
  }
  return sound && config.source !== undefined ? { ...config, source: config.source } : undefined
}

/** Throws an Error that says which field it is that can't be read. */
function positive(name: string, text: string, parse: (text: string) => number): number {
  let amount
  try {
    amount = parse(text)
  } catch (error) {
    throw new Error(`${name}: ${messageOf(error)}`, { cause: error })
  }
  if (amount <= 0) throw new Error(`${name}: must be more than nothing`)
  return amount
}

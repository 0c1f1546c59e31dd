// What processes tell each other about cameras, in JetStream KV or in short messages. Every value is checked when it is read.
import * as v from 'valibot'
import type { AnyReason } from './reasons.ts'
import { PLACEMENTS, SPEC_BOUNDS } from './camera.ts'
import type { DiscoveryReport } from './discovery.ts'
import { FITS, PIXEL_FORMATS, RENDITIONS_MAX, SIDE_MAX } from './rendition.ts'
import { isLabelKey, isLabelValue, LABELS_MAX } from './labels.ts'
import { isCameraName, isNamespace } from './subjects.ts'

/** Characters of a sentence that says why. Longer ones are not believed: who writes one cuts it. */
export const MESSAGE_MAX = 1_024

const text = (max: number) => v.pipe(v.string(), v.maxLength(max))
const count = v.pipe(v.number(), v.integer(), v.minValue(0))
const ms = v.pipe(v.number(), v.minValue(0))
/** Open text: a newer process may know more reasons. */
const reasonText = v.pipe(
  text(128),
  v.transform(said => said as AnyReason),
)

export const Scale = text(SPEC_BOUNDS.scale.lengthMax)
export const MaxFps = v.pipe(v.number(), v.minValue(SPEC_BOUNDS.maxFps.min), v.maxValue(SPEC_BOUNDS.maxFps.max))

/** Of a Camera. */
const Labels = v.pipe(
  v.record(v.pipe(v.string(), v.check(isLabelKey)), v.pipe(v.string(), v.check(isLabelValue))),
  v.check(labels => Object.keys(labels).length <= LABELS_MAX),
)

const PodState = v.object({
  /** Why no container runs, such as PodPending, ImagePullBackOff or OOMKilled; absent while one runs. */
  reason: v.optional(reasonText),
  message: v.optional(text(MESSAGE_MAX)),
  running: v.boolean(),
  /** Terminated and not coming back. */
  dead: v.boolean(),
  /** Of the container's last termination; 0 before any. */
  exitCode: v.pipe(v.number(), v.integer()),
  oomKilled: v.boolean(),
  restarts: count,
  node: v.optional(text(253)),
})

/** operator (local mode: supervisor) → `cameras` bucket. */
export const CameraRecord = v.object({
  v: v.literal(1),
  uid: text(64),
  namespace: v.pipe(v.string(), v.check(isNamespace)),
  name: v.pipe(v.string(), v.check(isCameraName)),
  generation: count,
  labels: v.optional(Labels),
  suspended: v.boolean(),
  decoding: v.object({
    scale: v.optional(Scale),
    maxFps: v.optional(MaxFps),
    keyFramesOnly: v.boolean(),
    placement: v.picklist(PLACEMENTS),
  }),
  bufferScale: v.optional(Scale),
  proxy: v.object({ hasTarget: v.boolean(), enabled: v.boolean() }),
  archive: v.boolean(),
  /** The camera has a smaller stream. */
  substream: v.optional(v.literal(true)),
  pod: PodState,
  /** The API server rejects what the operator applies. A pod that runs is as it was before. */
  problem: v.optional(v.object({ reason: reasonText, message: text(MESSAGE_MAX) })),
})
export type CameraRecord = v.InferOutput<typeof CameraRecord>

/** As ffmpeg has it: a fraction's parts are 32-bit integers. */
const ticks = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(2 ** 31 - 1))

/** The codec of one epoch. */
export const Codec = v.object({
  /** ffmpeg's name: h264, hevc, mjpeg, av1 … */
  name: text(32),
  longName: text(256),
  width: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_535)),
  height: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_535)),
  /** Of the compressed stream. */
  pixFmt: text(32),
  /** Parameter sets as the container carries them, base64. */
  extradata: text(65_536),
  /** Seconds per tick, as a fraction. */
  timeBase: v.tuple([ticks, ticks]),
  /** How many frames the decoder must hold back to put them in presentation order. */
  reorder: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(16)),
})
export type Codec = v.InferOutput<typeof Codec>

/** What an ONVIF device says of itself. */
export const DeviceReport = v.object({
  maker: text(128),
  model: text(128),
  firmware: text(128),
  serial: text(128),
  /** The token of the profile in use. */
  profile: text(64),
  /** Of a still image, without credentials. */
  snapshotUrl: v.optional(text(512)),
})
export type DeviceReport = v.InferOutput<typeof DeviceReport>

/** Of the last connection to the camera, where that has TLS. */
export const TlsReport = v.object({
  verified: v.picklist(['Authority', 'Fingerprint', 'FirstUse', 'None']),
  /** Of the camera's certificate, as hexadecimal digits. */
  sha256: text(64),
  version: text(16),
})
export type TlsReport = v.InferOutput<typeof TlsReport>

/** How a part of a camera's work fares that is always wanted. */
const Part = v.object({
  /** False: wanted and not working; see reason. */
  ok: v.boolean(),
  reason: v.optional(reasonText),
  message: v.optional(text(MESSAGE_MAX)),
})

/** Something that is not always wanted, such as decoding: `active` while it runs, `ok` false when it is wanted and does not work. */
const Activity = v.object({ active: v.boolean(), ...Part.entries })
export type Activity = v.InferOutput<typeof Activity>

/** `off`: it is not connected, as nothing wants it. The codec is of the last connection. */
export const SubstreamState = v.object({
  connection: v.picklist(['off', 'connecting', 'streaming', 'waiting']),
  reason: v.optional(reasonText),
  message: v.optional(text(MESSAGE_MAX)),
  codec: v.optional(Codec),
  fps: v.number(),
  lastPacketAt: v.optional(ms),
})
export type SubstreamState = v.InferOutput<typeof SubstreamState>

/** sidecar → `states` bucket: on change, and at least every 5 s as a heartbeat. */
export const CameraState = v.object({
  v: v.literal(1),
  uid: text(64),
  /** When this sidecar process started, ms since the epoch. */
  run: ms,
  /** When this was written, by the sidecar's clock. */
  at: ms,
  /** `streaming`: packets flow. `waiting`: backing off after a failure. */
  connection: v.picklist(['connecting', 'streaming', 'waiting']),
  /** Of the last failure; absent while streaming: ConnectionRefused, AuthFailed … */
  reason: v.optional(reasonText),
  message: v.optional(text(MESSAGE_MAX)),
  /** Failed attempts to connect in a row. */
  failingStreak: count,
  reconnects: count,
  /** The camera's ffmpeg; 0 when none. */
  pid: count,
  /** Start of the current epoch, ms since the epoch; its name. 0 before the first. */
  epoch: ms,
  codec: v.optional(Codec),
  device: v.optional(DeviceReport),
  tls: v.optional(TlsReport),
  /** Packets per second, over the last seconds. */
  fps: v.number(),
  bitsPerSecond: v.number(),
  lastPacketAt: v.optional(ms),
  decoding: Activity,
  buffer: Part,
  /** Packets are published also while the buffer takes none. Absent: they are not, as in sidecars of 0.2.0. */
  publishesUnstored: v.optional(v.literal(true)),
  /** It makes renditions that a Demand asks for. Absent: it does not, as sidecars of 0.2.0. */
  makesRenditions: v.optional(v.literal(true)),
  /** Absent where the spec asks for none. */
  proxy: v.optional(Activity),
  archive: v.optional(Activity),
  substream: v.optional(SubstreamState),
})
export type CameraState = v.InferOutput<typeof CameraState>

/** gateway → `switches` bucket: what the Proxy and Storage calls decided. */
export const CameraSwitches = v.object({
  v: v.literal(1),
  uid: text(64),
  /** `base`: spec.proxy.enabled when the call was made. The switch holds while the spec still says that: editing it resets the switch. */
  proxy: v.optional(v.object({ on: v.boolean(), base: v.boolean() })),
  /** The last wish that the cloud accepted. */
  storage: v.optional(v.boolean()),
})
export type CameraSwitches = v.InferOutput<typeof CameraSwitches>

/** Whether to forward the stream now. */
export function proxyWanted(uid: string, specEnabled: boolean, switches: CameraSwitches | undefined): boolean {
  const held = switches?.uid === uid ? switches.proxy : undefined
  return held !== undefined && held.base === specEnabled ? held.on : specEnabled
}

/** sidecar → gateway, the answer on the stream key subject: the last path element of the camera's RTMP URL, which only its pod can read. */
export const StreamKey = v.object({ v: v.literal(1), uid: text(64), streamKey: v.optional(text(1024)), reason: v.optional(text(256)) })
export type StreamKey = v.InferOutput<typeof StreamKey>

/** sidecar → operator, on the buffer subject: the camera's packet stream is wanted, as its spec says. */
export const BufferRequest = v.object({ v: v.literal(1), uid: text(64) })
export type BufferRequest = v.InferOutput<typeof BufferRequest>

/** operator → sidecar, the answer: it is there, or why not. */
export const BufferReply = v.object({
  v: v.literal(1),
  uid: text(64),
  ...Part.entries,
})
export type BufferReply = v.InferOutput<typeof BufferReply>

/** sidecar ↔ sidecar, in the `leases` bucket: who may open the camera. */
export const CameraLease = v.object({
  v: v.literal(1),
  uid: text(64),
  /** A pod's name: its container's next process is the same holder, and need not wait. Empty: released. */
  holder: text(253),
  /** Of all processes only this one. */
  process: text(64),
  /** The last epoch that was begun, by this holder or one before; 0 before the first. */
  epoch: ms,
  /** With trust on first use: the fingerprint of the certificate that the first connection showed. */
  certificate: v.optional(text(64)),
})
export type CameraLease = v.InferOutput<typeof CameraLease>

/** Under a deleted camera's user's public key. In seconds since the epoch: when it was revoked, and when the last of its tokens expires. */
export const Revocation = v.object({ v: v.literal(1), at: count, until: count })
export type Revocation = v.InferOutput<typeof Revocation>

const side = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(SIDE_MAX))
const pixel = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_535))

/** A rendition that is wanted of a sidecar. */
const WantedRendition = v.object({
  rendition: v.object({
    width: side,
    height: side,
    fit: v.picklist(FITS),
    padColor: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0xff_ff_ff)),
    region: v.optional(v.object({ x: pixel, y: pixel, width: pixel, height: pixel })),
    format: v.picklist(PIXEL_FORMATS),
    quality: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100)),
  }),
  wants: v.picklist(['all', 'keyframes']),
  maxFps: v.optional(v.pipe(v.number(), v.gtValue(0), v.maxValue(1_000))),
})
export type WantedRendition = v.InferOutput<typeof WantedRendition>

/**
 * gateway → sidecar, on the demand subject, every second while clients ask: what it wants decoded there. Of the substream: that its packets
 * are wanted.
 */
export const Demand = v.object({
  v: v.literal(1),
  gateway: text(64),
  /** Absent: of the main stream. */
  stream: v.optional(v.literal('sub')),
  /** The frames of the Image service. `none`: not from the sidecar. */
  wants: v.picklist(['all', 'keyframes', 'none']),
  /** So many frames a second are enough. */
  maxFps: v.optional(v.pipe(v.number(), v.minValue(0.1), v.maxValue(1_000))),
  /** The last frame that the gateway took: it waits for no more than a few beyond it. `run`: how often it began to
   * listen; what was sent before is not waited for. Absent: a gateway of 0.2.0, which never says. */
  taken: v.optional(v.object({ epoch: count, seq: count, run: count })),
  /** How it goes where the gateway decodes by itself, so that the camera's status tells it. */
  decoding: v.optional(Activity),
  /** Renditions that the sidecar is to make. */
  renditions: v.optional(v.pipe(v.array(WantedRendition), v.maxLength(RENDITIONS_MAX))),
  /** Bytes a second of all frames that this gateway's consumers want, wherever they are decoded. Absent: it wants none, or does not know. */
  rate: v.optional(count),
})
export type Demand = v.InferOutput<typeof Demand>

/** gateway → operator, every 5 s while annotations are not stored or were lost; without `annotations` that is over. */
export const GatewayProblem = v.object({
  v: v.literal(1),
  gateway: text(64),
  annotations: v.optional(v.object({ reason: reasonText, message: text(MESSAGE_MAX) })),
})
export type GatewayProblem = v.InferOutput<typeof GatewayProblem>

export function encodeState(
  value:
    | CameraRecord
    | GatewayProblem
    | CameraState
    | CameraSwitches
    | CameraLease
    | DiscoveryReport
    | Demand
    | StreamKey
    | BufferRequest
    | BufferReply,
): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}

// Where one camera's frames come from now, by what is known of it, of other gateways, and of what there is room for.
import { IMAGE_KEY, RENDITIONS_MAX } from '../../proto/rendition.ts'
import type { Admission, Cost } from './admission.ts'
import type { CameraFrames } from './camera-frames.ts'
import { GatewayDecoder } from './gateway-decoder.ts'
import type { OtherWishes } from './other-gateways.ts'
import { decide, rawRate, type Decision } from './placement.ts'

/** What failed here is left to the camera's own pod for so long. */
const FAILED_MS = 60_000

export type Placing = { readonly admission: Admission; readonly others: OtherWishes; readonly rawRateMax: number }

/** What is known of what the camera costs, by its sidecar's last report. */
export function costOf(camera: CameraFrames, nowMs: number): Cost {
  const { known, rate } = camera
  const state = known.report?.state
  if (state !== undefined) rate.learn(state)
  const wants = { wants: camera.wants(nowMs), imageWants: camera.imageWants(nowMs) }
  return { codec: state?.codec, fps: rate.fps, decoding: known.record.decoding, ...wants }
}

/** `renditionsRate`: bytes a second of renditions that its pod makes, where it does. */
export function place(camera: CameraFrames, cost: Cost, placing: Placing, nowMs: number): { decision: Decision; renditionsRate: number } {
  const { admission, others, rawRateMax } = placing
  const { known, upstreams, takes } = camera
  const state = known.report?.state
  const here = upstreams.all.find(upstream => upstream instanceof GatewayDecoder)
  if (here !== undefined && (here.isClosed || here.hasFailed(nowMs))) camera.failedHereUntilMs = nowMs + FAILED_MS
  const demand = camera.demand(nowMs)
  const ofRenditions = demand.filter(({ key }) => key !== IMAGE_KEY)
  const renditionsRate = (ofRenditions.length > 0 && madeThere(camera, cost, placing, nowMs)) || 0
  const decision = decide({
    placement: cost.decoding.placement,
    rawRate: rawRate(cost.codec, cost.fps, demand),
    rawRateMax,
    others: others.upTo(rawRateMax, camera.ref, nowMs),
    before: upstreams.wanted?.where,
    hasRenditions: ofRenditions.length > 0 && renditionsRate === 0,
    hasImage: cost.imageWants !== 'none',
    hasPackets: state === undefined || state.buffer.ok || state.publishesUnstored === true,
    here: admission.here(cost, takes),
    raw: admission.sent(cost, takes),
    failedHere: nowMs < camera.failedHereUntilMs,
  })
  return { decision, renditionsRate }
}

/** Bytes a second of the renditions, where the camera's pod makes them: several gateways want small frames, and it has room for all of them. */
function madeThere(camera: CameraFrames, { codec, fps, decoding }: Cost, { admission, others, rawRateMax }: Placing, nowMs: number) {
  const demand = camera.demand(nowMs)
  const rate = rawRate(codec, fps, demand)
  const isSmall = rate !== undefined && rate <= rawRateMax && others.upTo(rawRateMax, camera.ref, nowMs) > 0
  if (!isSmall || decoding.placement !== 'Auto' || camera.known.report?.state.makesRenditions !== true) return undefined
  const ofRenditions = demand.filter(({ key }) => key !== IMAGE_KEY)
  const keys = new Set([...ofRenditions.map(({ key }) => key), ...others.renditionsBefore(camera.ref, nowMs)])
  const rateOfThem = rawRate(codec, fps, ofRenditions) ?? Infinity
  return keys.size <= RENDITIONS_MAX && admission.madeThere(rateOfThem, camera.takes) ? rateOfThem : undefined
}

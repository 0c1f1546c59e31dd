// What a camera's sidecar is told: what it is to decode, and how decoding here goes. And why consumers get no frames.
import type { Activity, Demand } from '../../proto/state.ts'
import type { Admission } from './admission.ts'
import type { CameraFrames } from './camera-frames.ts'
import { costOf } from './camera-placement.ts'
import { wantedRenditions } from './demand.ts'
import { GatewayDecoder } from './gateway-decoder.ts'
import { rawRate, type Decision, type Room } from './placement.ts'
import type { Why } from './rendition-frames.ts'

/** `isSent`: frames come from the sidecar, or still do. */
export type Told = { readonly demand: Demand; readonly isSent: boolean; readonly why: CameraFrames['why'] }

export function sidecarDemand(gateway: string, camera: CameraFrames, decision: Decision, admission: Admission, nowMs: number): Told {
  const { upstreams } = camera
  const { stream } = streamIn(camera)
  const { codec, fps, imageWants } = costOf(camera, nowMs)
  const isSent = upstreams.all.some(({ where }) => where === 'Sidecar')
  const room = decision === 'refused' ? 'none' : decision.room
  const wants = isSent ? (room === 'keyframes' && imageWants === 'all' ? 'keyframes' : imageWants) : 'none'
  const maxFps = isSent ? maxFpsOf(room) : undefined
  const here = upstreams.wanted instanceof GatewayDecoder ? upstreams.wanted.report(nowMs) : undefined
  const decoding = room === 'all' ? here : shortage(camera, room, here, admission, nowMs)
  const wanted = camera.demand(nowMs)
  const isSidecars = decision !== 'refused' && decision.where === 'Sidecar'
  const madeThere = isSidecars && isSent && camera.known.report?.state.makesRenditions === true ? wantedRenditions(wanted) : []
  const isMissing = isSidecars && camera.hasRenditions(nowMs) && madeThere.length === 0
  const image = decoding === undefined || decoding.ok ? undefined : { reason: decoding.reason ?? '', message: decoding.message ?? '' }
  const bytes = rawRate(codec, fps, wanted)
  const ofMain: Demand = {
    ...{ v: 1, gateway, wants, maxFps },
    ...(decoding === undefined ? {} : { decoding }),
    ...(madeThere.length === 0 ? {} : { renditions: madeThere }),
    ...(bytes === undefined ? {} : { rate: Math.round(bytes) }),
  }
  // Of the substream only packets are wanted, and how its decoding goes is no matter of the main one.
  const demand: Demand = stream === undefined ? ofMain : { v: 1, gateway, stream, wants: camera.wants(nowMs) }
  return { demand, isSent, why: { image, renditions: isMissing ? whyNoRenditions(camera, admission, nowMs) : image } }
}

export const streamIn = ({ known: { stream } }: CameraFrames) => (stream === undefined ? {} : { stream })

const maxFpsOf = (room: Room): number | undefined => (typeof room === 'object' ? room.maxFps : undefined)

/** The sidecar makes none, and they are not made here. */
function whyNoRenditions({ known, failedHereUntilMs }: CameraFrames, { busy }: Admission, nowMs: number): Why {
  const buffer = known.report?.state.buffer
  if (nowMs < failedHereUntilMs)
    return { reason: 'NoDecodableFrames', message: 'decoding in the gateway failed and is tried again within a minute' }
  if (buffer?.ok === false)
    return { reason: buffer.reason ?? 'NoPackets', message: buffer.message ?? 'the camera’s packets are not published' }
  return { reason: 'DecodersBusy', message: busy }
}

/** What is given fewer frames, or none; what is wrong with its decoder counts more. */
function shortage(camera: CameraFrames, room: Room, here: Activity | undefined, admission: Admission, nowMs: number): Activity {
  if (here?.ok === false) return here
  const given =
    room === 'none' ? '' : room === 'keyframes' ? 'only keyframes are given: ' : `only ${maxFpsOf(room)} frames a second are given: `
  const message = given + admission.why(costOf(camera, nowMs), camera.takes)
  return { active: here?.active ?? false, ok: false, reason: 'DecodersBusy', message }
}

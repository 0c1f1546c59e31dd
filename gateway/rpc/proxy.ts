// Proxy: switches the forwarding of the camera's encoded stream. The camera's sidecar does it; the switch is remembered.
import { messageOf } from '../../common/errors.ts'
import type { Nats } from '../../common/nats/connect.ts'
import type { ProxyRequest__Output } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/ProxyRequest.ts'
import type { ProxyResponse } from '../../proto/generated/chrys/cloud/videostreaming/v1beta1/ProxyResponse.ts'
import type { VisibleCameras } from '../access/visible-cameras.ts'
import type { Caller } from './calls.ts'
import { Refusal } from '../refusal.ts'
import { changeSwitches } from '../switches.ts'

export type ProxyParts = { cameras: VisibleCameras; link: () => Nats | undefined }

export async function setProxy(
  { device_id, passthrough }: ProxyRequest__Output,
  { cameras, link }: ProxyParts,
  caller: Caller,
): Promise<ProxyResponse> {
  const camera = await cameras.resolve(caller, device_id, 'forwarding')
  const { hasTarget, enabled } = camera.record.proxy
  if (passthrough && !hasTarget) {
    throw new Refusal(
      'precondition',
      `camera "${device_id}" has nowhere to forward to: set spec.proxy.urlSecretRef to a Secret with the RTMP server's URL`,
    )
  }
  const nats = link()
  if (nats === undefined || !nats.connected()) throw new Refusal('unavailable', 'NATS is unreachable')
  try {
    // What the spec says needs no switch.
    const proxy = passthrough === enabled ? undefined : { on: passthrough, base: enabled }
    await changeSwitches(nats, camera, () => ({ proxy }))
  } catch (error) {
    throw new Refusal('unavailable', `the switch could not be stored: ${messageOf(error)}`)
  }
  return { device_id, passthrough }
}

import { sealFrame } from '../../proto/frame.ts'
import type { LiveFrame } from '../../proto/rendition.ts'
import type { Codec } from '../../proto/state.ts'
import type { DecodedFrame } from './decoder.ts'
import { ticksToSeconds } from './timebase.ts'

/** A decoded picture as the VideoFrame that clients receive, serialized in the buffer it was decoded into (FRAME_ROOM around it). */
export function sealDecoded(
  { packet, width, height, key, type, corrupt, buffer, offset }: DecodedFrame,
  codec: Codec,
  deviceId: string,
): Buffer {
  return sealFrame(buffer, offset, width * height * 3, {
    width,
    height,
    timestamp: packet.timestamp,
    isKeyframe: key,
    pts: packet.pts,
    dts: packet.dts,
    frameType: type,
    isCorrupt: corrupt,
    timeBase: ticksToSeconds(1, codec.timeBase),
    deviceId,
    packet: packet.index,
    keyframe: packet.keyframe,
    codecName: codec.name,
    pixFmt: codec.pixFmt,
  })
}

/** A decoded frame as consumers of any transport get it. */
export function toLiveFrame(frame: DecodedFrame, rest: Pick<LiveFrame, 'geometry' | 'gap' | 'message' | 'lease'>): LiveFrame {
  const { packet, width, height, format, key, corrupt, buffer, offset, size } = frame
  const { epoch, keyframe, index, timestamp, camera } = packet
  const data = buffer.subarray(offset, offset + size)
  return { epoch, keyframe, index, timestamp, camera, key, corrupt, width, height, format, data, ...rest }
}

/** ffmpeg's long names of the codecs that cameras send. */
const LONG_NAMES: Readonly<Record<string, string>> = {
  h264: 'H.264 / AVC / MPEG-4 AVC / MPEG-4 part 10',
  hevc: 'H.265 / HEVC (High Efficiency Video Coding)',
  mjpeg: 'Motion JPEG',
  av1: 'Alliance for Open Media AV1',
  mpeg4: 'MPEG-4 part 2',
  mpeg2video: 'MPEG-2 video',
  mpeg1video: 'MPEG-1 video',
  vp8: 'On2 VP8',
  vp9: 'Google VP9',
}

/** The codec's name itself for one that is not known here. */
export const codecLongName = (name: string): string => LONG_NAMES[name] ?? name

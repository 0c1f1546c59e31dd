// Frames of one rendition → NATS. They are small: a gateway asks a sidecar for no others.
import type { Logger } from '../../common/log.ts'
import type { Nats } from '../../common/nats/connect.ts'
import { renditionMessages } from '../../proto/messages.ts'
import type { LiveFrame } from '../../proto/rendition.ts'
import { renditionSubject, type CameraRef } from '../../proto/subjects.ts'
import type { Metrics } from '../metrics.ts'
import { NewestWins } from './newest-wins.ts'

export type RenditionPublisher = NewestWins<LiveFrame & { seq: number }>

export const renditionPublisher = (
  nats: Nats,
  camera: CameraRef & { uid: string },
  key: string,
  metrics: Metrics,
  log: Logger,
): RenditionPublisher =>
  new NewestWins({
    ...{ nats, subject: renditionSubject(camera, key), metrics, log },
    bytesOf: ({ data }) => data.length,
    messagesOf: (frame, payloadMax) => renditionMessages(camera.uid, frame, frame.seq, payloadMax),
  })

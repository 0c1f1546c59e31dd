// The camera's one connection: a loop that connects, watches, names the cause of every end and tries again.
import type { BlockList } from 'node:net'
import { retryDelayMs } from '../../common/backoff.ts'
import type { Failure } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import { sleep } from '../../common/abort.ts'
import type { Packet } from '../../proto/messages.ts'
import type { Codec, DeviceReport } from '../../proto/state.ts'
import { credentialsChanged, type Credentials } from '../../common/net/credentials.ts'
import type { SidecarConfig } from '../config.ts'
import { Session } from './session.ts'
import { newTraits } from './traits.ts'

export type Connection = 'connecting' | 'streaming' | 'waiting'

export type IngestState = {
  connection: Connection
  pid: number
  failingStreak: number
  /** Why it is not streaming, where that is news. */
  failure?: Failure | undefined
}

export type IngestEvents = {
  onPacket: (packet: Packet, codec: Codec, newEpoch: boolean) => void
  onState: (state: IngestState) => void
  /** What the camera says of itself. */
  onDevice: (device: DeviceReport) => void
  /** The connection ended, to be taken up again at once. */
  onRestart: (why: Failure) => void
}

/** Streaming for this long means that the next failure is a new one. */
const HEALTHY_MS = 10_000
/** After a failure packets must come for so long before the failures count as over. */
const STEADY_MS = 2_000
/** Of the first try after a stream. */
const HURRY = 3
const AUTH_RETRY_MIN_MS = 60_000
/** Restarts in quicker succession are failures like others. */
const RESTART_SPACING_MS = 5_000

/** Runs until `signal` aborts. Epochs are later than `lastEpoch`. */
export async function ingest(
  config: SidecarConfig,
  deny: BlockList,
  lastEpoch: number,
  events: IngestEvents,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const traits = newTraits()
  let epoch = lastEpoch
  let attempt = 0
  let failingStreak = 0
  let restartedAt = -Infinity
  while (!signal.aborted) {
    let credentials: Credentials | undefined
    events.onState({ connection: 'connecting', pid: 0, failingStreak })
    const session = new Session(config, deny, traits, epoch, failingStreak > 0 ? STEADY_MS : 0, {
      onPacket: events.onPacket,
      onStreaming: pid => {
        failingStreak = 0
        events.onState({ connection: 'streaming', pid, failingStreak })
      },
      onWaiting: (pid, failure) => events.onState({ connection: 'connecting', pid, failingStreak, failure }),
      onCredentials: known => (credentials = known),
      onDevice: events.onDevice,
    })
    const { failure, restart } = await session.run(log, signal)
    epoch = session.lastEpoch
    if (signal.aborted) return
    if (session.streamedMs >= HEALTHY_MS) attempt = 0
    if (restart && performance.now() - restartedAt >= RESTART_SPACING_MS) {
      restartedAt = performance.now()
      log.info({ reason: failure.reason }, failure.message)
      events.onRestart(failure)
      continue
    }
    failingStreak++
    // A stream that broke is wanted back sooner than a camera that never came.
    const hurry = attempt === 0 && session.streamedMs > 0 ? HURRY : 1
    const delayMs = Math.max(retryDelayMs(attempt++) / hurry, /^(Onvif)?AuthFailed$/.test(failure.reason) ? AUTH_RETRY_MIN_MS : 0)
    log.warn({ reason: failure.reason, failingStreak, retryInMs: delayMs }, failure.message)
    events.onState({ connection: 'waiting', pid: 0, failingStreak, failure })
    await waitForRetry(config, credentials, delayMs, signal)
  }
}

/** The wait ends early when the credentials change: what failed with the old ones may work now. */
async function waitForRetry({ credentialsDir }: SidecarConfig, known: Credentials | undefined, delayMs: number, signal: AbortSignal) {
  const over = new AbortController()
  const either = AbortSignal.any([signal, over.signal])
  const waits = [sleep(delayMs, either), ...(credentialsDir === undefined ? [] : [credentialsChanged(credentialsDir, known, either)])]
  await Promise.race(waits)
  over.abort()
  await Promise.all(waits)
}

// Python clients, each a process with a connection of its own, and what they saw.
import { fileURLToPath } from 'node:url'
import { startPython } from '../test/fixtures/python.ts'
import { until, within } from '../test/fixtures/wait.ts'
import { percentile } from './statistics.ts'

const FIRST_FRAME_MS = 60_000

/** Times in ms since the epoch. `bytes`: of the frame or its packet, `sent`: of the message, where the client says. */
export type Seen = { receivedMs: number; timestamp: number; pts: number; bytes: number; sent: number }

export type Client = AsyncDisposable & {
  readonly pid: number
  /** What came so far. */
  readonly seen: readonly Seen[]
  /** From the first request to the first frame, in ms; waits for it. */
  firstFrameMs(): Promise<number>
  /** Resolves when the program has ended; rejects with what it complained of. */
  readonly finished: Promise<void>
}

/** `askAtMs`: when the first request is sent (ms since the epoch); at once unless given. `perSecond`: frames to take; 0 for every one. */
export const liveClient = (port: number, device: string, { askAtMs = 0, perSecond = 0 } = {}): Promise<Client> =>
  startClient('client.py', [String(port), device, 'live', String(Math.floor(askAtMs)), String(perSecond)])

/** The Python client of ours. */
export const edgeClient = (port: number, device: string, decode: 'gateway' | 'local'): Promise<Client> =>
  startClient('edge_client.py', [String(port), device, decode])

/** What is wanted of cameras by frames/v1, as the proto's Wish in JSON. */
export type WatchWish = Readonly<Record<string, unknown>>

export const watchClient = (port: number, wish: WatchWish): Promise<Client> => startClient('watch.py', [String(port), JSON.stringify(wish)])

/** Gets packets, and decodes them itself. */
export const packetsClient = (port: number, device: string): Promise<Client> => startClient('packets.py', [String(port), device])

/** OpenCV straight on the camera, with no part of ours. `width`: what each picture is scaled to; 0: as it is. Its timestamps are the stream's own. */
export const opencvClient = (url: string, { perSecond = 0, width = 0 } = {}): Promise<Client> =>
  startClient('opencv.py', [url, String(perSecond), String(width)])

/** `framesMax` 0: to the end. */
export const bufferedClient = (
  port: number,
  device: string,
  stretch: { fromMs: number; toMs: number; framesMax: number },
): Promise<Client> =>
  startClient('client.py', [
    ...[String(port), device, 'buffered'],
    ...[stretch.fromMs, stretch.toMs, stretch.framesMax].map(value => String(Math.floor(value))),
  ])

async function startClient(program: string, args: readonly string[]): Promise<Client> {
  const python = await startPython(fileURLToPath(new URL(program, import.meta.url)), args)
  const seen: Seen[] = []
  let askedMs: number | undefined
  const read = async () => {
    for await (const line of python.lines) {
      const [receivedMs = 0, timestamp, pts, bytes = 0, sent = NaN] = line.split(' ').map(Number)
      if (timestamp === undefined || pts === undefined) askedMs = receivedMs
      else seen.push({ receivedMs, timestamp, pts, bytes, sent })
    }
    await python.finished
  }
  const finished = read()
  let over = false
  finished.catch(() => {}).finally(() => (over = true)) // the one that waits for it hears of a failure
  let ended = false
  return {
    pid: python.pid,
    seen,
    finished,
    async firstFrameMs() {
      await until(() => seen[0] ?? over, { what: 'the first frame', timeoutMs: FIRST_FRAME_MS })
      if (seen[0] === undefined) await finished // says why
      if (seen[0] === undefined) throw new Error('the client ended without a frame')
      return (seen[0]?.receivedMs ?? NaN) - (askedMs ?? NaN)
    },
    async [Symbol.asyncDispose]() {
      if (ended) return
      ended = true
      await python[Symbol.asyncDispose]()
      await within(
        finished.catch(() => {}),
        { what: 'the client’s last line' },
      )
    },
  }
}

export type Delivery = {
  fps: number
  /** From capture, as the frame's timestamp says, to having been received, in ms. */
  latencyMs: { p50: number; p99: number }
  /** The same from the packet's arrival at the sidecar; NaN where that was not recorded. */
  fromArrivalMs: { p50: number; p99: number }
  /** Frames that the camera sent and this client did not get, as the gaps between their pts say. */
  missing: number
}

/** What one client got between two moments (ms since the epoch). `arrivals`: when the packets of frames arrived, by timestamp. */
export function delivery(
  seen: readonly Seen[],
  fromMs: number,
  toMs: number,
  fps: number,
  arrivals: ReadonlyMap<number, number> = new Map(),
): Delivery {
  const inTime = seen.filter(({ receivedMs }) => receivedMs >= fromMs && receivedMs < toMs)
  const sinceCapture = inTime.map(({ receivedMs, timestamp }) => receivedMs - timestamp)
  const sinceArrival = inTime.flatMap(({ receivedMs, timestamp }) => {
    const arrivedMs = arrivals.get(timestamp)
    return arrivedMs === undefined ? [] : [receivedMs - arrivedMs]
  })
  return {
    fps: rate(seen, fromMs, toMs),
    latencyMs: quantiles(sinceCapture),
    fromArrivalMs: quantiles(sinceArrival),
    missing: gaps(inTime, fps),
  }
}

const quantiles = (values: readonly number[]) => ({ p50: percentile(values, 0.5), p99: percentile(values, 0.99) })

/** RTP's clock for video. */
const PTS_PER_SECOND = 90_000

function gaps(seen: readonly Seen[], fps: number): number {
  const step = PTS_PER_SECOND / fps
  return seen.reduce(
    (missing, { pts }, i) => missing + (i === 0 ? 0 : Math.max(0, Math.round((pts - (seen[i - 1]?.pts ?? pts)) / step) - 1)),
    0,
  )
}

/** Frames a second that a client got between two moments (ms since the epoch). */
export const rate = (seen: readonly Seen[], fromMs: number, toMs: number): number =>
  (1000 * seen.filter(({ receivedMs }) => receivedMs >= fromMs && receivedMs < toMs).length) / (toMs - fromMs)

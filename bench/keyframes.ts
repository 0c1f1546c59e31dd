// Fifty cameras of which one client wants a small frame a second each: keyframes are enough.
import { startCameras } from '../test/fixtures/cameras.ts'
import { startGateway } from '../test/fixtures/gateway.ts'
import { startNats } from '../test/fixtures/nats.ts'
import { until } from '../test/fixtures/wait.ts'
import { PICTURES } from './chain.ts'
import { watchClient } from './clients.ts'
import { between, parseMetrics, total } from './counters.ts'
import type { Options } from './options.ts'
import { playCameras } from './played-cameras.ts'
import type { Measured } from './scenario.ts'
import { rolesText, spend } from './spend.ts'
import { figure } from './table.ts'
import type { Cast } from './usage.ts'

const { name: PICTURE, width, height, fps } = PICTURES['720p15']
const CAMERAS = 50
const CORES_MAX = 1

/** Cameras' packets come from this process, so that what is measured is the gateway: fifty sidecars would fill the machine. */
export async function measureKeyframes({ seconds, env }: Options): Promise<Measured> {
  await using nats = await startNats()
  await using cameras = await startCameras(nats.url)
  await using gateway = await startGateway(nats.url, { CHRYS_DECODERS_MAX: String(2 * CAMERAS), ...env })
  await until(() => gateway.ready(), { what: 'the gateway' })
  using _playing = await playCameras(cameras, CAMERAS, { width, height, fps, gop: fps })
  const wish = { selector: '', rendition: { width: 640 }, maxFps: 1 }
  await using client = await watchClient(gateway.port, wish)
  await client.firstFrameMs()
  await until(() => client.seen.length > 2 * CAMERAS, { what: 'frames of all cameras', timeoutMs: 120_000 })
  const cast: Cast = { camera: [], nats: [nats.pid], sidecars: [], gateways: [gateway.pid], clients: [client.pid] }
  const before = parseMetrics(await gateway.metrics())
  const spent = await spend(cast, [client], seconds)
  const counted = between(before, parseMetrics(await gateway.metrics()))
  const decoded = total(counted, 'chrysalis_frames_decoded_total') / total(counted, 'chrysalis_packets_received_total')
  const cores = ((spent.roles.gateway?.cpu ?? NaN) + (spent.roles['gateway ffmpeg']?.cpu ?? NaN)) / 100
  const { roles, noise, ageMs } = spent
  const memory = `${figure(roles.gateway?.rss)} / ${figure(roles['gateway ffmpeg']?.rss)}`
  return {
    tables: [
      {
        title: `One 640 wide frame a second of ${CAMERAS} cameras at ${PICTURE}, GOP 1 s, in one call`,
        rows: [
          ['frames/s', 'gateway and decoders, cores', 'decoded ÷ packets', 'age p50 / p95 ms', 'gateway / decoders, MB', 'noise %', ''],
          [
            ...[figure(spent.fps[0], 1), figure(cores, 2), figure(decoded, 3), `${figure(ageMs.p50)} / ${figure(ageMs.p95)}`],
            ...[memory, figure(noise), rolesText(roles)],
          ],
        ],
      },
    ],
    targets: [
      {
        what: `${CAMERAS} cameras, 1 frame a second: gateway with decoders ≤ ${CORES_MAX} core`,
        measured: figure(cores, 2),
        met: cores <= CORES_MAX,
      },
      {
        what: `${CAMERAS} cameras, 1 frame a second: all come`,
        measured: figure(spent.fps[0], 1),
        met: (spent.fps[0] ?? 0) >= 0.98 * CAMERAS,
      },
    ],
    figures: { spent, decoded },
  }
}

// One process per camera: its one connection → packets → the pipeline (pipeline.ts has the order).
import { aborted, runProcess } from '../common/abort.ts'
import { Failure } from '../common/errors.ts'
import { createLog } from '../common/log.ts'
import { reportConfinement } from '../common/media/confine.ts'
import type { CameraTrust } from '../common/net/camera-tls.ts'
import { createRegistry } from '../common/metrics.ts'
import { connectNats } from '../common/nats/connect.ts'
import { wholeSending } from '../common/patches/nats-send.ts'
import { countBuffersAsHeap } from '../common/patches/v8-external-memory.ts'
import { serveProbes } from '../common/probes.ts'
import { refText } from '../proto/subjects.ts'
import { readConfig } from './config.ts'
import { ConnectionReport } from './connection.ts'
import { Health, initialState, WAITING_FOR_LEASE } from './health.ts'
import { whileHolding, type Lease } from './lease.ts'
import { createMetrics } from './metrics.ts'
import { openPipeline } from './pipeline.ts'
import { denied } from '../common/net/address.ts'
import { Substream } from './substream.ts'
import { ingest, type IngestEvents, type IngestState } from './source/ingest.ts'

countBuffersAsHeap()
await runProcess(process.env, async signal => {
  const config = readConfig(process.env)
  const { camera } = config
  const log = (await createLog('sidecar', config.log)).child({ camera: refText(camera) })
  const registry = createRegistry()
  const metrics = createMetrics(registry)
  await reportConfinement(registry, log)
  const health = new Health(initialState(config))
  let connected = () => false
  await using probes = await serveProbes(config.probes, registry, () => (connected() ? [] : ['NATS is unreachable']))
  log.info({ probePort: probes.port }, 'sidecar starts')

  if (!wholeSending()) log.warn('this version of nats.js copies large messages: expect more CPU per frame')
  await using nats = await connectNats(`sidecar ${refText(camera)}`, config.nats, log, signal)
  connected = nats.connected
  await using frames = await connectNats(`sidecar ${refText(camera)} frames`, config.nats, log.child({ link: 'frames' }), signal)
  const deny = denied(config.denyCidrs)
  await using pipeline = openPipeline({ nats, frames, config, deny, health, metrics, log })

  using substream = config.substream && new Substream(config.substream, { nats, config, deny, health, metrics, log })

  const connection = new ConnectionReport(health, metrics)
  const onState = (state: IngestState) => {
    if (state.connection !== 'streaming') pipeline.reset()
    connection.set(state)
    if (config.trust.report !== undefined) health.set({ tls: config.trust.report })
  }
  const eventsUnder = (lease: Lease): IngestEvents => ({
    onPacket: (packet, codec, newEpoch) => {
      if (newEpoch) {
        lease.setEpoch(packet.epoch)
        log.info({ codec: codec.name, width: codec.width, height: codec.height, epoch: packet.epoch }, 'a new epoch begins')
      }
      pipeline.push(packet, codec, newEpoch)
    },
    onState,
    onDevice: device => health.set({ device }),
    onRestart: why => connection.ended(why),
  })
  const isSettled = Promise.withResolvers<void>()
  const onWaiting = (holder: string, isAlive: boolean) => {
    health.mute(isAlive) // it speaks for the camera
    const failure = new Failure(WAITING_FOR_LEASE, `${holder} has the connection to the camera`)
    onState({ connection: 'waiting', pid: 0, failingStreak: 0, failure })
    isSettled.resolve()
  }
  const hold = async (lease: Lease, held: AbortSignal) => {
    health.set({ reason: undefined, message: undefined })
    health.mute(false)
    isSettled.resolve()
    keepCertificate(config.trust, lease)
    await Promise.all([
      ingest(config, deny, lease.lastEpoch, eventsUnder(lease), log, held),
      pipeline.run(held),
      substream?.run(lease, held),
    ])
  }
  await Promise.all([
    whileHolding({ nats, camera, holder: config.holder, log, onWaiting }, hold, signal),
    // A second sidecar must not report for the camera before it knows whether it holds the lease.
    Promise.race([isSettled.promise, aborted(signal)]).then(() => health.run(nats, camera, log, signal)),
  ])
  log.info('sidecar stops')
})

/** Trust on first use holds for the sidecar that opens the camera next. */
function keepCertificate(trust: CameraTrust, lease: Lease): void {
  if (!trust.isFirstUse) return lease.setCertificate(undefined)
  trust.pinned = lease.certificate
  trust.onPinned = sha256 => lease.setCertificate(sha256)
}

// One process per camera: camera → packets → buffer, and frames while somebody wants them.
import { Failure } from '../common/errors.ts'
import { countBuffersAsHeap } from '../common/patches/v8-external-memory.ts'
import { createLog } from '../common/log.ts'
import { Gop } from '../common/media/gop.ts'
import { Live } from '../common/media/live-decoder.ts'
import { createRegistry } from '../common/metrics.ts'
import { connectNats } from '../common/nats/connect.ts'
import { serveProbes } from '../common/probes.ts'
import { aborted, runProcess } from '../common/abort.ts'
import type { Activity } from '../proto/state.ts'
import { refText } from '../proto/subjects.ts'
import { denied } from './source/address.ts'
import { Archive } from './archive/archive.ts'
import { PacketBuffer } from './publish/packet-buffer.ts'
import { readConfig } from './config.ts'
import { decodingOf, followDemand } from './demand.ts'
import { Health, WAITING_FOR_LEASE } from './health.ts'
import { ingest, type IngestEvents, type IngestState } from './source/ingest.ts'
import { whileHolding, type Lease } from './lease.ts'
import { countPacket, createMetrics, liveCount } from './metrics.ts'
import { Proxy } from './forward/forwarding.ts'
import { FramePublisher } from './publish/frame-publisher.ts'
import { wholeSending } from '../common/patches/nats-send.ts'

countBuffersAsHeap()
await runProcess(process.env, async signal => {
  const config = readConfig(process.env)
  const { camera } = config
  const log = (await createLog('sidecar', config.log)).child({ camera: refText(camera) })
  const registry = createRegistry()
  const metrics = createMetrics(registry)
  const health = new Health({
    ...{ uid: camera.uid, run: Date.now(), connection: 'connecting', failingStreak: 0, reconnects: 0, pid: 0, epoch: 0 },
    decoding: { active: false, ok: true },
    buffer: { ok: true },
    ...(config.archive === undefined ? {} : { archive: { active: false, ok: true } }),
    ...(config.proxy === undefined ? {} : { proxy: { active: false, ok: true } }),
  })
  let connected = () => false
  await using probes = await serveProbes(config.probes, registry, () => (connected() ? [] : ['NATS is away']))
  log.info({ probePort: probes.port }, 'sidecar starts')

  if (!wholeSending()) log.warn('this version of nats.js copies large messages: expect more CPU per frame')
  await using nats = await connectNats(`sidecar ${refText(camera)}`, config.nats, log, signal)
  connected = nats.connected
  const publisher = new FramePublisher(nats, camera, metrics, log)
  const buffer = new PacketBuffer(nats, config, metrics, log, state => health.set({ buffer: state }))
  const archive = config.archive && new Archive(config.archive, config.deviceId, metrics, log, state => health.set({ archive: state }))
  const gop = new Gop()
  const deny = denied(config.denyCidrs)
  await using proxy =
    config.proxy && new Proxy({ ...config.proxy, camera, deny, gop, metrics, log, onHealth: state => health.set({ proxy: state }) })
  const decoding: { here: Activity; elsewhere: Activity | undefined } = { here: { active: false, ok: true }, elsewhere: undefined }
  const tellDecoding = () => health.set({ decoding: decodingOf(decoding.here, decoding.elsewhere) })
  await using live = new Live({
    ...{ deviceId: config.deviceId, gop, decoding: config.decoding, count: liveCount(metrics), log },
    publish: frame => publisher.offer(frame),
    onHealth: here => {
      metrics.decoderRunning.set(here.active ? 1 : 0)
      decoding.here = here
      tellDecoding()
    },
  })
  using _demand = followDemand(
    nats.nc,
    camera,
    (wants, fps) => {
      for (const label of ['all', 'keyframes']) metrics.demand.set({ wants: label }, wants === label ? 1 : 0)
      live.setWants(wants, fps)
    },
    elsewhere => {
      decoding.elsewhere = elsewhere
      tellDecoding()
    },
    bad => metrics.badMessages.inc({ reason: bad.reason }),
  )
  const ended = (why: Failure | undefined) => {
    if (why !== undefined) metrics.failures.inc({ reason: why.reason })
    if (health.state.connection === 'streaming') health.set({ reconnects: health.state.reconnects + 1 })
  }
  const onState = ({ connection, pid, failingStreak, failure }: IngestState) => {
    metrics.streaming.set(connection === 'streaming' ? 1 : 0)
    if (connection !== 'streaming') {
      gop.clear()
      archive?.cut()
      live.reset()
      proxy?.reset()
    }
    if (connection === 'waiting') ended(failure)
    // While it tries again, the reason it failed for still holds.
    const cause = connection === 'connecting' && failure === undefined ? {} : { reason: failure?.reason, message: failure?.message }
    health.set({ connection, pid, failingStreak, ...cause })
  }
  const eventsUnder = (lease: Lease): IngestEvents => ({
    onPacket: (packet, codec, newEpoch) => {
      countPacket(metrics, packet)
      if (newEpoch) {
        metrics.epochs.inc()
        lease.setEpoch(packet.epoch)
        log.info({ codec: codec.name, width: codec.width, height: codec.height, epoch: packet.epoch }, 'a new epoch begins')
      }
      health.packet(packet)
      if (health.state.codec !== codec) health.set({ codec, epoch: packet.epoch })
      buffer.push(packet, codec)
      archive?.push(packet, codec)
      gop.push(packet)
      live.push(packet, codec, newEpoch)
      proxy?.push(packet, codec, newEpoch)
    },
    onState,
    onRestart: ended,
  })
  const isSettled = Promise.withResolvers<void>()
  const onWaiting = (holder: string) => {
    const failure = new Failure(WAITING_FOR_LEASE, `${holder} has the connection to the camera`)
    onState({ connection: 'waiting', pid: 0, failingStreak: 0, failure })
    isSettled.resolve()
  }
  const hold = async (lease: Lease, held: AbortSignal) => {
    health.set({ reason: undefined, message: undefined })
    isSettled.resolve()
    await Promise.all([ingest(config, deny, lease.lastEpoch, eventsUnder(lease), log, held), buffer.run(held), archive?.run(held)])
  }
  await Promise.all([
    whileHolding({ nats, camera, holder: config.holder, log, onWaiting }, hold, signal),
    proxy?.run(nats, signal),
    // Who comes second must not speak for the camera before it knows.
    Promise.race([isSettled.promise, aborted(signal)]).then(() => health.run(nats, camera, log, signal)),
  ])
  log.info('sidecar stops')
})

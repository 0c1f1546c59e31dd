// Faults, injected for real, and what each costs: docs/reliability.md keeps what `npm run test:faults` prints of this table.
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { startGateway } from '../fixtures/gateway.ts'
import { testVideo } from '../fixtures/media.ts'
import { descendants, end } from '../fixtures/processes.ts'
import { startCamera } from '../fixtures/rtsp-camera.ts'
import { until } from '../fixtures/wait.ts'
import { noMemoryGroup } from './memory-group.ts'
import { noOldVersion } from './old-version.ts'
import { damagedStore, outOfMemory, powerCut, skew, wholeNode } from './stored.ts'
import { World } from './world.ts'

export type Result = {
  /** Until the camera's frames came steadily again. */
  recoveryMs: number
  /** The longest pause of the other camera; undefined where the fault is everyone's. */
  otherMs?: number
  /** Of what was acknowledged. */
  lost?: string
}

export type Fault = {
  title: string
  user: string
  limitMs: number
  /** The other camera may pause for so long. */
  otherMs?: number
  /** Why it cannot be injected here; undefined where it can. */
  missing?: string | undefined
  /** Other tests of `npm test` inject it too. */
  elsewhere?: true
  inject: () => Promise<Result>
}

const kill = (pid: number, signal: NodeJS.Signals) => process.kill(pid, signal)
/** A machine that also runs other tests pauses by itself. */
const OTHER_MS = 2_500
const FLAP_MS = 15_000
/** Tries back off: each second would be 15. */
const FLAP_TRIES_MAX = 10

async function ofDoor(
  act: (world: World) => Promise<void> | void,
  limitMs: number,
  where: 'Gateway' | 'Sidecar' = 'Gateway',
): Promise<Result> {
  await using world = await World.start({ where })
  await world.watch('door')
  await world.watch('yard')
  const since = performance.now()
  await act(world)
  return { recoveryMs: await world.recovered('door', since, limitMs), otherMs: world.longestGapMs('yard', since) }
}

async function ofAll(act: (world: World) => Promise<void> | void, limitMs: number): Promise<Result> {
  await using world = await World.start()
  await world.watch('door')
  await world.watch('yard')
  const since = performance.now()
  await act(world)
  return { recoveryMs: Math.max(await world.recovered('door', since, limitMs), await world.recovered('yard', since, limitMs)) }
}

/** The way to a camera, cut each second for as long as `isFlapping`. */
async function flappingWay(port: number): Promise<AsyncDisposable & { url: string; isFlapping: boolean; connections: number }> {
  const sockets = new Set<Socket>()
  const server = createServer(client => {
    way.connections++
    const camera = connect(port, '127.0.0.1')
    for (const socket of [client, camera]) sockets.add(socket.on('error', () => {}))
    client.pipe(camera).pipe(client)
    for (const [socket, other] of [
      [client, camera],
      [camera, client],
    ] as const)
      socket.on('close', () => other.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
  }
  const timer = setInterval(() => way.isFlapping && cut(), 1_000)
  const way = {
    url: `rtsp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...{ isFlapping: false, connections: 0 },
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      server.close()
      cut()
    },
  }
  return way
}

async function flapping(): Promise<Result> {
  await using camera = await startCamera({ file: await testVideo({ width: 320, height: 192, seconds: 1 }) })
  await using way = await flappingWay(Number(new URL(camera.url).port))
  await using world = await World.start({ door: { url: way.url + new URL(camera.url).pathname } })
  await world.watch('door')
  await world.watch('yard')
  const before = way.connections
  const since = performance.now()
  way.isFlapping = true
  await delay(FLAP_MS)
  way.isFlapping = false
  const tries = way.connections - before
  if (tries > FLAP_TRIES_MAX) throw new Error(`${tries} connections in ${FLAP_MS / 1000} s`)
  return { recoveryMs: (await world.recovered('door', since, 60_000)) - FLAP_MS, otherMs: world.longestGapMs('yard', since) }
}

/** Their clients watch the same cameras, which their pods decode once for both. */
async function oneOfTwoGateways(): Promise<Result> {
  await using world = await World.start({ where: 'Sidecar' })
  await world.watch('door')
  await world.watch('yard')
  const second = await startGateway(world.nats.url)
  await until(() => second.ready(), { what: 'the second gateway' })
  const decoders = [world.gateway, second].flatMap(({ pid }) => descendants(pid)).length
  if (decoders > 0) throw new Error(`${decoders} decoders run in the gateways`)
  const first = world.gateway
  const since = performance.now()
  world.gateway = second
  await first.stop('SIGKILL')
  return { recoveryMs: Math.max(await world.recovered('door', since, 20_000), await world.recovered('yard', since, 20_000)) }
}

const noRoot = process.getuid?.() === 0 ? undefined : 'needs root'

export const FAULTS: readonly Fault[] = [
  {
    title: 'a camera’s decoder in the gateway crashes (SIGSEGV)',
    user: 'frames of this camera pause',
    limitMs: 10_000,
    otherMs: OTHER_MS,
    async inject() {
      await using world = await World.start()
      await world.watch('door')
      const [decoder] = world.decoders()
      await world.watch('yard')
      const since = performance.now()
      kill(decoder ?? 0, 'SIGSEGV')
      return { recoveryMs: await world.recovered('door', since, 10_000), otherMs: world.longestGapMs('yard', since) }
    },
  },
  {
    title: 'a camera’s sidecar is killed, and started again',
    elsewhere: true,
    user: 'frames of this camera pause',
    limitMs: 20_000,
    otherMs: OTHER_MS,
    inject: () =>
      ofDoor(async ({ door }) => {
        await end(door.child, 'SIGKILL')
        await door.restart()
      }, 20_000),
  },
  {
    title: 'a camera’s sidecar stands still for 10 s (SIGSTOP)',
    user: 'frames of this camera pause',
    limitMs: 20_000,
    otherMs: OTHER_MS,
    inject: () =>
      ofDoor(async ({ door }) => {
        kill(door.pid, 'SIGSTOP')
        await delay(10_000)
        kill(door.pid, 'SIGCONT')
      }, 20_000),
  },
  {
    title: 'a camera’s connection is cut each second for 15 s',
    user: 'frames of this camera come and go; it is tried again less and less often',
    limitMs: 30_000,
    otherMs: OTHER_MS,
    inject: flapping,
  },
  {
    title: 'the gateway is killed, and started again',
    elsewhere: true,
    user: 'calls end with UNAVAILABLE; frames pause',
    limitMs: 20_000,
    inject: () => ofAll(world => world.restartGateway(), 20_000),
  },
  {
    title: 'one of two gateways is killed, and its clients go to the other',
    user: 'calls end with UNAVAILABLE; frames pause',
    limitMs: 5_000,
    inject: oneOfTwoGateways,
  },
  {
    title: 'nats-server is killed, and started again',
    elsewhere: true,
    user: 'answers without a frame; memory buffers begin again',
    limitMs: 20_000,
    inject: () => ofAll(({ nats }) => nats.restart(), 20_000),
  },
  {
    title: 'nats-server stands still for 20 s (SIGSTOP)',
    elsewhere: true,
    user: 'answers without a frame',
    limitMs: 40_000,
    inject: () =>
      ofAll(async ({ nats }) => {
        nats.stop()
        await delay(20_000)
        nats.cont()
      }, 40_000),
  },
  {
    title: 'every process of the node is killed at once, and started again',
    user: 'calls end with UNAVAILABLE; frames pause',
    limitMs: 60_000,
    inject: wholeNode,
  },
  {
    title: 'half a file of NATS’ store is gone',
    user: 'annotations are taken again once NATS is back',
    limitMs: 60_000,
    inject: damagedStore,
  },
  {
    title: 'power cut: what was not written to the disk is gone (sync_interval: always)',
    user: 'as after a restart',
    limitMs: 60_000,
    missing: noRoot,
    inject: powerCut,
  },
  {
    title: 'the kernel kills a camera’s sidecar for lack of memory, and it is started again',
    user: 'frames of this camera pause; in a cluster the reason is OOMKilled',
    limitMs: 20_000,
    otherMs: OTHER_MS,
    missing: noMemoryGroup,
    inject: outOfMemory,
  },
  {
    title: 'a sidecar of the last release at the new gateway, which is then rolled back to that release',
    user: 'calls end with UNAVAILABLE at the rollback; frames pause',
    limitMs: 20_000,
    missing: noOldVersion,
    inject: skew,
  },
]

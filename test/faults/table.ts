// Faults, injected for real, and what each costs: docs/reliability.md keeps what `npm run test:faults` prints of this table.
import { execFile } from 'node:child_process'
import { copyFile, mkdir, open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { ANNOTATION_STREAM } from '../../proto/subjects.ts'
import { annotate, annotation, stored } from '../fixtures/annotations.ts'
import { startCameras } from '../fixtures/cameras.ts'
import { grpcClient, startGateway } from '../fixtures/gateway.ts'
import { startNats } from '../fixtures/nats.ts'
import { end } from '../fixtures/processes.ts'
import { temporaryFolder } from '../fixtures/tmp.ts'
import { until } from '../fixtures/wait.ts'
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

const run = promisify(execFile)
const DOOR = { namespace: 'default', name: 'door', uid: 'uid-door' }
const kill = (pid: number, signal: NodeJS.Signals) => process.kill(pid, signal)
/** A machine that also runs other tests pauses by itself. */
const OTHER_MS = 2_500

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

const idsIn = async (nats: Parameters<typeof stored>[0]) =>
  new Set((await stored(nats, ANNOTATION_STREAM)).flatMap(({ header }) => header.get('Nats-Msg-Id')))

const missingIn = (found: ReadonlySet<string>, acknowledged: readonly string[]) =>
  `${acknowledged.filter(id => ![...found].some(each => each.endsWith(id))).length} of ${acknowledged.length} annotations`

/** Annotates so often, and returns the ids that were acknowledged. */
async function acknowledge(port: number, count: number): Promise<string[]> {
  await using client = grpcClient(port)
  const ids: string[] = []
  for (let i = 0; i < count; i++) {
    const id = `id-${String(i).padStart(4, '0')}`
    await until(() => annotate(client, annotation({ object_id: id }), id, 10_000), { what: 'an acknowledgement', timeoutMs: 60_000 })
    ids.push(id)
  }
  return ids
}

async function mounted(folder: string, image: string): Promise<AsyncDisposable> {
  await mkdir(folder)
  await run('mount', ['-o', 'loop', image, folder])
  return { [Symbol.asyncDispose]: async () => void (await run('umount', ['-l', folder])) }
}

async function powerCut(): Promise<Result> {
  await using folder = await temporaryFolder()
  const [image, copy, volume, after] = ['image', 'copy', 'volume', 'after'].map(name => folder.file(name)) as [
    string,
    string,
    string,
    string,
  ]
  await run('truncate', ['-s', '256M', image])
  await run('mkfs.ext4', ['-q', image])
  await using _device = await mounted(volume, image)
  const options = { jetstreamLimits: { file: 200 << 20 }, syncAlways: true }
  await using nats = await startNats({ ...options, storeDir: join(volume, 'js') })
  await using _cameras = await startCameras(nats.url, [DOOR])
  await using gateway = await startGateway(nats.url)
  const acknowledged = await acknowledge(gateway.port, 200)
  // What has not been written back to the device by now is what a power cut takes.
  await copyFile(image, copy)
  await using _afterwards = await mounted(after, copy)
  const from = performance.now()
  await using second = await startNats({ ...options, storeDir: join(after, 'js') })
  const found = await idsIn(second)
  const recoveryMs = performance.now() - from
  return { recoveryMs, lost: missingIn(found, acknowledged) }
}

async function wholeNode(): Promise<Result> {
  await using world = await World.start()
  await world.watch('door')
  await world.watch('yard')
  const acknowledged = await acknowledge(world.gateway.port, 50)
  const since = performance.now()
  const dying = [world.nats.kill(), world.gateway.stop('SIGKILL'), end(world.door.child, 'SIGKILL'), end(world.yard.child, 'SIGKILL')]
  await Promise.all(dying)
  await Promise.all([world.nats.restart(), world.restartGateway(), world.door.restart(), world.yard.restart()])
  const recoveryMs = Math.max(await world.recovered('door', since, 60_000), await world.recovered('yard', since, 60_000))
  const found = await idsIn(world.nats)
  return { recoveryMs, lost: missingIn(found, acknowledged) }
}

async function damagedStore(): Promise<Result> {
  await using nats = await startNats()
  await using _cameras = await startCameras(nats.url, [DOOR])
  await using gateway = await startGateway(nats.url)
  await acknowledge(gateway.port, 50)
  await nats.kill()
  const folder = await blocksOf(nats.storeDir)
  const [block = ''] = (await readdir(folder)).filter(name => name.endsWith('.blk'))
  const file = await open(join(folder, block), 'r+')
  await file.truncate(Math.floor((await stat(join(folder, block))).size / 2))
  await file.close()
  const from = performance.now()
  await nats.restart()
  await until(
    async () => {
      await using client = grpcClient(gateway.port)
      await annotate(client, annotation(), 'after', 5_000)
      return true
    },
    { what: 'an annotation that is taken again', timeoutMs: 60_000 },
  )
  const left = await idsIn(nats)
  return { recoveryMs: performance.now() - from, lost: `${51 - left.size} of 50 annotations, by the damage itself` }
}

async function blocksOf(store: string): Promise<string> {
  const found = (await readdir(store, { recursive: true })).find(path => path.endsWith(`${ANNOTATION_STREAM}/msgs`))
  if (found === undefined) throw new Error(`no blocks of ${ANNOTATION_STREAM}`)
  return join(store, found)
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
    title: 'the gateway is killed, and started again',
    elsewhere: true,
    user: 'calls end with UNAVAILABLE; frames pause',
    limitMs: 20_000,
    inject: () => ofAll(world => world.restartGateway(), 20_000),
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
]

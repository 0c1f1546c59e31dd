// Faults of the whole node or of what is stored, injected for real: what was acknowledged is counted afterwards.
import { execFile } from 'node:child_process'
import { copyFile, mkdir, open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ANNOTATION_STREAM } from '../../proto/subjects.ts'
import { annotate, annotation, stored } from '../fixtures/annotations.ts'
import { startCameras } from '../fixtures/cameras.ts'
import { grpcClient, startGateway } from '../fixtures/gateway.ts'
import { startNats } from '../fixtures/nats.ts'
import { end } from '../fixtures/processes.ts'
import { temporaryFolder } from '../fixtures/tmp.ts'
import { until } from '../fixtures/wait.ts'
import { memoryGroup } from './memory-group.ts'
import { oldVersion } from './old-version.ts'
import type { Result } from './table.ts'
import { World } from './world.ts'

const run = promisify(execFile)
const DOOR = { namespace: 'default', name: 'door', uid: 'uid-door' }

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

export async function powerCut(): Promise<Result> {
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

export async function wholeNode(): Promise<Result> {
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

export async function outOfMemory(): Promise<Result> {
  await using world = await World.start({ where: 'Sidecar' })
  await world.watch('door')
  await world.watch('yard')
  await using group = await memoryGroup(2 << 20)
  const since = performance.now()
  await group.add(world.door.pid)
  await until(() => world.door.child.signalCode === 'SIGKILL', { what: 'the kernel’s SIGKILL', timeoutMs: 60_000 })
  if ((await group.failures()) === 0) throw new Error('the limit of the memory was not reached')
  await world.door.restart()
  return { recoveryMs: await world.recovered('door', since, 60_000), otherMs: world.longestGapMs('yard', since) }
}

/** The last release's sidecar beside one of today at today's gateway, then a rollback of the gateway. */
export async function skew(): Promise<Result> {
  await using old = await oldVersion()
  await using world = await World.start({ door: { root: old.root } })
  await world.watch('door')
  await world.watch('yard')
  const acknowledged = await acknowledge(world.gateway.port, 20)
  const since = performance.now()
  await world.restartGateway(old.root)
  const recoveryMs = Math.max(await world.recovered('door', since, 60_000), await world.recovered('yard', since, 60_000))
  const found = await idsIn(world.nats)
  return { recoveryMs, lost: missingIn(found, acknowledged) }
}

export async function damagedStore(): Promise<Result> {
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

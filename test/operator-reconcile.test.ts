// One camera, without an API server and without NATS.
import test from 'ava'
import pino from 'pino'
import type { Writer } from '../operator/apply.ts'
import { FINALIZER, type WatchedCamera } from '../operator/kinds.ts'
import { Reconciler, type Parts } from '../operator/reconcile.ts'
import { SETTINGS, watchedCamera } from './fixtures/camera-objects.ts'

const CLEAN_UP_MS = 4_000

/** A deleted Camera whose leavings NATS does not let go of. */
function deleted(deletionTimestamp: string) {
  const { metadata, ...rest } = watchedCamera()
  const camera: WatchedCamera = { ...rest, metadata: { ...metadata, deletionTimestamp, finalizers: [FINALIZER] } }
  const scene = { now: 0, isGone: false }
  const writer = { removeFinalizer: async () => void (scene.isGone = true), writeStatus: async () => {} }
  const reconciler = new Reconciler({
    world: {
      cameras: new Map([['shop/front', camera]]) as unknown as Parts['world']['cameras'],
      deployment: () => undefined,
      pods: () => [],
    },
    shared: {
      ...{ state: () => undefined, awayMs: 1, isListed: true, put: async () => {} },
      remove: async () => Promise.reject(new Error('NATS is away')),
    },
    writer: writer as unknown as Writer,
    ...{ record: () => {}, again: () => {}, onLeftoverRemoved: () => {} },
    ...{ settings: SETTINGS, cleanUpMs: CLEAN_UP_MS, log: pino({ level: 'silent' }), now: () => scene.now },
  })
  return { scene, reconcile: () => reconciler.reconcile('shop/front') }
}

for (const [clock, deletionTimestamp] of [
  ['behind', '2999-01-01T00:00:00Z'],
  ['ahead', '2001-01-01T00:00:00Z'],
]) {
  test(`a deleted Camera waits for NATS as long as it should where our clock is ${clock} of the API server’s`, async t => {
    const { scene, reconcile } = deleted(deletionTimestamp ?? '')
    await reconcile()
    scene.now = CLEAN_UP_MS - 1
    await reconcile()
    t.false(scene.isGone)
    scene.now = CLEAN_UP_MS
    await reconcile()
    t.true(scene.isGone)
  })
}

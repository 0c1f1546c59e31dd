// One camera, without an API server, without pods and with NATS away.
import test from 'ava'
import pino from 'pino'
import { Refused, type Writer } from '../operator/kube/apply.ts'
import { FINALIZER, type CameraStatus, type Deployment, type Pod, type WatchedCamera } from '../operator/kube/kinds.ts'
import { Reconciler, type Parts } from '../operator/camera/reconcile.ts'
import { podWith, SETTINGS, watchedCamera } from './fixtures/camera-objects.ts'
import { startIdentity } from './fixtures/identity.ts'

const CLEAN_UP_MS = 4_000

function finalized(more: Partial<WatchedCamera['metadata']> = {}): WatchedCamera {
  const { metadata, ...rest } = watchedCamera()
  return { ...rest, metadata: { ...metadata, finalizers: [FINALIZER], ...more } }
}

type Scene = { now: number; live?: Deployment; pods?: Pod[]; awayMs?: number }

/** Reconciles the camera in the scene as it is then. */
function reconciling(camera: WatchedCamera, scene: Scene, writer: object, settings = SETTINGS): () => Promise<void> {
  const reconciler = new Reconciler({
    world: {
      cameras: new Map([['shop/front', camera]]) as unknown as Parts['world']['cameras'],
      deployment: () => scene.live,
      pods: () => scene.pods ?? [],
    },
    shared: {
      ...{ annotations: undefined, report: () => undefined, isListed: true, put: async () => {} },
      awayMs: scene.awayMs ?? 1,
      remove: async () => Promise.reject(new Error('NATS is unreachable')),
    },
    writer: writer as Writer,
    ...{ record: () => {}, again: () => {}, onLeftoverRemoved: () => {} },
    ...{ settings, cleanUpMs: CLEAN_UP_MS, log: pino({ level: 'silent' }), now: () => scene.now },
  })
  return () => reconciler.reconcile('shop/front')
}

for (const [clock, deletionTimestamp] of [
  ['behind', '2999-01-01T00:00:00Z'],
  ['ahead of', '2001-01-01T00:00:00Z'],
] as const) {
  test(`a deleted Camera waits for NATS as long as it should where our clock is ${clock} the API server’s`, async t => {
    const scene = { now: 0, isGone: false }
    const reconcile = reconciling(finalized({ deletionTimestamp }), scene, {
      removeFinalizer: async () => void (scene.isGone = true),
      writeStatus: async () => {},
    })
    await reconcile()
    scene.now = CLEAN_UP_MS - 1
    await reconcile()
    t.false(scene.isGone)
    scene.now = CLEAN_UP_MS
    await reconcile()
    t.true(scene.isGone)
  })
}

test('what was refused is forgotten once it is accepted, also where the Deployment is as it should be', async t => {
  await using identity = await startIdentity()
  const camera = finalized()
  const scene: Scene = { now: 0 }
  const reasons: (string | undefined)[] = []
  let refusal: Error | undefined
  const writer: Partial<Writer> = {
    createSecret: async () => (refusal === undefined ? undefined : Promise.reject(refusal)),
    async applyDeployment({ metadata }) {
      scene.live = { metadata: Object.assign({ generation: 1 }, metadata) } as unknown as Deployment
      return 1
    },
    async writeStatus(_, status) {
      camera.status = status
      reasons.push(status.reason)
    },
  }
  const reconcile = reconciling(camera, scene, writer, { ...SETTINGS, signingDir: identity.signingDir })
  await reconcile()
  scene.now = 3_600_000 // its NATS user is written anew
  refusal = new Refused('DeploymentRefused', 'failed calling webhook')
  await reconcile()
  scene.now += 60_000
  refusal = undefined
  await reconcile()
  t.deepEqual(reasons, ['PodPending', 'DeploymentRefused', 'PodPending'])
})

for (const [clock, hours] of [
  ['behind', -1],
  ['ahead', 1],
] as const) {
  test(`a pod that does not report is starting for half a minute, and silent then, where its node’s clock is an hour ${clock}`, async t => {
    const camera = finalized()
    const scene: Scene = { now: 0, awayMs: 0 }
    const reasons: (string | undefined)[] = []
    const reconcile = reconciling(camera, scene, {
      applyDeployment: async () => 1,
      async writeStatus(_: WatchedCamera, status: CameraStatus) {
        camera.status = status
        reasons.push(status.reason)
      },
    })
    await reconcile()
    scene.pods = [podWith({ state: { running: { startedAt: new Date(Date.now() + hours * 3_600_000).toISOString() } } })]
    for (scene.now = 10_000; scene.now <= 50_000; scene.now += 10_000) await reconcile()
    t.deepEqual(reasons, ['PodPending', 'Starting', 'SidecarSilent'])
  })
}

// What others annotated, for those who look: kept by every gateway, given by URL and as events.
import anyTest, { type TestFn } from 'ava'
import { connect } from 'nats'
import { RecentAnnotations, type Seen } from '../gateway/annotations/recent.ts'
import { frameId } from '../proto/frame-id.ts'
import { RECENT_STREAM } from '../proto/subjects.ts'
import { annotate, annotation } from './fixtures/annotations.ts'
import { startCameras, type Cameras, type FakeCamera } from './fixtures/cameras.ts'
import { grpcClient, startGateway, type Client, type Gateway } from './fixtures/gateway.ts'
import { startNats, type NatsServer } from './fixtures/nats.ts'
import { until } from './fixtures/wait.ts'

type World = { nats: NatsServer; cameras: Cameras; one: Gateway; other: Gateway; client: Client; stack: AsyncDisposableStack }
const test = anyTest as TestFn<World>
const NOW = Date.now()
const DOOR: FakeCamera = { namespace: 'default', name: 'door', uid: 'uid-door' }
const YARD: FakeCamera = { namespace: 'yard', name: 'gate', uid: 'uid-gate' }

test.before(async t => {
  await using stack = new AsyncDisposableStack()
  const nats = stack.use(await startNats())
  const cameras = stack.use(await startCameras(nats.url, [DOOR, YARD]))
  const [one, other] = await Promise.all([startGateway(nats.url), startGateway(nats.url)])
  stack.use(one)
  stack.use(other)
  const client = stack.use(grpcClient(one.port))
  await until(async () => (await one.ready()) && (await other.ready()), { what: 'both gateways to be ready' })
  t.context = { nats, cameras, one, other, client, stack: stack.move() }
})
test.after.always(t => t.context.stack?.disposeAsync())

type Answer = { annotations: Seen[]; isComplete: boolean }
const get = (gateway: Gateway, query = '', camera = 'door', accept = 'application/json') =>
  fetch(`http://127.0.0.1:${gateway.httpPort}/cameras/${camera}/annotations${query}`, { headers: { accept } })
const read = async (gateway: Gateway, query = '', camera = 'door') => (await (await get(gateway, query, camera)).json()) as Answer

test('an annotation is there by URL at every gateway, with its frame, box, label and confidence', async t => {
  const { client, one, other } = t.context
  const frame = frameId({ epoch: NOW, keyframe: 3, index: 14 })
  const full = annotation({
    ...{
      device_name: 'yard/gate',
      type: 'person',
      object_type: 'visitor',
      confidence: 0.75,
      start_timestamp: NOW,
      end_timestamp: NOW + 40,
    },
    ...{ object_bouding_box: { left: 10, top: 20, width: 30, height: 40 }, width: 320, height: 180 },
    ...{ ml_model: 'yolo', ml_model_version: '11', object_tracking_id: 'track-1', mask: [{ x: 1, y: 2, z: 0 }] },
  })
  await annotate(client, full, 'full-1', undefined, frame)
  for (const gateway of [one, other]) {
    const { annotations, isComplete } = await until(
      async () => {
        const answer = await read(gateway, `?from=${NOW}`, 'yard/gate')
        return answer.annotations.length > 0 && answer
      },
      { what: 'the annotation' },
    )
    t.true(isComplete)
    t.deepEqual(annotations, [
      {
        ...{ id: 'full-1', frameId: frame, captureTime: NOW, endTime: NOW + 40, type: 'person', label: 'visitor', confidence: 0.75 },
        ...{
          trackingId: 'track-1',
          model: 'yolo 11',
          box: { left: 10, top: 20, width: 30, height: 40 },
          frameSize: { width: 320, height: 180 },
        },
      },
    ])
  }
})

test('annotations come as events, once each, and of this camera only', async t => {
  const { client, other } = t.context
  const answer = await get(other, '', 'door', 'text/event-stream')
  t.is(answer.headers.get('content-type'), 'text/event-stream')
  await annotate(client, annotation({ device_name: 'yard/gate', type: 'elsewhere', start_timestamp: NOW - 60_000 }), 'elsewhere')
  await annotate(client, annotation({ type: 'event-1', start_timestamp: NOW - 50_000 }), 'same-id')
  await annotate(client, annotation({ type: 'event-1', start_timestamp: NOW - 50_000 }), 'same-id')
  await annotate(client, annotation({ type: 'event-2', start_timestamp: NOW - 40_000 }))
  let text = ''
  for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
    text += Buffer.from(chunk).toString()
    if (text.includes('event-2')) break
  }
  const events = [...text.matchAll(/^data: (.*)$/gm)].map(([, json]) => (JSON.parse(json ?? '') as Seen).type)
  t.deepEqual(
    events.filter(type => type.startsWith('event') || type === 'elsewhere'),
    ['event-1', 'event-2'],
  )
})

test('a time and a limit are asked for; the newest are given', async t => {
  const { client, one } = t.context
  const from = NOW - 3_600_000
  for (const i of [2, 0, 1]) await annotate(client, annotation({ type: `past-${i}`, start_timestamp: from + i * 1_000 }))
  const types = async (query: string) => {
    const { annotations, isComplete } = await read(one, query)
    return { types: annotations.map(({ type }) => type), isComplete }
  }
  const hour = `?from=${from}&to=${from + 60_000}`
  await until(async () => (await types(hour)).types.length === 3, { what: 'three annotations' })
  t.deepEqual(await types(hour), { types: ['past-0', 'past-1', 'past-2'], isComplete: true })
  t.deepEqual(await types(`${hour}&limit=2`), { types: ['past-1', 'past-2'], isComplete: false })
  t.deepEqual((await types(`?from=${from + 1}&to=${from + 1_000}`)).types, ['past-1'])
  for (const query of ['?limit=0', '?limit=10001', '?limit=x', '?from=2&to=1', '?fps=3']) t.is((await get(one, query)).status, 400, query)
  t.is((await get(one, '', 'nobody')).status, 404)
})

test('a gateway that starts later, and one whose stream was lost, go on', async t => {
  const { client, nats, one } = t.context
  await annotate(client, annotation({ type: 'before', start_timestamp: NOW - 120_000 }))
  await using late = await startGateway(nats.url)
  await until(async () => (await late.ready()) && (await read(late)).annotations.some(({ type }) => type === 'before'), {
    what: 'the past',
  })
  const nc = await connect({ servers: nats.url })
  await (await nc.jetstreamManager()).streams.delete(RECENT_STREAM)
  await nc.close()
  await until(
    async () => {
      await annotate(client, annotation({ type: 'after', start_timestamp: NOW - 110_000 }))
      const found = await Promise.all([one, late].map(gateway => read(gateway)))
      return found.every(({ annotations }) => annotations.some(({ type }) => type === 'after'))
    },
    { what: 'annotations of after the loss' },
  )
  t.true((await read(one)).annotations.some(({ type }) => type === 'before'))
})

test('a camera that is deleted and made again shows no annotation of its namesake', async t => {
  const { client, cameras, one, other } = t.context
  const shed: FakeCamera = { namespace: 'default', name: 'shed', uid: 'uid-shed' }
  const found = async (gateway: Gateway) => ((await read(gateway, '', 'shed')).annotations ?? []).map(({ type }) => type)
  const annotateIt = async (type: string) => {
    for (const gateway of [one, other]) await until(async () => (await get(gateway, '', 'shed')).status === 200, { what: 'the camera' })
    await annotate(client, annotation({ device_name: 'shed', type }))
    for (const gateway of [one, other]) await until(async () => (await found(gateway)).includes(type), { what: type })
  }
  await cameras.put(shed)
  await annotateIt('of the old one')
  await cameras.remove(shed)
  for (const gateway of [one, other]) await until(async () => (await get(gateway, '', 'shed')).status === 404, { what: 'it to be gone' })
  await cameras.put({ ...shed, uid: 'uid-shed-again' })
  await annotateIt('of the new one')
  for (const gateway of [one, other]) t.deepEqual(await found(gateway), ['of the new one'])
})

const seen = (id: string, captureTime: number): Seen => ({ id, captureTime, type: 'x' })
const ALL = { fromMs: 0, toMs: Infinity, limit: 100 }
const ids = (recent: RecentAnnotations, camera: FakeCamera) => recent.of(camera.uid, ALL).annotations.map(({ id }) => id)

test('what is kept is bounded for each camera, in all, and in age', t => {
  const recent = new RecentAnnotations({ each: 3, all: 5, ageMs: 1_000 })
  for (let i = 0; i < 10; i++) recent.add(DOOR.uid, seen(`door-${i}`, i), 0)
  t.deepEqual(ids(recent, DOOR), ['door-7', 'door-8', 'door-9'])
  for (let i = 0; i < 3; i++) recent.add(YARD.uid, seen(`yard-${i}`, i), 500)
  t.deepEqual(
    [ids(recent, DOOR), ids(recent, YARD)],
    [
      ['door-8', 'door-9'],
      ['yard-0', 'yard-1', 'yard-2'],
    ],
  )
  recent.expire(1_001)
  t.deepEqual([ids(recent, DOOR), recent.size], [[], 3])
  recent.expire(1_501)
  t.is(recent.size, 0)
})

// A camera's pod that was taken over: what whoever did so can do with its NATS user.
import test from 'ava'
import { connect, headers, nanos, type MsgHdrs, type NatsConnection } from 'nats'
import { openBucket } from '../common/nats/buckets.ts'
import { ensurePacketStream } from '../common/nats/packet-stream.ts'
import { Reassembly } from '../proto/messages.ts'
import { cameraPermissions } from '../proto/permissions.ts'
import {
  ANNOTATION_STREAM,
  ANNOTATION_SUBJECTS,
  archiveSubject,
  cameraKey,
  demandSubject,
  frameSubject,
  packetStream,
  packetSubject,
  streamKeySubject,
} from '../proto/subjects.ts'
import type { FakeCamera } from './fixtures/cameras.ts'
import { startIdentity, type Identity } from './fixtures/identity.ts'
import { until } from './fixtures/wait.ts'

const EVIL: FakeCamera = { namespace: 'yard', name: 'evil', uid: 'uid-evil' }
const GOOD: FakeCamera = { namespace: 'yard', name: 'good', uid: 'uid-good' }
const LIMITS = { durationMs: 60_000, maxBytes: 2 ** 20, storage: 'Memory', replicas: 1 } as const
const INBOX = '_INBOX.camera.yard.evil'

type World = AsyncDisposable & { identity: Identity; admin: NatsConnection; evil: NatsConnection }

/** Everything that there is in a cluster, with something in it. */
async function world(): Promise<World> {
  await using stack = new AsyncDisposableStack()
  const identity = stack.use(await startIdentity())
  const admin = await connect({ servers: identity.nats.url, authenticator: identity.admin() })
  stack.defer(() => admin.close())
  const jsm = await admin.jetstreamManager()
  for (const camera of [EVIL, GOOD]) await ensurePacketStream(admin, camera, LIMITS)
  await jsm.streams.add({ name: ANNOTATION_STREAM, subjects: [ANNOTATION_SUBJECTS], allow_direct: true })
  for (const name of ['cameras', 'states', 'switches', 'leases'] as const) {
    const bucket = await openBucket(admin, name)
    for (const camera of [EVIL, GOOD]) await bucket.put(cameraKey(camera), '{}')
  }
  for (const subject of [packetSubject(GOOD), 'chrys.annotations.yard.good']) await admin.jetstream().publish(subject, 'good')
  const evil = await identity.connect(await identity.camera(EVIL), { inboxPrefix: INBOX })
  stack.defer(() => evil.close())
  const owned = stack.move()
  return { identity, admin, evil, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const refused = (identity: Identity, kind: 'Publish' | 'Subscription', subject: string) =>
  until(() => identity.violations().some(line => line.includes(`${kind} Violation`) && line.includes(`"${subject}"`)), {
    what: `a refusal of ${subject}`,
  })

const API = '$JS.API'
const OTHERS = ['chrys_packets_yard_good', ANNOTATION_STREAM, 'KV_chrys_states', 'KV_chrys_leases', 'KV_chrys_cameras']
const OWN = packetStream(EVIL)

const NOT_TO_PUBLISH = [
  ...[packetSubject(GOOD), frameSubject(GOOD), demandSubject(GOOD), streamKeySubject(GOOD), demandSubject(EVIL), streamKeySubject(EVIL)],
  ...[archiveSubject(GOOD), archiveSubject(EVIL)],
  ...['chrys.annotations.other', 'chrys.dead.annotations', 'chrys.buffer.yard.good', '_INBOX.gateway.x', '_INBOX.camera.yard.good.x'],
  ...['cameras', 'states', 'leases', 'switches'].map(bucket => `$KV.chrys_${bucket}.yard.good`),
  ...['cameras', 'switches'].map(bucket => `$KV.chrys_${bucket}.yard.evil`),
  ...[`${API}.STREAM.LIST`, `${API}.STREAM.NAMES`, `${API}.STREAM.CREATE.mine`, '$SYS.REQ.SERVER.PING'],
  ...['CREATE', 'UPDATE', 'DELETE', 'PURGE', 'SNAPSHOT', 'MSG.DELETE', 'MSG.GET'].map(verb => `${API}.STREAM.${verb}.${OWN}`),
  ...OTHERS.flatMap(stream =>
    ['INFO', 'UPDATE', 'DELETE', 'PURGE', 'SNAPSHOT', 'MSG.DELETE'].map(verb => `${API}.STREAM.${verb}.${stream}`),
  ),
  ...OTHERS.filter(stream => stream !== 'KV_chrys_leases').map(stream => `${API}.STREAM.MSG.GET.${stream}`),
  ...[OWN, ...OTHERS].flatMap(stream => [
    `${API}.CONSUMER.CREATE.${stream}`,
    `${API}.CONSUMER.CREATE.${stream}.x`,
    `${API}.DIRECT.GET.${stream}`,
  ]),
  `${API}.CONSUMER.CREATE.KV_chrys_switches.x.$KV.chrys_switches.yard.evil`,
  `${API}.DIRECT.GET.KV_chrys_leases.$KV.chrys_leases.yard.evil`,
]

const NOT_TO_HEAR = [
  ...[
    '>',
    '*',
    '_INBOX.>',
    '_INBOX.*',
    '_INBOX.gateway.>',
    '_INBOX.operator.>',
    '_INBOX.camera.>',
    '_INBOX.camera.yard.good.>',
    '$SYS.>',
    '$JS.>',
  ],
  ...[
    'chrys.>',
    'chrys.*.*.*',
    packetSubject(GOOD),
    frameSubject(GOOD),
    demandSubject(GOOD),
    streamKeySubject(GOOD),
    archiveSubject(GOOD),
    ANNOTATION_SUBJECTS,
  ],
  ...[
    'chrys.buffer.>',
    'chrys.buffer.yard.evil',
    '$KV.>',
    '$KV.chrys_cameras.>',
    '$KV.chrys_states.yard.good',
    '$KV.chrys_switches.yard.good',
  ],
]

test('it can publish nothing that is another’s, and nothing that makes, reads, changes or removes a stream', async t => {
  await using w = await world()
  for (const subject of NOT_TO_PUBLISH) w.evil.publish(subject, '{}')
  await w.evil.flush()
  for (const subject of NOT_TO_PUBLISH) await t.notThrowsAsync(refused(w.identity, 'Publish', subject))
})

test('it hears nothing that is another’s', async t => {
  await using w = await world()
  for (const subject of NOT_TO_HEAR) w.evil.subscribe(subject, { callback: () => {} })
  await w.evil.flush()
  for (const subject of NOT_TO_HEAR) await t.notThrowsAsync(refused(w.identity, 'Subscription', subject))
})

async function lengths({ admin }: World): Promise<Record<string, number>> {
  const found: Record<string, number> = {}
  for await (const { config, state } of (await admin.jetstreamManager()).streams.list()) found[config.name] = state.messages
  return found
}

const withHeader = (name: string, value: string): { headers: MsgHdrs } => {
  const fields = headers()
  fields.set(name, value)
  return { headers: fields }
}

test('what is its own it cannot use to empty what is shared', async t => {
  await using w = await world()
  const before = await lengths(w)
  for (const bucket of ['states', 'leases']) {
    for (const value of ['all', 'sub']) w.evil.publish(`$KV.chrys_${bucket}.yard.evil`, '{}', withHeader('Nats-Rollup', value))
  }
  w.evil.publish(packetSubject(EVIL), 'x', withHeader('Nats-Rollup', 'all'))
  w.evil.publish(frameSubject(EVIL), 'x', withHeader('Nats-Rollup', 'all'))
  await w.evil.flush()
  const after = await lengths(w)
  for (const [name, count] of Object.entries(before)) t.true((after[name] ?? 0) >= count, name)
})

test('it cannot fill what is shared, nor could it where an earlier version made the buckets', async t => {
  await using w = await world()
  const jsm = await w.admin.jetstreamManager()
  const bounded = await jsm.streams.info('KV_chrys_leases')
  await jsm.streams.update('KV_chrys_leases', { ...bounded.config, max_msg_size: -1 })
  const leases = await openBucket(w.admin, 'leases')
  t.deepEqual((await jsm.streams.info('KV_chrys_leases')).config, bounded.config)

  const js = w.evil.jetstream()
  const tooLarge = { message: /message size exceeds maximum/ }
  for (const bytes of [5 * 2 ** 10, 4 * 2 ** 20 - 2 ** 10, 7 * 2 ** 20]) {
    await t.throwsAsync(js.publish('$KV.chrys_leases.yard.evil', Buffer.alloc(bytes)), tooLarge)
  }
  for (const bytes of [97 * 2 ** 10, 7 * 2 ** 20]) {
    await t.throwsAsync(js.publish('$KV.chrys_states.yard.evil', Buffer.alloc(bytes)), tooLarge)
  }
  // Headers count too.
  await t.throwsAsync(js.publish('$KV.chrys_leases.yard.evil', '{}', withHeader('X', 'x'.repeat(5 * 2 ** 10))), tooLarge)
  // Nor by many of what is allowed: of each key there is one value.
  for (let i = 0; i < 2_000; i++) w.evil.publish('$KV.chrys_leases.yard.evil', Buffer.alloc(4_000))
  await w.evil.flush()
  const states = await openBucket(w.admin, 'states')
  for (const bucket of [leases, states]) await t.notThrowsAsync(bucket.put('yard.good', 'x'.repeat(2_000)))
})

test('ids of its messages do not fill NATS’ memory', async t => {
  await using w = await world()
  const own = [OWN, 'KV_chrys_states', 'KV_chrys_leases']
  for await (const { config } of (await w.admin.jetstreamManager()).streams.list()) {
    if (own.includes(config.name)) t.true(config.duplicate_window <= nanos(100), config.name)
  }
})

/** Its every right, with the server's answers sent to where a request does harm, and bodies that it wrote itself. */
test('it cannot have the server ask JetStream for what it may not ask itself', async t => {
  await using w = await world()
  const before = await lengths(w)
  const bodies: [string, string][] = [
    [packetSubject(EVIL), 'x'],
    [frameSubject(EVIL), 'x'],
    ['$KV.chrys_states.yard.evil', '{}'],
    ['$KV.chrys_leases.yard.evil', '{}'],
    ['$KV.chrys_leases.yard.evil', ''],
    [`${API}.STREAM.MSG.GET.KV_chrys_leases`, '{"last_by_subj":"$KV.chrys_leases.yard.evil"}'],
    [`${API}.STREAM.MSG.GET.KV_chrys_leases`, '{"last_by_subj":"$KV.chrys_leases.nobody"}'],
    [`${API}.STREAM.INFO.${OWN}`, ''],
    [`${API}.INFO`, ''],
  ]
  const targets = [ANNOTATION_STREAM, packetStream(GOOD), 'KV_chrys_cameras'].flatMap(stream =>
    ['PURGE', 'DELETE', 'UPDATE', 'MSG.DELETE', 'RESTORE'].map(verb => `${API}.STREAM.${verb}.${stream}`),
  )
  for (const reply of [...targets, `${API}.STREAM.CREATE.mine`, `${API}.CONSUMER.CREATE.${ANNOTATION_STREAM}`]) {
    for (const [subject, body] of bodies) w.evil.publish(subject, body, { reply })
  }
  await w.evil.flush()
  // All of it has been worked off when this is answered.
  await until(async () => (await lengths(w))[OWN] === targets.length + 2, { what: 'all that it published' })
  const after = await lengths(w)
  t.deepEqual(Object.keys(after).sort(), Object.keys(before).sort())
  for (const stream of [ANNOTATION_STREAM, packetStream(GOOD), 'KV_chrys_cameras', 'KV_chrys_states'])
    t.is(after[stream], before[stream], stream)
})

test('what the server answers it is no picture when it is sent to another’s subject', async t => {
  await using w = await world()
  const seen: Uint8Array[] = []
  const reassembly = new Reassembly(GOOD.uid)
  w.admin.subscribe(frameSubject(GOOD), {
    callback: (_, message) => {
      seen.push(message.data)
      t.throws(() => reassembly.frame(message), { message: /wire version/ })
    },
  })
  await w.admin.flush()
  const fields = withHeader('Chrys-Version', '1')
  w.evil.publish(packetSubject(EVIL), 'x', { reply: frameSubject(GOOD), ...fields })
  const ask = '{"last_by_subj":"$KV.chrys_leases.yard.evil"}'
  w.evil.publish(`${API}.STREAM.MSG.GET.KV_chrys_leases`, ask, { reply: frameSubject(GOOD), ...fields })
  await until(() => seen.length === 2, { what: 'two answers' })
})

test('it answers a request once, and nobody that did not ask', async t => {
  await using w = await world()
  w.evil.subscribe(streamKeySubject(EVIL), {
    callback: (_, message) => {
      message.respond('first')
      message.respond('second')
    },
  })
  await w.evil.flush()
  const { data } = await w.admin.request(streamKeySubject(EVIL), undefined, { noMux: true, reply: '_INBOX.gateway.asked', timeout: 5_000 })
  t.is(Buffer.from(data).toString(), 'first')
  await t.notThrowsAsync(refused(w.identity, 'Publish', '_INBOX.gateway.asked'))
  w.evil.publish('_INBOX.gateway.not-asked', 'x')
  await t.notThrowsAsync(refused(w.identity, 'Publish', '_INBOX.gateway.not-asked'))
})

const covers = (pattern: string, subject: string): boolean => {
  const [wanted, given] = [pattern.split('.'), subject.split('.')]
  const end = wanted.indexOf('>')
  if (end >= 0 ? given.length <= end : given.length !== wanted.length) return false
  return wanted.slice(0, end < 0 ? undefined : end).every((token, i) => token === '*' || token === given[i])
}

test('no camera may publish what it, or another camera, receives and may answer', t => {
  const { pub } = cameraPermissions(EVIL)
  for (const heard of [...cameraPermissions(EVIL).sub.allow, ...cameraPermissions(GOOD).sub.allow]) {
    t.deepEqual(
      pub.allow.filter(subject => covers(heard, subject)),
      [],
      heard,
    )
  }
})

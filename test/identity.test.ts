import test from 'ava'
import { writeFile } from 'node:fs/promises'
import { decode } from '@nats-io/jwt'
import { userIn } from '../common/nats/user.ts'
import { cameraSecret, readSigning } from '../operator/identity/camera-user.ts'
import { accountsConf, accountsIn, newKeys } from '../operator/identity/trust.ts'
import { cameraCreds, roleCreds } from '../operator/identity/users.ts'
import { watchedCamera } from './fixtures/camera-objects.ts'
import { temporaryFolder } from './fixtures/tmp.ts'

const tokenIn = (creds: string) => decode<Record<string, unknown>>(/ey[\w.-]+/.exec(creds)?.[0] ?? '')

test('the same camera gets the same user, and another one when it is made anew', t => {
  const keys = newKeys()
  const camera = { namespace: 'site', name: 'door', uid: 'a' }
  const creds = cameraCreds(keys, camera, { issuedAt: 1_700_000_000 })
  t.is(cameraCreds(keys, { ...camera }, { issuedAt: 1_700_000_000 }), creds)
  const others = [
    cameraCreds(keys, { ...camera, uid: 'b' }, { issuedAt: 1_700_000_000 }),
    cameraCreds(keys, { ...camera, name: 'gate' }, { issuedAt: 1_700_000_000 }),
    cameraCreds(newKeys(), camera, { issuedAt: 1_700_000_000 }),
    roleCreds(keys, 'gateway', 1_700_000_000),
  ]
  const users = [creds, ...others].map(text => tokenIn(text).sub)
  t.is(new Set(users).size, users.length)
  t.like(tokenIn(creds), { name: 'camera site/door', iat: 1_700_000_000, nats: { type: 'user', issuer_account: keys.account } })
})

test('the server’s configuration depends on the keys alone, names its accounts, and holds no seed', t => {
  const keys = newKeys()
  const conf = accountsConf(keys, 1_700_000_000)
  t.is(accountsConf({ ...keys }, 1_700_000_000), conf)
  t.deepEqual(accountsIn(conf), { account: keys.account, system: keys.system })
  t.notRegex(conf, /\bS[OAU][A-Z2-7]{40}/)
  t.is(accountsIn('jetstream {}'), undefined)
  const renewed = newKeys(accountsIn(conf))
  t.deepEqual([renewed.account, renewed.system], [keys.account, keys.system])
})

test('a user’s credentials hold none of the keys that made them', t => {
  const keys = newKeys()
  const creds = cameraCreds(keys, { namespace: 'site', name: 'door', uid: 'a' }, { issuedAt: 1 })
  for (const secret of [keys.seed, keys.operator]) t.false(creds.includes(secret))
})

const BORN = '2026-01-02T03:04:05Z'
const DAY_MS = 86_400_000

test('a camera’s Secret is the same for the same Camera and key until half of its validity is over, and belongs to the Camera', t => {
  const signing = newKeys()
  const plain = watchedCamera()
  const object = { ...plain, metadata: { ...plain.metadata, creationTimestamp: BORN } }
  const at = (days: number, keys = signing, more = {}) =>
    cameraSecret(keys, { ...object, metadata: { ...object.metadata, ...more } }, { days: 90 }, Date.parse(BORN) + days * DAY_MS)
  const secret = at(1)
  t.deepEqual(at(44.9, { ...signing }, { generation: 7, resourceVersion: '99' }), secret)
  t.deepEqual(at(-400), secret) // our clock is behind
  t.regex(secret.metadata.name, /^camera-front-nats-[0-9a-f]{10}$/)
  t.is(secret.immutable, true)
  t.like(secret.metadata.ownerReferences?.[0], { kind: 'Camera', name: 'front', uid: object.metadata.uid, controller: true })
  const others = [at(45.1), at(90.1), at(1, newKeys()), at(1, signing, { uid: 'another' })]
  t.is(new Set([secret, ...others].map(({ metadata }) => metadata.name)).size, 5)
  const tokens = [secret, others[0]].map(each => tokenIn(Buffer.from(each?.data?.['user.creds'] ?? '', 'base64').toString()))
  const born = Date.parse(BORN) / 1_000
  t.deepEqual(
    tokens.map(({ iat, exp = 0 }) => [((iat ?? 0) - born) / 86_400, (exp - born) / 86_400]),
    [
      [0, 90],
      [45, 135],
    ],
  )
  t.is(tokens[0]?.sub, tokens[1]?.sub)
  t.like(tokens[0]?.nats, { subs: 32, payload: 8 * 2 ** 20 })
})

test('the signing key is read from its files, and refused when it is no key, without telling what it was', async t => {
  const signing = newKeys()
  await using folder = await temporaryFolder()
  await writeFile(folder.file('account.pub'), `${signing.account}\n`)
  await t.throwsAsync(readSigning(folder.file('.')), { message: /ENOENT.*signing\.seed/ })
  await writeFile(folder.file('signing.seed'), 'nonsense')
  const { message } = await t.throwsAsync(readSigning(folder.file('.')))
  t.regex(message, /signing\.seed in .* is no account’s seed/)
  t.notRegex(message, /nonsense/)
  await writeFile(folder.file('signing.seed'), signing.seed)
  t.deepEqual(await readSigning(folder.file('.')), { account: signing.account, seed: signing.seed })
})

test('a process takes its inbox from its token, and whether it may make streams', t => {
  const keys = newKeys()
  t.deepEqual(userIn(cameraCreds(keys, { namespace: 'site', name: 'door', uid: 'a' }, { issuedAt: 1 })), {
    inbox: '_INBOX.camera.site.door',
    isConfined: true,
  })
  t.deepEqual(userIn(roleCreds(keys, 'gateway', 1)), { inbox: '_INBOX.gateway', isConfined: false })
  t.deepEqual(userIn(roleCreds(keys, 'operator', 1)), { inbox: '_INBOX.operator', isConfined: false })
  const token = (nats: object) => `x.${Buffer.from(JSON.stringify({ nats })).toString('base64url')}.x`
  const theirs = (nats: object) => userIn(`ey${token(nats)}`)
  t.deepEqual(theirs({}), { inbox: undefined, isConfined: false })
  t.deepEqual(theirs({ pub: { allow: ['$JS.API.>', 'chrys.>'] }, sub: { allow: ['_INBOX.>'] } }), { inbox: undefined, isConfined: false })
  t.is(userIn('no token'), undefined)
  t.is(userIn('eyJ.eyJ-no-json.x'), undefined)
})

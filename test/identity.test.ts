import test from 'ava'
import { writeFile } from 'node:fs/promises'
import { decode } from '@nats-io/jwt'
import { userIn } from '../common/nats/user.ts'
import { cameraSecret, readSigning, userFingerprint } from '../operator/identity/camera-user.ts'
import { accountsConf, accountsIn, newKeys } from '../operator/identity/trust.ts'
import { cameraCreds, roleCreds } from '../operator/identity/users.ts'
import { watchedCamera } from './fixtures/camera-objects.ts'
import { temporaryFolder } from './fixtures/tmp.ts'

const tokenIn = (creds: string) => decode<Record<string, unknown>>(/ey[\w.-]+/.exec(creds)?.[0] ?? '')

test('the same camera gets the same user, and another one when it is made anew', t => {
  const keys = newKeys()
  const camera = { namespace: 'site', name: 'door', uid: 'a' }
  const creds = cameraCreds(keys, camera, 1_700_000_000)
  t.is(cameraCreds(keys, { ...camera }, 1_700_000_000), creds)
  const others = [
    cameraCreds(keys, { ...camera, uid: 'b' }, 1_700_000_000),
    cameraCreds(keys, { ...camera, name: 'gate' }, 1_700_000_000),
    cameraCreds(newKeys(), camera, 1_700_000_000),
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
  const creds = cameraCreds(keys, { namespace: 'site', name: 'door', uid: 'a' }, 1)
  for (const secret of [keys.seed, keys.operator]) t.false(creds.includes(secret))
})

test('a camera’s Secret is the same for the same Camera and key, belongs to it, and is told apart without telling the key', async t => {
  const signing = newKeys()
  const plain = watchedCamera()
  const object = { ...plain, metadata: { ...plain.metadata, creationTimestamp: '2026-01-02T03:04:05Z' } }
  const secret = cameraSecret(signing, object)
  t.deepEqual(cameraSecret({ ...signing }, { ...object, metadata: { ...object.metadata, generation: 7, resourceVersion: '99' } }), secret)
  t.like(secret.metadata, { name: 'camera-front-nats', namespace: object.metadata.namespace })
  t.like(secret.metadata?.ownerReferences?.[0], { kind: 'Camera', name: 'front', uid: object.metadata.uid, controller: true })
  const creds = Buffer.from(secret.data?.['user.creds'] ?? '', 'base64').toString()
  t.is(tokenIn(creds).iat, Date.parse('2026-01-02T03:04:05Z') / 1_000)
  const fingerprint = userFingerprint(signing, object)
  t.is(userFingerprint(signing, object), fingerprint)
  t.not(userFingerprint(newKeys(), object), fingerprint)

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
  t.deepEqual(userIn(cameraCreds(keys, { namespace: 'site', name: 'door', uid: 'a' }, 1)), {
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

import test from 'ava'
import { decode } from '@nats-io/jwt'
import { accountsConf, accountsIn, newKeys } from '../operator/identity/trust.ts'
import { cameraCreds, roleCreds } from '../operator/identity/users.ts'

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

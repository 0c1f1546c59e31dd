import test from 'ava'
import pino from 'pino'
import { Registry } from 'prom-client'
import { KubeAccess } from '../gateway/access/access.ts'
import { Allowance } from '../gateway/access/allowance.ts'
import { AnswerCache } from '../gateway/access/cache.ts'
import { createAccessMetrics } from '../gateway/access/metrics.ts'
import type { Reviewer } from '../gateway/access/reviewer.ts'
import type { Refusal } from '../gateway/refusal.ts'

const DOOR = { namespace: 'shop', name: 'door' }
const log = pino({ enabled: false })

/** An API server that knows the tokens `token-of-NAME`, and grants what `granted` holds. */
function server(granted: string[]) {
  const asked = { tokens: 0, rights: 0 }
  const state = { isUp: true, granted: new Set(granted) }
  const reviewer: Reviewer = {
    identify(token) {
      asked.tokens++
      if (!state.isUp) return Promise.reject(new Error('down'))
      const name = /^token-of-(\w+)$/.exec(token)?.[1]
      return Promise.resolve(name === undefined ? undefined : { username: name })
    },
    may({ username }, right, { namespace, name }) {
      asked.rights++
      if (!state.isUp) return Promise.reject(new Error('down'))
      return Promise.resolve(state.granted.has(`${username} ${right} ${namespace}/${name}`))
    },
  }
  return { access: new KubeAccess(reviewer, createAccessMetrics(new Registry()), log), asked, state }
}

const identify = (access: KubeAccess, name: string) => access.identify(`Bearer token-of-${name}`, 'peer')
const refusalOf = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error: Refusal) => `${error.kind}: ${error.message}`,
  )

for (const authorization of [undefined, '', 'Basic dXNlcjpwYXNz', 'Bearer', 'Bearer ', 'Bearer a b', `Bearer ${'x'.repeat(20_000)}`])
  test(`a request with authorization ${JSON.stringify(authorization)?.slice(0, 20)} is unauthenticated, and no review is made`, async t => {
    const { access, asked } = server([])
    t.regex(await refusalOf(access.identify(authorization, 'peer')), /^unauthenticated: a bearer token is required/)
    t.is(asked.tokens, 0)
  })

test('a token that the API server does not accept is unauthenticated, and is not reviewed again at once', async t => {
  const { access, asked } = server([])
  for (let i = 0; i < 3; i++) t.regex(await refusalOf(access.identify('bearer junk', 'peer')), /^unauthenticated: the token is not valid/)
  t.is(asked.tokens, 1)
})

test('a decision is asked once for many calls at the same time, and then kept', async t => {
  const { access, asked } = server(['ann frames shop/door'])
  const ann = await identify(access, 'ann')
  t.deepEqual(await Promise.all(Array.from({ length: 20 }, () => access.may(ann, 'frames', DOOR))), Array(20).fill(true))
  t.is(asked.rights, 1)
  t.false(await access.may(ann, 'past', DOOR))
  t.false(await access.may(ann, 'frames', { ...DOOR, name: 'gate' }))
  t.is(asked.rights, 3)
})

test('while the API server is unreachable, known decisions hold and unknown ones are unavailable', async t => {
  t.timeout(10_000)
  const { access, state } = server(['ann frames shop/door'])
  const ann = await identify(access, 'ann')
  t.true(await access.may(ann, 'frames', DOOR))
  state.isUp = false
  t.true(await access.may(ann, 'frames', DOOR))
  t.regex(await refusalOf(access.may(ann, 'past', DOOR)), /^unavailable: access cannot be decided/)
  t.regex(await refusalOf(identify(access, 'bob')), /^unavailable: access cannot be decided/)
})

test('1,000 tokens that are junk cause few reviews, and a known token goes on', async t => {
  const { access, asked } = server(['ann frames shop/door'])
  await identify(access, 'ann')
  const refusals = await Promise.all(Array.from({ length: 1_000 }, (_, i) => refusalOf(access.identify(`Bearer junk-${i}`, 'attacker'))))
  t.true(asked.tokens <= 12, String(asked.tokens))
  t.true(refusals.filter(refusal => refusal.startsWith('exhausted: too many unknown tokens')).length >= 980)
  t.is((await identify(access, 'ann')).name, 'ann')
  // Others are not shut out by the one that floods.
  t.is((await access.identify('Bearer token-of-bob', 'another peer')).name, 'bob')
})

test('the cache forgets the longest unused entry, asks again when an answer is no longer fresh, and keeps it while it cannot ask', async t => {
  const cache = new AnswerCache<number>({ max: 2, freshMs: () => 0, staleMs: () => 60_000 })
  let answer = 1
  const ask = () => (answer < 0 ? Promise.reject(new Error('down')) : Promise.resolve(answer))
  t.is(await cache.get('a', ask), 1)
  answer = 2
  t.is(await cache.get('a', ask, performance.now() + 1_000), 2)
  answer = -1
  t.is(await cache.get('a', ask, performance.now() + 1_000), 2)
  await t.throwsAsync(cache.get('b', ask), { message: 'down' })
  t.is(cache.size, 1)
  answer = 3
  await cache.get('b', ask)
  await cache.get('c', ask)
  t.is(cache.size, 2)
  t.is(cache.last('a'), undefined)
})

test('an allowance gives a burst, then its rate, to each key and to all together', t => {
  const allowance = new Allowance({ burst: 2, perSecond: 1 }, { burst: 3, perSecond: 1 })
  t.deepEqual(
    ['a', 'a', 'a', 'b', 'b'].map(key => allowance.take(key, 0)),
    [true, true, false, true, false],
  )
  t.true(allowance.take('b', 1_000))
  t.false(allowance.take('a', 1_000))
  t.true(allowance.take('a', 2_000))
})

// How a password is said to a server that asks for it: tables, and the examples of the standards.
import { createHash } from 'node:crypto'
import test from 'ava'
import { Authorization, challengeOf } from '../common/net/authorization.ts'

const offers = (...values: string[]) => challengeOf(values)

test('digests are those of the standard’s examples', t => {
  const credentials = { username: 'Mufasa', password: 'Circle of Life' }
  const nonces = 'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
  for (const [algorithm, response] of [
    ['MD5', '8ca523f5e9506fed4657c9700eebdbec'],
    ['SHA-256', '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'],
  ]) {
    const authorization = new Authorization(credentials, () => 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ')
    t.is(authorization.header('GET', '/dir/index.html'), undefined)
    const challenge = offers(`Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=${algorithm}, ${nonces}`)
    if (challenge === undefined) return t.fail()
    authorization.challenge(challenge)
    const header = authorization.header('GET', '/dir/index.html') ?? ''
    t.true(header.includes(`response="${response}"`), header)
    t.regex(header, new RegExp(`algorithm=${algorithm}, opaque="FQ.*qop=auth, nc=00000001, cnonce="f2`))
    t.regex(authorization.header('GET', '/dir/index.html') ?? '', /nc=00000002/)
  }
})

test('a digest of a session counts its requests with one client nonce', t => {
  let made = 0
  const authorization = new Authorization({ username: 'u', password: 'p' }, () => `c${++made}`)
  const md5 = (text: string) => createHash('md5').update(text).digest('hex')
  authorization.challenge(offers('Digest realm="r", nonce="n", algorithm=MD5-sess, qop="auth"') ?? t.fail())
  const first = md5(`${md5('u:r:p')}:n:c1`)
  for (const times of ['00000001', '00000002']) {
    const header = authorization.header('PLAY', 'x') ?? ''
    t.true(header.includes(`response="${md5(`${first}:n:${times}:c1:auth:${md5('PLAY:x')}`)}"`), header)
    t.true(header.includes(`algorithm=MD5-sess, qop=auth, nc=${times}, cnonce="c1"`), header)
  }
})

test('names, passwords and realms may hold any character, and no line break ends a header', t => {
  const authorization = new Authorization({ username: 'ü"s\\e\r\nr', password: 'pä€ß'.repeat(500) })
  authorization.challenge(offers('Digest realm="a \\"b\\", c", nonce="n"') ?? t.fail())
  const md5 = (text: string) => createHash('md5').update(text).digest('hex')
  const secret = md5(`ü"s\\e\r\nr:a "b", c:${'pä€ß'.repeat(500)}`)
  const header = authorization.header('PLAY', 'x') ?? ''
  t.true(header.startsWith(`Digest username="${Buffer.from('ü\\"s\\\\er').toString('latin1')}", realm="a \\"b\\", c", nonce="n"`), header)
  t.true(header.includes(`response="${md5(`${secret}:n:${md5('PLAY:x')}`)}"`))
})

test('of several ways to say a password the safest that is known is taken', t => {
  t.like(offers('Basic realm="a"'), { scheme: 'Basic', realm: 'a' })
  t.like(offers('Basic realm="a"', 'Digest realm="b", nonce="n"'), { scheme: 'Digest', qop: false, algorithm: undefined, stale: false })
  t.like(offers('Digest realm="b", nonce="n", algorithm=MD5', 'Digest realm="b", nonce="n", algorithm=SHA-256'), { algorithm: 'SHA-256' })
  t.like(offers('Basic realm="a", Digest realm="b, Basic", nonce="n=,", algorithm="sha-256"'), {
    realm: 'b, Basic',
    nonce: 'n=,',
    algorithm: 'sha-256',
  })
  t.like(offers('Negotiate abc==, Digest realm="b", nonce="n", qop=auth'), { scheme: 'Digest', realm: 'b', qop: true })
  // Basic would send the password in clear to a camera that need not see it.
  t.is(offers('Digest realm="b", nonce="n", algorithm=SHA-512-256', 'Basic realm="a"'), undefined)
  t.is(offers('Bearer'), undefined)
  const basic = new Authorization({ username: 'Aladdin', password: 'open sesame' })
  basic.challenge({ scheme: 'Basic', realm: '', nonce: '', opaque: undefined, algorithm: undefined, qop: false, stale: false })
  t.is(basic.header('DESCRIBE', 'x'), 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==')
})

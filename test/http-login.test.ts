// How the relay logs in to HTTP cameras, keeps cookies, and to whom it gives neither.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import test from 'ava'
import type { Failure } from '../common/errors.ts'
import type { Relay } from '../sidecar/rtsp/relay.ts'
import { ask } from '../common/net/ask.ts'
import { openHttpRelay, type HttpRelayOptions } from '../sidecar/http/relay.ts'
import { denied } from '../common/net/address.ts'
import { startRawWebCamera, type Asked, type RawWebCamera } from './fixtures/raw-web-camera.ts'
import { startWebCamera } from './fixtures/web-camera.ts'

const CREDENTIALS = { username: 'viewer', password: 'p@ss:w/o?rd#1%é' }
const OK = 'HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\nstream'
const unauthorized = (...challenges: string[]) =>
  `HTTP/1.1 401 Unauthorized\r\n${challenges.map(text => `WWW-Authenticate: ${text}\r\n`).join('')}\r\n<html>`

/** As ffmpeg asks: the path is not changed. */
async function get(relay: Relay, url: string, headers: Record<string, string> = {}) {
  const asking = request({ host: relay.host, port: relay.port, path: url, headers, agent: false }).end()
  const [response] = (await once(asking, 'response')) as [IncomingMessage]
  const body = await buffer(response)
  return { status: response.statusCode, headers: response.headers, body: body.toString('latin1') }
}

const open = (url: string, options: HttpRelayOptions = {}) => openHttpRelay(url, denied([]), options)

const isFailure = (failure: Failure | undefined, { reason, message }: { reason: string; message: RegExp }): boolean =>
  failure !== undefined && failure.reason === reason && message.test(failure.message)

const fieldsOf = (header: string): Map<string, string> =>
  new Map(
    [...header.matchAll(/(\w+)=(?:"((?:\\.|[^"])*)"|([^\s,]*))/g)].map(([, name = '', quoted, plain = '']) => [name, quoted ?? plain]),
  )

/** Whether the answer to a Digest challenge is right for the request line that it came with. */
function isRight({ path, header }: Asked, realm = 'cam'): boolean {
  const fields = fieldsOf(header('authorization') ?? '')
  const field = (name: string) => fields.get(name) ?? ''
  const hash = (text: string) =>
    createHash(field('algorithm') === 'SHA-256' ? 'sha256' : 'md5')
      .update(text)
      .digest('hex')
  const [secret, second] = [hash(`${CREDENTIALS.username}:${realm}:${CREDENTIALS.password}`), hash(`GET:${field('uri')}`)]
  const middle = fields.has('qop') ? `:${field('nc')}:${field('cnonce')}:auth` : ''
  return field('uri') === path && field('response') === hash(`${secret}:${field('nonce')}${middle}:${second}`)
}

const MD5 = 'Digest realm="cam", nonce="n5", qop="auth"'
const SHA = 'Digest realm="cam", nonce="n256", algorithm=SHA-256, qop="auth"'
const BASIC = 'Basic realm="cam"'

test('of the logins that a camera offers the strongest is used, in whatever order and however many headers', async t => {
  for (const [expected, ...offers] of [
    ['n5', MD5],
    ['n5', BASIC, MD5],
    ['n5', MD5, BASIC],
    ['n5', `${BASIC}, ${MD5}`],
    ['n5', `${MD5}, ${BASIC}`],
    ['n5', `${BASIC}, Digest realm="cam",nonce="n5"`],
    ['n5', 'Negotiate', 'NTLM', `basic realm=cam`, `DIGEST realm=cam,nonce=n5,stale="false",opaque=""`],
    ['n256', MD5, SHA],
    ['n256', SHA, MD5, BASIC],
    ['n256', `${BASIC}, ${MD5}, ${SHA}`],
    ['n256', 'Digest realm="cam", nonce="x", algorithm=SHA3-256', SHA, BASIC],
    [undefined, BASIC],
  ] as const) {
    await using camera = await startRawWebCamera(asked => (asked.header('authorization') === undefined ? unauthorized(...offers) : OK))
    await using relay = await open(`${camera.url}/x`, { credentials: CREDENTIALS })
    t.is((await get(relay, `${camera.url}/x`)).body, 'stream', offers.join())
    t.is(camera.asked.length, 2)
    const [, asked] = camera.asked
    const authorization = asked?.header('authorization') ?? ''
    if (expected === undefined)
      t.is(authorization, `Basic ${Buffer.from(`${CREDENTIALS.username}:${CREDENTIALS.password}`).toString('base64')}`)
    else t.true(fieldsOf(authorization).get('nonce') === expected && asked !== undefined && isRight(asked), authorization)
  }
})

test('each request is signed for its own line, to the letter, with the nonce that is known', async t => {
  await using camera = await startRawWebCamera(asked => (isRight(asked) ? OK : unauthorized(MD5)))
  await using relay = await open(camera.url, { credentials: CREDENTIALS })
  const paths = ['/axis-cgi/mjpg/video.cgi?', `/cgi/{1}/[2]?a=b'c|d`, '/a/./b/../c', '/%7e?x=%2F&&', '//x']
  for (const path of paths) t.is((await get(relay, camera.url + path)).body, 'stream', path)
  t.deepEqual(
    camera.asked.map(({ path }) => path),
    [paths[0] ?? '', ...paths],
  )
  const counts = camera.asked.slice(1).map(({ header }) => fieldsOf(header('authorization') ?? '').get('nc'))
  t.deepEqual(
    counts,
    paths.map((_, i) => `0000000${i + 1}`),
  )
})

test('a nonce that serves once, or is stale, is replaced, and a wrong password is tried once', async t => {
  let nonce = 0
  const live = new Set<string>()
  await using once = await startRawWebCamera(asked => {
    const known = live.delete(fieldsOf(asked.header('authorization') ?? '').get('nonce') ?? '')
    if (known && isRight(asked)) return OK
    live.add(`n${++nonce}`)
    return unauthorized(`Digest realm="cam", nonce="n${nonce}"`)
  })
  await using relay = await open(once.url, { credentials: CREDENTIALS })
  for (let i = 0; i < 3; i++) t.is((await get(relay, `${once.url}/x`)).status, 200)
  t.is(once.asked.length, 6)

  await using stale = await startRawWebCamera(asked =>
    asked.head.includes('"n9"') ? OK : unauthorized(`Digest realm="cam", nonce="n${asked.head.includes('"n8"') ? 9 : 8}", stale=TRUE`),
  )
  await using renewed = await open(stale.url, { credentials: CREDENTIALS })
  t.is((await get(renewed, `${stale.url}/x`)).status, 200)

  for (const offer of [MD5, BASIC]) {
    await using camera = await startRawWebCamera(() => unauthorized(offer))
    await using refused = await open(camera.url, { credentials: CREDENTIALS })
    const got = await get(refused, `${camera.url}/x`)
    t.is(got.status, 401)
    t.is(got.headers['www-authenticate'], undefined)
    t.like(refused.progress.failure, { reason: 'AuthFailed', message: 'the camera rejects the user name or password' })
    t.is(camera.asked.length, 2)
  }
  await using camera = await startRawWebCamera(() => unauthorized(BASIC))
  await using without = await open(camera.url)
  await get(without, `${camera.url}/x`)
  t.true(
    isFailure(without.progress.failure, {
      reason: 'AuthFailed',
      message: /asks for a user name and password, and spec.source.credentialsSecretRef names no Secret/,
    }),
  )
})

test('a login that weakens is refused with a sentence, later connections included', async t => {
  for (const [first, second] of [
    [SHA, MD5],
    [MD5, BASIC],
    [SHA, BASIC],
  ] as const) {
    let offer: string = first
    await using camera = await startRawWebCamera(asked => (asked.path === '/a' && isRight(asked) ? OK : unauthorized(offer)))
    const memory = { strength: 0 }
    await using relay = await open(camera.url, { credentials: CREDENTIALS, memory })
    t.is((await get(relay, `${camera.url}/a`)).status, 200)
    offer = second
    t.is((await get(relay, `${camera.url}/b`)).status, 502)
    await using later = await open(camera.url, { credentials: CREDENTIALS, memory })
    t.is((await get(later, `${camera.url}/a`)).status, 502)
    for (const { progress } of [relay, later])
      t.like(progress.failure, {
        reason: 'LoginDowngraded',
        message: 'the camera offers a weaker login than before: the password was not sent',
      })
    t.false(camera.asked.some(({ header }) => header('authorization')?.startsWith('Basic') === true))
  }
})

test('a login that is not supported is named, and no password is sent in clear in its place', async t => {
  for (const [offers, said] of [
    [['NTLM', 'Negotiate'], 'NTLM, Negotiate'],
    [['Digest realm="cam", nonce="n", algorithm=SHA3-256', BASIC], 'Digest, Basic'],
    [['Digest realm="cam", nonce="n", qop="auth-int"', BASIC], 'Digest, Basic'],
    [[], 'none'],
  ] as const) {
    await using camera = await startRawWebCamera(() => unauthorized(...offers))
    await using relay = await open(camera.url, { credentials: CREDENTIALS })
    await get(relay, `${camera.url}/x`)
    t.is(relay.progress.failure?.reason, 'LoginUnsupported')
    t.true(relay.progress.failure?.message.endsWith(`(${said})`), relay.progress.failure?.message)
    t.is(camera.asked.length, 1)
  }
})

test('the password goes to the server of source.url alone, or to the same host with TLS', async t => {
  await using other = await startRawWebCamera(() => unauthorized(BASIC, MD5))
  await using camera = await startRawWebCamera(asked =>
    isRight(asked) ? `HTTP/1.1 302 Found\r\nLocation: ${other.url}/y\r\n\r\n` : unauthorized(MD5),
  )
  await using relay = await open(camera.url, { credentials: CREDENTIALS })
  t.is((await get(relay, `${camera.url}/x`)).headers.location, `${other.url}/y`)
  const got = await get(relay, `${other.url}/y`)
  t.is(got.status, 401)
  t.true(
    isFailure(relay.progress.failure, {
      reason: 'RedirectRefused',
      message: /leads to 127.0.0.1, which asks for a login, but user name and password are sent to the server in spec.source.url only/,
    }),
  )
  t.is(other.asked[0]?.header('authorization'), undefined)
  // What a playlist itself names as user and password is ffmpeg’s to send, and goes nowhere else.
  await get(relay, `${other.url}/z`, { authorization: 'Basic playlist' })
  t.is(other.asked[1]?.header('authorization'), 'Basic playlist')
  await get(relay, `${camera.url}/z`, { authorization: 'Basic playlist' })
  t.true(camera.asked.at(-1)?.header('authorization')?.startsWith('Digest'))

  await using secure = await startWebCamera(
    { kind: 'body', type: 'video/mp2t', body: 'stream' },
    { tls: true, login: 'viewer:p@ss:w/o?rd#1%é' },
  )
  await using plain = await startRawWebCamera(() => `HTTP/1.1 301 Moved\r\nLocation: ${secure.url}\r\n\r\n`)
  await using upgraded = await open(plain.url, { credentials: CREDENTIALS })
  const { location = '' } = (await get(upgraded, `${plain.url}/`)).headers
  t.is((await get(upgraded, location)).body, 'stream')
})

test('cookies come back to the server and path that set them, and nowhere else', async t => {
  await using other = await startRawWebCamera(() => OK)
  await using camera = await startRawWebCamera(({ path }) =>
    path === '/cam/live.m3u8'
      ? `HTTP/1.1 200 OK\r\n${[
          'session=abc123; Path=/; HttpOnly',
          'here=1',
          'deep=2; Path=/cam/seg',
          'gone=3; Max-Age=0',
          'old=4; Expires=Thu, 01 Jan 1970 00:00:00 GMT',
          'foreign=6; Domain=example.com',
          'session=abc124; path=/;',
          '=nameless',
          'x'.repeat(5000),
        ]
          .map(cookie => `Set-Cookie: ${cookie}\r\n`)
          .join('')}\r\n#EXTM3U\n`
      : OK,
  )
  await using relay = await open(camera.url)
  t.is((await get(relay, `${camera.url}/cam/live.m3u8`)).headers['set-cookie'], undefined)
  for (const [path, cookies] of [
    ['/cam/key?id=1', ['here=1', 'session=abc124']],
    ['/cam/seg/1.ts', ['deep=2', 'here=1', 'session=abc124']],
    ['/cam/segment', ['here=1', 'session=abc124']],
    ['/other', ['session=abc124']],
  ] as const) {
    await get(relay, camera.url + path, { cookie: 'ffmpegs=own' })
    const sent = camera.asked
      .at(-1)
      ?.header('cookie')
      ?.split('; ')
      .filter(cookie => cookie !== 'nameless')
      .toSorted()
    t.deepEqual(sent, [...cookies], path)
  }
  await get(relay, other.url.replace('127.0.0.1', 'localhost'))
  t.is(other.asked[0]?.header('cookie'), undefined)
})

test('a camera may set so many cookies only', async t => {
  await using camera = await startRawWebCamera(
    () => `HTTP/1.1 200 OK\r\n${Array.from({ length: 300 }, (_, i) => `Set-Cookie: c${i}=v\r\n`).join('')}\r\n`,
  )
  await using relay = await open(camera.url)
  for (let i = 0; i < 2; i++) await get(relay, `${camera.url}/x`)
  t.is(camera.asked[1]?.header('cookie')?.split('; ').length, 50)
})

test('nothing that a camera says becomes a line of a request of ours', async t => {
  const evil = 'a\rX-Evil: 1\0\x0b\x7f"\\é'
  await using camera = await startRawWebCamera(({ path, header }) => {
    if (header('authorization') === undefined) return unauthorized(`Digest realm="${evil}", nonce="${evil}", opaque="${evil}"`)
    return path === '/x' ? `HTTP/1.1 302 Found\r\nSet-Cookie: a=${evil}\r\nLocation: /y z${evil}#fragment\r\n\r\n` : OK
  })
  await using relay = await open(camera.url, { credentials: CREDENTIALS })
  const { location = '' } = (await get(relay, `${camera.url}/x`)).headers
  t.regex(location, /^\/y%20za[^\s#]*$/)
  t.is((await get(relay, camera.url + location)).status, 200)
  for (const { head } of camera.asked) {
    const names = head
      .split(/[\r\n]+/)
      .slice(1)
      .map(line => line.split(':')[0] ?? '')
    t.deepEqual(
      names.filter(name => !['Host', 'Authorization', 'Cookie', 'Accept-Encoding', 'Connection'].includes(name)),
      [],
      head,
    )
  }
})

test('no line break in a header becomes one of a request', async t => {
  await using camera = await startRawWebCamera(() => OK)
  const origin = { tls: false, host: '127.0.0.1', port: camera.port }
  const addresses = [{ address: '127.0.0.1', family: 4 }]
  using answer = await ask(origin, addresses, ['GET /x HTTP/1.1', 'A: b\r\nX-Evil: 1\n\0'], () => {}, new AbortController().signal)
  t.is(answer.status, 200)
  t.is(camera.asked[0]?.head, 'GET /x HTTP/1.1\r\nA: bX-Evil: 1')
})

test('redirects that lead nowhere are refused by name', async t => {
  for (const [header, reason, message] of [
    ['Location: rtsp://127.0.0.1/', 'RedirectRefused', /another protocol than HTTP/],
    ['Location: file:///etc/passwd', 'RedirectRefused', /another protocol than HTTP/],
    ['X: y', 'InvalidStream', /redirects \(302\), but does not say where to/],
    ['Location:', 'InvalidStream', /does not say where to/],
  ] as const) {
    await using camera = await startRawWebCamera(() => `HTTP/1.1 302 Found\r\n${header}\r\n\r\n`)
    await using relay = await open(camera.url)
    t.is((await get(relay, `${camera.url}/x`)).status, 502)
    t.true(isFailure(relay.progress.failure, { reason, message }))
  }
  await using camera = await startRawWebCamera(() => 'HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n')
  await using relay = await open(camera.url)
  for (let i = 0; i < 8; i++) t.is((await get(relay, `${camera.url}/x`)).status, 302)
  await get(relay, `${camera.url}/x`)
  t.true(isFailure(relay.progress.failure, { reason: 'RedirectRefused', message: /in a circle/ }))
})

test('a camera’s refusal becomes a reason with a sentence', async t => {
  for (const [status, reason, message] of [
    ['401 Unauthorized', 'AuthFailed', /user name and password/],
    ['403 Forbidden', 'AuthFailed', /this user may not see the stream \(403 Forbidden\)/],
    ['404 Nope', 'NotFound', /no stream at this path \(404 Not Found\)/],
    ['410', 'NotFound', /./],
    ['400 Bad Request', 'RequestRefused', /rejects the request \(400 Bad Request\)/],
    ['406 x', 'RequestRefused', /406/],
    ['429 Too Many', 'NoConnectionLeft', /no connection left/],
    ['453 Not Enough Bandwidth', 'NoConnectionLeft', /no connection left \(453\)/],
    ['503 Busy', 'NoConnectionLeft', /no connection left \(503 Service Unavailable\)/],
    ['500 Oops', 'ServerError', /internal error \(500 Internal Server Error\)/],
  ] as const) {
    await using camera = await startRawWebCamera(() => `HTTP/1.1 ${status}\r\n\r\n`)
    await using relay = await open(camera.url)
    t.is((await get(relay, `${camera.url}/x`)).status, Number(status.slice(0, 3)))
    t.true(isFailure(relay.progress.failure, { reason, message }), status)
  }
})

test('what a playlist names may be missing for a while, but not be forbidden from the beginning', async t => {
  const camera = (): Promise<RawWebCamera> =>
    startRawWebCamera(({ path }) => {
      if (path === '/live.m3u8') return 'HTTP/1.1 200 OK\r\n\r\n#EXTM3U\n'
      return path === '/1.ts' ? OK : `HTTP/1.1 ${path.slice(1)} x\r\n\r\n`
    })
  await using late = await camera()
  await using relay = await open(late.url)
  for (const path of ['/live.m3u8', '/404']) await get(relay, late.url + path)
  t.true(isFailure(relay.progress.refusal, { reason: 'NotFound', message: /the server of what the playlist names/ }))
  t.is(relay.progress.failure, undefined)
  await get(relay, `${late.url}/1.ts`)
  t.is(relay.progress.refusal, undefined)
  await get(relay, `${late.url}/403`)
  t.like(relay.progress, { failure: undefined, refusal: { reason: 'AuthFailed' } })

  await using closed = await camera()
  await using barred = await open(closed.url)
  for (const path of ['/live.m3u8', '/403']) await get(barred, closed.url + path)
  t.is(barred.progress.failure?.reason, 'AuthFailed')
})

test('an answer that is compressed though it should not be is read, and one that only says so is refused', async t => {
  const playlist = '#EXTM3U\n#EXTINF:2,\n1.ts\n'
  for (const [body, status] of [
    [gzipSync(playlist).toString('latin1'), 200],
    [playlist, 502],
  ] as const) {
    await using camera = await startRawWebCamera(
      () => `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    await using relay = await open(camera.url)
    const got = await get(relay, `${camera.url}/x.m3u8`)
    t.is(got.status, status)
    if (status === 200) t.is(got.body, playlist)
    else t.true(isFailure(relay.progress.failure, { reason: 'InvalidStream', message: /says Content-Encoding: gzip, but its body is not/ }))
  }
})

test('a camera that hangs up without an answer: ConnectionLost; a web page: InvalidStream', async t => {
  await using mute = await startRawWebCamera(() => '')
  await using relay = await open(mute.url)
  t.is((await get(relay, `${mute.url}/x`)).status, 502)
  t.true(isFailure(relay.progress.failure, { reason: 'ConnectionLost', message: /without an answer/ }))
  await using page = await startRawWebCamera(() => 'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n\r\n<!DOCTYPE html>')
  await using web = await open(page.url)
  await get(web, `${page.url}/x`)
  t.true(isFailure(web.progress.failure, { reason: 'InvalidStream', message: /a web page answers/ }))
})

// What passes between ffmpeg and an RTSP camera, and what does not: tables, no sockets.
import { createHash } from 'node:crypto'
import test from 'ava'
import { Failure } from '../common/errors.ts'
import { Authorization, challengeOf } from '../sidecar/rtsp/authorization.ts'
import { RtspSession, type RtspOptions } from '../sidecar/rtsp/session.ts'

const RELAY = 'rtsp://127.0.0.1:5000'
const CAMERA = 'rtsp://door.example:8554'
const SDP = 'v=0\r\nm=audio 0 RTP/AVP 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n'
const VIEWER = { username: 'viewer', password: 'p@ss' }
const VIDEO = '$\0\0\u0005video'

const sessionWith = (options: Partial<RtspOptions> = {}) =>
  new RtspSession({ cameraOrigin: CAMERA, relayOrigin: RELAY, credentials: undefined, udpSource: undefined, ...options })

const answer = (cseq: number, status = '200 OK', headers: string[] = [], body = '') => {
  const all = [`RTSP/1.0 ${status}`, `CSeq: ${cseq}`, ...headers, ...(body === '' ? [] : [`Content-Length: ${body.length}`])]
  return `${all.join('\r\n')}\r\n\r\n${body}`
}
const ask = (method: string, cseq: number, uri = `${RELAY}/video`, headers: string[] = []) =>
  `${[`${method} ${uri} RTSP/1.0`, `CSeq: ${cseq}`, ...headers].join('\r\n')}\r\n\r\n`

const refusal = (cseq: number, nonce: string, more = '', body = '') =>
  answer(cseq, '401 Unauthorized', [`WWW-Authenticate: Digest realm="cam", nonce="${nonce}"${more}`], body)

const pieces = (text: string, size: number) => {
  const bytes = Buffer.from(text, 'latin1')
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
}
const request = (session: RtspSession, text: string, size = 10_000) =>
  pieces(text, size)
    .flatMap(piece => session.request(piece))
    .join('')

function respond(session: RtspSession, text: string, size = 10_000): { toFfmpeg: string; toCamera: string } {
  let [toFfmpeg, toCamera] = ['', '']
  for (const piece of pieces(text, size)) {
    if (session.playing) {
      toCamera += Buffer.concat(session.watch(piece)).toString('latin1')
      toFfmpeg += piece.toString('latin1')
      continue
    }
    const passed = session.response(piece)
    toFfmpeg += Buffer.concat(passed.toFfmpeg).toString('latin1')
    toCamera += Buffer.concat(passed.toCamera).toString('latin1')
  }
  return { toFfmpeg, toCamera }
}

for (const size of [1, 2, 7, 10_000]) {
  test(`answers pass as they are until the camera plays, and everything after, in pieces of ${size} bytes`, t => {
    const session = sessionWith()
    const before = [
      answer(1, '200 OK', ['Public: OPTIONS, DESCRIBE']),
      answer(2, '401 Unauthorized', ['WWW-Authenticate: Digest realm="x", nonce="y"']),
      answer(3, '200 OK', ['Content-Type: application/sdp'], `${SDP}s=RTSP/1.0 302 not a redirect but a body\r\n`),
      answer(4, '200 OK', ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1;source=10.0.0.1']),
      VIDEO, // some send before they have agreed to
      'ANNOUNCE rtsp://h/x RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 3\r\n\r\nabc',
    ].join('')
    t.deepEqual(respond(session, before, size), { toFfmpeg: before, toCamera: '' })
    t.false(session.playing)
    request(session, ask('PLAY', 5))
    const play = `${answer(5, '200 OK', ['Range: npt=0.0-'])}${VIDEO}anything, RTSP/1.0 302 Found\r\n\r\n`
    t.deepEqual(respond(session, play, size), { toFfmpeg: play, toCamera: '' })
    t.true(session.playing)
  })

  test(`the RTP time that a camera announces does not pass, in pieces of ${size} bytes`, t => {
    for (const info of ['RTP-Info: url=x;seq=1;rtptime=99', 'rtp-info :url=x;\r\n rtptime=99,\r\n\turl=y;rtptime=98', 'RTP-Info:']) {
      const session = sessionWith()
      request(session, ask('PLAY', 5))
      const { toFfmpeg } = respond(session, `${answer(5, '200 OK', ['Session: 7', info, 'Range: npt=0.0-'])}${VIDEO}`, size)
      t.is(toFfmpeg, `${answer(5, '200 OK', ['Session: 7', 'Range: npt=0.0-'])}${VIDEO}`)
    }
  })

  test(`nothing of a redirect passes, in pieces of ${size} bytes`, t => {
    for (const redirect of [
      answer(2, '302 Found', ['Location: rtsp://elsewhere/']),
      answer(2, '301 Moved Permanently', ['Location: rtsp://elsewhere/']),
      'REDIRECT rtsp://h/x RTSP/1.0\r\nCSeq: 7\r\nLocation: rtsp://elsewhere/\r\n\r\n',
      'RTSP/1.0 302 Found\nLocation: rtsp://elsewhere/\n\n',
      'RTSP/1.0 30\r2 Found\n\r\r\n',
    ]) {
      const session = sessionWith()
      respond(session, answer(1), size)
      let passed = ''
      const error = t.throws(() => (passed = respond(session, redirect, size).toFfmpeg), { instanceOf: Failure })
      t.is(error?.reason, 'RedirectRefused')
      t.is(passed, '')
    }
  })

  test(`requests name the camera as the user does, in pieces of ${size} bytes`, t => {
    const session = sessionWith()
    t.is(
      request(session, ask('DESCRIBE', 1, `${RELAY}/a%20b?c=@d`, ['Accept: application/sdp']), size),
      ask('DESCRIBE', 1, `${CAMERA}/a%20b?c=@d`, ['Accept: application/sdp']),
    )
    // What the camera named itself stays.
    t.is(request(session, ask('SETUP', 2, 'rtsp://10.0.0.1/video/track1'), size), ask('SETUP', 2, 'rtsp://10.0.0.1/video/track1'))
    const report = '$\u0001\0\u0004rtcp'
    t.is(request(session, report + ask('GET_PARAMETER', 3), size), report + ask('GET_PARAMETER', 3, `${CAMERA}/video`))
  })

  test(`the relay answers the camera's challenge, and ffmpeg hears nothing of it, in pieces of ${size} bytes`, t => {
    const session = sessionWith({ credentials: VIEWER })
    t.is(request(session, ask('DESCRIBE', 2)), ask('DESCRIBE', 2, `${CAMERA}/video`))
    const challenge = ['WWW-Authenticate: Digest realm="cam", nonce="n1", stale="FALSE"', 'WWW-Authenticate: Basic realm="cam"']
    const { toFfmpeg, toCamera } = respond(session, answer(2, '401 Unauthorized', challenge, 'no'), size)
    t.is(toFfmpeg, '')
    t.regex(
      toCamera,
      /^DESCRIBE rtsp:\/\/door\.example:8554\/video RTSP\/1\.0\r\nAuthorization: Digest username="viewer", realm="cam", nonce="n1", uri="rtsp:\/\/door\.example:8554\/video", response="[0-9a-f]{32}"\r\nCSeq: 3\r\n\r\n$/,
    )
    // Each request has a number of its own towards the camera, and ffmpeg's own towards ffmpeg.
    t.is(respond(session, answer(3, '200 OK', ['X: y']), size).toFfmpeg, answer(2, '200 OK', ['X: y']))
    // Signed from now on without being asked, each method by its own.
    const setup = request(session, ask('SETUP', 3, `${RELAY}/video/track1`, ['Transport: x']))
    t.regex(setup, /\r\nCSeq: 4\r\n/)
    t.regex(setup, /\r\nAuthorization: Digest .*uri="rtsp:\/\/door\.example:8554\/video\/track1"/)
    t.not(/response="(\w+)"/.exec(setup)?.[1], /response="(\w+)"/.exec(toCamera)?.[1])
  })

  test(`a nonce that is too old is replaced, in pieces of ${size} bytes`, t => {
    const session = sessionWith({ credentials: VIEWER })
    request(session, ask('DESCRIBE', 2))
    t.regex(respond(session, refusal(2, 'n1'), size).toCamera, /nonce="n1"/)
    t.regex(respond(session, refusal(3, 'n2', ', stale=true'), size).toCamera, /nonce="n2".*\r\nCSeq: 4\r\n/s)
    t.is(respond(session, answer(4), size).toFfmpeg, answer(2))
  })

  test(`requests are challenged anew while the camera plays, and asked again at once, in pieces of ${size} bytes`, t => {
    const session = sessionWith({ credentials: VIEWER })
    request(session, ask('PLAY', 2))
    respond(session, refusal(2, 'n1'), size)
    t.is(respond(session, answer(3) + VIDEO, size).toFfmpeg, answer(2) + VIDEO)
    t.true(session.playing)
    for (const [cseq, method, stale] of [
      [3, 'GET_PARAMETER', ', stale=true'],
      [4, 'OPTIONS', ''],
    ] as const) {
      const sent = cseq + cseq - 2
      t.regex(request(session, ask(method, cseq), size), new RegExp(`\r\nCSeq: ${sent}\r\n`))
      const bytes = `${VIDEO}${refusal(sent, `late${cseq}`, stale, 'a body\r\n\r\n')}${VIDEO}`
      const { toFfmpeg, toCamera } = respond(session, bytes, size)
      t.is(toFfmpeg, bytes)
      t.regex(
        toCamera,
        new RegExp(`^${method} ${CAMERA}/video RTSP/1.0\r\nAuthorization: .*nonce="late${cseq}".*\r\nCSeq: ${sent + 1}\r\n\r\n$`),
      )
      t.is(respond(session, `${answer(sent + 1)}${VIDEO}`, size).toCamera, '')
    }
    // What is no answer to the last request asks for nothing.
    t.is(respond(session, `${refusal(4, 'n9')}${VIDEO}`, size).toCamera, '')
  })

  test(`a camera that challenges each request with a new nonce is answered each time, in pieces of ${size} bytes`, t => {
    const session = sessionWith({ credentials: VIEWER })
    let sent = 0
    for (const [i, method] of ['OPTIONS', 'DESCRIBE', 'SETUP', 'PLAY'].entries()) {
      const first = request(session, ask(method, i + 1), size)
      t.is(first.includes(`nonce="n${i - 1}"`), i > 0)
      const { toFfmpeg, toCamera } = respond(session, refusal(++sent, `n${i}`), size)
      t.is(toFfmpeg, '')
      t.true(toCamera.includes(`nonce="n${i}"`))
      t.is(respond(session, answer(++sent), size).toFfmpeg, answer(i + 1))
    }
    t.true(session.playing)
  })
}

for (const size of [1, 2, 7, 10_000]) {
  test(`a camera that ends lines with LF alone is understood, in pieces of ${size} bytes`, t => {
    const session = sessionWith({ credentials: VIEWER })
    const bare = (text: string) => text.replaceAll('\r', '')
    const passing = bare(answer(1, '200 OK', ['Public: OPTIONS'])) + VIDEO
    t.deepEqual(respond(session, passing, size), { toFfmpeg: passing, toCamera: '' })
    request(session, ask('DESCRIBE', 2))
    t.regex(respond(session, bare(refusal(2, 'n1', '', 'no\n\n')), size).toCamera, /nonce="n1".*\r\nCSeq: 3\r\n/s)
    t.is(
      respond(session, bare(answer(3, '200 OK', ['Content-Type: application/sdp'], bare(SDP))), size).toFfmpeg.split('\r\n')[1],
      'CSeq: 2',
    )
    request(session, ask('PLAY', 3))
    respond(session, bare(answer(4)) + VIDEO, size)
    t.true(session.playing)
    request(session, ask('GET_PARAMETER', 4))
    t.regex(respond(session, VIDEO + bare(refusal(5, 'n2')) + VIDEO, size).toCamera, /^GET_PARAMETER .*nonce="n2".*\r\nCSeq: 6\r\n/s)
  })
}

test('a password that is refused is not tried again, and ffmpeg hears of it', t => {
  for (const stale of ['', ', stale=true']) {
    const session = sessionWith({ credentials: VIEWER })
    request(session, ask('DESCRIBE', 2))
    const tries = stale === '' ? 1 : 2
    for (let i = 0; i < tries; i++) t.not(respond(session, refusal(2 + i, 'n', stale)).toCamera, '')
    t.deepEqual(respond(session, refusal(2 + tries, 'n', stale)), { toFfmpeg: refusal(2, 'n', stale), toCamera: '' })
  }
  for (const [credentials, offer] of [
    [VIEWER, 'Bearer'],
    [VIEWER, 'Digest realm="x", nonce="n", algorithm=SHA-512-256'],
    [VIEWER, 'Digest realm="x", nonce="n", qop="auth-int"'],
    [undefined, 'Basic realm="x"'],
  ] as const) {
    const session = sessionWith({ credentials })
    request(session, ask('DESCRIBE', 2))
    const unknown = answer(2, '401 Unauthorized', [`WWW-Authenticate: ${offer}`])
    t.deepEqual(respond(session, unknown), { toFfmpeg: unknown, toCamera: '' })
  }
})

test('a camera that does not say what it answers is understood', t => {
  const session = sessionWith({ credentials: VIEWER })
  request(session, ask('PLAY', 2))
  t.not(respond(session, 'RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n').toCamera, '')
  respond(session, 'RTSP/1.0 200 OK\r\n\r\n')
  t.true(session.playing)
})

test('the camera’s own names for its tracks are kept, and each is signed as it is asked for', t => {
  const session = sessionWith({ credentials: VIEWER })
  request(session, ask('DESCRIBE', 1))
  respond(session, refusal(1, 'n'))
  const control = 'rtsp://10.0.0.1:554/Streaming/trackID=1?a=b'
  const described = answer(
    1,
    '200 OK',
    [`Content-Base: ${CAMERA}/video/`, 'Content-Type: application/sdp'],
    `${SDP}a=control:${control}\r\n`,
  )
  t.is(respond(session, described.replace('CSeq: 1', 'CSeq: 2')).toFfmpeg, described)
  t.true(request(session, ask('SETUP', 2, control)).startsWith(`SETUP ${control} RTSP/1.0\r\nAuthorization: Digest`))
  t.true(request(session, ask('SETUP', 3, control)).includes(`uri="${control}"`))
  t.true(request(session, ask('PLAY', 4, `${CAMERA}/video/`)).startsWith(`PLAY ${CAMERA}/video/ RTSP/1.0\r\n`))
  // Another port that begins as the relay's does.
  t.true(request(session, ask('SETUP', 5, `${RELAY}1/x`)).startsWith(`SETUP ${RELAY}1/x `))
  t.true(request(session, ask('OPTIONS', 6, RELAY)).startsWith(`OPTIONS ${CAMERA} `))
})

test('what is no RTSP is refused at once, and an answer without an end in time', t => {
  const reason = (bytes: string) => t.throws(() => respond(sessionWith(), bytes, 1000), { instanceOf: Failure }, bytes.slice(0, 20))?.reason
  for (const bytes of ['HTTP/1.1 200 OK\r\n\r\n', '\0\u0001\u0002\u0003', 'RTSP/1.0 abc\r\n\r\n', 'hello\r\n\r\n', '<html>'])
    t.is(reason(bytes), 'InvalidStream')
  t.is(reason(`RTSP/1.0 200 OK\r\nX: ${'x'.repeat(100_000)}`), 'InvalidStream')
  t.is(reason('RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n'), 'InvalidStream')
})

test('what a camera offers is looked at before it is asked to play', t => {
  for (const [media, reason] of [
    ['m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000', undefined],
    ['m=video 0 RTP/AVP 26', undefined],
    ['m=video 0 RTP/AVP 97 98\r\na=control:x\r\na=rtpmap:97 h264/90000', undefined],
    ['m=video 0 RTP/AVP 96\r\na=rtpmap:96 H266/90000\r\nm=video 0 RTP/AVP 97\r\na=rtpmap:97 H264/90000', undefined],
    ['m=video 0 RTP/AVP 96', undefined],
    ['m=audio 0 RTP/AVP 0', 'NoVideoTrack'],
    ['', 'NoVideoTrack'],
    ['m=video 0 RTP/AVP 96\r\na=rtpmap:96 X-"PN\u0001G/90000', 'CodecUnsupported'],
    ['m=video 0 RTP/AVP 31', 'CodecUnsupported'],
  ] as const) {
    for (const size of [3, 10_000]) {
      const bytes = answer(2, '200 OK', ['Content-type:application/SDP'], `v=0\r\n${media}\r\n`)
      if (reason === undefined) t.is(respond(sessionWith(), bytes, size).toFfmpeg, bytes)
      else t.is(t.throws(() => respond(sessionWith(), bytes, size), { instanceOf: Failure })?.reason, reason, media)
    }
  }
})

test('RTP by UDP is sent to the camera’s own address, whatever address it claims', t => {
  const claimed = answer(3, '200 OK', ['Transport: RTP/AVP;unicast;client_port=5-6;server_port=7-8;source=169.254.169.254', 'Session: 1'])
  t.is(
    respond(sessionWith({ udpSource: '10.1.2.3' }), claimed).toFfmpeg,
    answer(3, '200 OK', ['Transport: RTP/AVP;unicast;client_port=5-6;server_port=7-8;source=10.1.2.3', 'Session: 1']),
  )
})

const offers = (...lines: string[]) =>
  challengeOf(
    answer(
      1,
      '401 Unauthorized',
      lines.map(line => `WWW-Authenticate: ${line}`),
    ),
  )

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
  t.like(offers('Digest realm="b", nonce="n", algorithm=SHA-512-256', 'Basic realm="a"'), { scheme: 'Basic' })
  t.is(offers('Bearer'), undefined)
  const basic = new Authorization({ username: 'Aladdin', password: 'open sesame' })
  basic.challenge({ scheme: 'Basic', realm: '', nonce: '', opaque: undefined, algorithm: undefined, qop: false, stale: false })
  t.is(basic.header('DESCRIBE', 'x'), 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==')
})

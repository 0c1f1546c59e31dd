// What passes between ffmpeg and an RTSP camera, and what does not: tables, no sockets.
import test from 'ava'
import { Failure } from '../common/errors.ts'
import { answer, CAMERA_URL, frame, SDP, talk, VIEWER } from './fixtures/rtsp-talk.ts'

const DIGEST = 'WWW-Authenticate: Digest realm="cam", nonce="n1"'
const refusal = (cseq: string, nonce: string, more = '', body = '') =>
  answer(cseq, '401 Unauthorized', [`WWW-Authenticate: Digest realm="cam", nonce="${nonce}"${more}`], body)
const described = (cseq: string, sdp = SDP, headers: readonly string[] = []) =>
  answer(cseq, '200 OK', ['Content-Type: application/sdp', ...headers], sdp)
const reasonOf = (act: () => unknown): string => {
  try {
    act()
    return 'none'
  } catch (error) {
    return error instanceof Failure ? error.reason : String(error)
  }
}

for (const size of [1, 2, 7, 10_000]) {
  test(`ffmpeg gets one track and its video, and the camera the user's URL, in pieces of ${size} bytes`, t => {
    const { ask, say, lastCseq, session } = talk({}, size)
    t.is(ask('OPTIONS', ['User-Agent: Lavf1']), `OPTIONS ${CAMERA_URL} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: Lavf1\r\n\r\n`)
    t.is(say(answer(1, '200 OK', ['Public: OPTIONS'])).toFfmpeg, answer(1, '200 OK', ['Content-Length: 0']))
    t.regex(ask('DESCRIBE'), /^DESCRIBE rtsp:\/\/door\.example:8554\/video RTSP\/1\.0\r\n.*\r\nAccept: application\/sdp\r\n\r\n$/s)
    const { toFfmpeg } = say(described('2', `${SDP}s=RTSP/1.0 302 not a redirect but a body\r\n`, [`Content-Base: ${CAMERA_URL}/`]))
    t.regex(toFfmpeg, /^RTSP\/1\.0 200 OK\r\nCSeq: 2\r\n.*\r\nm=video 0 RTP\/AVP 96\r\na=rtpmap:96 H264\/90000\r\n.*a=control:track\r\n$/s)
    t.notRegex(toFfmpeg, /audio|door\.example/)
    t.regex(ask('SETUP', ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1']), /^SETUP rtsp:\/\/door\.example:8554\/video\/trackID=1 RTSP/)
    t.is(say(frame(0)).toFfmpeg, '') // some send before they have agreed to
    t.regex(
      say(answer(3, '200 OK', ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1;source=10.0.0.1', 'Session: abc;timeout=7'])).toFfmpeg,
      /\r\nTransport: RTP\/AVP\/TCP;unicast;interleaved=0-1\r\n/,
    )
    t.false(session.playing)
    t.regex(ask('PLAY'), /^PLAY rtsp:\/\/door\.example:8554\/video\/ RTSP.*\r\nSession: abc\r\n/s)
    const video = `${frame(0)}${frame(1, 'report', { type: 200 })}${frame(0, 'RTSP/1.0 302 Found\r\n\r\n')}`
    const played = say(`${answer(lastCseq(), '200 OK', ['RTP-Info: url=x;rtptime=9'])}${video}`)
    t.true(played.toFfmpeg.endsWith(video))
    t.notRegex(played.toFfmpeg, /RTP-Info/)
    t.true(session.playing)
    t.is(session.keepAlive.everyMs, 3_500)
  })

  test(`nothing of a redirect passes, in pieces of ${size} bytes`, t => {
    for (const redirect of [
      answer(1, '302 Found', ['Location: rtsp://elsewhere/']),
      answer(1, '301 Moved Permanently', ['Location: rtsp://elsewhere/']),
      'REDIRECT rtsp://h/x RTSP/1.0\r\nCSeq: 7\r\nLocation: rtsp://elsewhere/\r\n\r\n',
      'RTSP/1.0 302 Found\nLocation: rtsp://elsewhere/\n\n',
      'RTSP/1.0 30\r2 Found\n\r\r\n',
    ]) {
      const { ask, say } = talk({ credentials: VIEWER }, size)
      ask('OPTIONS')
      t.is(
        reasonOf(() => say(redirect)),
        'RedirectRefused',
      )
    }
  })

  test(`the relay answers the camera's challenge, and ffmpeg hears nothing of it, in pieces of ${size} bytes`, t => {
    const { ask, say, lastCseq } = talk({ credentials: VIEWER }, size)
    t.notRegex(ask('DESCRIBE'), /Authorization/)
    const challenge = [`${DIGEST}, stale="FALSE"`, 'WWW-Authenticate: Basic realm="cam"']
    const { toFfmpeg, toCamera } = say(answer(1, '401 Unauthorized', challenge, 'no'))
    t.is(toFfmpeg, '')
    t.regex(
      toCamera,
      /^DESCRIBE rtsp:\/\/door\.example:8554\/video RTSP\/1\.0\r\nCSeq: 2\r\nAuthorization: Digest username="viewer", realm="cam", nonce="n1", uri="rtsp:\/\/door\.example:8554\/video", response="[0-9a-f]{32}"\r\nAccept: application\/sdp\r\n\r\n$/,
    )
    // Each request has a number of its own towards the camera, and ffmpeg's own towards ffmpeg.
    t.regex(say(described(lastCseq())).toFfmpeg, /^RTSP\/1\.0 200 OK\r\nCSeq: 1\r\n/)
    // Signed from now on without being asked, each method by its own.
    const setup = ask('SETUP', ['Transport: x'])
    t.regex(setup, /\r\nCSeq: 3\r\nAuthorization: Digest .*uri="rtsp:\/\/door\.example:8554\/video\/trackID=1"/)
    t.not(/response="(\w+)"/.exec(setup)?.[1], /response="(\w+)"/.exec(toCamera)?.[1])
  })

  test(`a nonce that is too old is replaced, also while the camera plays, in pieces of ${size} bytes`, t => {
    const { ask, say, lastCseq, session } = talk({ credentials: VIEWER }, size)
    ask('OPTIONS')
    t.regex(say(refusal('1', 'n1')).toCamera, /nonce="n1"/)
    t.regex(say(refusal('2', 'n2', ', stale=true')).toCamera, /\r\nCSeq: 3\r\n.*nonce="n2"/s)
    t.regex(say(answer(3)).toFfmpeg, /^RTSP\/1\.0 200 OK\r\nCSeq: 1\r\n/)
    ask('DESCRIBE')
    say(described(lastCseq()))
    ask('SETUP', ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1'])
    say(answer(lastCseq()))
    ask('PLAY')
    say(answer(lastCseq()))
    for (const [i, stale] of [', stale=true', ''].entries()) {
      const request = session.nextKeepAlive()?.toString('latin1') ?? ''
      const cseq = /CSeq: (\d+)/.exec(request)?.[1] ?? ''
      const { toFfmpeg, toCamera } = say(`${frame(0)}${refusal(cseq, `late${i}`, stale, 'a body\r\n\r\n')}${frame(0)}`)
      t.is(toFfmpeg, frame(0) + frame(0))
      t.regex(toCamera, new RegExp(`^OPTIONS .*nonce="late${i}"`, 's'))
      t.deepEqual(say(`${answer(lastCseq())}${frame(0)}`), { toFfmpeg: frame(0), toCamera: '' })
    }
    // What is no answer to a request asks for nothing.
    t.is(say(`${refusal('99', 'n9')}${frame(0)}`).toCamera, '')
  })

  test(`a camera that challenges each request with a new nonce is answered each time, in pieces of ${size} bytes`, t => {
    const { ask, say, lastCseq, session } = talk({ credentials: VIEWER }, size)
    for (const [i, method] of ['OPTIONS', 'DESCRIBE', 'SETUP', 'PLAY'].entries()) {
      const first = ask(method, ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1'])
      t.is(first.includes(`nonce="n${i - 1}"`), i > 0)
      const { toFfmpeg, toCamera } = say(refusal(lastCseq(), `n${i}`))
      t.is(toFfmpeg, '')
      t.true(toCamera.includes(`nonce="n${i}"`))
      t.regex(say(method === 'DESCRIBE' ? described(lastCseq()) : answer(lastCseq())).toFfmpeg, new RegExp(`\r\nCSeq: ${i + 1}\r\n`))
    }
    t.true(session.playing)
  })

  test(`answers are understood whatever their style, in pieces of ${size} bytes`, t => {
    const styles: readonly (readonly [string, (text: string) => string])[] = [
      ['LF alone', text => text.replaceAll('\r', '')],
      ['lower case', text => text.replaceAll(/^[A-Za-z-]+:/gm, name => name.toLowerCase())],
      ['blanks around the colon and behind the value', text => text.replaceAll(/^([A-Za-z-]+): (.*)\r$/gm, '$1 \t:   $2 \t\r')],
      ['no blank behind the colon', text => text.replaceAll(/^([A-Za-z-]+): /gm, '$1:')],
      ['no CSeq', text => text.replaceAll(/^CSeq.*\r\n/gm, '')],
      ['CSeq 0', text => text.replaceAll(/^CSeq: \d+/gm, 'CSeq: 0')],
      ['no words behind the status', text => text.replaceAll(/^(RTSP\/1\.0 \d+).*\r$/gm, '$1\r')],
      ['another version', text => text.replaceAll('RTSP/1.0', 'RTSP/2.0')],
      ['an interim answer first', text => `RTSP/1.0 100 Continue\r\n\r\n${text}`],
      ['empty lines in between', text => `\r\n\n${text}`],
      ['lines without a name', text => text.replace('\r\n', '\r\nIPCAM\r\n: nothing\r\n')],
      ['a folded line', text => text.replace(' realm', '\r\n realm')],
    ]
    for (const [style, rewrite] of styles) {
      const { ask, say, session } = talk({ credentials: VIEWER }, size)
      const heard = (text: string) => {
        const body = text.indexOf('\r\n\r\n') + 4
        return say(rewrite(text.slice(0, body)) + text.slice(body))
      }
      ask('OPTIONS')
      t.regex(heard(answer(1, '401 Unauthorized', [DIGEST])).toCamera, /Authorization: Digest .*nonce="n1"/, style)
      t.regex(heard(answer(2, '200 OK', ['Public: OPTIONS'])).toFfmpeg, /CSeq: 1\r\n/, style)
      ask('DESCRIBE')
      t.regex(heard(described('3')).toFfmpeg, /H264/, style)
      ask('SETUP', ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1'])
      heard(answer(4, '200 OK', ['Session: abc', 'Transport: RTP/AVP/TCP;unicast;interleaved=0-1']))
      t.regex(ask('PLAY'), /\r\nSession: abc\r\n/, style)
      t.true(heard(answer(5)).toFfmpeg.startsWith('RTSP/1.0 200 OK'), style)
      t.true(session.playing, style)
      t.is(say(frame(0)).toFfmpeg, frame(0), style)
    }
  })

  test(`the camera's own requests are answered to the letter, and ffmpeg hears nothing of them, in pieces of ${size} bytes`, t => {
    const { play, say, ask, session } = talk({ credentials: VIEWER }, size)
    ask('OPTIONS')
    say(refusal('1', 'n1'))
    say(answer(2))
    play()
    for (const [method, status] of [
      ['OPTIONS', '200 OK'],
      ['GET_PARAMETER', '200 OK'],
      ['SET_PARAMETER', '200 OK'],
      ['ANNOUNCE', '200 OK'],
      ['PLAY_NOTIFY', '501 Not Implemented'],
    ]) {
      const request = `${method} rtsp://h/x RTSP/1.0\r\nCSeq: 910\r\nSession: 1\r\nContent-Length: 3\r\n\r\nabc`
      const { toFfmpeg, toCamera } = say(frame(0) + request + frame(0))
      t.is(toFfmpeg, frame(0) + frame(0))
      t.true(toCamera.startsWith(`RTSP/1.0 ${status}\r\nCSeq: 910\r\nSession: 1\r\n`), toCamera)
      t.notRegex(toCamera, /Authorization/)
    }
    // They stand between a request of ours and its answer.
    const cseq = /CSeq: (\d+)/.exec(session.nextKeepAlive()?.toString('latin1') ?? '')?.[1] ?? ''
    t.regex(say('OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n').toCamera, /^RTSP\/1\.0 200 OK\r\nCSeq: 1\r\n/)
    t.regex(say(refusal(cseq, 'n7')).toCamera, /nonce="n7"/)
    t.is(
      reasonOf(() => say('TEARDOWN rtsp://h/x RTSP/1.0\r\nCSeq: 911\r\n\r\n')),
      'StreamEnded',
    )
  })

  test(`garbage between frames costs only itself, in pieces of ${size} bytes`, t => {
    const { play, say } = talk({}, size)
    play()
    t.is(
      say(`${frame(0, 'a')}\0\u0001junk $\u00ff and $\0\0 more${frame(0, 'b')}${frame(0, 'c')}`).toFfmpeg,
      frame(0, 'a') + frame(0, 'b') + frame(0, 'c'),
    )
  })
}

test('a password that is refused is not tried again', t => {
  for (const stale of ['', ', stale=true']) {
    const { ask, say, lastCseq } = talk({ credentials: VIEWER })
    ask('OPTIONS')
    for (let i = 0; i < (stale === '' ? 1 : 2); i++) t.not(say(refusal(lastCseq(), 'n', stale)).toCamera, '')
    t.is(
      reasonOf(() => say(refusal(lastCseq(), 'n', stale))),
      'AuthFailed',
    )
  }
  for (const [credentials, offer] of [
    [VIEWER, 'Bearer'],
    [VIEWER, 'Digest realm="x", nonce="n", algorithm=SHA-512-256'],
    [VIEWER, 'Digest realm="x", nonce="n", qop="auth-int"'],
    // Basic would send the password in clear.
    [VIEWER, 'Digest realm="x", nonce="n", algorithm=SHA-512-256\r\nWWW-Authenticate: Basic realm="x"'],
    [undefined, 'Basic realm="x"'],
  ] as const) {
    const { ask, say } = talk({ credentials })
    ask('DESCRIBE')
    t.is(
      reasonOf(() => say(answer(1, '401 Unauthorized', [`WWW-Authenticate: ${offer}`]))),
      credentials === undefined ? 'AuthFailed' : 'LoginUnsupported',
      offer,
    )
  }
})

test('a login that is weaker than one before is refused, later and by the next connection', t => {
  const basic = (cseq: string) => answer(cseq, '401 Unauthorized', ['WWW-Authenticate: Basic realm="cam"'])
  const first = talk({ credentials: VIEWER })
  first.ask('OPTIONS')
  t.regex(first.say(refusal('1', 'n1')).toCamera, /Digest/)
  first.say(answer(2))
  first.ask('DESCRIBE')
  t.throws(() => first.say(basic('3')), { instanceOf: Failure, message: /weaker login.*not sent/ })
  const next = talk({ credentials: VIEWER, learnt: first.learnt })
  next.ask('OPTIONS')
  t.is(
    reasonOf(() => next.say(basic('1'))),
    'LoginDowngraded',
  )
  // A camera that knows nothing better is taken as it is.
  const old = talk({ credentials: VIEWER })
  old.ask('OPTIONS')
  t.regex(old.say(basic('1')).toCamera, /Authorization: Basic /)
})

test('OPTIONS may be refused: it tells what a camera can, and nothing needs it', t => {
  for (const status of ['501 Not Implemented', '405 Method Not Allowed', '404 Not Found', '400 Bad Request', '551 Option not supported']) {
    const { ask, say } = talk()
    ask('OPTIONS')
    t.regex(say(answer(1, status)).toFfmpeg, /^RTSP\/1\.0 200 OK\r\n/, status)
    ask('DESCRIBE')
    t.regex(say(described('2')).toFfmpeg, /H264/, status)
  }
})

test('a refusal says what was asked, and what a person can do', t => {
  for (const [method, status, reason, words] of [
    ['SETUP', '453 Not Enough Bandwidth', 'NoConnectionLeft', /other clients/],
    ['DESCRIBE', '503 Service Unavailable', 'NoConnectionLeft', /other clients/],
    ['PLAY', '454 Session Not Found', 'SessionRefused', /session/],
    ['PLAY', '455 Method Not Valid in This State', 'SessionRefused', /session/],
    ['DESCRIBE', '404 Not Found', 'NotFound', /path/],
    ['DESCRIBE', '403 Forbidden', 'AuthFailed', /user/],
    ['SETUP', '461 Unsupported Transport', 'TransportUnsupported', /transport/],
    ['DESCRIBE', '415 Unsupported Media Type', 'RequestRefused', /DESCRIBE: 415 Unsupported Media Type/],
    ['DESCRIBE', '500 \u0001Internal Error', 'ServerError', /DESCRIBE: 500 {2}Internal Error|DESCRIBE: 500 Internal Error/],
  ] as const) {
    const { ask, say, lastCseq } = talk()
    for (const step of ['OPTIONS', 'DESCRIBE', 'SETUP', 'PLAY']) {
      ask(step, ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1'])
      if (step !== method) {
        say(step === 'DESCRIBE' ? described(lastCseq()) : answer(lastCseq()))
        continue
      }
      const failure = t.throws(
        () => {
          // The camera may be asked again, by other names.
          for (let i = 0; i < 10; i++) say(answer(lastCseq(), status))
        },
        { instanceOf: Failure, message: words },
      )
      t.is(failure?.reason, reason, status)
      break
    }
  }
})

test('a base that is no URL is mended, and where the camera wants its own text, it gets that', t => {
  const setupOf = (line: string) => /^SETUP (\S+) /.exec(line)?.[1]
  for (const [base, ...tracks] of [
    [
      '192.168.1.10:554/stream0/',
      'rtsp://door.example:8554/stream0/trackID=1',
      `${CAMERA_URL}/trackID=1`,
      '192.168.1.10:554/stream0/trackID=1',
    ],
    [
      'rtsp://rtsp://cam.lan:554/stream1/',
      'rtsp://door.example:8554/stream1/trackID=1',
      `${CAMERA_URL}/trackID=1`,
      'rtsp://rtsp://cam.lan:554/stream1/trackID=1',
    ],
    [
      'rtsp://::ffff:10.0.0.1/onvif/profile.1/',
      'rtsp://door.example:8554/onvif/profile.1/trackID=1',
      `${CAMERA_URL}/trackID=1`,
      'rtsp://::ffff:10.0.0.1/onvif/profile.1/trackID=1',
    ],
    ['/live/', 'rtsp://door.example:8554/live/trackID=1', `${CAMERA_URL}/trackID=1`, '/live/trackID=1'],
    ['stream0', 'rtsp://door.example:8554/stream0/trackID=1', `${CAMERA_URL}/trackID=1`, 'stream0/trackID=1'],
    ['rtsp://10.0.0.1/other', 'rtsp://10.0.0.1/other/trackID=1', `${CAMERA_URL}/trackID=1`],
    ['', `${CAMERA_URL}/trackID=1`],
  ]) {
    for (const [i, track] of tracks.entries()) {
      const { ask, say, lastCseq } = talk()
      ask('DESCRIBE')
      say(described('1', SDP, base === '' ? [] : [`Content-Base: ${base}`]))
      let asked = ask('SETUP', ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1'])
      for (let refused = 0; refused < i; refused++) asked = say(answer(lastCseq(), '404 Not Found')).toCamera
      t.is(setupOf(asked), track, base)
      say(answer(lastCseq(), '200 OK', ['Session: 1']))
      // What was taken for the track is the base for all that follows.
      t.is(/^PLAY (\S+) /.exec(ask('PLAY'))?.[1]?.replace(/\/$/, ''), track?.replace('/trackID=1', ''), base)
    }
  }
})

test('tracks are known by the names that the camera gives them', t => {
  for (const [control, ...tracks] of [
    ['rtsp://10.0.0.1:554/Streaming/trackID=1?a=b', 'rtsp://10.0.0.1:554/Streaming/trackID=1?a=b', `${CAMERA_URL}/trackID=1?a=b`],
    ['rtsp://rtsp://10.0.0.1/x/track1', 'rtsp://door.example:8554/x/track1', 'rtsp://rtsp://10.0.0.1/x/track1'],
    ['track:1', `${CAMERA_URL}/track:1`],
    ['/x/track1', 'rtsp://door.example:8554/x/track1', `${CAMERA_URL}/x/track1`],
    ['*', CAMERA_URL],
    ['', CAMERA_URL],
    ['track 1', `${CAMERA_URL}/track%201`],
  ]) {
    const { ask, say, lastCseq } = talk()
    ask('DESCRIBE')
    say(described('1', `v=0\nm=video 0 RTP/AVP 96\na=control:${control}\na=rtpmap:96 H264/90000`))
    let asked = ask('SETUP', ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1'])
    for (const track of tracks) {
      t.is(asked.split(' ')[1], track, control)
      if (track !== tracks.at(-1)) asked = say(answer(lastCseq(), '404 Not Found')).toCamera
    }
  }
  // Behind a query the track is appended, and where that is refused put in front of it.
  const { ask, say } = talk({ url: 'rtsp://h/live?channel=1' })
  ask('DESCRIBE')
  say(described('1'))
  t.true(ask('SETUP', ['Transport: x']).startsWith('SETUP rtsp://h/live?channel=1/trackID=1 '))
  t.true(say(answer(2, '404 Not Found')).toCamera.startsWith('SETUP rtsp://h/live/trackID=1?channel=1 '))
})

test('a range or an aggregate that PLAY is refused for is left out', t => {
  const { ask, say, lastCseq, session } = talk()
  ask('DESCRIBE')
  say(described('1'))
  ask('SETUP', ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1'])
  say(answer(2, '200 OK', ['Session: 9']))
  t.regex(ask('PLAY', ['Range: npt=0.000-']), /\r\nRange: npt=0.000-\r\n/)
  t.notRegex(say(answer(3, '457 Invalid Range')).toCamera, /Range/)
  t.regex(say(answer(lastCseq(), '460 Only aggregate operation allowed')).toCamera, /^PLAY rtsp:\/\/door\.example:8554\/video\/trackID=1 /)
  say(answer(lastCseq()))
  t.true(session.playing)
})

test('a description without a length, or with too long a one, is taken when nothing more comes', t => {
  for (const [length, openBody] of [
    ['', 'endless'],
    ['Content-Length: -1\r\n', 'endless'],
    [`Content-Length: ${SDP.length + 9}\r\n`, 'short'],
  ] as const) {
    const { ask, say, session } = talk()
    ask('DESCRIBE')
    const bytes = `RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Type: application/sdp\r\n${length}\r\n${SDP}`
    t.is(say(bytes).toFfmpeg, '')
    t.is(session.openBody, openBody)
    t.regex(Buffer.concat(session.flush().toFfmpeg).toString(), /H264/)
    t.is(session.openBody, undefined)
    // What comes late of it is skipped.
    ask('SETUP', ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1'])
    t.regex(say(`b=AS:1\r\n${answer(2, '200 OK', ['Session: 1'])}`).toFfmpeg, /Session/)
  }
  // Too short a one leaves a rest, which is no message.
  const { ask, say } = talk()
  ask('DESCRIBE')
  say(described('1', SDP).replace(/Content-Length: \d+/, `Content-Length: ${SDP.length - 9}`))
  ask('SETUP', ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1'])
  t.regex(say(answer(2, '200 OK', ['Session: 1'])).toFfmpeg, /Session/)
})

test('channels are those that the camera uses', t => {
  for (const [transport, channel] of [
    ['Transport: RTP/AVP/TCP;unicast;interleaved=2-3', 2],
    ['Transport: RTP/AVP/TCP;unicast;interleaved=4', 4],
    ['Transport: RTP/AVP;unicast;interleaved=0-1', 0],
    ['Transport: RTP/AVP/TCP;unicast;ssrc= 1234 ;mode="PLAY"', 0],
    ['Transport: RTP/AVP/TCP;interleaved=0-1', 6], // says one, uses the other
    ['X-Nothing: said', 0],
  ] as const) {
    const { play, say, session } = talk()
    play({ setup: [transport, 'Session: 1'] })
    const metadata = frame(channel + 2, '<xml>', { type: 107 })
    t.is(say(frame(channel) + metadata + frame(channel + 1, '', { type: 200 })).toFfmpeg, frame(0) + frame(1, '', { type: 200 }), transport)
    const report = session.request(Buffer.from(frame(1, 'rr', { type: 201 }), 'latin1')).toCamera
    t.is(Buffer.concat(report).toString('latin1'), frame(channel + 1, 'rr', { type: 201 }), transport)
  }
})

test('data on channels that were never set up, and what is no RTP, reaches nobody', t => {
  const { play, say } = talk()
  play()
  const noise = [2, 3, 6, 200].map(channel => `$${String.fromCharCode(channel)}\0\u0013<tt:MetadataStream>`).join('')
  t.is(say(frame(0) + noise + frame(2, 'sound', { type: 97 }) + frame(0)).toFfmpeg, frame(0) + frame(0))
  // Once the track has come, another channel with its payload type is another track.
  t.is(say(frame(4)).toFfmpeg, '')
})

test('video before the answer to PLAY is the answer', t => {
  const { ask, say, session } = talk()
  ask('DESCRIBE')
  say(described('1'))
  ask('SETUP', ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1'])
  say(answer(2, '200 OK', ['Session: 1']))
  ask('PLAY')
  const { toFfmpeg } = say(frame(0))
  t.regex(toFfmpeg, /^RTSP\/1\.0 200 OK\r\nCSeq: 3\r\n/)
  t.true(toFfmpeg.endsWith(frame(0)))
  t.true(session.playing)
  t.deepEqual(say(answer(3) + frame(0)), { toFfmpeg: frame(0), toCamera: '' })
})

test('packets of another payload type than announced are named', t => {
  const { play, say } = talk()
  play()
  t.throws(() => say(frame(0, 'x', { type: 97 }).repeat(300)), { instanceOf: Failure, message: /payload type 97.*announces 96/ })
})

test('RTCP BYE of the track is an end unless RTP follows', t => {
  const { play, say, session } = talk()
  play()
  say(frame(0))
  say(frame(1, '', { type: 203, ssrc: 99 }))
  t.false(session.saidBye)
  t.is(say(frame(1, '', { type: 203, ssrc: 7 })).toFfmpeg, '')
  t.true(session.saidBye)
  say(frame(0))
  t.false(session.saidBye)
  // Behind a report in the same packet.
  const report = '\x81\xc9\0\u0001\0\0\0\u0007\x81\xcb\0\u0001\0\0\0\u0007'
  say(`$\u0001\0\u0010${report}`)
  t.true(session.saidBye)
})

test('TEARDOWN is signed, goes out once, and is tried again with a new nonce', t => {
  t.is(talk().session.teardown(), undefined)
  const other = talk({ credentials: VIEWER })
  other.ask('OPTIONS')
  other.say(refusal('1', 'n1'))
  other.say(answer(2))
  other.play({ setup: ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1', 'Session: abc ;timeout=5'] })
  const teardown = other.session.teardown()?.toString('latin1') ?? ''
  t.regex(teardown, /^TEARDOWN rtsp:\/\/door\.example:8554\/video RTSP.*Authorization: Digest.*\r\nSession: abc\r\n/s)
  t.is(other.session.teardown(), undefined)
  t.is(other.say(frame(0)).toFfmpeg, '')
  const cseq = /CSeq: (\d+)/.exec(teardown)?.[1] ?? ''
  t.regex(other.say(frame(0) + refusal(cseq, 'n2', ', stale=true')).toCamera, /^TEARDOWN .*nonce="n2"/s)
  t.false(other.session.over)
  other.say(answer(other.lastCseq()))
  t.true(other.session.over)
})

test('keep-alives come at half of the timeout, by a method that the camera takes', t => {
  const methodOf = (request: Buffer | undefined) => request?.toString('latin1').split(' ', 1)[0]
  const playing = (learnt: { lapses: number; lapsedAfterMs?: number }, session: string, listed: string) => {
    const made = talk({ learnt: { strength: 0, silences: 0, ...learnt } })
    made.ask('OPTIONS')
    made.say(answer(1, '200 OK', [`Public: ${listed}`]))
    made.ask('DESCRIBE')
    made.say(described('2'))
    made.ask('SETUP', ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1'])
    made.say(answer(3, '200 OK', [`Session: ${session}`]))
    made.ask('PLAY')
    made.say(answer(4))
    return made
  }
  for (const [session, everyMs] of [
    ['1', 30_000],
    ['1;timeout=10', 5_000],
    ['1; timeout=10', 5_000],
    ['1 ; Timeout = 10 ', 5_000],
    ['1;timeout="10"', 5_000],
    ['1;x=y;timeout=2', 1_000],
    ['1;timeout=0', 30_000],
    ['1;timeout=86400', 30_000],
  ] as const) {
    t.is(playing({ lapses: 0 }, session, 'OPTIONS').session.keepAlive.everyMs, everyMs, session)
  }
  const listing = playing({ lapses: 0 }, '1;timeout=10', 'OPTIONS, GET_PARAMETER')
  t.is(methodOf(listing.session.nextKeepAlive()), 'GET_PARAMETER')
  // Not known after all.
  listing.say(answer(5, '501 Not Implemented'))
  t.is(methodOf(listing.session.nextKeepAlive()), 'OPTIONS')
  // What has not kept a session alive gives way to the other method, then to both in turn.
  t.is(methodOf(playing({ lapses: 0 }, '1', 'OPTIONS').session.nextKeepAlive()), 'OPTIONS')
  t.is(methodOf(playing({ lapses: 1 }, '1', 'OPTIONS').session.nextKeepAlive()), 'GET_PARAMETER')
  const both = playing({ lapses: 2, lapsedAfterMs: 8_000 }, '1', 'OPTIONS').session
  t.is(both.keepAlive.everyMs, 2_000)
  t.deepEqual([methodOf(both.nextKeepAlive()), methodOf(both.nextKeepAlive())], ['OPTIONS', 'GET_PARAMETER'])
})

test('a session that ends about when it may have timed out is told from one that does not', t => {
  const { session } = talk()
  const { keepAlive } = session
  keepAlive.timeout('1;timeout=20')
  for (const [playedMs, isLapse] of [
    [2_000, false],
    [10_000, false],
    [20_100, true],
    [41_000, true],
    [90_000, false],
  ] as const) {
    t.is(keepAlive.isLapse(playedMs), isLapse, String(playedMs))
  }
  // One that is never told: the last session lasted as long.
  const again = talk({ learnt: { lapses: 0, strength: 0, silences: 0, lastPlayedMs: 10_000 } }).session.keepAlive
  t.true(again.isLapse(10_500))
  t.false(again.isLapse(2_000))
})

test('RTP by UDP passes ports of ours, whatever address the camera claims', t => {
  const connected: unknown[] = []
  const udp = { ports: '40-41', connect: (...args: unknown[]) => void connected.push(args) }
  const { ask, say } = talk({ udp })
  ask('DESCRIBE')
  say(described('1'))
  t.regex(ask('SETUP', ['Transport: RTP/AVP/UDP;unicast;client_port=5-6']), /\r\nTransport: RTP\/AVP\/UDP;unicast;client_port=40-41\r\n/)
  const claimed = answer(2, '200 OK', ['Transport: RTP/AVP;unicast;client_port=40-41;server_port=7-8;source=169.254.169.254', 'Session: 1'])
  t.regex(say(claimed).toFfmpeg, /\r\nTransport: RTP\/AVP;unicast;client_port=5-6;server_port=40-41;source=127\.0\.0\.1\r\n/)
  t.deepEqual(connected, [['5-6', '7-8', 96]])
  for (const [means, transport] of [
    [udp, 'RTP/AVP/TCP;unicast;interleaved=0-1'],
    [undefined, 'RTP/AVP;unicast;client_port=5-6;server_port=7-8'],
  ] as const) {
    const other = talk({ udp: means })
    other.ask('DESCRIBE')
    other.say(described('1'))
    other.ask('SETUP', ['Transport: x'])
    t.is(
      reasonOf(() => other.say(answer(2, '200 OK', [`Transport: ${transport}`]))),
      'TransportUnsupported',
    )
  }
})

test('what is no RTSP is refused at once, and an answer without an end in time', t => {
  const reason = (bytes: string) => reasonOf(() => talk({}, 1_000).say(bytes))
  for (const bytes of ['HTTP/1.1 200 OK\r\n\r\n', '\0\u0001\u0002\u0003', 'RTSP/1.0 abc\r\n\r\n', 'hello\r\n\r\n', '<html>'])
    t.is(reason(bytes), 'InvalidStream', bytes)
  t.is(reason(`RTSP/1.0 200 OK\r\nX: ${'x'.repeat(100_000)}`), 'InvalidStream')
  t.is(reason('RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n'), 'InvalidStream')
  t.is(reason(`RTSP/1.0 200 OK\r\nContent-Type: application/sdp\r\n\r\n${'a=x\r\n'.repeat(300_000)}`), 'InvalidStream')
})

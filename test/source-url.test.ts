// A camera’s URL goes out as the user wrote it.
import test from 'ava'
import { http } from '../sidecar/source/drivers/http.ts'
import { parseNetworkUrl } from '../sidecar/source/drivers/network-url.ts'
import { rtmp } from '../sidecar/source/drivers/rtmp.ts'
import { rtsp, RTSP_PORTS } from '../sidecar/source/drivers/rtsp.ts'
import { CameraTrust } from '../common/net/camera-tls.ts'
import { parseSource } from '../sidecar/source/source.ts'
import { newTraits } from '../sidecar/source/traits.ts'
import { splitUrl, withoutTls } from '../common/net/url.ts'

const DRIVER = { rtsp, rtsps: rtsp, RTSP: rtsp, rtmp, http } as const

/** What ffmpeg opens. */
function opened(url: string, driver: (typeof DRIVER)[keyof typeof DRIVER]): string | undefined {
  const { args } = driver
    .parse(url, { transport: 'tcp', codecs: [], variant: 'Largest', trust: new CameraTrust() })
    .input({ host: '127.0.0.1', port: 5000 }, undefined, newTraits())
  return args[args.indexOf('-i') + 1]
}

const BEHIND = [
  '',
  '/',
  '?',
  '?x',
  '/?',
  '/user=admin&password=&channel=1&stream=0.sdp?',
  '/Media/{3f2a}/video[0]|main^1',
  '/live//./ch1/../ch2/..',
  "/%7Ea%20b/%C3%A9?x=1%26y&z='q'&",
  '/cam?url=rtsp://10.0.0.1/a@b:c&u=a"b<c>`\\d',
  '/a#b?c#',
  '//double//slash?a=?&&b==',
]

test('what stands behind the host goes out to the letter, whatever the protocol', t => {
  for (const rest of BEHIND) {
    for (const [scheme, driver] of Object.entries(DRIVER)) {
      const url = `${scheme}://camera.example:8000${rest}`
      const relayed = `${scheme === 'http' ? 'http://camera.example:8000' : 'rtmp://127.0.0.1:5000'}${rest}`
      // By RTSP ffmpeg asks the relay for its one stream, and the relay asks the camera.
      t.is(opened(url, driver), driver === rtsp ? 'rtsp://127.0.0.1:5000/' : relayed, `${scheme} ${rest}`)
      t.like(parseNetworkUrl(url, {}), { origin: `${scheme.toLowerCase()}://camera.example:8000`, path: rest })
    }
    t.is(withoutTls(`https://camera${rest}`), `http://camera:443${rest}`)
    t.is(withoutTls(`HTTPS://u:p@[FE80::1]:8443${rest}`), `http://u:p@[fe80::1]:8443${rest}`)
  }
})

test('what no URL may hold is percent-encoded', t => {
  t.is(splitUrl('rtsp://h/caf\u00e9/\u65e5?n=\u00fc')?.rest, '/caf%C3%A9/%E6%97%A5?n=%C3%BC')
  t.is(splitUrl('http://h/a b\r\nHost: evil\0\t\x7f')?.rest, '/a%20b%0D%0AHost:%20evil%00%09%7F')
  t.is(splitUrl('http://h/\ud800')?.rest, '/%EF%BF%BD')
})

test('the host is what every reader of the URL takes for it', t => {
  t.like(splitUrl('RTSP://Camera.Example/X'), { scheme: 'rtsp', userInfo: '', host: 'camera.example', port: undefined, rest: '/X' })
  t.like(splitUrl('http://u:p@[::1]:0080?x'), { userInfo: 'u:p@', host: '[::1]', port: 80, rest: '?x' })
  for (const text of [
    'http://h\\@evil/',
    'http://h:99999/',
    'http://h:0/',
    'http://[::1/',
    'http://a]b/',
    'http://h:8a/',
    'http:h',
    '/x',
    'http://a%00b/',
  ])
    t.is(splitUrl(text), undefined, text)
})

test('a scheme may be in capitals, and user info is refused there too', t => {
  t.like(parseNetworkUrl('RTSP://camera/x', RTSP_PORTS), { scheme: 'rtsp', isTls: false, port: 554, origin: 'rtsp://camera' })
  t.like(parseNetworkUrl('Rtsps://camera/x', RTSP_PORTS), { scheme: 'rtsps', isTls: true, port: 322 })
  t.is(opened('HTTPS://camera/x?', http), 'http://camera:443/x?')
  for (const scheme of ['RTSP', 'Rtsps', 'HTTPS', 'RTMP']) t.notThrows(() => parseSource(`${scheme}://camera/live/x`))
  t.throws(() => parseSource('RTSP://u:p@camera/x'), { message: /credentialsSecretRef/ })
})

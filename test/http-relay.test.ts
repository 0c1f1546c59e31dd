// The proxy through which ffmpeg fetches HTTP sources, asked as ffmpeg asks.
import { once } from 'node:events'
import { createServer, request, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import test from 'ava'
import { denied } from '../common/net/address.ts'
import { openHttpRelay, type HttpRelayOptions } from '../sidecar/http/relay.ts'

/** What ffmpeg gets where the camera answers so. */
async function fetched(answer: RequestListener, path = '/live', options: HttpRelayOptions = {}) {
  const camera = createServer(answer).listen(0, '127.0.0.1')
  await once(camera, 'listening')
  try {
    const url = `http://127.0.0.1:${(camera.address() as AddressInfo).port}${path}`
    await using proxy = await openHttpRelay(url, denied([]), options)
    const asking = request({ host: proxy.host, port: proxy.port, path: url, agent: false }).end()
    const [response] = await once(asking, 'response')
    const body = await buffer(response)
    return { status: response.statusCode, headers: response.headers, body: body.toString('latin1'), failure: proxy.progress.failure }
  } finally {
    camera.close()
    camera.closeAllConnections()
  }
}

const PLAYLIST = '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-KEY:METHOD=AES-128,URI="/key"\n#EXTINF:2,\nhttp://cdn/1.ts\n2.ts\n'

test('what is no playlist passes as it came, however short', async t => {
  for (const body of ['', 'a', '#EXTM3', '#EXT-X-\ntcp://h', `\0${PLAYLIST}tcp://h`, 'x'.repeat(3_000_000)]) {
    const got = await fetched((_, response) => response.writeHead(206, { 'content-range': 'bytes 0-9/10' }).end(body))
    t.deepEqual([got.status, got.headers['content-range'], got.body === body, got.failure], [206, 'bytes 0-9/10', true, undefined])
  }
})

test('a playlist’s https becomes http, behind which the proxy speaks TLS; the rest of it stays', async t => {
  const body = `${PLAYLIST}#EXT-X-MAP:URI="https://u:p@cdn/head,1.mp4?a=b"\n#EXTINF:2,\nHTTPS://cdn:8443/3.ts\n`
  const got = await fetched((_, response) => response.writeHead(206, { 'content-range': 'bytes 0-9/10', 'set-cookie': 'a=b' }).end(body))
  t.is(got.body, body.replace('https://u:p@cdn/', 'http://u:p@cdn:443/').replace('HTTPS', 'http'))
  t.like(got, { status: 200, failure: undefined, headers: { 'content-length': String(got.body.length) } })
  t.is(got.headers['content-range'], undefined)
})

test('a playlist that leads to another protocol is refused', async t => {
  for (const bad of [
    'tcp://h:1',
    'TLS://h:1/x.ts',
    'httpproxy://h/x.ts',
    'crypto+tcp://h',
    'crypto:tcp://h',
    'file:///etc/hostname',
    'concat:a|b',
    '#EXT-X-KEY:METHOD=AES-128,URI="httpproxy://h/k"',
    '#EXT-X-MAP:URI="tcp://h"',
    '#EXT-X-MAP:URI=tcp://h',
    '#EXT-X-MEDIA:TYPE=AUDIO,URI="\\tcp://h"',
    '#EXT-X-MEDIA:URI=a"URI=tcp://h"',
    'a.ts\0tcp://h',
    'a.ts\rtcp://h',
  ]) {
    const got = await fetched((_, response) => response.end(`${PLAYLIST}${bad}\n`))
    t.is(got.status, 502, bad)
    t.is(got.failure?.reason, 'RedirectRefused', bad)
    t.false(got.failure?.message.includes('h:1'))
  }
})

test('a playlist may lead to TLS at so many servers only', async t => {
  const servers = (count: number) => Array.from({ length: count }, (_, i) => `https://${i % 64}.cdn/\nhttps://${i}.cdn/`).join('\n')
  t.is((await fetched((_, response) => response.end(`${PLAYLIST}${servers(64)}`))).status, 200)
  const got = await fetched((_, response) => response.end(`${PLAYLIST}${servers(65)}`))
  t.is(got.failure?.reason, 'RedirectRefused')
})

test('a playlist is recognized whatever way it comes', async t => {
  const bad = `${PLAYLIST}tcp://h\n`
  const late: RequestListener = (_, response) => {
    response.write(bad.slice(0, 3))
    setTimeout(() => response.end(bad.slice(3)), 100)
  }
  t.is((await fetched(late)).status, 502)
  // ffmpeg skips an ID3 tag in front of what is called a playlist.
  const tagged = `ID3\x04\0\0\0\0\0\x0a${'\0'.repeat(10)}${bad}`
  t.is((await fetched((_, response) => response.end(tagged), '/live.m3u8?a=b')).status, 502)
  t.is((await fetched((_, response) => response.writeHead(200, { 'content-type': 'audio/x-mpegurl' }).end(tagged))).status, 502)
  // Where ffmpeg would decode what the proxy does not.
  const packed = await fetched((_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(bad)))
  t.is(packed.headers['content-encoding'], undefined)
  const striped = await fetched((_, response) => response.writeHead(200, { 'icy-metaint': '1' }).end(bad.split('').join('\0')))
  t.is(striped.headers['icy-metaint'], undefined)
})

test('a playlist without an end is refused', async t => {
  const got = await fetched((_, response) => {
    response.on('error', () => {}).write(PLAYLIST)
    response.write('#'.repeat(5_000_000))
  })
  t.is(got.status, 502)
  t.is(got.failure?.reason, 'InvalidStream')
})

test('of a master playlist ffmpeg sees one variant: the largest, or the one that the spec names', async t => {
  const variants = [
    ['BANDWIDTH=64000,CODECS="mp4a.40.2"', 'sound'],
    ['BANDWIDTH=950000,RESOLUTION=320x192,CODECS="avc1.42c00c,mp4a.40.2"', '../low/live.m3u8?a=b'],
    ['AVERAGE-BANDWIDTH=9000000,BANDWIDTH=900000,RESOLUTION=640x360', 'mid'],
    ['RESOLUTION=1280x720,BANDWIDTH=2000000', 'https://cdn/high'],
    ['BANDWIDTH=3000000,RESOLUTION=1280x720,CODECS="hvc1.1.6.L93"', 'best'],
    ['BANDWIDTH=9000000,RESOLUTION=1920x1080,CODECS="vp09.00.10.08"', 'unknown'],
  ] as const
  for (const end of ['\n', '\r\n', '\n\n# a comment\n']) {
    const list = variants.map(([attributes, uri]) => `#EXT-X-STREAM-INF:${attributes}${end}${uri}${end}`).join('')
    for (const [variant, uri] of [
      [undefined, 'best'],
      ['Largest', 'best'],
      ['Smallest', '../low/live.m3u8?a=b'],
      ['640x360', 'mid'],
      ['1000x1000', 'mid'],
      ['16x16', '../low/live.m3u8?a=b'],
      ['4000x2000', 'best'],
    ] as const) {
      const options = variant === undefined ? {} : { variant }
      const got = await fetched((_, response) => response.end(`#EXTM3U${end}${list}`), '/live.m3u8', options)
      t.deepEqual(
        got.body.split('\n').filter(line => line !== '' && !line.startsWith('#')),
        [uri],
        `${variant} ${JSON.stringify(end)}`,
      )
      t.is(got.body.match(/#EXT-X-STREAM-INF/g)?.length, 1)
    }
  }
  const noneKnown = '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="x"\na\n#EXT-X-STREAM-INF:BANDWIDTH=2,CODECS="y"\nb\n'
  t.is((await fetched((_, response) => response.end(noneKnown))).body, '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=2,CODECS="y"\nb\n')
})

test('there is no way through the proxy but for HTTP', async t => {
  await using proxy = await openHttpRelay('http://camera/', denied([]))
  const tunnel = request({ host: proxy.host, port: proxy.port, method: 'CONNECT', path: '127.0.0.1:443' }).end()
  await t.throwsAsync(once(tunnel, 'connect'), { code: 'ECONNRESET' })
  const [answer] = await once(request({ host: proxy.host, port: proxy.port, path: 'tcp://127.0.0.1:443' }).end(), 'response')
  t.is(answer.resume().statusCode, 400)
})

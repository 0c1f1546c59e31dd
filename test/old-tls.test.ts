// Cameras of years ago, which speak no TLS that is called safe today.
import { once } from 'node:events'
import { request } from 'node:http'
import { createServer as createHttps } from 'node:https'
import { connect, type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { createServer as createTls } from 'node:tls'
import test from 'ava'
import { denied } from '../common/net/address.ts'
import { CameraTrust } from '../common/net/camera-tls.ts'
import { openHttpRelay } from '../sidecar/http/relay.ts'
import { openRelay } from '../sidecar/rtsp/relay.ts'
import { selfSigned } from './fixtures/certificate.ts'
import { until, within } from './fixtures/wait.ts'

const host = '127.0.0.1'
const addresses = [{ address: host, family: 4 }]

for (const maxVersion of ['TLSv1', 'TLSv1.1'] as const) {
  const old = async () => ({ ...(await selfSigned()), minVersion: maxVersion, maxVersion, ciphers: 'DEFAULT:@SECLEVEL=0' })

  test(`a camera is reached by ${maxVersion} where that is asked for, an RTMP server that the stream is forwarded to is not`, async t => {
    const server = createTls(await old(), client => client.on('error', () => {}).pipe(client)).listen(0, host)
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await using camera = await openRelay({ host, addresses, port, tls: true, trust: new CameraTrust({ minVersion: 'TLSv1' }) })
    const client = connect(camera.port, camera.host)
    client.write('hello')
    t.is(String((await within(once(client, 'data'), { what: 'an answer' }))[0]), 'hello')
    client.destroy()
    await using rtmp = await openRelay({ host, addresses, port, tls: true, trust: 'public' })
    const refused = connect(rtmp.port, rtmp.host).on('error', () => {})
    t.is((await until(() => rtmp.progress.failure, { what: 'a failure' })).reason, 'ConnectFailed')
    refused.destroy()
    server.close()
  })

  test(`a web camera is reached by ${maxVersion} where that is asked for`, async t => {
    const server = createHttps(await old(), (_, response) => response.end('picture')).listen(0, host)
    await once(server, 'listening')
    const url = `https://${host}:${(server.address() as AddressInfo).port}/video`
    await using proxy = await openHttpRelay(url, denied([]), { trust: new CameraTrust({ minVersion: 'TLSv1' }) })
    const asking = request({ host: proxy.host, port: proxy.port, path: url.replace('https', 'http'), agent: false }).end()
    const [response] = await within(once(asking, 'response'), { what: 'an answer' })
    t.is(await text(response), 'picture')
    server.close()
  })
}

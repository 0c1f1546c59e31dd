// Whose certificate is taken for a camera's, and which versions of TLS are spoken.
import { once } from 'node:events'
import { createHash, X509Certificate } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer as createHttps } from 'node:https'
import { connect, type AddressInfo } from 'node:net'
import { createServer as createTls } from 'node:tls'
import test from 'ava'
import { denied } from '../common/net/address.ts'
import { CameraTrust, type TlsRule } from '../common/net/camera-tls.ts'
import { openHttpRelay } from '../sidecar/http/relay.ts'
import { openRelay } from '../sidecar/rtsp/relay.ts'
import { selfSigned } from './fixtures/certificate.ts'
import { startNats } from './fixtures/nats.ts'
import { startScriptedCamera } from './fixtures/rtsp-scripted.ts'
import { startSidecar } from './fixtures/sidecar.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { until, within } from './fixtures/wait.ts'

const host = '127.0.0.1'
const addresses = [{ address: host, family: 4 }]
type Pair = { key: string; cert: string }
const sha256Of = ({ cert }: Pair) => createHash('sha256').update(new X509Certificate(cert).raw).digest('hex')

/** A server that keeps what it hears, and answers with as much. */
async function startEcho(pair: Pair) {
  let heard = ''
  const server = createTls(pair, socket => {
    socket
      .on('error', () => {})
      .on('data', data => {
        heard += String(data)
        socket.write(data)
      })
  }).listen(0, host)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    heard: () => heard,
    [Symbol.asyncDispose]: async () => void server.close(),
  }
}

/** What comes of a connection: `answered`, or the reason of the failure. */
async function outcome(port: number, trust: CameraTrust): Promise<string> {
  await using relay = await openRelay({ host, addresses, port, tls: true, trust })
  const client = connect(relay.port, relay.host).on('error', () => {})
  client.write('a password')
  const answered = once(client, 'data').then(
    () => 'answered',
    () => 'lost',
  )
  const failed = until(() => relay.progress.failure, { what: 'a failure' }).then(failure => failure.reason)
  const first = await Promise.race([answered, failed])
  client.destroy()
  void failed.catch(() => {})
  return first
}

test('a camera is known by its authority, by its fingerprint, or by its first certificate; another one gets not a byte', async t => {
  const [own, other] = [await selfSigned(), await selfSigned()]
  await using folder = await temporaryFolder()
  await using camera = await startEcho(own)
  await using impostor = await startEcho(other)
  const caFile = folder.file('ca.crt')
  await writeFile(caFile, own.cert)
  const colons = sha256Of(own).toUpperCase().match(/../g)?.join(':')
  const rules: [TlsRule, string][] = [
    [{ caFile }, 'Authority'],
    [{ sha256: colons }, 'Fingerprint'],
    [{ firstUse: true }, 'FirstUse'],
  ]
  for (const [rule, verified] of rules) {
    const trust = new CameraTrust(rule)
    t.is(await outcome(camera.port, trust), 'answered', verified)
    t.like(trust.report, { verified, sha256: sha256Of(own), version: 'TLSv1.3' })
    t.is(await outcome(impostor.port, trust), 'CertificateRefused', verified)
  }
  t.is(impostor.heard(), '')
  const anyone = new CameraTrust()
  t.is(await outcome(impostor.port, anyone), 'answered')
  t.like(anyone.report, { verified: 'None', sha256: sha256Of(other) })
})

test('a certificate of the right authority for another host is refused, and an authority that is missing is named', async t => {
  const pair = await selfSigned() // for 127.0.0.1 and localhost
  await using folder = await temporaryFolder()
  const caFile = folder.file('ca.crt')
  await t.throwsAsync(openRelay({ host, addresses, port: 1, tls: true, trust: new CameraTrust({ caFile }) }), {
    message: /Secret or ConfigMap/,
  })
  await writeFile(caFile, pair.cert)
  await using camera = await startEcho(pair)
  await using relay = await openRelay({
    host: 'camera.example',
    addresses,
    port: camera.port,
    tls: true,
    trust: new CameraTrust({ caFile }),
  })
  connect(relay.port, relay.host)
    .on('error', () => {})
    .write('a password')
  t.is((await until(() => relay.progress.failure, { what: 'a failure' })).reason, 'CertificateRefused')
  t.is(camera.heard(), '')
})

test('a web camera with another certificate than the one that is named is not asked for anything', async t => {
  const pair = await selfSigned()
  let asked = 0
  const server = createHttps(pair, (_, response) => {
    asked++
    response.end('frame')
  }).listen(0, host)
  await once(server, 'listening')
  const url = `https://${host}:${(server.address() as AddressInfo).port}/video`
  const ask = async (rule: TlsRule) => {
    await using proxy = await openHttpRelay(url, denied([]), { trust: new CameraTrust(rule) })
    const asking = request({ host: proxy.host, port: proxy.port, path: url.replace('https', 'http'), agent: false }).end()
    const [response] = (await within(once(asking, 'response'), { what: 'an answer' })) as [{ statusCode: number }]
    return [response.statusCode, proxy.progress.failure?.reason]
  }
  t.deepEqual(await ask({ sha256: sha256Of(await selfSigned()) }), [502, 'CertificateRefused'])
  t.is(asked, 0)
  t.deepEqual(await ask({ sha256: sha256Of(pair) }), [200, undefined])
  server.close()
})

test('TLS 1.0 is spoken only where it is asked for, and its absence is named', async t => {
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'DEFAULT:@SECLEVEL=0' } as const
  await using camera = await startEcho({ ...(await selfSigned()), ...old })
  t.is(await outcome(camera.port, new CameraTrust()), 'TlsTooOld')
  t.is(await outcome(camera.port, new CameraTrust({ minVersion: 'TLSv1.1' })), 'TlsTooOld')
  t.is(await outcome(camera.port, new CameraTrust({ minVersion: 'TLSv1' })), 'answered')
})

test('trust on first use outlives the sidecar, and another certificate stops the camera with its reason', async t => {
  await using nats = await startNats()
  await using plain = await startScriptedCamera()
  const [own, other] = [await selfSigned(), await selfSigned()]
  const server = createTls(own, socket => {
    const inside = connect(Number(new URL(plain.url).port), host)
    socket
      .on('error', () => {})
      .pipe(inside)
      .on('error', () => {})
      .pipe(socket)
    socket.on('close', () => inside.destroy())
    inside.on('close', () => socket.destroy())
  }).listen(0, host)
  await once(server, 'listening')
  const url = `rtsps://${host}:${(server.address() as AddressInfo).port}/video`
  await using sidecar = await startSidecar(nats, { spec: { source: { url, tls: { trustOnFirstUse: true } } } })
  const state = await sidecar.stateWith('a stream', ({ connection }) => connection === 'streaming')
  t.like(state.tls, { verified: 'FirstUse', sha256: sha256Of(own) })
  server.setSecureContext(other)
  await sidecar.restart()
  const refused = await sidecar.stateWith('a refusal', ({ reason }) => reason === 'CertificateRefused')
  t.true(refused.message?.includes(sha256Of(other)))
  server.setSecureContext(own)
  await sidecar.stateWith('the stream', ({ connection }) => connection === 'streaming', 60_000)
  server.close()
})

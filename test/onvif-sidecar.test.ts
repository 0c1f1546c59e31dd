// A sidecar that asks an ONVIF device for its stream, at each connect.
import test from 'ava'
import { startNats } from './fixtures/nats.ts'
import { startOnvifDevice } from './fixtures/onvif-device.ts'
import { startCamera } from './fixtures/rtsp-camera.ts'
import { startSidecar } from './fixtures/sidecar.ts'

const auth = { user: 'viewer', password: 'secret' }
const HEALED_MS = 60_000
const SMALL = { width: 320, height: 180, fps: 10, gop: 10 }
const profileAt = (url: string) => [{ token: 'main-1', encoding: 'H264', width: 320, height: 180, url }]

test('a device is played by its UUID, heals at a new address and path, and is described in the state', async t => {
  await using nats = await startNats()
  await using camera = await startCamera({ ...SMALL, auth, host: '127.0.13.2' })
  const of = (url: string, host: string) => ({
    ...({ uuid: 'Dev-1', discovery: 'unicast', host, auth, profiles: profileAt(url), snapshotUrl: `http://${host}/snap.jpg` } as const),
  })
  await using first = await startOnvifDevice(of(camera.url, '127.0.13.2'))
  await using sidecar = await startSidecar(nats, {
    spec: { source: { onvif: { uuid: 'urn:uuid:dev-1', cidrs: ['127.0.13.0/29'], profile: 'main' } } },
    credentials: { username: auth.user, password: auth.password },
  })
  const streaming = await sidecar.stateWith('a stream', ({ connection }) => connection === 'streaming')
  t.like(streaming.device, {
    maker: 'Acme & Co',
    model: 'Eye 3',
    serial: 'S-77',
    profile: 'main-1',
    snapshotUrl: 'http://127.0.13.2/snap.jpg',
  })
  // It comes back with another address, another port and another path, as by DHCP and a new firmware.
  await first[Symbol.asyncDispose]()
  await camera.kill()
  await sidecar.stateWith('a failure', ({ connection }) => connection !== 'streaming')
  await using moved = await startCamera({ ...SMALL, auth, host: '127.0.13.5' })
  await using _second = await startOnvifDevice(of(moved.urlOf('both'), '127.0.13.5'))
  const since = performance.now()
  const again = await sidecar.stateWith('a stream again', ({ connection }) => connection === 'streaming', HEALED_MS)
  t.log(`healed within ${Math.round(performance.now() - since)} ms`)
  t.is(again.device?.snapshotUrl, 'http://127.0.13.5/snap.jpg')
  t.false(sidecar.log().includes(auth.password))
})

test('a wrong password is a reason, and is tried once a minute at most', async t => {
  await using nats = await startNats()
  await using device = await startOnvifDevice({ auth, profiles: profileAt('rtsp://127.0.0.1:1/') })
  await using sidecar = await startSidecar(nats, {
    spec: { source: { onvif: { address: device.address, profile: 'main' } } },
    credentials: { username: auth.user, password: 'wrong' },
  })
  const state = await sidecar.stateWith('a reason', ({ reason }) => reason !== undefined)
  t.is(state.reason, 'OnvifAuthFailed')
  await sidecar.setCredentials({ username: auth.user, password: 'wrong' })
  t.is(device.asked.filter(name => name.endsWith('+')).length, 1)
  await sidecar.setCredentials({ username: auth.user, password: auth.password })
  await sidecar.stateWith('the next step', ({ reason }) => reason === 'ConnectionRefused')
})

test('the substream is another profile of the device', async t => {
  await using nats = await startNats()
  const size = { fps: 10, gop: 10, auth, host: '127.0.14.2' }
  await using large = await startCamera({ ...size, width: 320, height: 180 })
  await using small = await startCamera({ ...size, width: 160, height: 90 })
  const profiles = [
    { token: 'main-1', encoding: 'H264', width: 320, height: 180, url: large.url },
    { token: 'sub-1', encoding: 'H264', width: 160, height: 90, url: small.url },
  ]
  await using device = await startOnvifDevice({ host: '127.0.14.2', auth, profiles })
  await using sidecar = await startSidecar(nats, {
    spec: { source: { onvif: { address: device.address, profile: 'main' }, substream: { profile: 'sub' } } },
    credentials: { username: auth.user, password: auth.password },
  })
  const {
    codec,
    device: told,
    substream,
  } = await sidecar.stateWith('both streams', state => (state.codec && state.substream?.codec) !== undefined)
  t.like({ codec, substream }, { codec: { width: 320 }, substream: { codec: { width: 160, height: 90 } } })
  t.is(told?.profile, 'main-1')
})

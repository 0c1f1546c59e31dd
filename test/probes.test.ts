// What Kubernetes and Prometheus ask a process.
import test from 'ava'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createRegistry } from '../common/metrics.ts'
import { serveProbes } from '../common/probes.ts'

const HOST = '127.0.0.1'
const status = async (port: number, path: string) => (await fetch(`http://${HOST}:${port}${path}`)).status

test('200 connections that ask for nothing keep no probe out', async t => {
  await using probes = await serveProbes({ host: HOST, port: 0 }, createRegistry(), () => [])
  const idle = Array.from({ length: 200 }, () => connect(probes.port, HOST).on('error', () => {}))
  await Promise.all(idle.map(socket => once(socket, 'connect')))
  idle.forEach(socket => socket.write('GET /livez HTTP/1.1\r\nhost: x\r\n'))
  for (let i = 0; i < 5; i++) t.is(await status(probes.port, '/livez'), 200)
  for (const socket of idle) socket.destroy()
})

test('metrics are served where the probes are, or on a port of their own and nowhere else', async t => {
  await using together = await serveProbes({ host: HOST, port: 0 }, createRegistry(), () => ['something is missing'])
  t.is(together.port, together.metricsPort)
  t.deepEqual(await Promise.all(['/livez', '/readyz', '/metrics', '/'].map(path => status(together.port, path))), [200, 503, 200, 404])
  await using apart = await serveProbes({ host: HOST, port: 0, metricsPort: 0 }, createRegistry(), () => [])
  t.deepEqual(await Promise.all(['/livez', '/readyz', '/metrics'].map(path => status(apart.port, path))), [200, 200, 404])
  t.deepEqual(await Promise.all(['/livez', '/readyz', '/metrics'].map(path => status(apart.metricsPort, path))), [404, 404, 200])
})

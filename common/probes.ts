// What Kubernetes and Prometheus ask a process: whether it lives, whether it is ready, and its metrics.
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { once } from 'node:events'
import type { Registry } from 'prom-client'
import type { ProbesAt } from './env.ts'
import { messageOf } from './errors.ts'

export type Probes = AsyncDisposable & { port: number; metricsPort: number }

/** Of one listener. One more, and the connection that has waited for longest without a request makes room. */
const CONNECTIONS_MAX = 64

/**
 * Serves `/livez` (the event loop turns), `/readyz` (503 with a line for each thing that is missing) and, there or on a port of its own, `/metrics`
 * in Prometheus' text format. Port 0 takes any free one.
 */
export async function serveProbes(
  { host, port, metricsPort }: ProbesAt,
  registry: Registry,
  missing: () => readonly string[],
): Promise<Probes> {
  const probes: Paths = {
    '/livez': response => answer(response, 200, 'ok\n'),
    '/readyz': response => {
      const reasons = missing()
      answer(response, reasons.length === 0 ? 200 : 503, reasons.length === 0 ? 'ok\n' : `${reasons.join('\n')}\n`)
    },
  }
  const metrics: Paths = {
    '/metrics': response =>
      void registry.metrics().then(
        text => answer(response, 200, text, registry.contentType),
        error => answer(response, 500, `${messageOf(error)}\n`),
      ),
  }
  await using stack = new AsyncDisposableStack()
  const main = stack.use(await serve(metricsPort === undefined ? { ...probes, ...metrics } : probes, host, port))
  const other = metricsPort === undefined ? main : stack.use(await serve(metrics, host, metricsPort))
  const owned = stack.move()
  return { port: main.port, metricsPort: other.port, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

type Paths = Readonly<Record<string, (response: ServerResponse) => void>>

function answer(response: ServerResponse, status: number, body: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'content-type': type, 'x-content-type-options': 'nosniff' }).end(body)
}

async function serve(paths: Paths, host: string, port: number): Promise<AsyncDisposable & { port: number }> {
  const listener: RequestListener = (request, response) => {
    const path = request.url?.split('?')[0] ?? ''
    const act = Object.hasOwn(paths, path) ? paths[path] : undefined
    if (act === undefined) answer(response, 404, `see ${Object.keys(paths).join(', ')}\n`)
    else act(response)
  }
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, listener)
  keepRoom(server)
  server.listen(port, host)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/** So that connections on which nothing is asked keep no probe out. */
function keepRoom(server: Server): void {
  const waiting = new Set<Socket>()
  let count = 0
  server.on('connection', (socket: Socket) => {
    count++
    socket.once('close', () => {
      count--
      waiting.delete(socket)
    })
    if (count > CONNECTIONS_MAX) ([...waiting][0] ?? socket).destroy()
    waiting.add(socket)
  })
  server.on('request', ({ socket }, response) => {
    waiting.delete(socket)
    response.once('close', () => !socket.destroyed && waiting.add(socket))
  })
}

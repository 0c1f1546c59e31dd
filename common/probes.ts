import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import type { Registry } from 'prom-client'
import { messageOf } from './errors.ts'

export type Probes = AsyncDisposable & { port: number }

/**
 * Serves `/livez` (the event loop turns), `/readyz` (503 with a line for each thing that is missing) and `/metrics`
 * in Prometheus' text format. Port 0 takes any free one.
 */
export async function serveProbes(
  at: { host: string; port: number },
  registry: Registry,
  missing: () => readonly string[],
): Promise<Probes> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, (request, response) => {
    const answer = (status: number, body: string, type = 'text/plain; charset=utf-8') =>
      response.writeHead(status, { 'content-type': type, 'x-content-type-options': 'nosniff' }).end(body)
    switch (request.url?.split('?')[0]) {
      case '/livez':
        return answer(200, 'ok\n')
      case '/readyz': {
        const reasons = missing()
        return answer(reasons.length === 0 ? 200 : 503, reasons.length === 0 ? 'ok\n' : `${reasons.join('\n')}\n`)
      }
      case '/metrics':
        return void registry.metrics().then(
          text => answer(200, text, registry.contentType),
          error => answer(500, `${messageOf(error)}\n`),
        )
      default:
        return answer(404, 'see /livez, /readyz, /metrics\n')
    }
  })
  server.maxConnections = 64
  server.listen(at.port, at.host)
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

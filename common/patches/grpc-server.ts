// Fields of grpc-js's Server that it does not show: the options of Node's HTTP/2 server, that server, and its sessions.
// Upstream: https://github.com/grpc/grpc-node/issues/2872 (clients that cancel calls lose their connection),
//   https://github.com/grpc/grpc-node/issues/1167 (deadlines beyond 32 bits).
// Tried with: @grpc/grpc-js 1.14.7
import type { Server } from '@grpc/grpc-js'
import type { Http2Server, ServerHttp2Session, ServerOptions } from 'node:http2'

type Internals = {
  commonServerOptions?: ServerOptions
  http2Servers?: Map<Http2Server, unknown>
  sessions?: Map<ServerHttp2Session, unknown>
}

/** To be called before it is bound. False: this grpc-js is another, and keeps Node's own limits. */
export function setHttp2Options(server: Server, options: Partial<ServerOptions>): boolean {
  const { commonServerOptions } = server as unknown as Internals
  if (commonServerOptions === undefined) return false
  Object.assign(commonServerOptions, options)
  return true
}

/** None with another grpc-js. */
export const http2ServersOf = (server: Server): Iterable<Http2Server> => (server as unknown as Internals).http2Servers?.keys() ?? []

/** None with another grpc-js. */
export const sessionsOf = (server: Server): Iterable<ServerHttp2Session> => (server as unknown as Internals).sessions?.keys() ?? []

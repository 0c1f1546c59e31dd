// The HTTP/2 stream of a call. grpc-js ends a call only behind what is unsent, so a client that does not read is cut off by its stream.
// Upstream: https://github.com/grpc/grpc-node/blob/master/packages/grpc-js/src/server-interceptors.ts (BaseServerInterceptingCall).
// Tried with: @grpc/grpc-js 1.14.7
import type { ServerHttp2Stream } from 'node:http2'

/** Undefined with another grpc-js. */
export function streamOf(serverCall: object): ServerHttp2Stream | undefined {
  const { call } = serverCall as { call?: { nextCall?: { stream?: ServerHttp2Stream } } }
  return call?.nextCall?.stream
}

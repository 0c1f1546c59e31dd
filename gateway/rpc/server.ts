// The gRPC server: bind, limits, health, reflection, and an orderly end.
import { Server, logVerbosity, setLogVerbosity, type ServerCredentials } from '@grpc/grpc-js'
import { ReflectionService } from '@grpc/reflection'
import { HealthImplementation } from 'grpc-health-check'
import { constants, type ServerHttp2Session } from 'node:http2'
import { isIPv6, type Socket } from 'node:net'
import { Failure } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import { sleep } from '../../common/abort.ts'
import type { Calls } from './calls.ts'
import { seamlessFraming } from '../../common/patches/grpc-framing.ts'
import { http2ServersOf, sessionsOf, setHttp2Options } from '../../common/patches/grpc-server.ts'
import { queuedBytes } from '../../common/patches/node-socket.ts'
import type { FramesParts } from './frames/parts.ts'
import { FRAMES_PACKAGE, FRAMES_SERVICE, framesDefinition, framesService } from './frames/service.ts'
import type { Metrics } from '../metrics.ts'
import { keysOf, Shares } from '../shares.ts'
import { LibraryCalls } from './library-calls.ts'
import { IMAGE_PACKAGE, IMAGE_SERVICE, imageDefinition, imageService, type ImageParts } from './image.ts'

/** Those whose calls we serve ourselves. */
const SERVICES = [IMAGE_SERVICE, FRAMES_SERVICE]

const DRAIN_MS = 10_000
/** After the last call, for what is on its way. */
const CLOSE_MS = 500
/** A client that vanished without a word is asked whether it is there after so long, and gone after as long again. */
const SILENT_MS = 10_000
/** 2³¹ milliseconds. */
const DEADLINE_HOURS_MAX = 596

const OPTIONS = {
  'grpc.max_receive_message_length': 2 ** 20,
  'grpc.max_send_message_length': -1,
  'grpc.max_connection_idle_ms': 300_000,
}

/** At first, and a second. Node ends a connection, with all that is on it, for 1,000 and 33: clients cancel a call for each frame. */
const RESETS = { streamResetBurst: 10_000, streamResetRate: 1_000 }

export type GrpcServer = AsyncDisposable & {
  port: number
  /** What health checks are told; NOT_SERVING until then. */
  setServing(isServing: boolean): void
  /** Ends all calls and connections, within about ten seconds. */
  drain(): Promise<void>
}

/** Throws Failure when the address can't be had. Port 0 takes any free one. */
export async function serveGrpc(
  { host, port, callsMax, reflection }: { host: string; port: number; callsMax: number; reflection: boolean },
  credentials: ServerCredentials,
  parts: ImageParts & FramesParts,
  log: Logger,
): Promise<GrpcServer> {
  // It would write a line of its own for each illegal metadata that a client sends, with what that is. Errors of the server are thrown to us besides.
  setLogVerbosity(logVerbosity.NONE)
  if (!seamlessFraming()) log.warn('this version of grpc-js copies each frame once more: expect more CPU per client')
  // For each connection one more than are served in all: a client with too many is told so; beyond this limit its library would make it wait.
  const limit = { 'grpc.max_concurrent_streams': callsMax + 1 }
  const library = new LibraryCalls(SERVICES, parts.metrics)
  const server = new Server({ ...OPTIONS, ...limit, interceptors: [library.interceptor] })
  if (!setHttp2Options(server, RESETS)) log.warn('with this version of grpc-js a client that cancels many calls loses its connection')
  server.addService(imageDefinition, imageService(parts))
  server.addService(framesDefinition, framesService(parts))
  const names = ['', ...SERVICES]
  const health = new HealthImplementation(Object.fromEntries(names.map(name => [name, 'NOT_SERVING'])))
  health.addToServer(server)
  if (reflection) new ReflectionService({ ...IMAGE_PACKAGE, ...FRAMES_PACKAGE }).addToServer(server)
  const setServing = (isServing: boolean) => {
    for (const name of names) health.setStatus(name, isServing ? 'SERVING' : 'NOT_SERVING')
  }
  const bound = await bind(server, `${isIPv6(host) ? `[${host}]` : host}:${port}`, credentials)
  boundDeadlines(server)
  boundConnections(server, parts.metrics)
  endVanished(server)
  log.info({ host, port: bound }, 'serving gRPC')
  let draining: Promise<void> | undefined
  const drain = () => (draining ??= shutDown(server, parts.calls, library, () => setServing(false)))
  return { port: bound, setServing, drain, [Symbol.asyncDispose]: drain }
}

/** grpc-js keeps of a deadline in milliseconds 32 bits, by which one in 30 days would have passed. With another grpc-js it goes on so. */
function boundDeadlines(server: Server): void {
  for (const http2Server of http2ServersOf(server)) {
    http2Server.prependListener('stream', (_stream, headers) => {
      const [, count, unit] = /^(\d+)([HMS])$/.exec(String(headers['grpc-timeout'])) ?? []
      const hours = Number(count) / { H: 1, M: 60, S: 3_600 }[unit as 'H' | 'M' | 'S']
      if (hours > DEADLINE_HOURS_MAX) headers['grpc-timeout'] = `${DEADLINE_HOURS_MAX}H`
    })
  }
}

/** Connections in all; one address has its share of them. */
const CONNECTIONS_MAX = 2_048
const CONNECTIONS_LEAST = 64

function boundConnections(server: Server, metrics: Pick<Metrics, 'connectionsRefused'>): void {
  const shares = new Shares(CONNECTIONS_MAX, CONNECTIONS_LEAST)
  for (const http2Server of http2ServersOf(server)) {
    http2Server.prependListener('connection', (socket: Socket) => {
      const room = shares.enter(keysOf(`${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`))
      if (typeof room === 'object') return void socket.once('close', () => room[Symbol.dispose]())
      metrics.connectionsRefused.inc()
      socket.destroy()
    })
  }
}

/**
 * grpc-js's own pings would end connections too on which the answer has to wait behind frames, for which a thin link takes its time: six of 1080p take half
 * a minute of ten megabits a second.
 */
function endVanished(server: Server): void {
  for (const http2Server of http2ServersOf(server)) {
    http2Server.on('session', session => {
      let before = signOfLife(session)
      let isAsked = false
      const timer = setInterval(() => {
        if (session.closed || session.destroyed) return
        const now = signOfLife(session)
        if (now === before && isAsked) return session.destroy()
        isAsked = now === before
        before = now
        if (isAsked) session.ping(() => {})
      }, SILENT_MS)
      session.once('close', () => clearInterval(timer))
    })
  }
}

/** Another one when the client has sent something, or the network has taken some of what is to go to it. */
const signOfLife = ({ socket }: ServerHttp2Session): string => `${socket.bytesRead} ${queuedBytes(socket)}`

function bind(server: Server, address: string, credentials: ServerCredentials): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  server.bindAsync(address, credentials, (error, port) => {
    if (error === null) resolve(port)
    else reject(new Failure('AddressUnavailable', `cannot serve gRPC on ${address}: ${error.message}`))
  })
  return promise
}

/** Clients that did not take what they were sent are to connect again; grpc-js would have them believe that they cancelled their calls. */
function cutOff(server: Server): void {
  for (const session of sessionsOf(server)) session.destroy(undefined, constants.NGHTTP2_REFUSED_STREAM)
}

async function shutDown(server: Server, calls: Calls, library: LibraryCalls, stopServing: () => void): Promise<void> {
  stopServing()
  const closed = new AbortController()
  server.tryShutdown(() => closed.abort()) // no new connection or call
  library.end()
  await calls.drain(DRAIN_MS)
  await sleep(CLOSE_MS, closed.signal)
  cutOff(server)
  server.forceShutdown()
}

import { readFileSync } from 'node:fs'
import { connect, credsAuthenticator, Events, type Authenticator, type NatsConnection } from 'nats'
import { everyMinute, type Logger } from '../log.ts'
import { messageOf } from '../errors.ts'
import { isTooOld, NATS_SERVER_OLDEST } from './server-version.mjs'
import { reconnectOnce } from '../patches/nats-reconnect.ts'
import { aborted, Stopped } from '../abort.ts'
import { userIn } from './user.ts'

export type Nats = AsyncDisposable & {
  nc: NatsConnection
  /** Below it come the answers to our requests. */
  inbox: string
  /** False while the link is down: what is published then is lost without an error (nats.js discards its buffer). */
  connected: () => boolean
  /** Calls back on each (re)connect, the first one excluded. */
  onReconnect(callback: () => void): Disposable
}

reconnectOnce()

const TEXT = new TextEncoder()

/**
 * Reads the credentials at each connect, so that rotated ones take effect without a restart. If they can't be read any more, those of before
 * are sent: an error here would close the connection for good.
 */
function credsFrom(read: () => string): Authenticator {
  let before: string | undefined
  return nonce => {
    try {
      const creds = read()
      const auth = credsAuthenticator(TEXT.encode(creds))(nonce)
      before = creds
      return auth
    } catch (error) {
      if (before === undefined) throw error
      return credsAuthenticator(TEXT.encode(before))(nonce)
    }
  }
}

const CONFINED = new WeakSet<NatsConnection>()
const REPLICAS = new WeakMap<NatsConnection, number>()

/** How many servers of a cluster keep what must outlive one of them; 1: there is no cluster. */
export const replicasOf = (nc: NatsConnection): number => REPLICAS.get(nc) ?? 1

/** A server that answers nothing is left for another of the cluster sooner than one that has no other. */
const PINGS = { alone: { pingInterval: 10_000, maxPingOut: 2 }, cluster: { pingInterval: 1_000, maxPingOut: 2, timeout: 1_500 } } as const

/** True where our user may make no streams: what cameras share is made by others then (proto/permissions.ts). */
export const isConfined = (nc: NatsConnection): boolean => CONFINED.has(nc)

/** `credsFile` or `creds`: the user. `ca`: who signed the server's certificate, where the URL is tls://; one of the system's authorities unless given. */
export type NatsOptions = { url: string; ca?: string | undefined; replicas?: number } & (
  { credsFile: string | undefined } | { creds: () => string }
)

const credsIn = (file: string | undefined) => (file === undefined ? undefined : () => readFileSync(file, 'utf8'))

/**
 * A connection that never gives up: it waits for the first connect and reconnects forever, since the defaults close it for good
 * after 20 s of outage or two authentication failures. Rejects only when `signal` aborts first.
 */
export async function connectNats(
  name: string,
  { url, ca, replicas = 1, ...given }: NatsOptions,
  log: Logger,
  signal: AbortSignal,
): Promise<Nats> {
  const creds = 'creds' in given ? given.creds : credsIn(given.credsFile)
  const user = creds && userIn(creds())
  const connecting = connect({
    servers: url.replace(/^(nats|tls):\/\//, ''),
    name,
    ...(url.startsWith('tls:') ? { tls: ca === undefined ? {} : { ca } } : {}),
    ...(creds === undefined ? {} : { authenticator: credsFrom(creds) }),
    ...(user?.inbox === undefined ? {} : { inboxPrefix: user.inbox }),
    waitOnFirstConnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 500,
    reconnectJitter: 250,
    ignoreAuthErrorAbort: true,
    // A stack for each publish, in case it fails, is a tenth of a busy publisher's work.
    noAsyncTraces: true,
    timeout: 5_000,
    ...PINGS[replicas > 1 ? 'cluster' : 'alone'],
  })
  log.info({ url }, 'connecting to NATS')
  const nc = await Promise.race([connecting, aborted(signal).then(() => undefined)])
  if (nc === undefined) {
    void connecting.then(
      late => late.close(),
      () => {},
    )
    throw new Stopped('stopped before NATS was reached')
  }
  if (user?.isConfined === true) CONFINED.add(nc)
  REPLICAS.set(nc, replicas)
  const version = nc.info?.version ?? ''
  if (isTooOld(version))
    log.warn({ version, oldest: NATS_SERVER_OLDEST }, 'nats-server is too old: the permissions of NATS users do not hold')
  let up = true
  const callbacks = new Set<() => void>()
  const warn = everyMinute((count, error) => log.warn({ count, error }, 'NATS reports an error'))
  void (async () => {
    // It does not end when the connection is closed; nothing then holds it.
    for await (const { type, data } of nc.status()) {
      if (type === Events.Disconnect) {
        up = false
        log.warn('NATS is unreachable')
      } else if (type === Events.Reconnect) {
        up = true
        log.info('NATS is reachable again')
        for (const callback of callbacks) callback()
      } else if (type === Events.Error) {
        warn(messageOf(data))
      }
    }
  })()
  return {
    nc,
    inbox: user?.inbox ?? '_INBOX',
    connected: () => up && !nc.isClosed(),
    onReconnect(callback) {
      callbacks.add(callback)
      return { [Symbol.dispose]: () => void callbacks.delete(callback) }
    },
    async [Symbol.asyncDispose]() {
      // Draining would wait for a server that may be away; what matters was acknowledged before.
      await nc.close()
    },
  }
}

// The gateway's certificate: checked before it is served, and taken up anew when its files change, as mounted Secrets do. A pair that can't be
// used is refused; while serving, the one before it goes on.
import { experimental, ServerCredentials } from '@grpc/grpc-js'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import type { Gauge } from 'prom-client'
import { messageOf } from '../../common/errors.ts'
import { readRepeatedly } from '../../common/watch-files.ts'
import type { Logger } from '../../common/log.ts'
import type { Reason } from '../../proto/reasons.ts'

export type TlsFiles = {
  certFile: string
  keyFile: string
  /** Authorities, one of which must have signed the certificate of each client. */
  clientCaFile: string | undefined
}

/** PEM. */
export type Certificate = { cert: Buffer; key: Buffer; clientCa: Buffer | undefined; validTo: Date }
type Pem = Omit<Certificate, 'validTo'>

/** What is wrong with a file, or with two of them together. */
export class BadCertificate extends Error {
  readonly which: keyof TlsFiles
  constructor(which: keyof TlsFiles, message: string) {
    super(message)
    this.which = which
  }
}

/** Throws BadCertificate. `now`: ms since the epoch. */
export function checkCertificate(pem: Pem, now: number): Certificate {
  const x509 = parsed('certFile', 'holds no certificate in PEM', () => new X509Certificate(pem.cert))
  const key = parsed('keyFile', 'holds no private key in PEM without a passphrase', () => createPrivateKey(pem.key))
  if (!x509.checkPrivateKey(key)) throw new BadCertificate('keyFile', 'is not the key of the certificate')
  if (now >= x509.validToDate.getTime()) throw new BadCertificate('certFile', `has expired on ${x509.validToDate.toISOString()}`)
  if (now < x509.validFromDate.getTime()) throw new BadCertificate('certFile', `is not valid before ${x509.validFromDate.toISOString()}`)
  const { clientCa } = pem
  if (clientCa !== undefined) parsed('clientCaFile', 'holds no certificate in PEM', () => new X509Certificate(clientCa))
  parsed('certFile', 'is refused by TLS', () => createSecureContext({ cert: pem.cert, key: pem.key, ca: clientCa }))
  return { ...pem, validTo: x509.validToDate }
}

function parsed<T>(which: keyof TlsFiles, problem: string, parse: () => T): T {
  try {
    return parse()
  } catch {
    throw new BadCertificate(which, problem) // not OpenSSL's own words: they help nobody
  }
}

export type TlsMetrics = { reloadFailed: Gauge; expires: Gauge }

/** gRPC's credentials, and the watch over the files. */
export class ServerTls implements Disposable {
  readonly credentials: ServerCredentials
  readonly #files: TlsFiles
  readonly #metrics: TlsMetrics
  readonly #log: Logger
  readonly #over = new AbortController()
  readonly #listeners = new Set<() => void>()
  #current: Certificate
  /** The content that was seen last and can't be used: said at its second sight, since files don't change at the same instant. */
  #bad: { pem: Pem; said: boolean } | undefined

  constructor(files: TlsFiles, certificate: Certificate, metrics: TlsMetrics, log: Logger) {
    this.#files = files
    this.#current = certificate
    this.#metrics = metrics
    this.#log = log
    metrics.expires.set(certificate.validTo.getTime() / 1_000)
    this.credentials = experimental.createCertificateProviderServerCredentials(...this.#providers())
    void this.#follow()
  }

  [Symbol.dispose](): void {
    this.#over.abort()
  }

  async #follow(): Promise<void> {
    for await (const pem of readRepeatedly(() => readPem(this.#files), this.#over.signal)) this.#take(pem)
  }

  #take(pem: Pem): void {
    if (isSame(pem, this.#current)) return this.#good()
    try {
      this.#current = checkCertificate(pem, Date.now())
    } catch (error) {
      return this.#refuse(pem, error)
    }
    this.#good()
    for (const update of this.#listeners) update()
    this.#metrics.expires.set(this.#current.validTo.getTime() / 1_000)
    this.#log.info({ validTo: this.#current.validTo }, 'a new certificate is served')
  }

  #good(): void {
    this.#bad = undefined
    this.#metrics.reloadFailed.set(0)
  }

  #refuse(pem: Pem, error: unknown): void {
    if (this.#bad === undefined || !isSame(pem, this.#bad.pem)) this.#bad = { pem, said: false }
    else if (!this.#bad.said) {
      this.#bad.said = true
      this.#metrics.reloadFailed.set(1)
      const file = error instanceof BadCertificate ? this.#files[error.which] : undefined
      this.#log.warn(
        { reason: 'TlsReloadFailed' satisfies Reason, file, error: messageOf(error) },
        'the new certificate can’t be used; the old one stays',
      )
    }
  }

  /** In the order that grpc-js takes them: the server's own certificate, clients' authorities. */
  #providers(): Parameters<typeof experimental.createCertificateProviderServerCredentials> {
    const listen = <T>(makeUpdate: () => T) => {
      const wrapped = new Map<(update: T) => void, () => void>()
      return {
        add: (listener: (update: T) => void) => {
          const update = () => listener(makeUpdate())
          wrapped.set(listener, update)
          this.#listeners.add(update)
          queueMicrotask(update) // grpc-js asks to be told before it is ready to hear
        },
        remove: (listener: (update: T) => void) => {
          this.#listeners.delete(wrapped.get(listener) ?? (() => {}))
          wrapped.delete(listener)
        },
      }
    }
    const identity = listen(() => ({ certificate: this.#current.cert, privateKey: this.#current.key }))
    const authorities = listen(() => (this.#current.clientCa === undefined ? null : { caCertificate: this.#current.clientCa }))
    const provider = {
      addIdentityCertificateListener: identity.add,
      removeIdentityCertificateListener: identity.remove,
      addCaCertificateListener: authorities.add,
      removeCaCertificateListener: authorities.remove,
    }
    const asksClients = this.#current.clientCa !== undefined
    return [provider, asksClients ? provider : null, asksClients]
  }
}

/** Empty for what cannot be read. */
async function readPem({ certFile, keyFile, clientCaFile }: TlsFiles): Promise<Pem> {
  const read = (path: string) => readFile(path).catch(() => Buffer.alloc(0))
  const [cert, key] = await Promise.all([read(certFile), read(keyFile)])
  return { cert, key, clientCa: clientCaFile === undefined ? undefined : await read(clientCaFile) }
}

const isSame = (a: Pem, b: Pem): boolean =>
  a.cert.equals(b.cert) && a.key.equals(b.key) && (a.clientCa ?? Buffer.alloc(0)).equals(b.clientCa ?? Buffer.alloc(0))

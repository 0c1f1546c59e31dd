// The gateway's certificate: checked before it is served, and loaded again when its files change, as mounted Secrets do. A pair that can't be
// used is refused; while serving, the one before it goes on.
import type { ServerCredentials } from '@grpc/grpc-js'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type Server as TlsServer } from 'node:tls'
import type { Gauge } from 'prom-client'
import { messageOf } from '../../common/errors.ts'
import { readRepeatedly } from '../../common/watch-files.ts'
import type { Logger } from '../../common/log.ts'
import { reloadableCredentials, type Pem } from '../../common/patches/grpc-certificates.ts'
import type { Reason } from '../../proto/reasons.ts'

export type TlsFiles = {
  certFile: string
  keyFile: string
  /** Authorities, one of which must have signed the certificate of each client. */
  clientCaFile: string | undefined
}

export type Certificate = Pem & { validTo: Date }

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
    throw new BadCertificate(which, problem) // not OpenSSL's own words: they do not help
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
  readonly #serveCurrent: () => void
  readonly #others: (() => void)[] = []
  #current: Certificate
  /** The content that was seen last and can't be used: said at its second sight, since files don't change at the same instant. */
  #bad: { pem: Pem; said: boolean } | undefined

  constructor(files: TlsFiles, certificate: Certificate, metrics: TlsMetrics, log: Logger) {
    this.#files = files
    this.#current = certificate
    this.#metrics = metrics
    this.#log = log
    metrics.expires.set(certificate.validTo.getTime() / 1_000)
    const { credentials, reload } = reloadableCredentials(() => this.#current)
    this.credentials = credentials
    this.#serveCurrent = reload
    void this.#follow()
  }

  /** Lets another TLS server serve the same certificate, now and whenever it is renewed. */
  secure<S extends TlsServer>(server: S): S {
    const serve = () => {
      const { cert, key, clientCa: ca } = this.#current
      server.setSecureContext({ cert, key, ...(ca === undefined ? {} : { ca }) })
    }
    serve()
    this.#others.push(serve)
    return server
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
    this.#serveCurrent()
    for (const serve of this.#others) serve()
    this.#metrics.expires.set(this.#current.validTo.getTime() / 1_000)
    this.#log.info({ validTo: this.#current.validTo }, 'serving a new certificate')
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
}

/** Empty for what cannot be read. */
async function readPem({ certFile, keyFile, clientCaFile }: TlsFiles): Promise<Pem> {
  const read = (path: string) => readFile(path).catch(() => Buffer.alloc(0))
  const [cert, key] = await Promise.all([read(certFile), read(keyFile)])
  return { cert, key, clientCa: clientCaFile === undefined ? undefined : await read(clientCaFile) }
}

const isSame = (a: Pem, b: Pem): boolean =>
  a.cert.equals(b.cert) && a.key.equals(b.key) && (a.clientCa ?? Buffer.alloc(0)).equals(b.clientCa ?? Buffer.alloc(0))

// TLS as cameras speak it, and whom we take for the camera.
import { readFileSync } from 'node:fs'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import type { TlsVersion } from '../../proto/camera.ts'
import type { TlsReport } from '../../proto/state.ts'
import { Failure } from '../errors.ts'

/** What spec.source.tls says: at most one of `caFile`, `sha256` and `firstUse`. */
export type TlsRule = {
  /** PEM. It may come, go and change. */
  caFile?: string | undefined
  /** Of the camera's certificate, as 64 hexadecimal digits. */
  sha256?: string | undefined
  /** The certificate of the first connection is the camera's from then on. */
  firstUse?: boolean | undefined
  minVersion?: TlsVersion | undefined
}

/** Of a host in a URL: no address. */
export const isName = (host: string) => /[a-z]/i.test(host) && !host.includes(':')

const TOO_OLD = /^ERR_SSL_(UNSUPPORTED_PROTOCOL|TLSV1_ALERT_PROTOCOL_VERSION|VERSION_TOO_LOW|WRONG_SSL_VERSION)$/

/** One camera's. */
export class CameraTrust {
  readonly #rule: TlsRule
  /** Of the connection that was made last. */
  report: TlsReport | undefined
  /** With `firstUse`: the certificate of the first connection. The keeper sets it, and is told. */
  pinned: string | undefined
  onPinned: (sha256: string) => void = () => {}

  constructor(rule: TlsRule = {}) {
    this.#rule = rule
  }

  get isFirstUse(): boolean {
    return this.#rule.firstUse === true
  }

  /**
   * For tls.connect. Nothing is refused there: `accept` decides, and knows the certificate it refuses. OpenSSL allows the certificates and
   * ciphers of many cameras at level 0 only. Throws Failure where the authority's file is missing.
   */
  options(host: string): ConnectionOptions {
    const { caFile, minVersion = 'TLSv1.2' } = this.#rule
    return {
      ...{ rejectUnauthorized: false, minVersion, servername: isName(host) ? host : '' },
      ...(caFile === undefined ? { ciphers: 'DEFAULT:@SECLEVEL=0' } : { ca: authorityIn(caFile) }),
    }
  }

  /** Before anything is sent. Throws Failure for a certificate that is not the camera's. */
  accept(socket: TLSSocket): void {
    const { caFile, sha256: wanted, firstUse = false } = this.#rule
    const sha256 = hex(socket.getPeerCertificate().fingerprint256 ?? '')
    const version = socket.getProtocol() ?? ''
    const told = { sha256, version }
    if (caFile !== undefined) {
      const problem = socket.authorized ? undefined : String(socket.authorizationError)
      if (problem !== undefined) throw refused(`it is not valid for this authority and host (${problem})`, sha256)
      this.report = { ...told, verified: 'Authority' }
    } else if (wanted !== undefined) {
      if (sha256 !== hex(wanted)) throw refused('spec.source.tls.sha256 names another one', sha256)
      this.report = { ...told, verified: 'Fingerprint' }
    } else if (firstUse) {
      if (sha256 !== (this.pinned ?? sha256)) throw refused('the first connection showed another one', sha256)
      if (this.pinned === undefined) this.onPinned((this.pinned = sha256))
      this.report = { ...told, verified: 'FirstUse' }
    } else {
      this.report = { ...told, verified: 'None' }
    }
  }

  /** A failure that has to do with TLS. */
  failureOf({ code = '' }: NodeJS.ErrnoException): Failure | undefined {
    if (!TOO_OLD.test(code)) return undefined
    const { minVersion = 'TLSv1.2' } = this.#rule
    return new Failure('TlsTooOld', `the camera does not speak ${minVersion} or newer (${code})`)
  }
}

const refused = (why: string, sha256: string) =>
  new Failure('CertificateRefused', `the camera’s certificate is refused: ${why}. Its SHA-256 fingerprint is ${sha256}`)

const hex = (fingerprint: string) => fingerprint.replaceAll(':', '').toLowerCase()

function authorityIn(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    throw new Failure('AuthorityNotFound')
  }
}

// The gateway's settings for TLS.
import { readFileSync } from 'node:fs'
import type { Reading } from '../../common/env.ts'
import type { TLS } from '../../proto/settings.ts'
import { BadCertificate, checkCertificate, type Certificate, type TlsFiles } from './tls.ts'

export type TlsConfig = { files: TlsFiles; certificate: Certificate }

const NAMES = { certFile: 'CHRYS_TLS_CERT_FILE', keyFile: 'CHRYS_TLS_KEY_FILE', clientCaFile: 'CHRYS_TLS_CLIENT_CA_FILE' } as const

/** undefined where clients are served in the clear. */
export function readTlsConfig({ values, problem }: Pick<Reading<typeof TLS>, 'values' | 'problem'>): TlsConfig | undefined {
  const [certFile, keyFile, clientCaFile] = [values[NAMES.certFile], values[NAMES.keyFile], values[NAMES.clientCaFile]]
  if (certFile === undefined && keyFile === undefined && clientCaFile === undefined) return undefined
  if (certFile === undefined) problem(NAMES.certFile, 'is required with the other two')
  if (keyFile === undefined) problem(NAMES.keyFile, 'is required with the other two')
  if (certFile === undefined || keyFile === undefined) return undefined
  const files = { certFile, keyFile, clientCaFile }
  try {
    const [cert, key] = [readFileSync(certFile), readFileSync(keyFile)]
    const clientCa = clientCaFile === undefined ? undefined : readFileSync(clientCaFile)
    return { files, certificate: checkCertificate({ cert, key, clientCa }, Date.now()) }
  } catch (error) {
    if (error instanceof BadCertificate) problem(NAMES[error.which], error.message)
    return undefined // a file that cannot be read has been reported
  }
}

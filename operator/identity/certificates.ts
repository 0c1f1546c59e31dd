// An authority of the chart's own, and the certificates that it signs, of the gateway and of NATS' servers. Pure, but for new keys; the time is
// given.
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import forge from 'node-forge'

const { pki } = forge
const DAY_MS = 86_400_000
const AUTHORITY_DAYS = 3_650
const SERVER_DAYS = 90
/** Clocks of clients may be behind. */
const SLACK_MS = 3_600_000

/** As PEM. */
export type Pair = { cert: string; key: string }

export function newAuthority(nowMs: number): Pair {
  const { publicKey, privateKey } = newKeys()
  return sign(
    { name: 'Chrysalis Edge', publicKey, days: AUTHORITY_DAYS, nowMs, issuer: { name: 'Chrysalis Edge', key: privateKey } },
    [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
      { name: 'subjectKeyIdentifier' },
    ],
    privateKey,
  )
}

export type Server = {
  /** DNS names and IP addresses. */
  names: readonly string[]
  /** It is not renewed before the authority is, as nats-server reads its certificate only when it starts; and it is shown to other servers. */
  isNats?: boolean
}

export function newServerCertificate(authority: Pair, { names, isNats = false }: Server, nowMs: number): Pair {
  const { publicKey, privateKey } = newKeys()
  const issuer = pki.certificateFromPem(authority.cert)
  const altNames = names.map(name => (isIP(name) === 0 ? { type: 2, value: name } : { type: 7, ip: name }))
  return sign(
    {
      ...{ name: isNats ? 'Chrysalis Edge NATS' : 'Chrysalis Edge gateway', publicKey, nowMs },
      days: isNats ? (Date.parse(new X509Certificate(authority.cert).validTo) - nowMs) / DAY_MS : SERVER_DAYS,
      issuer: { name: String(issuer.subject.getField('CN').value), key: pki.privateKeyFromPem(authority.key) },
    },
    [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true, clientAuth: isNats },
      { name: 'subjectAltName', altNames },
    ],
    privateKey,
  )
}

/** Whether the certificate is of no use, or will soon not be: a third of its validity is left, it is another authority's, or for other names. */
export function needsRenewal(pair: Partial<Pair>, authority: Pair, { names, isNats = false }: Server, nowMs: number): boolean {
  try {
    const cert = new X509Certificate(pair.cert ?? '')
    const ofAuthority = new X509Certificate(authority.cert)
    const isFor = names.every(name => (isIP(name) === 0 ? cert.checkHost(name) : cert.checkIP(name)) !== undefined)
    const count = cert.subjectAltName?.split(', ').length ?? 0
    return (
      pair.key === undefined || !cert.verify(ofAuthority.publicKey) || !isFor || count !== names.length || (!isNats && isOld(cert, nowMs))
    )
  } catch {
    return true
  }
}

/** Whether it can sign no certificate that outlives it. */
export function isUsableAuthority(pair: Partial<Pair>, nowMs: number): pair is Pair {
  try {
    return pair.key !== undefined && Date.parse(new X509Certificate(pair.cert ?? '').validTo) > nowMs + 2 * SERVER_DAYS * DAY_MS
  } catch {
    return false
  }
}

function isOld({ validFrom, validTo }: X509Certificate, nowMs: number): boolean {
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)]
  return nowMs > to - (to - from) / 3
}

function newKeys() {
  const pair = generateKeyPairSync('rsa', {
    modulusLength: 2_048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  return { publicKey: pki.publicKeyFromPem(pair.publicKey), privateKey: pki.privateKeyFromPem(pair.privateKey) }
}

type Subject = {
  name: string
  publicKey: forge.pki.PublicKey
  days: number
  nowMs: number
  issuer: { name: string; key: forge.pki.rsa.PrivateKey }
}

function sign({ name, publicKey, days, nowMs, issuer }: Subject, extensions: object[], privateKey: forge.pki.rsa.PrivateKey): Pair {
  const cert = pki.createCertificate()
  cert.publicKey = publicKey
  cert.serialNumber = `00${forge.util.bytesToHex(forge.random.getBytesSync(16))}` // positive
  cert.validity.notBefore = new Date(nowMs - SLACK_MS)
  cert.validity.notAfter = new Date(nowMs + days * DAY_MS)
  cert.setSubject([{ name: 'commonName', value: name }])
  cert.setIssuer([{ name: 'commonName', value: issuer.name }])
  cert.setExtensions(extensions)
  cert.sign(issuer.key, forge.md.sha256.create())
  return { cert: pki.certificateToPem(cert), key: pki.privateKeyToPem(privateKey) }
}

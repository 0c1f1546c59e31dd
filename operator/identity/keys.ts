// Keys and tokens of NATS' decentralised identity. Everything here gives the same bytes for the same input, so that nothing is
// written again that did not change.
import { hkdfSync } from 'node:crypto'
import { fmtCreds, fromSeed, type KeyPair } from '@nats-io/jwt'
import { bytesOfSeed, userSeedOf } from '../../common/patches/nkeys-codec.ts'

const KEY_BYTES = 32

export const keyOf = (seed: string): KeyPair => fromSeed(Buffer.from(seed))
export const seedOf = (key: KeyPair): string => Buffer.from(key.getSeed()).toString()

/** A user's key: the same for the same parent key and purpose, and of no use in finding either. */
export function deriveUserKey(parentSeed: string, purpose: string): KeyPair {
  const bytes = hkdfSync('sha256', bytesOfSeed(parentSeed), '', `chrysalis-edge ${purpose}`, KEY_BYTES)
  return fromSeed(userSeedOf(new Uint8Array(bytes)))
}

export type Claims = {
  name: string
  /** The public key that the token is about. */
  subject: string
  /** Seconds since the epoch. */
  issuedAt: number
  /** Likewise. Without it the token does not expire. */
  expiresAt?: number
  /** What NATS reads. */
  nats: { type: 'operator' | 'account' | 'user' } & Record<string, unknown>
}

/** The library's own encoder puts the time of the call into the token. */
export function sign({ name, subject, issuedAt, expiresAt, nats }: Claims, key: KeyPair): string {
  const expiry = expiresAt === undefined ? {} : { exp: expiresAt }
  const claims = { name, sub: subject, iss: key.getPublicKey(), iat: issuedAt, ...expiry, aud: 'NATS', nats: { ...nats, version: 2 } }
  const encoded = [{ typ: 'JWT', alg: 'ed25519-nkey' }, claims].map(part => Buffer.from(JSON.stringify(part)).toString('base64url'))
  const text = encoded.join('.')
  return `${text}.${Buffer.from(key.sign(Buffer.from(text))).toString('base64url')}`
}

/** The file that a process of ours reads (`user.creds`). */
export const credsFile = (token: string, key: KeyPair): string => Buffer.from(fmtCreds(token, key)).toString()

// The 32 bytes within a seed of NATS, and a seed made of 32 bytes. The library makes seeds of random bytes only.
// Upstream: https://github.com/nats-io/nkeys.js/blob/main/src/codec.ts (Codec, which its package does not export).
// Tried with: @nats-io/nkeys 2.0.3
import { Prefix } from '@nats-io/nkeys'
import { Codec } from '@nats-io/nkeys/lib/codec.js'

export const bytesOfSeed = (seed: string): Uint8Array => Codec.decodeSeed(Buffer.from(seed)).buf

export const userSeedOf = (bytes: Uint8Array): Uint8Array => Codec.encodeSeed(Prefix.User, bytes)

// The keys of callers. A key is its 32 bytes' seed, as in the file of `vms keygen`, or a key pair that only the platform has.

import { ed25519 } from '@noble/curves/ed25519.js'

import { hex, unhex } from './bytes.js'

const { subtle } = globalThis.crypto

/** What stands in an Ed25519 key before its seed (PKCS #8, RFC 8410). */
const PKCS8 = unhex('302e020100300506032b657004220420', 16)

/** A caller's key. Its `id` is how a service knows the caller: 64 hexadecimal digits. */
export class Key {
  #sign
  #seed

  constructor (id, sign, seed) {
    this.id = id
    this.#sign = sign
    this.#seed = seed
  }

  /** Signs bytes. */
  async sign (bytes) {
    return this.#sign(bytes)
  }

  /** Returns the content of a key file. */
  export () {
    if (!this.#seed) throw new TypeError('this key cannot be exported')
    return `${hex(this.#seed)}\n`
  }

  toJSON () {
    return { id: this.id }
  }
}

/**
 * Makes a key by chance. With `extractable: false` only the platform has its secret, which no script can read: see `keyPairOf`.
 */
export async function generateKey ({ extractable = true } = {}) {
  if (extractable) return keyOfSeed(crypto.getRandomValues(new Uint8Array(32)))
  return keyOfPair(await generatePair())
}

/** Makes a key pair of the platform, which can be kept in IndexedDB and not be exported. */
export const generatePair = () => subtle.generateKey('Ed25519', false, ['sign', 'verify'])

/** Reads the content of a file of `vms keygen`. */
export async function importKey (text) {
  const digits = String(text).trim().toLowerCase()
  if (!/^[0-9a-f]{64}$/.test(digits)) throw new TypeError('not the file of a key: it must hold 64 hexadecimal digits')
  return keyOfSeed(unhex(digits, 32))
}

/** Returns the content of a key file, as `vms keygen` writes it. */
export const exportKey = async (key) => key.export()

/** Returns the key that a pair of the platform is (`CryptoKeyPair`). */
export async function keyOfPair ({ privateKey, publicKey }) {
  const id = hex(new Uint8Array(await subtle.exportKey('raw', publicKey)))
  return new Key(id, signerOf(privateKey))
}

async function keyOfSeed (seed) {
  return new Key(hex(ed25519.getPublicKey(seed)), await seedSigner(seed), seed)
}

/** Signs with the platform where it knows the curve: that is faster. */
async function seedSigner (seed) {
  try {
    return signerOf(await subtle.importKey('pkcs8', Uint8Array.of(...PKCS8, ...seed), 'Ed25519', false, ['sign']))
  } catch {
    return (bytes) => ed25519.sign(bytes, seed)
  }
}

const signerOf = (privateKey) => async (bytes) => new Uint8Array(await subtle.sign('Ed25519', privateKey, bytes))

// The one predicate for signatures (protocol/FORMAT.md, "Signatures"): Ed25519 (RFC 8032) without a cofactor, for canonical points
// that are not of small order. What platforms and packages check is more lax, each in its own way, so it is not asked.

import { ed25519 } from '@noble/curves/ed25519.js'
import { sha512 } from '@noble/hashes/sha2.js'

import { concat } from './bytes.js'

const { Point } = ed25519
const ORDER = Point.Fn.ORDER

/** Windows of a table that makes one key's checks faster. */
const WINDOW = 6

/** Keys whose tables are kept: those of the logs and callers that one proof or file is about. */
const KEYS_MAX = 16
const verifiers = new Map()

/** Returns whether the signature is that of `key` over `message`. */
export function verifies (key, message, sig) {
  const name = String(key)
  const verifier = verifiers.get(name) ?? new Verifier(key)
  if (verifiers.size >= KEYS_MAX) verifiers.clear()
  verifiers.set(name, verifier)
  return verifier.verifies(message, sig)
}

/** Checks signatures of one key. */
export class Verifier {
  #point
  #checks = 0

  constructor (key) {
    this.key = key
    this.#point = pointOf(key)
  }

  verifies (message, sig) {
    const point = pointOf(sig.subarray(0, 32))
    const s = numberOf(sig.subarray(32))
    if (!this.#point || !point || sig.length !== 64 || s >= ORDER) return false
    // A table is worth its making for a key that signs much: a log's.
    if (++this.#checks === 2) this.#point.precompute(WINDOW)
    const k = numberOf(sha512(concat(sig.subarray(0, 32), this.key, message))) % ORDER
    return Point.BASE.multiplyUnsafe(s).subtract(this.#point.multiplyUnsafe(k)).equals(point)
  }
}

/** Reads the canonical encoding of a point that is not of small order; `null` for any other bytes. */
function pointOf (bytes) {
  try {
    const point = Point.fromBytes(bytes)
    return point.isSmallOrder() ? null : point
  } catch {
    return null
  }
}

/** Reads a number, little endian. */
const numberOf = (bytes) => bytes.reduceRight((number, byte) => number << 8n | BigInt(byte), 0n)

// The parts of which proof files are made (protocol/FORMAT.md, "Proof files"). Whatever has other members is unreadable.

import { utf8 } from './bytes.js'
import { EXACT } from './cbor.js'

/** Bytes of one block in a proof. */
const BLOCK_BYTES_MAX = 15 * 1024 * 1024

/** Nodes of one path. */
const PATH_NODES_MAX = 512

const UINT_END = 1n << 64n

/** Throws unless `value` is a map with all members of `needed`, and no others than these and those of `optional`. */
export function members (value, needed, optional = []) {
  demand(typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array), 'not a map')
  const names = Object.keys(value)
  const missing = needed.find((name) => !names.includes(name))
  const strange = names.find((name) => !needed.includes(name) && !optional.includes(name))
  demand(missing === undefined, `without ${missing}`)
  demand(strange === undefined, `with another member, ${JSON.stringify(strange?.slice(0, 64))}`)
  return value
}

/** Throws what is wrong with a form, unless it holds. */
export function demand (holds, what) {
  if (!holds) throw new TypeError(what)
}

export function bytes (value, length, what) {
  demand(value instanceof Uint8Array && value.length === length, `${what} is not ${length} bytes`)
  return value
}

/** Returns a number of 64 bits as a BigInt. */
export function uint (value, what) {
  // A greater number is a float.
  const isInteger = typeof value === 'bigint' || (Number.isInteger(value) && value <= EXACT)
  demand(isInteger && value >= 0 && BigInt(value) < UINT_END, `${what} is not a number of 64 bits`)
  return BigInt(value)
}

/** Returns a text of at most so many bytes. */
export function text (value, bytesMax, what) {
  demand(typeof value === 'string', `${what} is not text`)
  demand(utf8(value).length <= bytesMax, `${what} has more than ${bytesMax} bytes`)
  return value
}

export function list (value, lengthMax, what) {
  demand(Array.isArray(value), `${what} is not a list`)
  demand(value.length <= lengthMax, `${what} has more than ${lengthMax} elements`)
  return value
}

/** Reads a head; `fork` is 0 where it is left out. */
export function head (value) {
  const { log, length, hash, sig, fork } = members(value, ['log', 'length', 'hash', 'sig'], ['fork'])
  demand(fork !== 0, 'a fork of 0')
  return {
    log: bytes(log, 32, 'log'),
    length: uint(length, 'length'),
    hash: bytes(hash, 32, 'hash'),
    sig: bytes(sig, 64, 'sig'),
    fork: fork === undefined ? 0n : uint(fork, 'fork')
  }
}

/** Returns a head as a proof holds it. */
export const headRecord = ({ log, length, hash, sig, fork = 0n }) => ({ log, length, hash, sig, fork: fork || undefined })

export const path = (value) => list(value, PATH_NODES_MAX, 'path').map(node)

function node (value) {
  const { index, hash, size } = members(value, ['index', 'hash', 'size'])
  return { index: uint(index, 'index'), hash: bytes(hash, 32, 'hash'), size: uint(size, 'size') }
}

export function block (value) {
  demand(value instanceof Uint8Array && value.length <= BLOCK_BYTES_MAX, 'an entry is not bytes, or too many')
  return value
}

/** Reads what stands at the beginning of every proof. Throws unless `value` is one of this kind, in version 1. */
export function proofOf (kind, value, needed, optional = []) {
  members(value, ['type', 'v', 'kind', ...needed], optional)
  demand(value.type === 'proof' && value.v === 1 && value.kind === kind, `not a proof of ${kind}`)
  return value
}

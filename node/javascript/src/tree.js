// The Merkle tree over a log (protocol/FORMAT.md, "The tree over a core"). Numbers and sizes of nodes are BigInts: they have 64 bits.

import { blake2b } from '@noble/hashes/blake2.js'

import { concat, u64le } from './bytes.js'

/** One more than the greatest length of a log. */
export const LENGTH_END = 1n << 62n

const SIZE_END = 1n << 64n

/** BLAKE2b with 32 bytes. */
export const hash = (...parts) => blake2b(concat(...parts), { dkLen: 32 })

/** Returns the leaf of a block. */
export const leaf = (block, bytes) => ({
  index: 2n * BigInt(block),
  hash: hash(Uint8Array.of(0), u64le(bytes.length), bytes),
  size: BigInt(bytes.length)
})

/** Returns the parent of two siblings. Throws where sizes exceed 64 bits. */
export function parent (index, left, right) {
  const size = sum(left.size, right.size)
  return { index, size, hash: hash(Uint8Array.of(1), u64le(size), left.hash, right.hash) }
}

/** Returns the hash of a log's roots. Throws where sizes exceed 64 bits. */
export function treeHash (roots) {
  roots.reduce((size, root) => sum(size, root.size), 0n)
  return hash(Uint8Array.of(2), ...roots.flatMap((root) => [root.hash, u64le(root.index), u64le(root.size)]))
}

function sum (one, other) {
  if (one + other >= SIZE_END) throw new RangeError('the sizes of the nodes exceed 64 bits')
  return one + other
}

/** A node's place: the blocks from `first` on, 2^`height` of them. */
export class Place {
  constructor (first, height) {
    this.first = first
    this.height = height
    this.end = first + (1n << BigInt(height))
  }

  get index () {
    return this.first + this.end - 1n
  }

  children () {
    const below = this.height - 1
    return [new Place(this.first, below), new Place(this.first + (1n << BigInt(below)), below)]
  }
}

/** Returns the places of the roots of a log, from left to right. */
export function rootsOf (length) {
  const places = []
  for (let height = 62, first = 0n; height >= 0; height--) {
    if (length >> BigInt(height) & 1n) {
      const place = new Place(first, height)
      places.push(place)
      first = place.end
    }
  }
  return places
}

// The words by which a record says what it is. They are read before all else, which may be of a later version: what is no DAG-CBOR inside other
// members is passed over.

import { compare } from '../bytes.js'
import { decode } from '../cbor.js'

/** Levels of what is passed over. */
const DEPTH_MAX = 254

const [BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE] = [2, 3, 4, 5, 6, 7]
const BREAK = 0xff

/** What follows the first byte of a simple value. */
const SIMPLE_BYTES = { 0xf4: 0, 0xf5: 0, 0xf6: 0, 0xf7: 0, 0xf9: 2, 0xfa: 4, 0xfb: 8 }

/** Reads these members of a map; undefined where it has them not. Throws where the bytes are no map, or are more than one. */
export function readWords (bytes, names) {
  const skimmer = new Skimmer(bytes)
  const found = {}
  for (const { key, value } of skimmer.members()) if (names.includes(key)) found[key] = decode(value)
  return found
}

class Skimmer {
  #bytes
  #at = 0

  constructor (bytes) {
    this.#bytes = bytes
  }

  /** Gives the members of the map that the bytes are, in their order. */
  members () {
    const first = this.#take(1)[0]
    if (first >> 5 !== MAP) throw new TypeError('not a map')
    const members = []
    const keys = []
    for (let left = this.#argument(first & 0x1f); left > 0; left--) {
      keys.push(this.#item())
      const key = decode(keys.at(-1))
      if (typeof key !== 'string') throw new TypeError('a key that is not text')
      members.push({ key, value: this.#item() })
    }
    if (this.#at !== this.#bytes.length) throw new TypeError('there is more than one value')
    checkOrder(keys)
    return members
  }

  /** Passes over an item, and returns its bytes. */
  #item () {
    const from = this.#at
    this.#skip(DEPTH_MAX)
    return this.#bytes.subarray(from, this.#at)
  }

  #skip (levels) {
    if (levels === 0) throw new TypeError('nested too deep')
    const first = this.#take(1)[0]
    const [major, short] = [first >> 5, first & 0x1f]
    if (major === SIMPLE) return this.#take(SIMPLE_BYTES[first] ?? Infinity)
    if (short === 0x1f && major >= BYTES && major <= MAP) return this.#skipOpen(major, levels)
    const argument = this.#argument(short)
    if (major === BYTES || major === TEXT) this.#take(argument)
    const inside = { [ARRAY]: argument, [MAP]: 2 * argument, [TAG]: 1 }[major] ?? 0
    for (let left = inside; left > 0; left--) this.#skip(levels - 1)
  }

  /** Passes over what a break ends. */
  #skipOpen (major, levels) {
    while (this.#bytes[this.#at] !== BREAK) {
      this.#skip(levels - 1)
      if (major === MAP) this.#skip(levels - 1)
    }
    this.#take(1)
  }

  #argument (short) {
    if (short < 24) return short
    if (short > 27) throw new TypeError('a length that is not known')
    return this.#take(1 << short - 24).reduce((argument, byte) => 256 * argument + byte, 0)
  }

  #take (length) {
    if (length > this.#bytes.length - this.#at) throw new TypeError('it ends too early')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }
}

/** Throws unless the keys of a map ascend: by their length, and then by their bytes. */
function checkOrder (keys) {
  const isAfter = (key, before) => (key.length - before.length || compare(key, before)) > 0
  if (!keys.every((key, at) => at === 0 || isAfter(key, keys[at - 1]))) throw new TypeError('keys that are not in order')
}

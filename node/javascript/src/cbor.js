// DAG-CBOR (https://ipld.io/specs/codecs/dag-cbor/spec/), as far as logs have it: every value has one encoding, and no other is read.
//
// An integer within ±2^53 is a number of JavaScript, a greater one a BigInt. There are no links: packages that know them take objects
// with members `/` and `bytes` for such, which are ordinary arguments of a call.

import { compare, concat, utf8 } from './bytes.js'

/** The greatest number that is written as an integer, 2^53. */
export const EXACT = 2 ** 53

/** Levels of arrays and maps: those of JSON data in a log, and what lies around it in a proof. */
const DEPTH_MAX = 110

/** Items in one value. Each takes more room in memory than it has bytes. */
export const ITEMS_MAX = 1024 * 1024 + 64 * 1024

const [UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, SIMPLE] = [0, 1, 2, 3, 4, 5, 7]

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Returns the encoding of a value: null, booleans, finite numbers, BigInts of 64 bits, text, bytes, arrays, objects. */
export function encode (value) {
  const parts = []
  write(value, parts)
  return concat(...parts)
}

function write (value, parts) {
  if (value === null) parts.push(Uint8Array.of(0xf6))
  else if (typeof value === 'boolean') parts.push(Uint8Array.of(value ? 0xf5 : 0xf4))
  else if (typeof value === 'number') parts.push(number(value))
  else if (typeof value === 'bigint') parts.push(integer(value))
  else if (typeof value === 'string') writeBytes(TEXT, utf8(value), parts)
  else if (value instanceof Uint8Array) writeBytes(BYTES, value, parts)
  else if (Array.isArray(value)) {
    parts.push(head(ARRAY, value.length))
    for (const item of value) write(item, parts)
  } else writeMap(value, parts)
}

function writeBytes (major, bytes, parts) {
  parts.push(head(major, bytes.length), bytes)
}

function writeMap (map, parts) {
  const keys = Object.keys(map).filter((key) => map[key] !== undefined).map((key) => ({ key, bytes: utf8(key) }))
  keys.sort((one, other) => compareKeys(one.bytes, other.bytes))
  parts.push(head(MAP, keys.length))
  for (const { key, bytes } of keys) {
    writeBytes(TEXT, bytes, parts)
    write(map[key], parts)
  }
}

const compareKeys = (one, other) => one.length - other.length || compare(one, other)

function number (value) {
  if (Number.isInteger(value) && Math.abs(value) <= EXACT) return integer(BigInt(value))
  if (!Number.isFinite(value)) throw new TypeError(`${value} is no number of JSON`)
  const bytes = new Uint8Array(9)
  bytes[0] = 0xfb
  new DataView(bytes.buffer).setFloat64(1, value)
  return bytes
}

const integer = (value) => value < 0n ? head(NEGATIVE, -1n - value) : head(UNSIGNED, value)

/** Returns the first byte of an item and the shortest form of its argument. */
function head (major, argument) {
  const wide = BigInt(argument)
  if (wide < 24n) return Uint8Array.of(major << 5 | Number(wide))
  const size = wide < 0x100n ? 1 : wide < 0x10000n ? 2 : wide < 0x100000000n ? 4 : 8
  const bytes = new Uint8Array(1 + size)
  bytes[0] = major << 5 | 24 + Math.log2(size)
  for (let at = size, rest = wide; at > 0; at--, rest >>= 8n) bytes[at] = Number(rest & 0xffn)
  return bytes
}

/** Reads the one value that `bytes` hold, and nothing else. Throws where they are not its encoding, or beyond the bounds. */
export const decode = (bytes) => read(bytes, true)

/** Reads a value whose integers may be written as floats: such a one becomes a `Number` object. */
export const decodeLoosely = (bytes) => read(bytes, false)

function read (bytes, isStrict) {
  const reader = new Reader(bytes, isStrict)
  const value = reader.value(DEPTH_MAX)
  if (reader.at !== bytes.length) throw new TypeError('there is more than one value')
  return value
}

class Reader {
  constructor (bytes, isStrict) {
    this.bytes = bytes
    this.isStrict = isStrict
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.at = 0
    this.itemsLeft = ITEMS_MAX
  }

  value (levels) {
    if (this.itemsLeft-- === 0) throw new TypeError('more items than any record has')
    const first = this.take(1)[0]
    const [major, short] = [first >> 5, first & 0x1f]
    if (major === SIMPLE) return this.simple(first)
    const argument = this.argument(short)
    switch (major) {
      case UNSIGNED: return argument
      case NEGATIVE: return negative(argument)
      case BYTES: return this.take(argument).slice()
      case TEXT: return decoder.decode(this.take(argument))
      case ARRAY: return this.array(argument, levels)
      case MAP: return this.map(argument, levels)
      default: throw new TypeError('a tag')
    }
  }

  simple (first) {
    if (first === 0xf4 || first === 0xf5) return first === 0xf5
    if (first === 0xf6) return null
    if (first !== 0xfb) throw new TypeError(`the byte ${first} begins nothing`)
    this.take(8)
    const value = this.view.getFloat64(this.at - 8)
    const isInteger = Number.isInteger(value) && Math.abs(value) <= EXACT
    if (!Number.isFinite(value) || (isInteger && this.isStrict)) throw new TypeError('not the encoding of this number')
    // No number that a reader wants, and none that is written back as it was.
    return isInteger ? Object(value) : value
  }

  /** Reads an argument in its shortest form: a number up to 2^53, a BigInt beyond. */
  argument (short) {
    if (short < 24) return short
    if (short > 27) throw new TypeError('a length that is not known')
    const size = 1 << short - 24
    let wide = 0n
    for (const byte of this.take(size)) wide = wide << 8n | BigInt(byte)
    if (head(0, wide).length !== 1 + size) throw new TypeError('not the shortest form of a number')
    return wide <= EXACT ? Number(wide) : wide
  }

  /** Takes bytes. A length that was only claimed allocates nothing. */
  take (length) {
    if (length > this.bytes.length - this.at) throw new TypeError('it ends too early')
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }

  array (length, levels) {
    this.enter(length, levels)
    const items = []
    for (let left = length; left > 0; left--) items.push(this.value(levels - 1))
    return items
  }

  map (length, levels) {
    this.enter(length, levels)
    const map = {}
    let before = null
    for (let left = length; left > 0; left--) {
      const from = this.at
      const key = this.value(0)
      if (typeof key !== 'string') throw new TypeError('a key that is not text')
      const bytes = this.bytes.subarray(from, this.at)
      // What stands before the text of a key is ordered as its length is.
      if (before && compareKeys(before, bytes) >= 0) throw new TypeError('keys that are not in order')
      before = bytes
      put(map, key, this.value(levels - 1))
    }
    return map
  }

  enter (length, levels) {
    if (levels === 0) throw new TypeError('nested too deep')
    if (length > this.itemsLeft) throw new TypeError('more items than any record has')
  }
}

function negative (argument) {
  const value = -1n - BigInt(argument)
  return -value <= EXACT ? Number(value) : value
}

/** Sets a member. An assignment to `__proto__` would set the prototype. */
function put (map, key, value) {
  if (key === '__proto__') Object.defineProperty(map, key, { value, configurable: true, enumerable: true, writable: true })
  else map[key] = value
}


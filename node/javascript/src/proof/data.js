// JSON data of entries, within its bounds.

import { utf8 } from '../bytes.js'
import { EXACT } from '../cbor.js'
import { DEPTH_MAX } from '../data.js'
import { demand } from '../record.js'

/** Bytes of JSON text, at least: of brackets, an item's comma, a member's colon, comma and quotes, a text's quotes. */
const [BRACKETS, ITEM, MEMBER, QUOTES] = [1, 1, 4, 2]

/** Returns whether a map has a member, be it null. */
export const hasMember = (map, name) => map !== undefined && Object.hasOwn(map, name)

/** Throws unless a value is JSON data whose shortest text has at most so many bytes. */
export function jsonData (value, bytesMax) {
  demand(textBytes(value, DEPTH_MAX) <= bytesMax, 'more JSON data than its limit')
}

/** Returns whether no number of JSON data has another encoding than its own: an integer as a float, or one beyond 2^53 as an integer. */
export function isExact (value) {
  if (typeof value === 'bigint' || value instanceof Number) return false
  return typeof value !== 'object' || value === null || Object.values(value).every(isExact)
}

function textBytes (value, levels) {
  if (value === null || typeof value === 'boolean') return 'null'.length
  if (value instanceof Number) return '1'.length
  if (typeof value === 'bigint') return '0.5'.length
  if (typeof value === 'number') return Number.isInteger(value) && Math.abs(value) <= EXACT ? '1'.length : '0.5'.length
  if (typeof value === 'string') return utf8(value).length + QUOTES
  demand(typeof value === 'object' && !(value instanceof Uint8Array), 'not JSON data')
  demand(levels > 0, 'nested too deep')
  if (Array.isArray(value)) return value.reduce((bytes, item) => bytes + ITEM + textBytes(item, levels - 1), BRACKETS)
  return Object.entries(value).reduce((bytes, [name, item]) => bytes + MEMBER + utf8(name).length + textBytes(item, levels - 1), BRACKETS)
}

// Bytes: hexadecimal digits, base64url, numbers of 64 bits.

const encoder = new TextEncoder()

/** Returns the text in UTF-8. */
export const utf8 = (text) => encoder.encode(text)

/** Returns lower-case hexadecimal digits. */
export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

/** Reads `length` bytes in lower-case hexadecimal digits. Throws for anything else. */
export function unhex (text, length) {
  if (typeof text !== 'string' || text.length !== 2 * length || !/^[0-9a-f]*$/.test(text)) {
    throw new TypeError(`not ${length} bytes in lower-case hexadecimal digits`)
  }
  return Uint8Array.from({ length }, (_, at) => parseInt(text.slice(2 * at, 2 * at + 2), 16))
}

/** Reads base64url without padding (RFC 4648, section 5). Throws for anything else. */
export function unbase64url (text) {
  if (typeof text !== 'string' || !/^[A-Za-z0-9_-]*$/.test(text)) throw new TypeError('not base64url without padding')
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
  return Uint8Array.from(binary, (character) => character.charCodeAt(0))
}

/** Returns base64url without padding. */
export function base64url (bytes) {
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** Returns the parts one after another. */
export function concat (...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** Orders byte strings as Rust does: by the first byte that differs, then by length. */
export function compare (one, other) {
  const shorter = Math.min(one.length, other.length)
  for (let at = 0; at < shorter; at++) {
    if (one[at] !== other[at]) return one[at] - other[at]
  }
  return one.length - other.length
}

export const equal = (one, other) => compare(one, other) === 0

/** Returns a number below 2^64 in eight bytes, little endian. */
export function u64le (number) {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(number), true)
  return bytes
}

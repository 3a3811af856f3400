// crypto: digests and signatures that can be checked, and chance that comes with the call and is no secret.
(function (language, host, tools) {
  'use strict'
  const { TypeError, Uint8Array, apply, defineProperty, isView, iterator, slice, toUpperCase } = language
  const { typedBuffer, typedBytes, typedLength, typedName, typedOffset, typedSet } = language
  const { bytes: bytesOf, failure, finish, isObject, text, string } = tools
  // As the standard has it.
  const RANDOM_BYTES_MAX = 65536
  const integers = {
    __proto__: null, Int8Array: 1, Uint8Array: 1, Uint8ClampedArray: 1, Int16Array: 1, Uint16Array: 1, Int32Array: 1, Uint32Array: 1, BigInt64Array: 1, BigUint64Array: 1
  }
  const digests = { __proto__: null, 'SHA-1': 'SHA-1', 'SHA-256': 'SHA-256', 'SHA-384': 'SHA-384', 'SHA-512': 'SHA-512' }
  const keyed = { __proto__: null, ED25519: 'Ed25519', ECDSA: 'ECDSA', HMAC: 'HMAC' }
  const usagesKnown = {
    __proto__: null, encrypt: 1, decrypt: 1, sign: 1, verify: 1, deriveKey: 1, deriveBits: 1, wrapKey: 1, unwrapKey: 1
  }
  // What stands before the key in the DER form of a public key.
  const SPKI = { __proto__: null, Ed25519: '302a300506032b6570032100', ECDSA: '3059301306072a8648ce3d020106082a8648ce3d030107034200' }
  const SPKI_BYTES = { __proto__: null, Ed25519: 44, ECDSA: 91 }

  const sourceOf = (what, value) => {
    const bytes = bytesOf(value)
    if (bytes === undefined) throw new TypeError(what + ': the data must be a buffer or a view of one')
    return bytes
  }
  const named = (what, algorithm, among) => {
    const name = isObject(algorithm) ? algorithm.name : algorithm
    if (name === undefined) throw new TypeError(what + ': the algorithm has no name')
    const found = among[apply(toUpperCase, string(name), [])]
    if (found === undefined) throw failure('NotSupportedError', what + ': unknown algorithm ' + text(name))
    return found
  }
  const hashOf = (what, algorithm) => {
    const hash = isObject(algorithm) ? algorithm.hash : undefined
    if (hash === undefined) throw new TypeError(what + ': the algorithm has no hash')
    return named(what, hash, digests)
  }

  let keyOf
  // The key of our own constructions.
  const ours = { __proto__: null, inside: undefined }
  class CryptoKey {
    #inside
    static { keyOf = (key) => isObject(key) && #inside in key ? key.#inside : undefined }
    constructor (key = undefined) {
      if (key !== ours) throw new TypeError('Illegal constructor')
      this.#inside = ours.inside
      ours.inside = undefined
    }

    get type () { return this.#inside.type }
    get extractable () { return this.#inside.extractable }
    get algorithm () { return this.#inside.algorithm }
    get usages () { return this.#inside.usages }
  }
  finish(CryptoKey, 'CryptoKey')

  const usagesOf = (given, allowed) => {
    const method = isObject(given) ? given[iterator] : undefined
    if (typeof method !== 'function') throw new TypeError('importKey: the usages must be a list')
    const steps = apply(method, given, [])
    const { next } = steps
    const usages = []
    const seen = { __proto__: null }
    for (;;) {
      const step = apply(next, steps, [])
      if (!isObject(step)) throw new TypeError('importKey: the usages must be a list')
      if (step.done) return usages
      const usage = string(step.value)
      if (usagesKnown[usage] === undefined) throw new TypeError('importKey: unknown usage ' + text(usage))
      if (allowed[usage] === undefined) throw failure('SyntaxError', 'importKey: this kind of key cannot ' + usage)
      if (seen[usage] !== undefined) continue
      seen[usage] = 1
      defineProperty(usages, usages.length, { __proto__: null, value: usage, writable: true, enumerable: true, configurable: true })
    }
  }
  const ofBase64 = (value) => {
    if (typeof value !== 'string') throw failure('DataError', 'importKey: the JWK lacks a member')
    try {
      return new Uint8Array(host.toBytes(text(value), 'base64'))
    } catch {
      throw failure('DataError', 'importKey: a member of the JWK is not base64url')
    }
  }
  const checkJwk = (jwk, kty, crv) => {
    if (!isObject(jwk)) throw new TypeError('importKey: a JWK is an object')
    if (jwk.kty !== kty || (crv !== undefined && jwk.crv !== crv)) throw failure('DataError', 'importKey: the JWK is of another kind')
    if (crv !== undefined && jwk.d !== undefined) throw failure('NotSupportedError', 'importKey: a private key')
  }
  const joined = (parts) => {
    let size = 0
    for (let at = 0; at < parts.length; at++) size += apply(typedLength, parts[at], [])
    const whole = new Uint8Array(size)
    let start = 0
    for (let at = 0; at < parts.length; at++) {
      apply(typedSet, whole, [parts[at], start])
      start += apply(typedLength, parts[at], [])
    }
    return whole
  }
  const copied = (bytes) => joined([bytes])
  // A public key's bytes, as `raw` has them.
  const publicKey = (name, format, data) => {
    switch (format) {
      case 'raw': return copied(sourceOf('importKey', data))
      case 'spki': {
        const bytes = copied(sourceOf('importKey', data))
        const prefix = SPKI[name]
        if (apply(typedLength, bytes, []) !== SPKI_BYTES[name]) throw failure('DataError', 'importKey: no such key in SPKI form')
        const hex = host.toText(bytes, 'hex')
        if (apply(slice, hex, [0, prefix.length]) !== prefix) throw failure('DataError', 'importKey: no such key in SPKI form')
        return new Uint8Array(host.toBytes(apply(slice, hex, [prefix.length]), 'hex'))
      }
      case 'jwk': {
        if (name === 'Ed25519') {
          checkJwk(data, 'OKP', 'Ed25519')
          return ofBase64(data.x)
        }
        checkJwk(data, 'EC', 'P-256')
        const x = ofBase64(data.x)
        const y = ofBase64(data.y)
        if (apply(typedLength, x, []) !== 32 || apply(typedLength, y, []) !== 32) throw failure('DataError', 'importKey: a coordinate has 32 bytes')
        return joined([new Uint8Array(host.toBytes('04', 'hex')), x, y])
      }
      default: throw failure('NotSupportedError', 'importKey: the format ' + text(format))
    }
  }
  const secretKey = (format, data) => {
    switch (format) {
      case 'raw': return copied(sourceOf('importKey', data))
      case 'jwk':
        checkJwk(data, 'oct', undefined)
        return ofBase64(data.k)
      default: throw failure('NotSupportedError', 'importKey: the format ' + text(format))
    }
  }
  const madeKey = (inside) => {
    ours.inside = inside
    return new CryptoKey(ours)
  }
  const importKey = (format, data, algorithm, extractable, usages) => {
    const kind = string(format)
    const name = named('importKey', algorithm, keyed)
    if (name === 'HMAC') {
      const hash = hashOf('importKey', algorithm)
      const known = usagesOf(usages, { __proto__: null, sign: 1, verify: 1 })
      if (known.length === 0) throw failure('SyntaxError', 'importKey: a key without a usage')
      const bytes = secretKey(kind, data)
      const length = apply(typedLength, bytes, []) * 8
      if (length === 0) throw failure('DataError', 'importKey: an empty key')
      if (algorithm.length !== undefined && +algorithm.length !== length) throw failure('DataError', 'importKey: the key has another length')
      return madeKey({ __proto__: null, name, hash, bytes, type: 'secret', extractable: !!extractable, usages: known, algorithm: { name, hash: { name: hash }, length } })
    }
    const isEdwards = name === 'Ed25519'
    if (!isEdwards && string(algorithm.namedCurve) !== 'P-256') throw failure('NotSupportedError', 'importKey: only the curve P-256')
    const known = usagesOf(usages, { __proto__: null, verify: 1 })
    const bytes = publicKey(name, kind, data)
    const isGood = isEdwards ? apply(typedLength, bytes, []) === 32 : host.isPoint(bytes)
    if (!isGood) throw failure('DataError', 'importKey: no key of this kind')
    const told = isEdwards ? { name } : { name, namedCurve: 'P-256' }
    return madeKey({ __proto__: null, name, hash: undefined, bytes, type: 'public', extractable: !!extractable, usages: known, algorithm: told })
  }
  const canVerify = ({ usages }) => {
    for (let at = 0; at < usages.length; at++) if (usages[at] === 'verify') return true
    return false
  }
  const verify = (algorithm, key, signature, data) => {
    const name = named('verify', algorithm, keyed)
    const inside = keyOf(key)
    if (inside === undefined) throw new TypeError('verify: the key must be a CryptoKey')
    const mark = sourceOf('verify', signature)
    const message = sourceOf('verify', data)
    if (inside.name !== name || !inside.canVerify) throw failure('InvalidAccessError', 'verify: the key is not for this')
    const hash = name === 'ECDSA' ? hashOf('verify', algorithm) : inside.hash ?? ''
    return host.verify(name, hash, inside.bytes, mark, message)
  }

  class SubtleCrypto {
    #isOne = true
    async digest (algorithm, data) {
      this.#isOne
      return host.digest(named('digest', algorithm, digests), sourceOf('digest', data), 0)
    }

    async importKey (format, keyData, algorithm, extractable, keyUsages) {
      this.#isOne
      const key = importKey(format, keyData, algorithm, extractable, keyUsages)
      // What a script can reach of it may be changed; this may not.
      const inside = keyOf(key)
      inside.canVerify = canVerify(inside)
      return key
    }

    async verify (algorithm, key, signature, data) {
      this.#isOne
      return verify(algorithm, key, signature, data)
    }
  }
  class Crypto {
    #subtle = new SubtleCrypto()
    get subtle () { return this.#subtle }

    getRandomValues (array) {
      this.#subtle
      if (!isView(array) || integers[apply(typedName, array, [])] === undefined) {
        throw failure('TypeMismatchError', 'getRandomValues takes an array of integers')
      }
      const size = apply(typedBytes, array, [])
      if (size > RANDOM_BYTES_MAX) throw failure('QuotaExceededError', 'getRandomValues gives at most 65536 bytes')
      const place = new Uint8Array(apply(typedBuffer, array, []), apply(typedOffset, array, []), size)
      apply(typedSet, place, [new Uint8Array(host.randomBytes(size))])
      return array
    }

    randomUUID () {
      this.#subtle
      const bytes = new Uint8Array(host.randomBytes(16))
      bytes[6] = (bytes[6] & 15) | 64
      bytes[8] = (bytes[8] & 63) | 128
      const hex = host.toText(bytes, 'hex')
      const part = (from, to) => apply(slice, hex, [from, to])
      return part(0, 8) + '-' + part(8, 12) + '-' + part(12, 16) + '-' + part(16, 20) + '-' + part(20, 32)
    }
  }
  finish(SubtleCrypto, 'SubtleCrypto')
  finish(Crypto, 'Crypto')
  const crypto = new Crypto()
  // Nothing makes another one.
  delete Crypto.prototype.constructor
  delete SubtleCrypto.prototype.constructor
  delete CryptoKey.prototype.constructor
  return { __proto__: null, crypto }
})

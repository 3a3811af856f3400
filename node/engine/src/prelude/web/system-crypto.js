// System.crypto: digests and one signature, at once and on bytes.
(function (language, host, tools) {
  'use strict'
  const { RangeError, TypeError, Uint8Array, freeze } = language
  const { bytes: bytesOf } = tools
  const source = (what, name, value) => {
    const bytes = bytesOf(value)
    if (bytes === undefined) throw new TypeError(what + ': ' + name + ' must be bytes: a buffer or a view of one')
    return bytes
  }
  const digest = (what, name, data, size) => new Uint8Array(host.digest(name, source(what, 'the data', data), size))
  const crypto = freeze({
    sha256 (data) { return digest('sha256', 'SHA-256', data, 0) },
    sha512 (data) { return digest('sha512', 'SHA-512', data, 0) },
    blake2b (data, size = 32) {
      if (!(typeof size === 'number' && size >= 1 && size <= 64 && size % 1 === 0)) throw new RangeError('blake2b: a digest has 1 to 64 bytes')
      return digest('blake2b', 'BLAKE2b', data, size)
    },
    blake3 (data) { return digest('blake3', 'BLAKE3', data, 0) },
    verifyEd25519 (signature, message, publicKey) {
      const mark = source('verifyEd25519', 'the signature', signature)
      const said = source('verifyEd25519', 'the message', message)
      return host.verify('Ed25519', '', source('verifyEd25519', 'the public key', publicKey), mark, said)
    }
  })
  return { __proto__: null, crypto }
})

// TextEncoder and TextDecoder: the Encoding standard, for utf-8, utf-16le and windows-1252 (which the standard calls latin1, too).
(function (language, host, tools) {
  'use strict'
  const { RangeError, TypeError, Uint8Array, apply, isView, slice, typedLength, typedName, typedSet } = language
  const { bytes: bytesOf, finish, options: optionsOf, text, string } = tools

  class TextEncoder {
    #isOne = true
    get encoding () {
      this.#isOne
      return 'utf-8'
    }

    encode (input = '') {
      this.#isOne
      return new Uint8Array(host.toBytes(text(input), 'utf8'))
    }

    encodeInto (source, destination) {
      this.#isOne
      const whole = text(source)
      if (!isView(destination) || apply(typedName, destination, []) !== 'Uint8Array') {
        throw new TypeError('encodeInto: the destination must be a Uint8Array')
      }
      const read = host.fitting(whole, apply(typedLength, destination, []))
      const bytes = new Uint8Array(host.toBytes(apply(slice, whole, [0, read]), 'utf8'))
      apply(typedSet, destination, [bytes])
      return { read, written: apply(typedLength, bytes, []) }
    }
  }

  class TextDecoder {
    #encoding
    #isFatal
    #keepsMark
    // Bytes of a letter whose rest has not come yet.
    #rest = undefined
    #isStarted = false
    #goesOn = false

    constructor (label = 'utf-8', options = undefined) {
      const name = string(label)
      const encoding = host.encodingOf(text(name))
      const { fatal, ignoreBOM } = optionsOf('TextDecoder', options)
      if (encoding === null) throw new RangeError('TextDecoder: no encoding is called ' + text(apply(slice, name, [0, 40])))
      this.#encoding = encoding
      this.#isFatal = !!fatal
      this.#keepsMark = !!ignoreBOM
    }

    get encoding () { return this.#encoding }
    get fatal () { return this.#isFatal }
    get ignoreBOM () { return this.#keepsMark }

    decode (input = undefined, options = undefined) {
      const encoding = this.#encoding
      let bytes = input === undefined ? new Uint8Array(0) : bytesOf(input)
      if (bytes === undefined) throw new TypeError('decode: the input must be a buffer or a view of one')
      const { stream } = optionsOf('decode', options)
      if (!this.#goesOn) {
        this.#rest = undefined
        this.#isStarted = false
      }
      this.#goesOn = !!stream
      if (this.#rest !== undefined) {
        const before = apply(typedLength, this.#rest, [])
        const whole = new Uint8Array(before + apply(typedLength, bytes, []))
        apply(typedSet, whole, [this.#rest])
        apply(typedSet, whole, [bytes, before])
        this.#rest = undefined
        bytes = whole
      }
      const count = apply(typedLength, bytes, [])
      const open = this.#goesOn ? host.unfinished(bytes, encoding) : 0
      if (open > 0) {
        const rest = new Uint8Array(open)
        for (let at = 0; at < open; at++) rest[at] = bytes[count - open + at]
        this.#rest = rest
      }
      const decoded = host.decode(bytes, count - open, encoding, this.#isFatal)
      if (decoded === null) {
        this.#goesOn = false
        throw new TypeError('decode: the bytes are not ' + encoding)
      }
      if (this.#isStarted || decoded === '') return decoded
      this.#isStarted = true
      return !this.#keepsMark && encoding !== 'windows-1252' && decoded[0] === '\ufeff' ? apply(slice, decoded, [1]) : decoded
    }
  }

  return { __proto__: null, TextDecoder: finish(TextDecoder, 'TextDecoder'), TextEncoder: finish(TextEncoder, 'TextEncoder') }
})

// A small Buffer: bytes with encodings, as scripts written for Node.js expect them.
(function (global, host) {
  'use strict'
  const { Array, ArrayBuffer, DataView, Error, Function, JSON, Object, Reflect, String, Symbol, TypeError, Uint8Array } = global
  const { apply, construct, getPrototypeOf } = Reflect
  const { defineProperty, getOwnPropertyDescriptor } = Object
  const { isArray } = Array
  const { isView } = ArrayBuffer
  const { parse, stringify } = JSON
  const { charCodeAt, toLowerCase, toWellFormed } = String.prototype
  const hasInstance = Function.prototype[Symbol.hasInstance]
  const getter = (object, name) => getOwnPropertyDescriptor(object, name).get
  const typed = getPrototypeOf(Uint8Array)
  const { from: collect } = typed
  const { fill, set } = typed.prototype
  const kindOf = getter(typed.prototype, Symbol.toStringTag)
  const lengthOf = getter(typed.prototype, 'length')
  const bufferOf = getter(typed.prototype, 'buffer')
  const offsetOf = getter(typed.prototype, 'byteOffset')
  const viewed = {
    __proto__: null,
    buffer: getter(DataView.prototype, 'buffer'),
    offset: getter(DataView.prototype, 'byteOffset'),
    length: getter(DataView.prototype, 'byteLength')
  }

  const encodings = {
    __proto__: null, utf8: 'utf8', 'utf-8': 'utf8', hex: 'hex', base64: 'base64', binary: 'binary', latin1: 'binary', ascii: 'binary'
  }
  const nameOf = (encoding) => {
    const name = encodings[encoding === undefined ? 'utf8' : apply(toLowerCase, String(encoding), [])]
    if (name === undefined) throw new TypeError('unknown encoding: ' + String(encoding))
    return name
  }

  // Creates a buffer over memory that no script holds: from a length, or an ArrayBuffer of ours.
  const make = (content) => construct(Uint8Array, [content], Buffer)
  const isTyped = (value) => isView(value) && apply(kindOf, value, []) !== undefined
  const length = (array) => apply(lengthOf, array, [])
  const sizeOf = (part) => isTyped(part) ? length(part) : part.length
  const toBytes = (text, encoding) => host.toBytes(apply(toWellFormed, text, []), nameOf(encoding))
  const toText = (bytes, encoding) => host.toText(bytes, nameOf(encoding))
  // Converts a relative position, as TypedArray.prototype.slice does (ECMA-262).
  const position = (value, most) => {
    const number = +value
    const whole = number === number ? number - number % 1 : 0
    if (whole < 0) return whole + most < 0 ? 0 : whole + most
    return whole > most ? most : whole
  }

  // Returns a `target` over an array's bytes between two positions. Symbol.species is not consulted.
  const view = (array, start, end, target) => {
    const most = length(array)
    const from = position(start, most)
    const until = position(end, most)
    const count = until > from ? until - from : 0
    return construct(Uint8Array, [apply(bufferOf, array, []), apply(offsetOf, array, []) + from, count], target)
  }

  class Buffer extends Uint8Array {
    static from (value, encoding) {
      if (typeof value === 'string') return make(toBytes(value, encoding))
      if (host.isBuffer(value)) return make(value)
      if (!isTyped(value)) return make(apply(bufferOf, apply(collect, Uint8Array, [value]), []))
      const copy = make(length(value))
      apply(set, copy, [value])
      return copy
    }

    static alloc (size, filler = 0) {
      const bytes = make(size)
      const byte = typeof filler === 'string' ? apply(charCodeAt, filler, [0]) : filler
      return byte === 0 ? bytes : apply(fill, bytes, [byte])
    }

    static isBuffer (value) { return apply(hasInstance, Buffer, [value]) }
    static byteLength (value, encoding) {
      return typeof value === 'string' ? length(new Uint8Array(toBytes(value, encoding))) : value.byteLength
    }

    static concat (list) {
      const parts = isArray(list) ? list : [...list]
      let size = 0
      for (let at = 0; at < parts.length; at++) size += sizeOf(parts[at])
      const whole = make(size)
      let start = 0
      for (let at = 0; at < parts.length; at++) {
        apply(set, whole, [parts[at], start])
        start += sizeOf(parts[at])
      }
      return whole
    }

    toString (encoding, start = 0, end = length(this)) { return toText(view(this, start, end, Uint8Array), encoding) }
    slice (start, end) { return view(this, start, end === undefined ? length(this) : end, Buffer) }
    toJSON () { return { type: 'Buffer', data: host.toNumbers(this) } }

    equals (other) {
      if (isTyped(other)) return host.isEqual(this, other)
      const size = length(this)
      if (size !== other.length) return false
      for (let at = 0; at < size; at++) if (this[at] !== other[at]) return false
      return true
    }
  }
  defineProperty(global, 'Buffer', { value: Buffer, writable: true, enumerable: false, configurable: true })

  return {
    // Decodes a file's content in an encoding that System.files supports.
    decode (content, encoding) {
      switch (encoding) {
        case 'binary': return make(content)
        case 'json': return parse(toText(content))
        default: return toText(content, encoding)
      }
    },
    // Returns the bytes to write to a file. The host copies them before any other code runs.
    encode (data, encoding) {
      if (encoding === 'json') {
        const text = stringify(data)
        if (text === undefined) throw new TypeError('the content is nothing that JSON can hold')
        return toBytes(text)
      }
      if (typeof data === 'string') return toBytes(data, encoding)
      if (host.isBuffer(data) || isTyped(data)) return data
      if (isView(data)) {
        return new Uint8Array(apply(viewed.buffer, data, []), apply(viewed.offset, data, []), apply(viewed.length, data, []))
      }
      throw new TypeError("the content of a file is text, bytes, or with the encoding 'json' any JSON value")
    },
    failure (name, message) {
      const error = new Error(message)
      defineProperty(error, 'name', { __proto__: null, value: name, writable: true, enumerable: false, configurable: true })
      return error
    }
  }
})

// A small Buffer: bytes with encodings, as scripts written for Node.js expect them.
(function (global, host) {
  'use strict'
  const { ArrayBuffer, Error, Object, String, TypeError, Uint8Array } = global
  const { isView } = ArrayBuffer
  const wellFormed = String.prototype.toWellFormed
  const { apply } = global.Reflect

  const encodings = {
    __proto__: null, utf8: 'utf8', 'utf-8': 'utf8', hex: 'hex', base64: 'base64', binary: 'binary', latin1: 'binary', ascii: 'binary'
  }
  const nameOf = (encoding) => {
    const name = encodings[encoding === undefined ? 'utf8' : String(encoding).toLowerCase()]
    if (name === undefined) throw new TypeError(`unknown encoding: ${String(encoding)}`)
    return name
  }

  const toBytes = (text, encoding) => new Uint8Array(host.toBytes(apply(wellFormed, text, []), nameOf(encoding)))
  // The engine lends the bytes of whole buffers only: a view is copied first.
  const toText = (bytes, encoding) => host.toText(new Uint8Array(bytes), nameOf(encoding))

  class Buffer extends Uint8Array {
    static from (value, encoding) {
      if (typeof value === 'string') return new Buffer(toBytes(value, encoding).buffer)
      if (value instanceof ArrayBuffer) return new Buffer(value)
      return super.from(value)
    }

    static alloc (size, fill = 0) { return new Buffer(size).fill(typeof fill === 'string' ? fill.charCodeAt(0) : fill) }
    static isBuffer (value) { return value instanceof Buffer }
    static byteLength (value, encoding) { return typeof value === 'string' ? toBytes(value, encoding).length : value.byteLength }

    static concat (list) {
      let length = 0
      for (const part of list) length += part.length
      const whole = new Buffer(length)
      let at = 0
      for (const part of list) {
        whole.set(part, at)
        at += part.length
      }
      return whole
    }

    toString (encoding, start = 0, end = this.length) { return toText(this.subarray(start, end), encoding) }
    slice (start, end) { return this.subarray(start, end) }
    toJSON () { return { type: 'Buffer', data: [...this] } }

    equals (other) {
      if (this.length !== other.length) return false
      for (let at = 0; at < this.length; at++) if (this[at] !== other[at]) return false
      return true
    }
  }
  Object.defineProperty(global, 'Buffer', { value: Buffer, writable: true, enumerable: false, configurable: true })

  return {
    // The content of a file in an encoding that System.files knows.
    decode (content, encoding) {
      switch (encoding) {
        case 'binary': return new Buffer(content)
        case 'json': return global.JSON.parse(toText(content))
        default: return toText(content, encoding)
      }
    },
    // Bytes for a file. Views are copied, so that nothing changes under the host's hands.
    encode (data, encoding) {
      if (encoding === 'json') {
        const text = global.JSON.stringify(data)
        if (text === undefined) throw new TypeError('the content is nothing that JSON can hold')
        return toBytes(text)
      }
      if (typeof data === 'string') return toBytes(data, encoding)
      if (data instanceof ArrayBuffer) return new Uint8Array(data.slice(0))
      if (isView(data)) return new Uint8Array(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
      throw new TypeError("the content of a file is text, bytes, or with the encoding 'json' any JSON value")
    },
    failure (name, message) {
      const error = new Error(message)
      Object.defineProperty(error, 'name', { value: name, writable: true, enumerable: false, configurable: true })
      return error
    }
  }
})

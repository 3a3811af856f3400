// What files hold, as scripts read and write it: text, bytes, JSON.
(function (global, host) {
  'use strict'
  const { ArrayBuffer, DataView, Error, JSON, Object, Reflect, String, Symbol, TypeError, Uint8Array } = global
  const { apply, getPrototypeOf } = Reflect
  const { defineProperty, getOwnPropertyDescriptor } = Object
  const { isView } = ArrayBuffer
  const { parse, stringify } = JSON
  const { toLowerCase, toWellFormed } = String.prototype
  const getter = (object, name) => getOwnPropertyDescriptor(object, name).get
  const kindOf = getter(getPrototypeOf(Uint8Array).prototype, Symbol.toStringTag)
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
  const isTyped = (value) => isView(value) && apply(kindOf, value, []) !== undefined
  const toBytes = (text, encoding) => host.toBytes(apply(toWellFormed, text, []), nameOf(encoding))
  const toText = (bytes, encoding) => host.toText(bytes, nameOf(encoding))

  return {
    // Decodes a file's content in an encoding that System.files supports.
    decode (content, encoding) {
      switch (encoding) {
        case 'binary': return host.toBuffer(content)
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

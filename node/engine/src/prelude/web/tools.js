// What the other parts share: conversions as Web IDL has them, and objects that look as theirs do.
(function (language, host) {
  'use strict'
  const { DOMException, String, TypeError, Uint8Array, apply, defineProperty, getOwnPropertyDescriptor, isView, ownKeys, setPrototypeOf, toStringTag, toWellFormed } = language
  const { typedBuffer, typedOffset, typedBytes, typedName, viewBuffer, viewOffset, viewBytes } = language
  // Without a prototype: what a script puts on that of arrays must not see our lists.
  const list = () => {
    const made = []
    setPrototypeOf(made, null)
    return made
  }
  const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function'
  // Not by a template, which would call the script's own `concat`.
  const string = (value) => {
    if (typeof value === 'symbol') throw new TypeError('a symbol is no text')
    return String(value)
  }
  return {
    __proto__: null,
    list,
    isObject,
    // A text of whole letters, as `USVString` is read.
    text: (value) => apply(toWellFormed, string(value), []),
    string,
    failure: (name, message) => new DOMException(message, name),
    // The options of a call: an object, or nothing.
    options (what, value) {
      if (value === undefined || value === null) return { __proto__: null }
      if (!isObject(value)) throw new TypeError(what + ': the options must be an object')
      return value
    },
    // The bytes of a buffer or of any view, where they lie; `undefined` for anything else.
    bytes (value) {
      if (host.isBuffer(value)) return new Uint8Array(value)
      if (!isView(value)) return undefined
      if (apply(typedName, value, []) !== undefined) {
        return new Uint8Array(apply(typedBuffer, value, []), apply(typedOffset, value, []), apply(typedBytes, value, []))
      }
      return new Uint8Array(apply(viewBuffer, value, []), apply(viewOffset, value, []), apply(viewBytes, value, []))
    },
    // Makes a class look as Web IDL has it: members are enumerable, and the prototype has a name.
    finish (type, name) {
      const { prototype } = type
      const keys = ownKeys(prototype)
      for (let at = 0; at < keys.length; at++) {
        const key = keys[at]
        if (key === 'constructor' || typeof key === 'symbol') continue
        const property = getOwnPropertyDescriptor(prototype, key)
        setPrototypeOf(property, null)
        property.enumerable = true
        defineProperty(prototype, key, property)
      }
      defineProperty(prototype, toStringTag, { __proto__: null, value: name, writable: false, enumerable: false, configurable: true })
      return type
    }
  }
})

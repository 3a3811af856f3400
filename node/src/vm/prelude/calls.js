// Calls: what a script exports, how it is called, and what it throws.
(function (global) {
  'use strict'
  const { Array, Error, JSON, Number, Object, Promise, Reflect, String, TypeError } = global
  const { apply, defineProperty, getOwnPropertyDescriptor, ownKeys } = Reflect
  const { stringify } = JSON
  const { resolve } = Promise
  const isArray = Array.isArray
  const { isSafeInteger } = Number
  const { hasOwn } = Object
  const { isPrototypeOf } = Object.prototype
  const isWellFormed = String.prototype.isWellFormed
  const slice = String.prototype.slice
  const source = global.Function.prototype.toString
  const wellFormed = String.prototype.toWellFormed

  const module = { exports: {} }
  const hide = (name, value) =>
    Object.defineProperty(global, name, { value, writable: true, enumerable: false, configurable: true })
  hide('module', module)
  hide('exports', module.exports)
  let exported = module.exports

  // The value of an own property that is no accessor. What a description of one lacks it would inherit.
  const valueOf = (description) =>
    description !== undefined && hasOwn(description, 'value') ? description.value : undefined
  const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function'
  const text = (value) => apply(wellFormed, String(value), [])

  const words = (thrown) => {
    if (apply(isPrototypeOf, Error.prototype, [thrown]) || typeof thrown.message === 'string') {
      const { name, message } = thrown
      return [name === undefined || name === null ? 'Error' : text(name), text(message)]
    }
    const json = isArray(thrown) || typeof thrown === 'object' ? stringify(thrown) : undefined
    return ['Error', json === undefined ? text(thrown) : text(json)]
  }

  // An integer that JSON-RPC does not keep for itself. A getter that throws must not take the error's place.
  const codeOf = (thrown) => {
    try {
      const { code } = thrown
      return isSafeInteger(code) && (code < -32768 || code > -32000) ? code + 0 : null
    } catch {
      return null
    }
  }

  const dataOf = (thrown) => {
    try {
      return thrown.data
    } catch {
      return undefined
    }
  }

  return {
    // The names of the exported functions, in the order of their definition, and the beginning of each function's text.
    // What is exported later is no method.
    methods () {
      exported = isObject(module.exports) ? module.exports : {}
      const names = []
      const sources = []
      const keys = ownKeys(exported)
      for (let at = 0; at < keys.length; at++) {
        const key = keys[at]
        if (typeof key !== 'string' || !apply(isWellFormed, key, [])) continue
        const property = getOwnPropertyDescriptor(exported, key)
        const value = property?.enumerable ? valueOf(property) : undefined
        if (typeof value !== 'function') continue
        const text = apply(slice, apply(source, value, []), [0, 4096])
        defineProperty(sources, names.length, { __proto__: null, value: text, writable: true, enumerable: true, configurable: true })
        defineProperty(names, names.length, { __proto__: null, value: key, writable: true, enumerable: true, configurable: true })
      }
      return [names, sources]
    },

    // Calls a method. What looks like a promise is made one.
    invoke (name, args) {
      const method = valueOf(getOwnPropertyDescriptor(exported, name))
      if (typeof method !== 'function') throw new TypeError(name + ' is no function any more')
      const result = apply(method, exported, args)
      const isThenable = typeof result === 'object' && result !== null && typeof result.then === 'function'
      return isThenable ? apply(resolve, Promise, [result]) : result
    },

    // Name, message, own code and own data of whatever was thrown; null and undefined where it has none.
    describe (thrown) {
      if (!isObject(thrown)) return ['Error', text(thrown), null, undefined]
      const said = words(thrown)
      return [said[0], said[1], codeOf(thrown), dataOf(thrown)]
    }
  }
})

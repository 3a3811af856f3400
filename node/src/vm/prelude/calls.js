// Calls: what a script exports, how it is called, and what it throws.
(function (global, system) {
  'use strict'
  const { Array, Error, JSON, Number, Object, Promise, Reflect, String, TypeError } = global
  const { apply, ownKeys, getOwnPropertyDescriptor } = Reflect
  const { stringify } = JSON
  const { resolve } = Promise
  const isArray = Array.isArray
  const { isSafeInteger } = Number
  const isWellFormed = String.prototype.isWellFormed
  const wellFormed = String.prototype.toWellFormed

  const module = { exports: {} }
  const hide = (name, value) =>
    Object.defineProperty(global, name, { value, writable: true, enumerable: false, configurable: true })
  hide('module', module)
  hide('exports', module.exports)
  let exported = module.exports

  const own = (name) => getOwnPropertyDescriptor(exported, name)?.value
  const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function'
  const text = (value) => apply(wellFormed, String(value), [])

  const words = (thrown) => {
    if (thrown instanceof Error || typeof thrown.message === 'string') {
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
    // The names of the exported functions, in the order of their definition. What is exported later is no method.
    methods () {
      exported = isObject(module.exports) ? module.exports : {}
      const names = []
      for (const key of ownKeys(exported)) {
        const property = getOwnPropertyDescriptor(exported, key)
        if (typeof key !== 'string' || !property.enumerable || !apply(isWellFormed, key, [])) continue
        if (typeof property.value === 'function') names[names.length] = key
      }
      return names
    },

    // Calls a method. What looks like a promise is made one.
    invoke (name, args, caller) {
      system.setCaller(caller)
      const method = own(name)
      if (typeof method !== 'function') throw new TypeError(`${name} is no function any more`)
      const result = apply(method, exported, args)
      const isThenable = typeof result === 'object' && result !== null && typeof result.then === 'function'
      return isThenable ? apply(resolve, Promise, [result]) : result
    },

    // Name, message, own code and own data of whatever was thrown; null and undefined where it has none.
    describe (thrown) {
      if (!isObject(thrown)) return ['Error', text(thrown), null, undefined]
      const [name, message] = words(thrown)
      return [name, message, codeOf(thrown), dataOf(thrown)]
    }
  }
})

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
  const { startsWith } = String.prototype
  const OTHERS_MAX = 10
  // Stands in for the descriptor of a module's property, which cannot be deleted.
  const none = { __proto__: null }

  const module = { exports: {} }
  const hide = (name, value) =>
    Object.defineProperty(global, name, { value, writable: true, enumerable: false, configurable: true })
  hide('module', module)
  hide('exports', module.exports)
  // The object whose properties are called, and its functions at the end of loading.
  let exported = module.exports
  let read = { __proto__: null }
  let isModule = false

  const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function'
  const text = (value) => apply(wellFormed, String(value), [])

  const add = (list, value) =>
    defineProperty(list, list.length, { __proto__: null, value, writable: true, enumerable: true, configurable: true })

  // Classes have a prototype that is not writable. So do built-ins, some of which are callable, and frozen functions.
  const callable = [Array, Object, global.Function, Error, global.EvalError, global.RangeError, global.ReferenceError,
    global.SyntaxError, TypeError, global.URIError, global.AggregateError, String, Number, global.Boolean, global.Symbol,
    global.BigInt, global.RegExp, global.Date]
  const isClass = (value) => {
    const prototype = getOwnPropertyDescriptor(value, 'prototype')
    if (prototype === undefined || !hasOwn(prototype, 'writable') || prototype.writable) return false
    for (let at = 0; at < callable.length; at++) if (callable[at] === value) return false
    const isFrozen = getOwnPropertyDescriptor(value, 'length')?.configurable === false
    return !isFrozen || apply(startsWith, apply(source, value, []), ['class'])
  }
  const kindOf = (value) => {
    const type = typeof value
    if (type === 'function') return isClass(value) ? 'a class' : 'a function'
    if (value === null || value === undefined) return String(value)
    return type === 'object' ? (isArray(value) ? 'an array' : 'an object') : 'a ' + type
  }

  // Reads each own enumerable property once, getters included, in the order of the properties. Calling a class is an error, so a
  // class is no method.
  const collect = () => {
    const names = []
    const sources = []
    const others = []
    const kinds = []
    read = { __proto__: null }
    const keys = ownKeys(exported)
    for (let at = 0; at < keys.length; at++) {
      const key = keys[at]
      if (typeof key !== 'string' || !apply(isWellFormed, key, [])) continue
      if (!getOwnPropertyDescriptor(exported, key)?.enumerable) continue
      const value = exported[key]
      const kind = kindOf(value)
      if (kind === 'a function') {
        add(sources, apply(slice, apply(source, value, []), [0, 4096]))
        add(names, key)
        read[key] = value
      } else if (others.length < OTHERS_MAX) {
        add(others, key)
        add(kinds, kind)
      }
    }
    return [names, sources, others, kinds]
  }

  const words = (thrown) => {
    if (apply(isPrototypeOf, Error.prototype, [thrown]) || typeof thrown.message === 'string') {
      const { name, message } = thrown
      return [name === undefined || name === null ? 'Error' : text(name), text(message)]
    }
    const json = isArray(thrown) || typeof thrown === 'object' ? stringify(thrown) : undefined
    return ['Error', json === undefined ? text(thrown) : text(json)]
  }

  // Returns an error code outside JSON-RPC's reserved range. A getter that throws must not replace the script's error.
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
    // The built-in getter of Error.prototype.stack, kept because a script may replace it.
    stack: getOwnPropertyDescriptor(Error.prototype, 'stack').get,

    // The names of the exported functions, in the order of their definition, and the beginning of each function's text; then
    // the names of the first other exports, and what each is. `namespace` is that of an ES module. Where no export is a
    // function, those of an object that is the default export are the methods. What is exported later is no method.
    methods (namespace) {
      isModule = namespace !== undefined
      const whole = isModule ? namespace : module.exports
      exported = isObject(whole) ? whole : {}
      const found = collect()
      if (found[0].length > 0) return found
      const inner = getOwnPropertyDescriptor(exported, 'default')?.enumerable ? exported.default : undefined
      if (typeof inner === 'object' && inner !== null && !isArray(inner)) {
        const outer = exported
        exported = inner
        const deeper = collect()
        if (deeper[0].length > 0) {
          isModule = false
          return deeper
        }
        exported = outer
      }
      if (found[2].length === 0 && typeof whole === 'function') {
        add(found[2], 'module.exports')
        add(found[3], kindOf(whole) + ' without a name')
      }
      return found
    },

    // Calls a method: the property's value now, or its getter's value at the end of loading. A result with a `then` is
    // resolved as a promise.
    invoke (name, args) {
      const property = isModule ? none : getOwnPropertyDescriptor(exported, name)
      const method = property === undefined ? undefined : hasOwn(property, 'value') ? property.value : read[name]
      if (typeof method !== 'function') throw new TypeError(name + ' is no function any more')
      const result = apply(method, exported, args)
      const isThenable = typeof result === 'object' && result !== null && typeof result.then === 'function'
      return isThenable ? apply(resolve, Promise, [result]) : result
    },

    // Returns name, message, own code and own data of a thrown value; null and undefined for missing ones.
    describe (thrown) {
      if (!isObject(thrown)) return ['Error', text(thrown), null, undefined]
      const said = words(thrown)
      return [said[0], said[1], codeOf(thrown), dataOf(thrown)]
    }
  }
})

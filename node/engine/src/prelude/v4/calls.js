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

  const add = (list, value) =>
    defineProperty(list, list.length, { __proto__: null, value, writable: true, enumerable: true, configurable: true })

  // A class has a prototype that cannot be replaced. So have built-ins, some of which can be called, and frozen functions.
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
  const kindOf = (property) => {
    if (!hasOwn(property, 'value')) return 'a getter'
    const { value } = property
    const type = typeof value
    if (type === 'function') return isClass(value) ? 'a class' : 'a function'
    if (value === null || value === undefined) return String(value)
    return type === 'object' ? (isArray(value) ? 'an array' : 'an object') : 'a ' + type
  }

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
    // The language's own getter of an error's stack. A script may put another in its place.
    stack: getOwnPropertyDescriptor(Error.prototype, 'stack').get,

    // The names of the exported functions, in the order of their definition, and the beginning of each function's text; then
    // the names of the first other exports, and what each is. A class is no method, since calling one is an error. What is
    // exported later is no method either.
    methods () {
      exported = isObject(module.exports) ? module.exports : {}
      const names = []
      const sources = []
      const others = []
      const kinds = []
      const keys = ownKeys(exported)
      for (let at = 0; at < keys.length; at++) {
        const key = keys[at]
        if (typeof key !== 'string' || !apply(isWellFormed, key, [])) continue
        const property = getOwnPropertyDescriptor(exported, key)
        if (!property?.enumerable) continue
        const kind = kindOf(property)
        if (kind !== 'a function') {
          if (others.length >= OTHERS_MAX) continue
          add(others, key)
          add(kinds, kind)
          continue
        }
        add(sources, apply(slice, apply(source, property.value, []), [0, 4096]))
        add(names, key)
      }
      return [names, sources, others, kinds]
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

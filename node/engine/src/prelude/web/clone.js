// structuredClone: the HTML standard's structured serialisation and its reverse, in one go.
(function (language, host, tools) {
  'use strict'
  const { ArrayBuffer, DOMException, Date, Map, Object, RegExp, Set, TypeError, Uint8Array, apply, construct, defineProperty } = language
  const { errors, getOwnPropertyDescriptor, iterator, ownKeys, regexpFlags, regexpSource, views } = language
  const { bufferDetached, bufferLength, bufferMax, bufferResizable, bufferTransfer, mapEntries, mapGet, mapNext, mapSet, setAdd, setNext, setValues } = language
  const { typedBuffer, typedLength, typedName, typedOffset, typedSet, viewBuffer, viewBytes, viewOffset } = language
  const { bigintOf, booleanOf, dateTime, numberOf, stringOf } = language
  const { failure, isObject, list, options: optionsOf, string } = tools

  const refuse = (what) => { throw failure('DataCloneError', what + ' could not be cloned.') }
  const put = (object, key, value) =>
    defineProperty(object, key, { __proto__: null, value, writable: true, enumerable: true, configurable: true })
  // Without the iterator that a script may have replaced.
  const all = (values, next) => {
    const found = list()
    for (;;) {
      const step = apply(next, values, [])
      if (step.done) return found
      found[found.length] = step.value
    }
  }

  const buffer = (value) => {
    if (apply(bufferDetached, value, [])) refuse('An ArrayBuffer that is detached')
    const length = apply(bufferLength, value, [])
    const isResizable = apply(bufferResizable, value, [])
    const copy = isResizable ? new ArrayBuffer(length, { __proto__: null, maxByteLength: apply(bufferMax, value, []) }) : new ArrayBuffer(length)
    apply(typedSet, new Uint8Array(copy), [new Uint8Array(value)])
    return copy
  }
  const view = (value, memory) => {
    const name = apply(typedName, value, []) ?? 'DataView'
    const isData = name === 'DataView'
    const of = isData ? viewBuffer : typedBuffer
    const copied = clone(apply(of, value, []), memory)
    const offset = apply(isData ? viewOffset : typedOffset, value, [])
    const length = isData ? apply(viewBytes, value, []) : apply(typedLength, value, [])
    return construct(views[name], [copied, offset, length])
  }
  const flagsOf = (value) => {
    let flags = ''
    const known = ownKeys(regexpFlags)
    for (let at = 0; at < known.length; at++) if (apply(regexpFlags[known[at]], value, [])) flags += known[at]
    return flags
  }
  const hasValue = (property) => property !== undefined && getOwnPropertyDescriptor(property, 'value') !== undefined
  const error = (value, memory) => {
    const { name } = value
    const kind = name === undefined ? 'Error' : string(name)
    const type = errors[kind] ?? errors.Error
    const message = getOwnPropertyDescriptor(value, 'message')
    const copy = hasValue(message) ? new type(string(message.value)) : new type()
    apply(mapSet, memory, [value, copy])
    const cause = getOwnPropertyDescriptor(value, 'cause')
    if (hasValue(cause)) {
      defineProperty(copy, 'cause', { __proto__: null, value: clone(cause.value, memory), writable: true, enumerable: false, configurable: true })
    }
    return copy
  }
  const properties = (value, copy, memory) => {
    const keys = ownKeys(value)
    for (let at = 0; at < keys.length; at++) {
      const key = keys[at]
      if (typeof key !== 'string') continue
      // A getter of an earlier one may have removed it.
      if (!getOwnPropertyDescriptor(value, key)?.enumerable) continue
      put(copy, key, clone(value[key], memory))
    }
    return copy
  }

  const made = (kind, value) => {
    switch (kind) {
      case 'Boolean': return Object(apply(booleanOf, value, []))
      case 'Number': return Object(apply(numberOf, value, []))
      case 'String': return Object(apply(stringOf, value, []))
      case 'BigInt': return Object(apply(bigintOf, value, []))
      case 'Date': return new Date(apply(dateTime, value, []))
      case 'RegExp': return new RegExp(apply(regexpSource, value, []), flagsOf(value))
      case 'ArrayBuffer': return buffer(value)
      case 'DOMException': return new DOMException(value.message, value.name)
      default: return undefined
    }
  }
  const clone = (value, memory) => {
    if (!isObject(value)) return typeof value === 'symbol' ? refuse('A symbol') : value
    const known = apply(mapGet, memory, [value])
    if (known !== undefined) return known
    const kind = host.kindOf(value)
    const keep = (copy) => {
      apply(mapSet, memory, [value, copy])
      return copy
    }
    switch (kind) {
      case 'Array': {
        const copy = []
        copy.length = value.length
        return properties(value, keep(copy), memory)
      }
      case 'Object': return properties(value, keep({}), memory)
      case 'Error': return error(value, memory)
      case 'Map': {
        const copy = keep(new Map())
        const entries = all(apply(mapEntries, value, []), mapNext)
        for (let at = 0; at < entries.length; at++) {
          const key = clone(entries[at][0], memory)
          apply(mapSet, copy, [key, clone(entries[at][1], memory)])
        }
        return copy
      }
      case 'Set': {
        const copy = keep(new Set())
        const values = all(apply(setValues, value, []), setNext)
        for (let at = 0; at < values.length; at++) apply(setAdd, copy, [clone(values[at], memory)])
        return copy
      }
      case 'View': return keep(view(value, memory))
      default: {
        const copy = made(kind, value)
        if (copy === undefined) refuse(kind === 'Function' ? 'A function' : 'A value of this kind')
        return keep(copy)
      }
    }
  }

  const transferred = (given) => {
    const buffers = list()
    if (given === undefined) return buffers
    const method = isObject(given) ? given[iterator] : undefined
    if (typeof method !== 'function') throw new TypeError('structuredClone: transfer must be a list')
    const steps = apply(method, given, [])
    const { next } = steps
    for (;;) {
      const step = apply(next, steps, [])
      if (!isObject(step)) throw new TypeError('structuredClone: transfer must be a list')
      if (step.done) return buffers
      const { value } = step
      if (!host.isBuffer(value) || apply(bufferDetached, value, [])) throw failure('DataCloneError', 'A value in the list is not transferable.')
      for (let at = 0; at < buffers.length; at++) if (buffers[at] === value) throw failure('DataCloneError', 'An ArrayBuffer is in the list twice.')
      buffers[buffers.length] = value
    }
  }

  const { structuredClone } = {
    structuredClone (value, options = undefined) {
      if (arguments.length === 0) throw new TypeError('structuredClone takes a value')
      const buffers = transferred(optionsOf('structuredClone', options).transfer)
      const copy = clone(value, new Map())
      for (let at = 0; at < buffers.length; at++) {
        if (apply(bufferDetached, buffers[at], [])) throw failure('DataCloneError', 'An ArrayBuffer was detached meanwhile.')
      }
      // The copies are what was asked for: the originals are gone.
      for (let at = 0; at < buffers.length; at++) apply(bufferTransfer, buffers[at], [0])
      return copy
    }
  }
  return { __proto__: null, structuredClone }
})

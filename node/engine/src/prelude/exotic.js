// Built-ins for operands whose size only the script knows: proxies, getters for `length`, objects converted to strings.
// Each follows the steps of the engine's own built-in, in the same order, in loops that the engine counts.
(function (global, isRegExp) {
  'use strict'
  const { Array, BigInt, JSON, Math, Object, RangeError, Reflect, RegExp, String, Symbol, TypeError } = global
  const { apply, construct } = Reflect
  const { defineProperty } = Object
  const { isArray } = Array
  const { trunc } = Math
  const { species, isConcatSpreadable } = Symbol
  const symbolMatch = Symbol.match
  const symbolReplace = Symbol.replace
  const symbolSplit = Symbol.split
  const { sort } = Array.prototype
  const { concat, indexOf } = String.prototype
  const LENGTH_MAX = 2 ** 53 - 1

  // Converts a value to a string (ToString); symbols are an error. A template would call whatever replaced
  // `String.prototype.concat`, and `for ... of` a replaced iterator: neither is used here once the script runs.
  const text = (value) => apply(concat, '', [value])

  const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function'
  const clamp = (value, min, max) => value < min ? min : value > max ? max : value
  // Converts a value to an integer (ToIntegerOrInfinity): NaN is 0.
  const integer = (value) => {
    const whole = trunc(value)
    return whole === whole ? whole + 0 : 0
  }
  const lengthOf = (object) => clamp(integer(object.length), 0, LENGTH_MAX)
  const relative = (value, min, max, length) => {
    const index = integer(value)
    return index < 0 ? (index + length < min ? min : index + length) : index > max ? max : index
  }
  const define = (object, key, value) =>
    defineProperty(object, key, { __proto__: null, value, writable: true, enumerable: true, configurable: true })

  const createLike = (array, length) => {
    if (!isArray(array)) return new Array(length)
    let constructor = array.constructor
    if (isObject(constructor)) {
      constructor = constructor[species]
      if (constructor === null) constructor = undefined
    }
    return constructor === undefined ? new Array(length) : new constructor(length)
  }

  // Moves elements within an object, holes included.
  const move = (object, to, from, count, isBackwards) => {
    for (let step = 0; step < count; step++) {
      const offset = isBackwards ? count - step - 1 : step
      if (from + offset in object) object[to + offset] = object[from + offset]
      else delete object[to + offset]
    }
  }

  const isSpreadable = (value) => {
    if (!isObject(value)) return false
    const wish = value[isConcatSpreadable]
    return wish !== undefined ? !!wish : isArray(value)
  }

  const flatten = (target, source, length, start, depth, mapper, receiver) => {
    let at = start
    for (let index = 0; index < length; index++) {
      if (!(index in source)) continue
      let element = source[index]
      if (mapper !== undefined) element = apply(mapper, receiver, [element, index, source])
      if (depth > 0 && isArray(element)) {
        at = flatten(target, element, lengthOf(element), at, depth - 1)
        continue
      }
      if (at >= LENGTH_MAX) throw new TypeError('Array too long')
      define(target, at, element)
      at++
    }
    return at
  }

  const join = (array, separator, textOf) => {
    const object = Object(array)
    const length = lengthOf(object)
    const between = separator === undefined ? ',' : text(separator)
    let joined = ''
    for (let index = 0; index < length; index++) {
      if (index > 0) joined += between
      const element = object[index]
      if (element !== null && element !== undefined) joined += textOf(element)
    }
    return joined
  }

  // Each element is converted to a string once, when it is first compared.
  const compareTexts = (a, b) => {
    if (a.text === undefined) a.text = text(a.value)
    if (b.text === undefined) b.text = text(b.value)
    return a.text < b.text ? -1 : a.text > b.text ? 1 : 0
  }

  const sortObject = (object, length, comparator) => {
    const slots = []
    let blanks = 0
    for (let index = 0; index < length; index++) {
      if (!(index in object)) continue
      const value = object[index]
      if (value === undefined) blanks++
      else define(slots, slots.length, { __proto__: null, value, index, text: undefined })
    }
    const compare = comparator === undefined ? compareTexts : (a, b) => comparator(a.value, b.value)
    apply(sort, slots, [compare])
    let at = 0
    for (; at < slots.length; at++) if (slots[at].index !== at) object[at] = slots[at].value
    for (; blanks > 0; at++, blanks--) object[at] = undefined
    for (; at < length; at++) delete object[at]
    return object
  }

  const arrays = {
    concat (...items) {
      const object = Object(this)
      const result = createLike(object, 0)
      let at = 0
      for (let item = -1; item < items.length; item++) {
        const part = item < 0 ? object : items[item]
        if (!isSpreadable(part)) {
          if (at >= LENGTH_MAX) throw new TypeError('Array loo long')
          define(result, at, part)
          at++
          continue
        }
        const length = lengthOf(part)
        if (at + length > LENGTH_MAX) throw new TypeError('Array loo long')
        for (let index = 0; index < length; index++, at++) if (index in part) define(result, at, part[index])
      }
      result.length = at
      return result
    },
    copyWithin (target, start, end) {
      const object = Object(this)
      const length = lengthOf(object)
      const to = relative(target, 0, length, length)
      const from = relative(start, 0, length, length)
      const until = end === undefined ? length : relative(end, 0, length, length)
      const count = until - from < length - to ? until - from : length - to
      move(object, to, from, count, from < to && to < from + count)
      return object
    },
    fill (value, start, end) {
      const object = Object(this)
      const length = lengthOf(object)
      const from = start === undefined ? 0 : relative(start, 0, length, length)
      const until = end === undefined ? length : relative(end, 0, length, length)
      for (let index = from; index < until; index++) object[index] = value
      return object
    },
    flat (depth) {
      const object = Object(this)
      const length = lengthOf(object)
      const deep = depth === undefined ? 1 : integer(depth)
      const result = createLike(object, 0)
      flatten(result, object, length, 0, deep)
      return result
    },
    flatMap (mapper, receiver) {
      const object = Object(this)
      const length = lengthOf(object)
      if (typeof mapper !== 'function') throw new TypeError('not a function')
      const result = createLike(object, 0)
      flatten(result, object, length, 0, 1, mapper, receiver)
      return result
    },
    join (separator) { return join(this, separator, text) },
    toLocaleString () { return join(this, undefined, (element) => text(call(element.toLocaleString, element, []))) },
    reverse () {
      const object = Object(this)
      for (let low = 0, high = lengthOf(object) - 1; low < high; low++, high--) {
        const hasLow = low in object
        const first = hasLow ? object[low] : undefined
        const hasHigh = high in object
        const last = hasHigh ? object[high] : undefined
        if (hasHigh) {
          object[low] = last
          if (hasLow) object[high] = first
          else delete object[high]
        } else if (hasLow) {
          delete object[low]
          object[high] = first
        }
      }
      return object
    },
    shift () {
      const object = Object(this)
      const length = lengthOf(object)
      let first
      if (length > 0) {
        first = object[0]
        move(object, 0, 1, length - 1, false)
        delete object[length - 1]
      }
      object.length = length > 0 ? length - 1 : 0
      return first
    },
    slice (start, end) {
      const object = Object(this)
      const length = lengthOf(object)
      const from = relative(start, 0, length, length)
      const until = end === undefined ? length : relative(end, 0, length, length)
      const count = until > from ? until - from : 0
      const result = createLike(object, count)
      for (let index = 0; index < count; index++) if (from + index in object) define(result, index, object[from + index])
      result.length = count
      return result
    },
    sort (comparator) {
      const object = Object(this)
      return sortObject(object, lengthOf(object), comparator)
    },
    splice (start, count, ...items) {
      const object = Object(this)
      const length = lengthOf(object)
      const from = relative(start, 0, length, length)
      let removed = 0
      if (arguments.length === 1) removed = length - from
      else if (arguments.length > 1) removed = relative(count, 0, length - from, 0)
      if (length + items.length - removed > LENGTH_MAX) throw new TypeError('Array loo long')
      const result = createLike(object, removed)
      for (let index = 0; index < removed; index++) if (from + index in object) define(result, index, object[from + index])
      result.length = removed
      const rest = length + items.length - removed
      if (items.length !== removed) {
        move(object, from + items.length, from + removed, length - (from + removed), items.length > removed)
        for (let index = length; index-- > rest;) delete object[index]
      }
      for (let index = 0; index < items.length; index++) object[from + index] = items[index]
      object.length = rest
      return result
    },
    toSorted (comparator) {
      const object = Object(this)
      const length = lengthOf(object)
      if (length > 2147483647) throw new RangeError('invalid array length')
      const result = []
      for (let index = 0; index < length; index++) define(result, index, index in object ? object[index] : undefined)
      return apply(sort, result, comparator === undefined ? [] : [comparator])
    },
    unshift (...items) {
      const object = Object(this)
      const length = lengthOf(object)
      if (length + items.length > LENGTH_MAX) throw new TypeError('Array loo long')
      if (items.length > 0) move(object, items.length, 0, length, true)
      for (let index = 0; index < items.length; index++) object[index] = items[index]
      object.length = length + items.length
      return length + items.length
    }
  }

  const hasPattern = (value) => {
    if (!isObject(value)) return false
    const wish = value[symbolMatch]
    return wish !== undefined ? !!wish : isRegExp(value)
  }

  const strings = {}
  // Only `this` is converted to a string before the other arguments are read.
  for (const name of ['isWellFormed', 'normalize', 'toLocaleLowerCase', 'toLocaleUpperCase', 'toLowerCase', 'toUpperCase',
    'toWellFormed', 'trim', 'trimEnd', 'trimStart']) {
    const original = String.prototype[name]
    strings[name] = function (...rest) { return apply(original, text(this), rest) }
  }
  // Then the first argument, as a string ...
  for (const name of ['indexOf', 'lastIndexOf', 'localeCompare']) {
    const original = String.prototype[name]
    const hasPosition = name !== 'localeCompare'
    strings[name] = function (other, position) {
      const own = text(this)
      return again(original, own, text(other), hasPosition ? position : undefined)
    }
  }
  // ... which must not be a regular expression ...
  for (const name of ['endsWith', 'includes', 'startsWith']) {
    const original = String.prototype[name]
    strings[name] = function (other, position) {
      const own = text(this)
      if (hasPattern(other)) throw new TypeError('regexp not supported')
      return again(original, own, text(other), position)
    }
  }
  // ... or as a number.
  for (const name of ['padEnd', 'padStart', 'repeat']) {
    const original = String.prototype[name]
    strings[name] = function (count, filler) {
      const own = text(this)
      return apply(original, own, [integer(count), filler])
    }
  }
  // A position is converted to a number after the strings.
  const again = (original, own, other, position) =>
    apply(original, own, position === undefined ? [other] : [other, trunc(position)])

  const replace = (all) => {
    const original = all ? String.prototype.replaceAll : String.prototype.replace
    return function (pattern, replacement) {
      if (isObject(pattern)) {
        if (all && hasPattern(pattern)) {
          const { flags } = pattern
          if (flags === undefined || flags === null) throw new TypeError('cannot convert to object')
          if (apply(indexOf, text(flags), ['g']) < 0) throw new TypeError("regexp must have the 'g' flag")
        }
        const replacer = pattern[symbolReplace]
        if (replacer !== undefined && replacer !== null) return call(replacer, pattern, [this, replacement])
      }
      const own = text(this)
      const wanted = text(pattern)
      return apply(original, own, [wanted, typeof replacement === 'function' ? replacement : text(replacement)])
    }
  }
  // Calls a method as the engine does, with its error message for a value that is not callable.
  const call = (method, receiver, args) => {
    if (typeof method !== 'function') throw new TypeError('not a function')
    return apply(method, receiver, args)
  }
  strings.replace = replace(false)
  strings.replaceAll = replace(true)

  const { split } = String.prototype
  strings.split = function (separator, limit) {
    if (isObject(separator)) {
      const splitter = separator[symbolSplit]
      if (splitter !== undefined && splitter !== null) return call(splitter, separator, [this, limit])
    }
    const own = text(this)
    const most = limit === undefined ? undefined : trunc(limit) >>> 0
    return apply(split, own, [separator === undefined ? undefined : text(separator), most])
  }

  const others = {
    'String.raw' (template, ...values) {
      const found = Object(template).raw
      if (found === undefined || found === null) throw new TypeError('Cannot convert undefined or null to object')
      const raw = Object(found)
      const length = lengthOf(raw)
      let result = ''
      for (let index = 0; index < length; index++) {
        result += text(raw[index])
        if (index < length - 1 && index < values.length) result += text(values[index])
      }
      return result
    },
    RegExp (pattern, flags) {
      let target = this
      const isPattern = hasPattern(pattern)
      if (target === undefined) {
        target = RegExp
        if (isPattern && flags === undefined && pattern.constructor === target) return pattern
      }
      let source = pattern
      let wanted = flags
      if (isPattern) {
        source = pattern.source
        if (flags === undefined) wanted = pattern.flags
      }
      return construct(RegExp, [source === undefined ? '' : text(source), wanted === undefined ? undefined : text(wanted)], target)
    },
    'JSON.stringify' (value, names, space) {
      if (!isArray(names)) return apply(stringify, JSON, [value, undefined, space])
      const list = []
      const length = lengthOf(names)
      for (let index = 0; index < length; index++) {
        const name = names[index]
        define(list, index, isObject(name) && isBoxed(name) ? text(name) : name)
      }
      return apply(stringify, JSON, [value, list, space])
    },
    BigInt (value) {
      let plain = value
      if (isObject(value)) plain = primitive(value)
      return BigInt(plain)
    },
    'ArrayBuffer.prototype.resize' (length) {
      return apply(resize, this, [apply(isImmutable, this, []) ? 0 : integer(length)])
    }
  }
  const { compile } = RegExp.prototype
  others['RegExp.prototype.compile'] = function (pattern, flags) {
    if (!isRegExp(this)) return apply(compile, this, [])
    const source = isRegExp(pattern) || pattern === undefined ? pattern : text(pattern)
    return apply(compile, this, [source, flags === undefined ? undefined : text(flags)])
  }
  const { stringify } = JSON
  const { resize } = global.ArrayBuffer.prototype
  const isImmutable = Object.getOwnPropertyDescriptor(global.ArrayBuffer.prototype, 'immutable').get
  const { toPrimitive } = Symbol
  // Whether an object wraps a string or a number, whatever its prototype is.
  const boxes = [String.prototype.valueOf, global.Number.prototype.valueOf]
  const isBoxed = (value) => {
    for (let at = 0; at < boxes.length; at++) {
      try {
        apply(boxes[at], value, [])
        return true
      } catch { continue }
    }
    return false
  }
  const conversions = ['valueOf', 'toString']
  // Converts an object to a primitive value (ToPrimitive, hint number).
  const primitive = (object) => {
    const wish = object[toPrimitive]
    if (wish !== undefined && wish !== null) {
      const value = call(wish, object, ['number'])
      if (isObject(value)) throw new TypeError('toPrimitive')
      return value
    }
    for (let at = 0; at < conversions.length; at++) {
      const method = object[conversions[at]]
      if (typeof method !== 'function') continue
      const value = apply(method, object, [])
      if (!isObject(value)) return value
    }
    throw new TypeError('toPrimitive')
  }
  // Functions of one string and further arguments.
  for (const name of ['atob', 'btoa', 'decodeURI', 'decodeURIComponent', 'encodeURI', 'encodeURIComponent', 'escape', 'unescape',
    'parseFloat', 'parseInt']) {
    const original = global[name]
    others[name] = function (value, radix) { return apply(original, this, [text(value), radix]) }
  }
  const { parse, rawJSON } = JSON
  const { parse: parseDate } = global.Date
  others['JSON.rawJSON'] = function (value) { return apply(rawJSON, JSON, [text(value)]) }
  others['Date.parse'] = function (value) { return apply(parseDate, undefined, [text(value)]) }
  others['JSON.parse'] = function (value, reviver) { return apply(parse, JSON, [text(value), reviver]) }

  const versions = { __proto__: null }
  for (const name of Reflect.ownKeys(arrays)) versions['Array.prototype.' + name] = arrays[name]
  for (const name of Reflect.ownKeys(strings)) versions['String.prototype.' + name] = strings[name]
  for (const name of Reflect.ownKeys(others)) versions[name] = others[name]
  return versions
})

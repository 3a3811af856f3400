// Buffer: bytes with encodings, as scripts written for Node.js use them (https://nodejs.org/api/buffer.html). Packages that find a
// Buffer use all of it. Its memory is always filled with zeros, and nothing is shared behind a script's back.
(function (language, host, tools) {
  'use strict'
  const { DataView, RangeError, TypeError, Uint8Array } = language
  const { apply, charCodeAt, construct, defineProperty, fromCharCode, hasInstance, isArray, isView, setPrototypeOf, slice: cut, toLowerCase, toWellFormed } = language
  const { typedBuffer, typedBytes, typedCopyWithin, typedFill, typedLength, typedName, typedOffset, typedSet } = language
  const { isObject } = tools
  const LENGTH_MAX = 9007199254740991
  const OFFSET_MAX = 2147483647

  const failure = (Kind, code, message) => {
    const error = new Kind(message)
    defineProperty(error, 'code', { __proto__: null, value: code, writable: true, enumerable: true, configurable: true })
    return error
  }
  const wrongType = (name, wanted) => failure(TypeError, 'ERR_INVALID_ARG_TYPE', 'Buffer: ' + name + ' must be ' + wanted)
  const outOfRange = (name, wanted) => failure(RangeError, 'ERR_OUT_OF_RANGE', 'Buffer: ' + name + ' must be ' + wanted)
  const outOfBounds = () => failure(RangeError, 'ERR_BUFFER_OUT_OF_BOUNDS', 'Buffer: the position lies outside of the bytes')
  const unknownEncoding = (encoding) => failure(TypeError, 'ERR_UNKNOWN_ENCODING', 'unknown encoding: ' + tools.string(encoding))

  const isTyped = (value) => isView(value) && apply(typedName, value, []) !== undefined
  const isBytes = (value) => isView(value) && apply(typedName, value, []) === 'Uint8Array'
  const lengthOf = (bytes) => apply(typedLength, bytes, [])
  // A whole number between two bounds, as an argument that must be one.
  const whole = (name, value, least, most) => {
    if (typeof value !== 'number') throw wrongType(name, 'a number')
    if (!(value >= least && value <= most && value % 1 === 0)) throw outOfRange(name, 'a whole number from ' + least + ' to ' + most)
    return value
  }
  // A number without its fraction; 0 for what is none.
  const truncated = (value) => {
    const number = +value
    return number === number ? number - (number === Infinity || number === -Infinity ? 0 : number % 1) : 0
  }
  // A relative position, as slices take it.
  const position = (value, most) => {
    const at = truncated(value)
    if (at < 0) return at + most < 0 ? 0 : at + most
    return at > most ? most : at
  }

  // Encodings
  const encodings = {
    __proto__: null, utf8: 'utf8', 'utf-8': 'utf8', hex: 'hex', base64: 'base64', base64url: 'base64url', binary: 'latin1', latin1: 'latin1', ascii: 'ascii',
    utf16le: 'utf16le', 'utf-16le': 'utf16le', ucs2: 'utf16le', 'ucs-2': 'utf16le'
  }
  const known = (encoding) => encodings[apply(toLowerCase, tools.string(encoding), [])]
  const nameOf = (encoding) => {
    if (encoding === undefined) return 'utf8'
    const name = known(encoding)
    if (name === undefined) throw unknownEncoding(encoding)
    return name
  }
  const toUnits = (text) => {
    const size = text.length
    const bytes = new Uint8Array(size * 2)
    for (let at = 0; at < size; at++) {
      const unit = apply(charCodeAt, text, [at])
      bytes[at * 2] = unit
      bytes[at * 2 + 1] = unit >>> 8
    }
    return bytes
  }
  const fromUnits = (bytes) => {
    const size = lengthOf(bytes) - 1
    let text = ''
    for (let at = 0; at < size; at += 2) text += fromCharCode(bytes[at] | bytes[at + 1] << 8)
    return text
  }
  // The bytes of a text, in memory of their own.
  const toBytes = (text, name) => name === 'utf16le' ? toUnits(text) : new Uint8Array(host.bufferBytes(apply(toWellFormed, text, []), name))
  const toText = (bytes, name) => name === 'utf16le' ? fromUnits(bytes) : host.bufferText(bytes, name)

  // The bytes that a text takes; base64 by its length alone, as Node.js has it.
  const sizeOf = (text, name) => {
    let size = text.length
    switch (name) {
      case 'latin1': case 'ascii': return size
      case 'utf16le': return size * 2
      case 'hex': return size >>> 1
      case 'base64': case 'base64url':
        if (size > 0 && text[size - 1] === '=') size--
        if (size > 1 && text[size - 1] === '=') size--
        return size * 3 >>> 2
      default: return lengthOf(toBytes(text, 'utf8'))
    }
  }

  class FastBuffer extends Uint8Array {}
  // Over memory that is there: a length, or an ArrayBuffer and a part of it. Symbol.species is not consulted.
  const over = (content, start, count) => construct(Uint8Array, [content, start, count], FastBuffer)
  const make = (size) => construct(Uint8Array, [size], FastBuffer)
  const plain = (bytes, start, count) => new Uint8Array(apply(typedBuffer, bytes, []), apply(typedOffset, bytes, []) + start, count)
  const allOf = (bytes) => over(apply(typedBuffer, bytes, []), apply(typedOffset, bytes, []), apply(typedBytes, bytes, []))
  const viewOf = (bytes, start, end) => {
    const most = lengthOf(bytes)
    const from = position(start, most)
    const until = end === undefined ? most : position(end, most)
    return over(apply(typedBuffer, bytes, []), apply(typedOffset, bytes, []) + from, until > from ? until - from : 0)
  }
  const textBetween = (bytes, start, end, encoding) => {
    const most = lengthOf(bytes)
    const from = start <= 0 || start === undefined ? 0 : truncated(start)
    const until = end === undefined || end > most ? most : truncated(end)
    return from >= most || until <= from ? '' : toText(plain(bytes, from, until - from), nameOf(encoding))
  }

  // Buffers from other things
  const fromText = (text, encoding) => allOf(toBytes(text, typeof encoding === 'string' && encoding !== '' ? nameOf(encoding) : 'utf8'))
  const fromTyped = (array) => {
    const bytes = make(lengthOf(array))
    apply(typedSet, bytes, [array])
    return bytes
  }
  const fromList = (list) => {
    const size = list.length
    const bytes = make(size > 0 ? truncated(size) : 0)
    for (let at = 0; at < size; at++) bytes[at] = list[at]
    return bytes
  }
  const fromMemory = (memory, offset, length) => {
    const size = apply(language.bufferLength, memory, [])
    const start = offset === undefined || +offset !== +offset ? 0 : +offset
    if (start > size) throw outOfBounds()
    if (length === undefined) return over(memory, start, size - start)
    const count = +length > 0 ? +length : 0
    if (start + count > size) throw outOfBounds()
    return over(memory, start, count)
  }
  const fromObject = (value) => {
    if (value.length !== undefined || host.isBuffer(value.buffer)) return typeof value.length === 'number' ? fromList(value) : make(0)
    return value.type === 'Buffer' && isArray(value.data) ? fromList(value.data) : undefined
  }
  // These four are functions that `new` takes, too: packages call `new Buffer.allocUnsafeSlow(size)`.
  function from (value, encodingOrOffset, length) {
    if (typeof value === 'string') return fromText(value, encodingOrOffset)
    if (isObject(value) && typeof value !== 'function') {
      if (host.isBuffer(value)) return fromMemory(value, encodingOrOffset, length)
      if (isTyped(value)) return fromTyped(value)
      const inner = value.valueOf && value.valueOf()
      if (inner !== undefined && inner !== null && inner !== value && (typeof inner === 'string' || typeof inner === 'object')) {
        return from(inner, encodingOrOffset, length)
      }
      const made = fromObject(value)
      if (made !== undefined) return made
      const primitive = value[language.toPrimitive]
      if (typeof primitive === 'function') {
        const text = apply(primitive, value, ['string'])
        if (typeof text === 'string') return fromText(text, encodingOrOffset)
      }
    }
    throw wrongType('the first argument', 'a text, bytes, a buffer, or an array of numbers')
  }

  // Filling
  const fillRange = (bytes, offset, end) => {
    if (offset === undefined) return { start: 0, until: lengthOf(bytes) }
    const start = whole('the offset', offset, 0, LENGTH_MAX)
    return { start, until: end === undefined ? lengthOf(bytes) : whole('the end', end, 0, lengthOf(bytes)) }
  }
  const repeat = (bytes, pattern, start, until) => {
    let filled = lengthOf(pattern)
    if (filled === 0) throw failure(TypeError, 'ERR_INVALID_ARG_VALUE', 'Buffer: the filling has no bytes')
    if (filled === 1) return apply(typedFill, bytes, [pattern[0], start, until])
    const size = until - start
    if (filled > size) filled = size
    const target = plain(bytes, start, size)
    apply(typedSet, target, [plain(pattern, 0, filled)])
    // Twice as much each time.
    for (; filled < size; filled *= 2) apply(typedCopyWithin, target, [filled, 0, filled])
  }
  const fill = (bytes, value, offset, end, encoding) => {
    if (typeof value === 'string') {
      if (offset === undefined || typeof offset === 'string') {
        encoding = offset
        offset = end = undefined
      } else if (typeof end === 'string') {
        encoding = end
        end = undefined
      }
      const name = nameOf(encoding === '' || encoding === null ? undefined : encoding)
      const { start, until } = fillRange(bytes, offset, end)
      if (start >= until) return bytes
      if (value === '') apply(typedFill, bytes, [0, start, until])
      else repeat(bytes, toBytes(value, name), start, until)
      return bytes
    }
    const { start, until } = fillRange(bytes, offset, end)
    if (start >= until) return bytes
    if (isTyped(value)) repeat(bytes, allOf(value), start, until)
    else apply(typedFill, bytes, [+value & 255, start, until])
    return bytes
  }

  // Searching
  const search = (bytes, value, offset, encoding, isForward) => {
    if (typeof offset === 'string') {
      encoding = offset
      offset = undefined
    }
    const size = lengthOf(bytes)
    let at = +offset
    if (at !== at) at = isForward ? 0 : size
    at = truncated(at > OFFSET_MAX ? OFFSET_MAX : at < -OFFSET_MAX ? -OFFSET_MAX : at)
    if (typeof value === 'number') {
      const one = new Uint8Array(1)
      one[0] = value
      return found(bytes, one, at, isForward, 1)
    }
    if (typeof value === 'string') {
      const name = nameOf(encoding)
      return found(bytes, toBytes(value, name), at, isForward, name === 'utf16le' ? 2 : 1)
    }
    if (isBytes(value)) return found(bytes, value, at, isForward, encoding !== undefined && known(encoding) === 'utf16le' ? 2 : 1)
    throw wrongType('the value', 'a text, a number, or bytes')
  }
  // Where a search begins: behind the end is nothing, and an empty value is everywhere.
  const startOf = (size, at, count, isForward) => {
    if (at < 0) return at + size >= 0 ? at + size : isForward || count === 0 ? 0 : -1
    if (at + count <= size) return at
    return count === 0 ? size : isForward ? -1 : size - 1
  }
  const found = (bytes, value, at, isForward, step) => {
    const size = lengthOf(bytes)
    const count = lengthOf(value)
    let start = startOf(size, at, count, isForward)
    if (count === 0) return start
    if (isForward && start + count > size) return -1
    if (isForward && start > 0) start -= start % step
    while (start >= 0 && count <= size) {
      const place = host.bufferFind(bytes, value, start, isForward)
      // Units of two bytes begin at even places.
      if (place < 0 || place % step === 0) return place
      start = isForward ? place + 1 : place - 1
    }
    return -1
  }

  // Writing texts
  const writeText = (bytes, text, offset, length, name) => {
    if (typeof text !== 'string') throw wrongType('the text', 'a text')
    const size = lengthOf(bytes)
    const start = offset === undefined ? 0 : whole('the offset', offset, 0, size)
    let room = size - start
    if (length !== undefined && whole('the length', length, 0, LENGTH_MAX) < room) room = length
    const part = name === 'utf8' ? apply(cut, text, [0, host.fitting(apply(toWellFormed, text, []), room)]) : text
    const encoded = toBytes(part, name)
    let count = lengthOf(encoded)
    if (count > room) count = name === 'utf16le' ? room - room % 2 : room
    apply(typedSet, bytes, [plain(encoded, 0, count), start])
    return count
  }
  const write = (bytes, text, offset, length, encoding) => {
    if (offset === undefined) return writeText(bytes, text, 0, undefined, 'utf8')
    if (length === undefined && typeof offset === 'string') {
      encoding = offset
      offset = 0
    } else if (typeof length === 'string') {
      encoding = length
      length = undefined
    }
    if (length !== undefined) whole('the length', length, 0, lengthOf(bytes))
    return writeText(bytes, text, offset, length, encoding ? nameOf(encoding) : 'utf8')
  }

  // Numbers
  const placed = (bytes, offset, size) => {
    if (typeof offset !== 'number') throw wrongType('the offset', 'a number')
    const most = lengthOf(bytes) - size
    if (offset >= 0 && offset <= most && offset % 1 === 0) return new DataView(apply(typedBuffer, bytes, []), apply(typedOffset, bytes, []) + offset, size)
    if (most < 0 && offset % 1 === 0) throw outOfBounds()
    throw outOfRange('the offset', 'a whole number from 0 to ' + most)
  }
  const sized = (size) => whole('the number of bytes', size, 1, 6)
  const readWhole = (bytes, offset, size, isLittle, isSigned) => {
    if (typeof offset !== 'number') throw wrongType('the offset', 'a number')
    placed(bytes, offset, sized(size))
    let value = 0
    for (let at = 0; at < size; at++) value = value * 256 + bytes[offset + (isLittle ? size - 1 - at : at)]
    const half = 2 ** (8 * size - 1)
    return isSigned && value >= half ? value - half * 2 : value
  }
  const writeWhole = (bytes, value, offset, size, isLittle, isSigned) => {
    const number = +value
    const most = 2 ** (8 * sized(size) - (isSigned ? 1 : 0))
    if (number > most - 1 || number < (isSigned ? -most : 0)) throw outOfRange('the value', 'a number of ' + size + ' bytes')
    placed(bytes, offset, size)
    let rest = truncated(number)
    if (rest < 0) rest += most * 2
    for (let at = 0; at < size; at++) {
      bytes[offset + (isLittle ? at : size - 1 - at)] = rest % 256
      rest = (rest - rest % 256) / 256
    }
    return offset + size
  }

  const isRange = (value, size) => value >= 0 && value <= size
  const compare = (one, other) => {
    if (!isBytes(one) || !isBytes(other)) throw wrongType('what is compared', 'bytes')
    return host.bufferCompare(one, other)
  }

  const methods = {
    toString (encoding, start, end) { return textBetween(this, start, end, encoding) },
    toJSON () { return { type: 'Buffer', data: host.toNumbers(this) } },
    slice (start, end) { return viewOf(this, start, end) },
    subarray (start, end) { return viewOf(this, start, end) },
    equals (other) {
      if (!isBytes(other)) throw wrongType('what is compared', 'bytes')
      return this === other || host.isEqual(this, other)
    },
    compare (target, targetStart = 0, targetEnd = undefined, start = 0, end = undefined) {
      if (!isBytes(target)) throw wrongType('the target', 'bytes')
      const size = lengthOf(this)
      const most = lengthOf(target)
      const targetFrom = whole('the start', targetStart, 0, LENGTH_MAX)
      const targetUntil = targetEnd === undefined ? most : whole('the end', targetEnd, 0, most)
      const from = whole('the start', start, 0, LENGTH_MAX)
      const until = end === undefined ? size : whole('the end', end, 0, size)
      if (from >= until) return targetFrom >= targetUntil ? 0 : -1
      if (targetFrom >= targetUntil) return 1
      return host.bufferCompare(plain(this, from, until - from), plain(target, targetFrom, targetUntil - targetFrom))
    },
    copy (target, targetStart = 0, start = 0, end = undefined) {
      if (!isBytes(target)) throw wrongType('the target', 'bytes')
      const size = lengthOf(this)
      const at = truncated(targetStart)
      const from = truncated(start)
      const until = end === undefined ? size : truncated(end)
      if (at < 0 || !isRange(from, size) || until < 0) throw outOfRange('the start', 'a place in the bytes')
      const room = lengthOf(target) - at
      let count = (until > size ? size : until) - from
      if (count > room) count = room
      if (!(count > 0)) return 0
      apply(typedSet, target, [plain(this, from, count), at])
      return count
    },
    fill (value, offset, end, encoding) { return fill(this, value, offset, end, encoding) },
    indexOf (value, offset, encoding) { return search(this, value, offset, encoding, true) },
    lastIndexOf (value, offset, encoding) { return search(this, value, offset, encoding, false) },
    includes (value, offset, encoding) { return search(this, value, offset, encoding, true) !== -1 },
    write (text, offset, length, encoding) { return write(this, text, offset, length, encoding) },
    swap16 () { return swap(this, 2) },
    swap32 () { return swap(this, 4) },
    swap64 () { return swap(this, 8) },
    readUIntLE (offset, size) { return readWhole(this, offset, size, true, false) },
    readUIntBE (offset, size) { return readWhole(this, offset, size, false, false) },
    readIntLE (offset, size) { return readWhole(this, offset, size, true, true) },
    readIntBE (offset, size) { return readWhole(this, offset, size, false, true) },
    writeUIntLE (value, offset, size) { return writeWhole(this, value, offset, size, true, false) },
    writeUIntBE (value, offset, size) { return writeWhole(this, value, offset, size, false, false) },
    writeIntLE (value, offset, size) { return writeWhole(this, value, offset, size, true, true) },
    writeIntBE (value, offset, size) { return writeWhole(this, value, offset, size, false, true) },
    get parent () { return isBytes(this) ? apply(typedBuffer, this, []) : undefined },
    get offset () { return isBytes(this) ? apply(typedOffset, this, []) : undefined }
  }
  const swap = (bytes, size) => {
    const length = lengthOf(bytes)
    if (length % size !== 0) throw failure(RangeError, 'ERR_INVALID_BUFFER_SIZE', 'Buffer: the length must be a multiple of ' + size)
    for (let start = 0; start < length; start += size) {
      for (let low = start, high = start + size - 1; low < high; low++, high--) {
        const byte = bytes[low]
        bytes[low] = bytes[high]
        bytes[high] = byte
      }
    }
    return bytes
  }
  const hide = (target, name, property) => {
    setPrototypeOf(property, null)
    property.enumerable = false
    defineProperty(target, name, property)
  }
  const give = (name, value) => hide(FastBuffer.prototype, name, { value, writable: true, configurable: true })
  const names = language.ownKeys(methods)
  for (let at = 0; at < names.length; at++) hide(FastBuffer.prototype, names[at], language.getOwnPropertyDescriptor(methods, names[at]))
  give('toLocaleString', methods.toString)

  // One method for each kind of number and each order of its bytes.
  const number = (kind, size, least, most) => {
    for (let order = 0; order < (size === 1 ? 1 : 2); order++) {
      const isLittle = order === 0
      const name = kind + (size === 1 ? '' : isLittle ? 'LE' : 'BE')
      const { get, set } = language.viewNumbers[kind]
      const read = { ['read' + name] (offset = 0) { return apply(get, placed(this, offset, size), [0, isLittle]) } }['read' + name]
      const written = {
        ['write' + name] (value, offset = 0) {
          const given = typeof least === 'bigint' ? value : +value
          if (least !== undefined && (given > most || given < least)) throw outOfRange('the value', 'a number from ' + least + ' to ' + most)
          apply(set, placed(this, offset, size), [0, given, isLittle])
          return offset + size
        }
      }['write' + name]
      give('read' + name, read)
      give('write' + name, written)
      if (apply(cut, kind, [0, 4]) === 'UInt' || kind === 'BigUInt64') {
        const short = kind === 'BigUInt64' ? 'BigUint64' + apply(cut, name, [9]) : 'Uint' + apply(cut, name, [4])
        give('read' + short, read)
        give('write' + short, written)
      }
    }
  }
  number('UInt8', 1, 0, 255)
  number('UInt16', 2, 0, 65535)
  number('UInt32', 4, 0, 4294967295)
  number('Int8', 1, -128, 127)
  number('Int16', 2, -32768, 32767)
  number('Int32', 4, -2147483648, 2147483647)
  number('Float', 4)
  number('Double', 8)
  number('BigInt64', 8, -(2n ** 63n), 2n ** 63n - 1n)
  number('BigUInt64', 8, 0n, 2n ** 64n - 1n)
  give('readUintLE', methods.readUIntLE)
  give('readUintBE', methods.readUIntBE)
  give('writeUintLE', methods.writeUIntLE)
  give('writeUintBE', methods.writeUIntBE)

  // Each encoding has a pair of methods.
  const slice = (bytes, start = 0, end = undefined, name) => {
    const size = lengthOf(bytes)
    if (size > 0 && (start > size || end > size)) throw outOfRange('the position', 'a place in the bytes')
    return textBetween(bytes, start, end, name)
  }
  const pair = (short, name) => {
    give(short + 'Slice', { [short + 'Slice'] (start, end) { return slice(this, start, end, name) } }[short + 'Slice'])
    give(short + 'Write', { [short + 'Write'] (text, offset, length) { return writeText(this, text, offset, length, name) } }[short + 'Write'])
  }
  pair('ascii', 'ascii')
  pair('base64', 'base64')
  pair('base64url', 'base64url')
  pair('hex', 'hex')
  pair('latin1', 'latin1')
  pair('ucs2', 'utf16le')
  pair('utf8', 'utf8')

  function alloc (size, value, encoding) {
    if (typeof size !== 'number') throw wrongType('the size', 'a number')
    if (!(size >= 0 && size <= LENGTH_MAX)) throw outOfRange('the size', 'a number from 0')
    const bytes = make(truncated(size))
    if (value === undefined || value === 0 || size < 1) return bytes
    return fill(bytes, value, typeof value === 'string' && typeof encoding === 'string' ? encoding : undefined)
  }
  // A function and no class: older scripts call it without `new`.
  function Buffer (value, encodingOrOffset, length) {
    if (typeof value !== 'number') return from(value, encodingOrOffset, length)
    if (typeof encodingOrOffset === 'string') throw wrongType('the first argument', 'a text where an encoding follows')
    return alloc(value)
  }
  const functions = {
    from,
    alloc,
    allocUnsafe: function (size) { return alloc(size) },
    allocUnsafeSlow: function (size) { return alloc(size) },
    of (...items) { return fromList(items) },
    isBuffer (value) { return apply(hasInstance, FastBuffer, [value]) },
    isEncoding (encoding) { return typeof encoding === 'string' && encoding !== '' && known(encoding) !== undefined },
    compare (one, other) { return one === other && isBytes(one) ? 0 : compare(one, other) },
    byteLength (value, encoding) {
      if (typeof value === 'string') return sizeOf(value, encoding ? known(encoding) : undefined)
      if (host.isBuffer(value)) return apply(language.bufferLength, value, [])
      if (isView(value)) return value.byteLength
      throw wrongType('the first argument', 'a text or bytes')
    },
    concat (list, length) {
      if (!isArray(list)) throw wrongType('the list', 'an array of bytes')
      const count = list.length
      let size = 0
      for (let at = 0; at < count; at++) if (isBytes(list[at])) size += lengthOf(list[at])
      const joined = make(length === undefined ? size : whole('the length', length, 0, LENGTH_MAX))
      let room = lengthOf(joined)
      let start = 0
      for (let at = 0; at < count; at++) {
        const part = list[at]
        if (!isBytes(part)) throw wrongType('each item of the list', 'bytes')
        const taken = lengthOf(part) < room ? lengthOf(part) : room
        apply(typedSet, joined, [plain(part, 0, taken), start])
        start += taken
        room -= taken
      }
      return joined
    },
    copyBytesFrom (view, offset = 0, length = undefined) {
      if (!isTyped(view)) throw wrongType('the view', 'a typed array')
      const most = lengthOf(view)
      const start = whole('the offset', offset, 0, LENGTH_MAX)
      if (start >= most) return make(0)
      const count = length === undefined ? most : whole('the length', length, 0, LENGTH_MAX)
      if (count === 0) return make(0)
      const size = apply(typedBytes, view, []) / most
      const taken = count < most - start ? count : most - start
      return fromTyped(plain(view, start * size, taken * size))
    }
  }
  setPrototypeOf(Buffer, Uint8Array)
  const own = language.ownKeys(functions)
  for (let at = 0; at < own.length; at++) hide(Buffer, own[at], { value: functions[own[at]], writable: true, configurable: true })
  hide(Buffer, 'poolSize', { value: 8192, writable: true, configurable: true })
  hide(Buffer, 'prototype', { value: FastBuffer.prototype, writable: false })
  give('constructor', Buffer)
  return { __proto__: null, Buffer, over (content) { return construct(Uint8Array, [content], FastBuffer) } }
})

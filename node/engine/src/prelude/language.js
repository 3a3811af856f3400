// The language as it was before any script: for the globals that are made at their first use, when a script may have changed
// what it finds.
(function (global) {
  'use strict'
  const { Array, ArrayBuffer, BigInt, Boolean, DataView, Date, Error, Map, Number, Object, Promise, Reflect, RegExp, Set, String, Symbol, Uint8Array, WeakSet } = global
  // Runs before any script: what is used here and now cannot have been changed.
  const { apply, construct, defineProperty, getOwnPropertyDescriptor, getPrototypeOf, ownKeys, setPrototypeOf } = Reflect
  const getter = (object, name) => getOwnPropertyDescriptor(object, name).get
  const typed = getPrototypeOf(Uint8Array).prototype
  const { isView } = ArrayBuffer
  const isTyped = getter(typed, Symbol.toStringTag)

  const views = { __proto__: null }
  for (const name of ['Int8Array', 'Uint8Array', 'Uint8ClampedArray', 'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array', 'BigInt64Array',
    'BigUint64Array', 'Float16Array', 'Float32Array', 'Float64Array', 'DataView']) views[name] = global[name]
  const errors = { __proto__: null }
  for (const name of ['Error', 'EvalError', 'RangeError', 'ReferenceError', 'SyntaxError', 'TypeError', 'URIError']) errors[name] = global[name]

  const viewNumbers = { __proto__: null }
  const kinds = { UInt8: 'Uint8', UInt16: 'Uint16', UInt32: 'Uint32', Int8: 'Int8', Int16: 'Int16', Int32: 'Int32', Float: 'Float32', Double: 'Float64', BigInt64: 'BigInt64', BigUInt64: 'BigUint64' }
  for (const kind of ownKeys(kinds)) viewNumbers[kind] = { get: DataView.prototype['get' + kinds[kind]], set: DataView.prototype['set' + kinds[kind]] }

  const regexpFlags = { __proto__: null }
  const flags = { d: 'hasIndices', g: 'global', i: 'ignoreCase', m: 'multiline', s: 'dotAll', u: 'unicode', v: 'unicodeSets', y: 'sticky' }
  for (const flag of ownKeys(flags)) regexpFlags[flag] = getter(RegExp.prototype, flags[flag])

  return {
    __proto__: null, apply, construct, defineProperty, getOwnPropertyDescriptor, getPrototypeOf, ownKeys, setPrototypeOf, views, errors,
    ArrayBuffer, BigInt, Boolean, DOMException: global.DOMException, DataView, Date, Map, Number, Object, Promise, RangeError: global.RangeError, RegExp,
    Set, String, TypeError: global.TypeError, Uint8Array, WeakSet,
    isView, isArray: Array.isArray, hasInstance: Function.prototype[Symbol.hasInstance],
    arrayPush: Array.prototype.push, arraySort: Array.prototype.sort,
    bufferLength: getter(ArrayBuffer.prototype, 'byteLength'), bufferMax: getter(ArrayBuffer.prototype, 'maxByteLength'),
    bufferResizable: getter(ArrayBuffer.prototype, 'resizable'), bufferTransfer: ArrayBuffer.prototype.transfer, bufferDetached: getter(ArrayBuffer.prototype, 'detached'),
    typedBuffer: getter(typed, 'buffer'), typedOffset: getter(typed, 'byteOffset'), typedBytes: getter(typed, 'byteLength'), typedLength: getter(typed, 'length'),
    typedName: isTyped, typedSet: typed.set, typedFill: typed.fill, typedCopyWithin: typed.copyWithin, viewNumbers,
    viewBuffer: getter(DataView.prototype, 'buffer'), viewOffset: getter(DataView.prototype, 'byteOffset'), viewBytes: getter(DataView.prototype, 'byteLength'),
    mapGet: Map.prototype.get, mapSet: Map.prototype.set, mapHas: Map.prototype.has, mapEntries: Map.prototype.entries,
    mapNext: getPrototypeOf(new Map().entries()).next, setAdd: Set.prototype.add, setValues: Set.prototype.values,
    setNext: getPrototypeOf(new Set().values()).next,
    dateTime: Date.prototype.getTime, freeze: Object.freeze, regexpSource: getter(RegExp.prototype, 'source'), regexpFlags,
    booleanOf: Boolean.prototype.valueOf, numberOf: Number.prototype.valueOf, stringOf: String.prototype.valueOf, bigintOf: BigInt.prototype.valueOf,
    charCodeAt: String.prototype.charCodeAt, fromCharCode: String.fromCharCode, slice: String.prototype.slice, toWellFormed: String.prototype.toWellFormed, toLowerCase: String.prototype.toLowerCase, toUpperCase: String.prototype.toUpperCase,
    iteratorPrototype: getPrototypeOf(getPrototypeOf([][Symbol.iterator]())), iterator: Symbol.iterator, toPrimitive: Symbol.toPrimitive, toStringTag: Symbol.toStringTag,
    setTimeout: global.setTimeout, isPrototypeOf: Object.prototype.isPrototypeOf
  }
})

// Calls built-ins with odd operands and writes down all that a script can see of it: traps, getters, results, errors.
(function (global, places, seed, rounds) {
  const { Proxy, Reflect, Object, Array, Symbol } = global
  let state = seed
  const random = (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor(state / 4294967296 * below)
  }
  const pick = (list) => list[random(list.length)]

  let log = []
  let silent = false
  const note = (text) => { if (!silent) log.push(text) }
  const name = (key) => typeof key === 'symbol' ? key.toString() : key

  const names = new Map()
  const show = (value, depth = 0) => {
    const kind = typeof value
    if (kind === 'string') return value.length > 60 ? `"${value.slice(0, 60)}"...${value.length}` : JSON.stringify(value)
    if (kind === 'number') return Object.is(value, -0) ? '-0' : `${value}`
    if (kind === 'bigint') return `${value.toString(16).slice(0, 40)}n`
    if (kind === 'symbol') return value.toString()
    if (value === null || kind === 'undefined' || kind === 'boolean') return `${value}`
    if (names.has(value)) return names.get(value)
    if (kind === 'function') return `function ${value.name}`
    if (value instanceof Error) return `${value.name}: ${value.message}`
    if (value instanceof RegExp) return `${value} at ${value.lastIndex}`
    if (depth > 2) return 'deep'
    const parts = []
    const keys = Reflect.ownKeys(value)
    for (const key of keys.slice(0, 20)) {
      const { value: held, get, writable, enumerable, configurable } = Reflect.getOwnPropertyDescriptor(value, key)
      const flags = `${writable ? 'w' : ''}${enumerable ? 'e' : ''}${configurable ? 'c' : ''}`
      parts.push(`${name(key)}/${flags}:${get === undefined ? show(held, depth + 1) : 'getter'}`)
    }
    const prototype = Object.getPrototypeOf(value)
    const made = prototype === null ? 'null' : (prototype.constructor?.name ?? '?')
    return `${Array.isArray(value) ? 'array' : 'object'} ${made}{${parts.join(', ')}}${keys.length}`
  }

  const traps = {}
  for (const trap of Reflect.ownKeys(Reflect)) {
    if (typeof trap !== 'string') continue
    traps[trap] = (target, ...rest) => {
      note(`${trap} ${rest.slice(0, trap === 'get' ? 1 : rest.length).map((part) => part === spy.last ? 'proxy' : show(part, 1)).join(' ')}`)
      return Reflect[trap](target, ...rest)
    }
  }
  const spy = (target) => { spy.last = new Proxy(target, traps); return spy.last }

  const watched = (label, result) => ({
    valueOf () { note(`${label}.valueOf`); return result },
    toString () { note(`${label}.toString`); return typeof result === 'object' ? 'o' : `${String(result)}` }
  })
  const throwing = () => ({ valueOf () { note('throws'); throw new RangeError('mine') }, toString () { note('throws'); throw new RangeError('mine') } })
  class Sub extends Array {
    static get [Symbol.species] () { note('species'); return pick.species ?? Array }
  }
  const holey = () => { const list = [1, , 'b', , undefined, null]; if (random(2)) list.length = 8; return list }
  const long = 'abcabcabd'.repeat(40)

  const texts = ['', 'a', 'abcabcabd', '  x ', 'ß\u0130ΑΣ', '\ud800x', 'e\u0301\u0323', '%41%u0041', '1e3', '0x1f', '[1,{"a":2}]', 'aGk=',
    '12345678901234567890', long, 'a|b(c)', '(', 'NFD', 'g', 'x'.repeat(300) + 'é',
    // Long enough for the search that takes the place of the engine's.
    'abcabcabd'.repeat(140), 'abcabcabd'.repeat(140) + 'é' + 'abcabcabd'.repeat(20), 'bcabcabda'.repeat(12), 'abcabcabd'.repeat(15) + 'x']
  const numbers = [0, -0, 1, 2, 3, -1, -2, 2.5, -1.5, NaN, Infinity, -Infinity, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 53), 7, 20]
  const lists = [
    () => [], () => [3, 1, 2], () => ['b', 'a', 'c', 'a'], () => [1, [2, [3]], [], [[]]], holey, () => [undefined, 3, , 'x', 10, 9],
    () => Sub.from([3, 2, 1]), () => Object.freeze([2, 1]), () => Object.seal([2, 1]),
    () => Object.defineProperty([2, 1, 3], 'length', { writable: false }),
    () => Object.defineProperty([2, 1, 3], 1, { get () { note('getter'); return 'g' }, set (value) { note(`set ${show(value)}`) } }),
    () => { const list = [3, 1]; list.constructor = { [Symbol.species]: function Made (length) { note(`made ${length}`); return spy({}) } }; return list },
    () => { const list = [3, 1]; list.constructor = pick([undefined, null, 5, { [Symbol.species]: null }, { [Symbol.species]: 4 }, Object]); return list },
    () => { const list = [1, 2]; list[Symbol.isConcatSpreadable] = pick([false, true, undefined, 0]); return list },
    () => Object.setPrototypeOf([1, , 3], spy(Array.prototype)), () => Object.setPrototypeOf([1, , 3], { 1: 'inherited', __proto__: Array.prototype }),
    () => Object.setPrototypeOf([2, 1], null), () => [watched('p', 2), watched('q', 1), 'z', 5n], () => [Symbol('s'), 1], () => [throwing(), 1],
    () => spy([3, 1, 2]), () => spy(holey()), () => spy(spy([2, 1])), () => spy({ length: 3, 0: 'x', 2: 'z' }), () => new Proxy([4, 3], {}),
    () => { const { proxy, revoke } = Proxy.revocable([], {}); revoke(); return proxy }
  ]
  const objects = [
    () => ({ length: 3, 0: 'c', 1: 'a', 2: 'b' }), () => ({ length: 4, 3: 'only' }), () => ({}), () => ({ length: '2', 0: 1, 1: 0 }), () => ({ length: -5, 0: 1 }),
    () => ({ get length () { note('length'); return 3 }, 0: 1, 1: 2 }), () => ({ length: watched('length', 2), 0: 2, 1: 1 }), () => ({ length: 5n }),
    () => ({ length: NaN }), () => ({ length: throwing() }), () => Object.freeze({ length: 2, 0: 1, 1: 2 }), () => Object.create([5, 4, 3]),
    () => (function () { return arguments })(3, 1, 2), () => (function () { 'use strict'; return arguments })(3, 1), () => new String('bac'), () => new Number(4),
    () => ({ length: 2, 0: 'y', [Symbol.isConcatSpreadable]: true }), () => ({ length: 1, get 0 () { note('zero'); return 'q' } }), () => Object(7n),
    () => new Uint8Array([3, 1, 2]), () => new Float64Array([NaN, -0, 1.5]), () => new BigInt64Array(2), () => new (class extends Int16Array {})(3),
    () => { const array = new Uint8Array(4); array.buffer.transfer(); return array }, () => new Uint16Array(new ArrayBuffer(4, { maxByteLength: 8 })),
    () => new ArrayBuffer(8, { maxByteLength: 16 }), () => new ArrayBuffer(4), () => new Map([['a', 1], ['b', 2]]), () => new Set(['a', 1]),
    () => [1, 2][Symbol.iterator](), () => 'ab'[Symbol.iterator](), () => new Map([[1, 2]]).entries(), () => (function* () { yield 1; yield 'x' })(),
    () => Object.create(new Uint8Array(2)), () => ({ raw: ['x', 'y'] }), () => ({ raw: { length: 2, 0: watched('raw', 'r') } }), () => ({ raw: spy(['m', 'n']) }), () => ({ raw: null })
  ]
  const patterns = [
    () => /a/g, () => /b|(c)/, () => /[a-c]+/y, () => /(?:)/g, () => /(?<n>.)/gu, () => spy(/a/g), () => Object.assign(/a/g, { [Symbol.match]: false }),
    () => Object.assign(/a/, { [Symbol.split]: undefined, [Symbol.replace]: null }), () => ({ [Symbol.split]: (...parts) => `split ${parts.map((part) => show(part))}` }),
    () => ({ [Symbol.replace] (...parts) { return `replaced ${parts.map((part) => show(part))}` } }), () => ({ [Symbol.split]: 5, [Symbol.replace]: 'no', [Symbol.match]: 0 }),
    () => ({ get [Symbol.split] () { note('split'); return undefined }, get [Symbol.replace] () { note('replace'); return null }, toString () { note('text'); return 'b' } }),
    () => ({ [Symbol.match]: true, get source () { note('source'); return watched('source', 'b') }, get flags () { note('flags'); return pick(['g', '', watched('flags', 'i'), undefined]) }, get constructor () { note('constructor'); return RegExp } }),
    () => ({ [Symbol.match]: true, flags: 'g', source: 'a', toString () { return 'a' } })
  ]
  const functions = [() => (a, b) => { note(`compare ${show(a, 1)} ${show(b, 1)}`); return a < b ? -1 : a > b ? 1 : 0 }, () => { let left = 20; return (a) => { note(`map ${show(a, 1)}`); return left-- > 0 ? [a, [a]] : a } },
    () => () => { throw new SyntaxError('thrown') }, () => () => watched('answer', -1), () => (...parts) => parts.length, () => spy(function () { return 'f' })]
  const others = [() => watched('object', pick([0, 1, 2, -1, 'a', 'b', 3n, NaN])), throwing, () => ({ toString: null, valueOf: null }), () => ({ [Symbol.toPrimitive]: (hint) => { note(hint); return pick([1, 'a', {}, 2n]) } }),
    () => ({ __proto__: null }), () => Symbol('symbol'), () => 5n, () => -(2n ** 70n), () => true, () => null, () => undefined, () => new Date(5), () => globalThis.JSON, () => ({ toString () { note('long'); return long } })]
  const operand = () => {
    const kind = random(20)
    if (kind < 5) return pick(texts)
    if (kind < 9) return pick(numbers)
    if (kind < 12) return pick(lists)()
    if (kind < 14) return pick(objects)()
    if (kind < 16) return pick(patterns)()
    if (kind < 18) return pick(functions)()
    return pick(others)()
  }
  const receiver = (place) => {
    const kind = random(10)
    if (kind === 0) return operand()
    if (place.startsWith('String.prototype')) return kind < 7 ? pick(texts) : pick(others)()
    if (place.startsWith('Array.prototype')) return kind < 6 ? pick(lists)() : kind < 9 ? pick(objects)() : pick(texts)
    if (place.includes('RegExp')) return pick(patterns)()
    return pick(objects)()
  }

  const lines = []
  const places_ = places.map((place) => [place, (0, global.eval)(place)])
  for (let round = 0; round < rounds; round++) {
    const [place, callee] = pick(places_)
    log = []
    names.clear()
    const self = receiver(place)
    const args = []
    for (let count = random(4); count > 0; count--) args.push(operand())
    silent = true
    const before = `${place} on ${attempt(() => show(self))} with ${args.map((each) => attempt(() => show(each))).join('; ')}`
    silent = false
    if ((typeof self === 'object' && self !== null) || typeof self === 'function') names.set(self, 'this')
    const isNew = /^(RegExp|\w*Array|String|BigInt)$/.test(place) && random(2) === 0
    const target = pick([callee, class Target extends Object {}, spy(class Other {})])
    let result
    try {
      result = isNew ? Reflect.construct(callee, args, target) : Reflect.apply(callee, self, args)
    } catch (error) {
      result = error
      note('threw')
    }
    silent = true
    names.delete(self)
    const after = attempt(() => show(self))
    const same = result === self ? ' this' : ''
    lines.push(`${before}\n    ${log.join(', ')}\n    gives ${attempt(() => show(result))}${same}\n    left ${after} ${args.map((each) => attempt(() => show(each))).join('; ')}`)
    silent = false
  }
  function attempt (get) {
    try { return get() } catch (error) { return `! ${error?.message}` }
  }
  return lines
})

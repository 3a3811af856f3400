// Every recursion of the engine. A line of `counting` calls itself through `down` until it overflows; a line of `nesting` goes so
// deep into what it has made for this call. `exports.depth` says how far each comes, and how that ends.

let count = 0
const down = (next) => { count++; return next() }
const times = (n, text) => text.repeat(n)
const chain = (n, start, link) => { let value = start; for (let i = 0; i < n; i++) value = link(value); return value }
const source = (text) => new Function(text)
const pattern = (text, flags) => new RegExp(text, flags)
const trap = (name, use) => { const proxy = new Proxy(function () {}, { [name]: () => down(() => use(proxy)) }); return () => use(proxy) }
const through = (use) => (n) => use(chain(n, function () {}, target => new Proxy(target, {})))

const counting = {
  'arrow function': () => { const f = () => down(f); f() },
  'plain function': () => { function f () { count++; f() } f() },
  'arguments': () => { function f (a, b, c) { count++; f(a + 1, b, c) } f(1, 2, 3) },
  'missing arguments': () => { function f (a, b, c, d, e, g) { count++; f() } f() },
  'many arguments': () => { const f = (...a) => { count++; f(...a) }; f(...Array(100).fill(1)) },
  'method': () => { const o = { f () { count++; this.f() } }; o.f() },
  'closure': () => { const f = (a) => { const b = () => a; count++; f(b) }; f(1) },
  'catch': () => { const f = () => { try { count++; f() } catch (e) { throw e } }; f() },
  'finally': () => { const f = () => { try { count++; f() } finally { count += 0 } }; f() },
  'switch': () => { const f = (a) => { switch (a) { case 1: count++; f(1) } }; f(1) },
  'getter': () => { const o = { get a () { count++; return o.a } }; o.a },
  'setter': () => { const o = { set a (v) { count++; o.a = v } }; o.a = 1 },
  'toString': () => { const o = { toString: () => down(() => `${o}`) }; `${o}` },
  'valueOf': () => { const o = { valueOf: () => down(() => +o) }; +o },
  'toPrimitive': () => { const o = { [Symbol.toPrimitive]: () => down(() => o + 1) }; o + 1 },
  'property key': () => { const o = { toString: () => down(() => ({})[o]) }; ({})[o] },
  'comparison': () => { const o = { valueOf: () => down(() => o < 1) }; o < 1 },
  'call': () => { const f = () => down(() => f.call()); f() },
  'apply': () => { const f = () => down(() => f.apply(null, [1, 2])); f() },
  'Reflect.apply': () => { const f = () => down(() => Reflect.apply(f, null, [])); f() },
  'Reflect.construct': () => { const f = function () { down(() => Reflect.construct(f, [])) }; f() },
  'bind': () => { const f = () => down(() => f.bind(null, 1, 2)()); f() },
  'constructor': () => { function F () { count++; new F() } new F() },
  'class': () => { class A { constructor () { count++; new A() } } new A() },
  'derived class': () => { class A { constructor () { count++; new B() } } class B extends A {} new B() },
  'derived constructor': () => { class A {} class B extends A { constructor () { count++; new B(); super() } } new B() },
  'class field': () => { class A { a = down(() => new A()) } new A() },
  'static block': () => { const f = () => class { static { down(f) } }; f() },
  'private method': () => { class A { #f () { count++; this.#f() } g () { this.#f() } } new A().g() },
  'super': () => { const a = { f () { count++; b.f() } }; const b = { __proto__: a, f () { super.f() } }; b.f() },
  'new.target': () => { function F () { count++; new new.target() } new F() },
  'sort': () => { const f = () => down(() => [2, 1].sort(f)); f() },
  'toSorted': () => { const f = () => down(() => [2, 1].toSorted(f)); f() },
  'sort of a typed array': () => { const f = () => down(() => new Int8Array([2, 1]).sort(f)); f() },
  'map': () => { const f = () => down(() => [1].map(f)); f() },
  'forEach': () => { const f = () => down(() => [1].forEach(f)); f() },
  'reduce': () => { const f = () => down(() => [1, 2].reduce(f)); f() },
  'find': () => { const f = () => down(() => [1].find(f)); f() },
  'flatMap': () => { const f = () => down(() => [1].flatMap(f)); f() },
  'Array.from': () => { const f = () => down(() => Array.from([1], f)); f() },
  'Array.fromAsync': () => { const f = () => down(() => Array.fromAsync({ get length () { return f() } })); f() },
  'typed map': () => { const f = () => down(() => new Int8Array(1).map(f)); f() },
  'Map.forEach': () => { const f = () => down(() => new Map([[1, 1]]).forEach(f)); f() },
  'Set.forEach': () => { const f = () => down(() => new Set([1]).forEach(f)); f() },
  'groupBy': () => { const f = () => down(() => Object.groupBy([1], f)); f() },
  'set operation': () => { const o = { size: 1, has: () => down(() => new Set([1]).intersection(o)), keys: () => [].values() }; new Set([1]).intersection(o) },
  'replace': () => { const f = () => down(() => 'a'.replace('a', f)); f() },
  'replace by pattern': () => { const f = () => down(() => 'a'.replace(/a/, f)); f() },
  'Symbol.replace': () => { const o = { [Symbol.replace]: () => down(() => 'a'.replace(o)) }; 'a'.replace(o) },
  'Symbol.split': () => { const o = { [Symbol.split]: () => down(() => 'a'.split(o)) }; 'a'.split(o) },
  'exec of a pattern': () => { const r = /a/; r.exec = () => down(() => r.test('a')); r.test('a') },
  'toJSON': () => { const o = { toJSON: () => down(() => JSON.stringify(o)) }; JSON.stringify(o) },
  'replacer': () => { const f = () => down(() => JSON.stringify(1, f)); f() },
  'reviver': () => { const f = () => down(() => JSON.parse('1', f)); f() },
  'iteration': () => { const o = { [Symbol.iterator]: () => down(() => [...o]) }; [...o] },
  'next': () => { const o = { [Symbol.iterator]: () => o, next: () => down(() => [...o]) }; [...o] },
  'for of': () => { const o = { [Symbol.iterator]: () => { count++; for (const x of o) return x } }; for (const x of o) return x },
  'destructuring': () => { const f = () => { count++; const [a = f()] = []; return a }; f() },
  'destructuring a getter': () => { const o = { get a () { count++; const { a } = o; return a } }; o.a },
  'default argument': () => { const f = (a = down(f)) => a; f() },
  'spread': () => { const f = () => down(() => [...[1].map(f)]); f() },
  'spread of a generator': () => { function * f () { count++; yield [...f()] } [...f()] },
  'yield*': () => { function * f () { count++; yield * f() } f().next() },
  'generator': () => { function * f () { count++; f().next() } f().next() },
  'async function': () => { let error; async function f () { count++; try { await f() } catch (e) { error ??= e; throw e } } f().catch(() => {}); throw error ?? new RangeError('none') },
  'async generator': () => { async function * f () { count++; f().next().catch(() => {}) } f().next().catch(() => {}); throw new RangeError('none') },
  'promise': () => { const f = () => new Promise(() => down(f)); f(); throw new RangeError('none') },
  'thenable': () => { const o = { get then () { return down(() => Promise.resolve(1) && new Promise(r => r(o))) } }; new Promise(r => r(o)); throw new RangeError('none') },
  'direct eval': () => { const f = () => { count++; eval('f()') }; f() },
  'indirect eval': () => { globalThis.deep = () => { count++; (0, eval)('deep()') }; globalThis.deep() },
  'Function': () => { globalThis.deep = () => { count++; Function('deep()')() }; globalThis.deep() },
  'tagged template': () => { const f = () => { count++; f`a${1}b` }; f() },
  'template': () => { const f = () => `${down(f)}`; f() },
  'optional chain': () => { const o = { f: () => { count++; return o?.f?.() } }; o.f() },
  'with': () => { globalThis.deep = new Proxy({}, { has: () => down(globalThis.within) }); globalThis.within = Function('with (deep) { a }'); globalThis.within() },
  'instanceof': () => { const o = { [Symbol.hasInstance]: () => down(() => 1 instanceof o) }; 1 instanceof o },
  'species': () => { class A extends Array { static get [Symbol.species] () { return down(() => (new A(1).map(x => x), Array)) } } new A(1).map(x => x) },
  'concat': () => { const o = { get [Symbol.isConcatSpreadable] () { return down(() => [].concat(o)) } }; [].concat(o) },
  'length': () => { const o = { get length () { return down(() => Array.prototype.slice.call(o)) } }; Array.prototype.slice.call(o) },
  'join': () => { const o = { toString: () => down(() => [o].join()) }; [o].join() },
  'Object.assign': () => { const o = { get a () { return down(() => Object.assign({}, o)) } }; Object.assign({}, o) },
  'Object.entries': () => { const o = { get a () { return down(() => Object.entries(o)) } }; Object.entries(o) },
  'Date': () => { const o = { valueOf: () => down(() => new Date(o)) }; new Date(o) },
  'Math.max': () => { const o = { valueOf: () => down(() => Math.max(o)) }; Math.max(o) },
  'BigInt': () => { const o = { valueOf: () => down(() => BigInt(o)) }; BigInt(o) },
  'String.raw': () => { const o = { get raw () { return down(() => String.raw(o)) } }; String.raw(o) },
  'Error': () => { const o = { toString: () => down(() => new Error(o)) }; new Error(o) },
  'iterator helper': () => { const f = () => down(() => [1].values().map(f).next()); f() },
  'Iterator.from': () => { const o = { get next () { return down(() => Iterator.from(o)) } }; Iterator.from(o) },
  'defineProperty': () => { const o = { get value () { return down(() => Object.defineProperty({}, 'a', o)) } }; Object.defineProperty({}, 'a', o) },
  'trap apply': trap('apply', p => p()),
  'trap construct': trap('construct', p => new p()),
  'trap get': trap('get', p => p.a),
  'trap set': trap('set', p => { p.a = 1 }),
  'trap has': trap('has', p => 'a' in p),
  'trap deleteProperty': trap('deleteProperty', p => delete p.a),
  'trap ownKeys': trap('ownKeys', p => Reflect.ownKeys(p)),
  'trap getOwnPropertyDescriptor': trap('getOwnPropertyDescriptor', p => Object.getOwnPropertyDescriptor(p, 'a')),
  'trap defineProperty': trap('defineProperty', p => Object.defineProperty(p, 'a', { value: 1 })),
  'trap getPrototypeOf': trap('getPrototypeOf', p => Object.getPrototypeOf(p)),
  'trap setPrototypeOf': trap('setPrototypeOf', p => Object.setPrototypeOf(p, null)),
  'trap isExtensible': trap('isExtensible', p => Object.isExtensible(p)),
  'trap preventExtensions': trap('preventExtensions', p => Object.preventExtensions(p)),
}
for (let n = 0; n < 64; n++) {
  const names = Array.from({ length: n }, (_, i) => 'v' + i).join()
  counting[`${n} variables`] = new Function('tick', `const f = () => { ${names && `var ${names};`} tick(); f() }; f()`).bind(null, () => { count++ })
}

const nesting = {
  'JSON.parse of arrays': n => JSON.parse(times(n, '[') + times(n, ']')),
  'JSON.parse of objects': n => JSON.parse(times(n, '{"a":') + '1' + times(n, '}')),
  'JSON.parse with a reviver': n => JSON.parse(times(n, '[') + times(n, ']'), (_, v) => v),
  'JSON.stringify of arrays': n => JSON.stringify(chain(n, 1, v => [v])),
  'JSON.stringify of objects': n => JSON.stringify(chain(n, 1, a => ({ a }))),
  'JSON.stringify with a replacer': n => JSON.stringify(chain(n, 1, v => [v]), (_, v) => v),
  'JSON.stringify with spaces': n => JSON.stringify(chain(n, 1, a => ({ a })), null, 0),
  'array to text': n => String(chain(n, 1, v => [v])),
  'array to number': n => +chain(n, 1, v => [v]),
  'flat': n => chain(n, 1, v => [v]).flat(Infinity),
  'bound functions': n => chain(n, () => 1, f => f.bind())(),
  'bound functions with arguments': n => chain(n, () => 1, f => f.bind(null, 1, 2))(),
  'bound constructors': n => new (chain(n, function () {}, f => f.bind()))(),
  'instanceof bound functions': n => ({}) instanceof chain(n, function () {}, f => f.bind()),
  'generators in generators': n => { function * f (n) { if (n) yield * f(n - 1); else yield 1 } return [...f(n)] },
  'iterators by map': n => chain(n, [1].values(), it => it.map(x => x)).next(),
  'iterators by filter': n => chain(n, [1].values(), it => it.filter(x => x)).next(),
  'iterators by take': n => chain(n, [1].values(), it => it.take(5)).next(),
  'iterators by drop': n => chain(n, [1, 2].values(), it => it.drop(0)).next(),
  'iterators by flatMap': n => chain(n, [1].values(), it => it.flatMap(x => [x])).next(),
  'iterators returned': n => chain(n, [1].values(), it => it.take(5)).return(),
  'iterators by concat': n => chain(n, [1], it => Iterator.concat(it)).next(),
  'iterators wrapped': n => chain(n, { next: () => ({ done: true }) }, it => ({ __proto__: Iterator.from({ next: it.next.bind(it) }) })),
  'proxies get': through(p => p.a),
  'proxies set': through(p => { p.a = 1 }),
  'proxies has': through(p => 'a' in p),
  'proxies delete': through(p => delete p.a),
  'proxies call': through(p => p()),
  'proxies new': through(p => new p()),
  'proxies keys': through(p => Object.keys(p)),
  'proxies define': through(p => Object.defineProperty(p, 'a', { value: 1, configurable: true })),
  'proxies describe': through(p => Object.getOwnPropertyDescriptor(p, 'prototype')),
  'proxies getPrototypeOf': through(p => Object.getPrototypeOf(p)),
  'proxies setPrototypeOf': through(p => Object.setPrototypeOf(p, null)),
  'proxies isExtensible': through(p => Object.isExtensible(p)),
  'proxies preventExtensions': through(p => Object.preventExtensions(p)),
  'proxies freeze': through(p => Object.freeze(p)),
  'proxies isArray': n => Array.isArray(chain(n, [], target => new Proxy(target, {}))),
  'proxies instanceof': through(p => ({}) instanceof p),
  'proxies for in': through(p => { for (const k in p) return k }),
  'proxies spread': through(p => ({ ...p })),
  'proxies as prototypes': n => chain(n, {}, target => Object.create(new Proxy(target, {}))).a,
  'prototypes': n => chain(n, {}, target => Object.create(target)).a,
  'text of texts': n => chain(n, 'a', text => 'b' + text + 'c').length && chain(n, 'a', text => 'b' + text).charCodeAt(n),
  'list given back': n => { chain(n, null, next => ({ next })); return 1 },
  'closures given back': n => { chain(n, null, next => () => next); return 1 },
  'promises given back': n => { chain(n, Promise.resolve(), p => p.then(() => {})); return 1 },
  'generators given back': n => { function * f (next) { yield next } chain(n, null, next => { const g = f(next); g.next(); return g }); return 1 },
  'groups': n => pattern(times(n, '(') + times(n, ')')),
  'groups without capture': n => pattern(times(n, '(?:') + 'a' + times(n, ')*')),
  'lookaheads': n => pattern(times(n, '(?=') + times(n, ')')),
  'lookbehinds': n => pattern(times(n, '(?<=') + times(n, ')')),
  'alternatives in groups': n => pattern(times(n, '(a|') + times(n, ')')),
  'matching groups': n => pattern(times(n, '(?:') + 'a' + times(n, ')')).test('a'),
  'matching a long way back': n => /^(?:a|b)*c/.test(times(n, 'a')),
  'classes in classes': n => pattern(times(n, '[') + times(n, ']'), 'v'),
  'strings in classes': n => pattern(times(n, '[\\q{a}') + times(n, ']'), 'v'),
  'parentheses': n => source(times(n, '(') + '1' + times(n, ')')),
  'array literals': n => source(times(n, '[') + times(n, ']')),
  'object literals': n => source('return ' + times(n, '{a:') + '1' + times(n, '}')),
  'blocks': n => source(times(n, '{') + times(n, '}')),
  'arrow functions': n => source(times(n, '()=>') + '1'),
  'async arrow functions': n => source(times(n, 'async()=>') + '1'),
  'function expressions': n => source('(' + times(n, 'function(){return ') + '1' + times(n, '}') + ')'),
  'function declarations': n => source(times(n, 'function f(){') + times(n, '}')),
  'functions that reach out': n => source('let x;' + times(n, 'function f(){') + 'x' + times(n, '}')),
  'default arguments in source': n => source(times(n, '(a=') + '1' + times(n, ')=>1')),
  'class expressions': n => source('(' + times(n, 'class{a=') + '1' + times(n, '}') + ')'),
  'class heritage': n => source('(' + times(n, 'class extends ') + 'A' + times(n, '{}') + ')'),
  'class methods': n => source(times(n, 'class A{f(){') + times(n, '}}')),
  'static blocks in source': n => source(times(n, 'class A{static{') + times(n, '}}')),
  'computed names': n => source('(' + times(n, '{[') + '1' + times(n, ']:1}') + ')'),
  'getters in source': n => source('(' + times(n, '{get a(){return ') + '1' + times(n, '}}') + ')'),
  'negations': n => source(times(n, '!') + '1'),
  'minus signs': n => source(times(n, '- ') + '1'),
  'typeof': n => source(times(n, 'typeof ') + '1'),
  'delete': n => source(times(n, 'delete ') + '1'),
  'void': n => source(times(n, 'void ') + '1'),
  'new': n => source(times(n, 'new ') + 'A'),
  'await': n => new (async () => {}).constructor(times(n, 'await ') + '1'),
  'yield': n => new (function * () {}).constructor(times(n, 'yield ') + '1'),
  'conditions': n => source(times(n, '1?') + '1' + times(n, ':1')),
  'conditions to the right': n => source(times(n, '1?1:') + '1'),
  'assignments': n => source('let a;' + times(n, 'a=') + '1'),
  'powers': n => source(times(n, '1**') + '1'),
  'sums': n => source(times(n, '1+') + '1'),
  'commas': n => source(times(n, '1,') + '1'),
  'nullish': n => source(times(n, '1??') + '1'),
  'calls in calls': n => source(times(n, 'a(') + times(n, ')')),
  'calls of calls': n => source('a' + times(n, '()')),
  'members': n => source('a' + times(n, '.a')),
  'computed members': n => source(times(n, 'a[') + '1' + times(n, ']')),
  'optional chains': n => source('a' + times(n, '?.a')),
  'optional chains in chains': n => source(times(n, 'a?.[') + '1' + times(n, ']')),
  'templates': n => source(times(n, '`${') + '1' + times(n, '}`')),
  'tagged templates': n => source('a' + times(n, '``')),
  'spreads': n => source(times(n, '[...') + '1' + times(n, ']')),
  'spreads in calls': n => source(times(n, 'a(...') + '1' + times(n, ')')),
  'array patterns': n => source('let ' + times(n, '[') + 'a' + times(n, ']') + '=1'),
  'object patterns': n => source('let ' + times(n, '{a:') + 'a' + times(n, '}') + '=1'),
  'patterns with defaults': n => source('let ' + times(n, '[a=') + '1' + times(n, ']') + '=1'),
  'patterns assigned': n => source('let a;(' + times(n, '[') + 'a' + times(n, ']') + '=1)'),
  'labels': n => source(Array.from({ length: n }, (_, i) => `l${i}:`).join('') + ';'),
  'ifs': n => source(times(n, 'if(1)') + ';'),
  'elses': n => source(times(n, 'if(1);else ') + ';'),
  'fors': n => source(times(n, 'for(;;)') + ';'),
  'for ins': n => source(times(n, 'for(var a in 1)') + ';'),
  'for ofs': n => source(times(n, 'for(var a of 1)') + ';'),
  'whiles': n => source(times(n, 'while(1)') + ';'),
  'dos': n => source(times(n, 'do ') + ';' + times(n, 'while(1);')),
  'tries': n => source(times(n, 'try{') + times(n, '}finally{}')),
  'catches': n => source(times(n, 'try{}catch(e){') + times(n, '}')),
  'switches': n => source(times(n, 'switch(1){case 1:') + times(n, '}')),
  'withs': n => source(times(n, 'with(1)') + ';'),
  'eval in eval': n => chain(n, '1', text => `eval(${JSON.stringify(text)})`.length < 1e5 ? `(0,eval)('1')` : text) && 1,
}

/** The most that a kind of nesting is tried with. */
const most = { 'groups': 250, 'alternatives in groups': 250, 'labels': 3000, 'text of texts': 3000, 'withs': 30000 }

const attempt = (f) => { try { f(); return null } catch (e) { return `${e.name}: ${e.message}` } }

/** How deep a kind comes with the stack at hand, and what ends it; from a guess, if there is one. */
const limit = (f, most) => {
  let [low, high, error] = [0, 64, null]
  while (high <= most && !(error = attempt(() => f(high)))) [low, high] = [high, high * 2]
  if (!error) return `${low} -`
  while (high - low > 1) {
    const middle = (low + high) >> 1, ended = attempt(() => f(middle))
    if (ended) [high, error] = [middle, ended]; else low = middle
  }
  return `${low} ${error}`
}

exports.kinds = () => [...Object.keys(counting), ...Object.keys(nesting)]
exports.nests = (kind) => kind in nesting
exports.depth = (kind) => {
  count = 0
  if (counting[kind]) {
    const error = attempt(counting[kind])
    return `${count} ${error}`
  }
  return limit(nesting[kind], most[kind] ?? 40_000)
}
/** Each depth about the limit, which must be told from that of `depth`. */
exports.around = (kind, depth, width) => {
  const results = []
  for (let n = Math.max(1, depth - width); n <= depth + width; n++) results.push(attempt(() => nesting[kind](n)))
  return results
}

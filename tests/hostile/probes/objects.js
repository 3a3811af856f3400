// keys of a wide object
const o = {}; for (let i = 0; i < 1e5; i++) o['k' + i] = 1; for (;;) Object.keys(o)

// keys that are numbers, in order
const o = {}; for (let i = 1e5; i > 0; i--) o[i * 1000] = 1; for (;;) Object.keys(o)

// a wide object in every way
const o = Object.fromEntries(Array.from({ length: 3e4 }, (_, i) => ['k' + i, i]))
for (;;) { Object.entries(o); Object.values(o); Object.assign({}, o); ({ ...o }); Object.getOwnPropertyDescriptors(o); for (const k in o); Reflect.ownKeys(o) }

// a wide object frozen
for (;;) { const o = Object.fromEntries(Array.from({ length: 3e4 }, (_, i) => ['k' + i, i])); Object.freeze(o); Object.isFrozen(o); Object.isSealed(o) }

// a wide array frozen
for (;;) { const a = Array(1e5).fill(0); Object.freeze(a); Object.isFrozen(a) }

// rest of a wide object
const o = Object.fromEntries(Array.from({ length: 3e4 }, (_, i) => ['k' + i, i])); for (;;) { const { k1, k2, ...rest } = o }

// defineProperties of a wide object
const o = Object.fromEntries(Array.from({ length: 3e4 }, (_, i) => ['k' + i, { value: i }])); for (;;) Object.defineProperties({}, o)

// names deleted and added
const o = {}; for (let i = 0; i < 1e4; i++) o['k' + i] = i; for (let i = 0; ; i++) { delete o['k' + i % 1e4]; o['k' + i % 1e4] = i }

// names in another order each time
for (let i = 0; ; i++) { const o = {}; for (let j = 0; j < 50; j++) o['k' + (i * 31 + j * 17) % 1000] = j }

// shapes of every kind
const kept = []; for (let i = 0; ; i++) { const o = {}; o['a' + i] = 1; o['b' + i] = 2; kept.push(o) }

// a long chain of prototypes
// stays: a lookup walks all prototypes or proxies in one piece: some 20 ns for each
let o = {}; for (let i = 0; i < 1e5; i++) o = Object.create(o); for (let i = 0; i < 1e4; i++) o.missing

// a long chain of prototypes, asked for a name
// stays: a lookup walks all prototypes or proxies in one piece: some 20 ns for each
let o = {}; for (let i = 0; i < 1e5; i++) o = Object.create(o); for (let i = 0; i < 1e4; i++) 'missing' in o

// a long chain of prototypes, set
// stays: a lookup walks all prototypes or proxies in one piece: some 20 ns for each
let o = {}; for (let i = 0; i < 1e5; i++) o = Object.create(o); for (let i = 0; i < 1e4; i++) { o.missing = 1; delete o.missing }

// a long chain of prototypes, walked
// stays: a lookup walks all prototypes or proxies in one piece: some 20 ns for each
let o = {}; for (let i = 0; i < 2000; i++) { o = Object.create(o); o['k' + i] = i } for (;;) for (const k in o);

// instanceof at the end of a long chain
// stays: a lookup walks all prototypes or proxies in one piece: some 20 ns for each
let o = {}; for (let i = 0; i < 1e5; i++) o = Object.create(o); class A {} for (let i = 0; i < 1e4; i++) o instanceof A

// isPrototypeOf at the end of a long chain
let o = {}; const a = {}; for (let i = 0; i < 1e5; i++) o = Object.create(o); for (let i = 0; i < 1e4; i++) a.isPrototypeOf(o)

// setPrototypeOf at the end of a long chain
// stays: a lookup walks all prototypes or proxies in one piece: some 20 ns for each
let o = {}; for (let i = 0; i < 1e5; i++) o = Object.create(o); const a = {}; for (let i = 0; i < 1e4; i++) { Object.setPrototypeOf(a, o); Object.setPrototypeOf(a, null) }

// toString of an object at the end of a long chain
// stays: a lookup walks all prototypes or proxies in one piece: some 20 ns for each
let o = {}; for (let i = 0; i < 1e5; i++) o = Object.create(o); for (let i = 0; i < 1e4; i++) Object.prototype.toString.call(o)

// a JSON text of an object at the end of a long chain
// stays: a lookup walks all prototypes or proxies in one piece: some 20 ns for each
let o = {}; for (let i = 0; i < 1e5; i++) o = Object.create(o); for (let i = 0; i < 1e4; i++) JSON.stringify(o)

// a promise made of an object at the end of a long chain
// stays: a lookup walks all prototypes or proxies in one piece: some 20 ns for each
let o = {}; for (let i = 0; i < 1e5; i++) o = Object.create(o); for (let i = 0; i < 1e4; i++) Promise.resolve(o).catch(() => {})

// a circle of prototypes through a proxy
const p = new Proxy({}, { getPrototypeOf: () => p }); Object.prototype.isPrototypeOf.call({}, p)

// instanceof in a circle of prototypes
const p = new Proxy({}, { getPrototypeOf: () => p }); p instanceof Array

// a proxy around proxies
let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); try { p.x } catch (e) { return e.name }

// a proxy around a thousand proxies
// stays: a lookup walks all prototypes or proxies in one piece: some 20 ns for each
let p = {}; for (let i = 0; i < 500; i++) p = new Proxy(p, {}); for (;;) try { p.x; p.y = 1; Reflect.ownKeys(p) } catch {}

// isArray of a proxy around proxies
// stays: a lookup walks all prototypes or proxies in one piece: some 20 ns for each
let p = []; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); for (let i = 0; i < 1e4; i++) try { Array.isArray(p) } catch {}

// a call of a proxy around proxies
let p = () => 1; for (let i = 0; i < 500; i++) p = new Proxy(p, {}); for (;;) try { p(); new p() } catch {}

// a bound function bound again
let f = () => 1; for (let i = 0; i < 1e4; i++) f = f.bind(null, i); for (;;) try { f() } catch {}

// a function bound to as many as a call takes
const a = Array(6e4).fill(0); const f = Math.max.bind(null, ...a); for (;;) f()

// a proxy that is its own prototype
const p = new Proxy({}, { get: (target, key, receiver) => receiver[key] }); p.x

// ownKeys of a proxy that gives many
// stays: the names that a proxy gives are compared with one another in one piece: 100,000 of them for longer than anybody waits
const keys = Array.from({ length: 1e5 }, (_, i) => 'k' + i), p = new Proxy({}, { ownKeys: () => keys }); for (;;) Reflect.ownKeys(p)

// ownKeys of a proxy that claims a length
const p = new Proxy({}, { ownKeys: () => ({ length: 2 ** 53 - 1 }) }); Reflect.ownKeys(p)

// ownKeys of a proxy of a frozen target
const target = Object.freeze(Object.fromEntries(Array.from({ length: 3000 }, (_, i) => ['k' + i, i]))), p = new Proxy(target, { ownKeys: () => Reflect.ownKeys(target).reverse() }); for (;;) Reflect.ownKeys(p)

// apply with something that claims a length
Math.max.apply(null, { length: 2 ** 53 - 1 })

// apply with as many as a call takes
const a = { length: 65535 }; for (;;) Math.max.apply(null, a)

// construct with something that claims a length
Reflect.construct(Array, { length: 2 ** 32 })

// as many arguments as do not go
const a = Array(70000).fill(3); for (;;) try { Math.max.apply(null, a) } catch {}

// spread of a million arguments
const a = Array(1e6).fill(3); for (;;) try { Math.max(...a) } catch {}

// a getter that asks itself
const o = { get x () { return this.x } }; try { o.x } catch (e) { return e.name }

// a toString that never ends
const o = { toString () { return `${{ toString: o.toString }}` } }; try { `${o}` } catch (e) { return e.name }

// a valueOf that doubles
const o = { n: 0, valueOf () { return this.n++ < 1e9 ? o + o : 1 } }; try { +o } catch (e) { return e.name }

// a text of a text of a text
const o = { toString () { for (;;); } }; o + ''

// a toPrimitive that is a text of millions
const o = { [Symbol.toPrimitive]: () => 'x'.repeat(1e6) }; for (;;) { o + o; +o; `${o}` }

// a name that is a getter on everything
Object.defineProperty(Object.prototype, 'length', { get () { return 2 ** 53 - 1 }, configurable: true }); Array.prototype.join.call({})

// fields of a class, ten thousand
const source = 'class A {' + Array.from({ length: 1e4 }, (_, i) => `f${i} = ${i};`).join('') + '} A'; const A = (0, eval)(source); for (;;) new A()

// classes that extend classes
let A = class {}; for (let i = 0; i < 300; i++) A = class extends A {}; for (;;) try { new A() } catch {}

// symbols, many
const kept = []; for (let i = 0; ; i++) kept.push(Symbol('s' + i))

// registered symbols, many
for (let i = 0; ; i++) Symbol.for('s' + i)

// names, many
const o = {}; for (let i = 0; ; i++) o['name ' + i]

// private names through all doors
class A { #x = 1; static has (o) { return #x in o } } for (;;) A.has({})

// accessors by the old names
const o = {}; for (let i = 0; i < 1e5; i++) o.__defineGetter__('g' + i, () => 1); for (let i = 0; i < 1e5; i++) o['g' + i]; for (;;) o.__lookupGetter__('none')

// lookup of an accessor at the end of a long chain
let o = {}; for (let i = 0; i < 1e5; i++) o = Object.create(o); for (let i = 0; i < 1e4; i++) o.__lookupGetter__('none')

// a with statement over a long chain
// stays: a lookup walks all prototypes or proxies in one piece: some 20 ns for each
let o = {}; for (let i = 0; i < 1e5; i++) o = Object.create(o); with (o) { for (let i = 0; i < 1e4; i++) typeof missing }

// a disposable stack with many
const stack = new DisposableStack(); for (let i = 0; i < 1e5; i++) stack.defer(() => {}); stack.dispose(); for (;;) { const s = new DisposableStack(); for (let i = 0; i < 1e4; i++) s.adopt(i, () => {}); s.dispose() }

// disposals that all throw
const stack = new DisposableStack(); for (let i = 0; i < 1e5; i++) stack.defer(() => { throw new Error('x') }); try { stack.dispose() } catch (e) { return e.name }

// an iterator that never ends
for (const x of { [Symbol.iterator]: () => ({ next: () => ({ done: false }) }) });

// an iterator that never ends, spread
[...{ [Symbol.iterator]: () => ({ next: () => ({ done: false, value: 1 }) }) }]

// an iterator that never ends, collected
Array.from({ [Symbol.iterator] () { return { next () { for (;;); }, return () { for (;;); } } } })

// an iterator whose return never ends
for (const x of { [Symbol.iterator]: () => ({ next: () => ({ done: false }), return () { for (;;); } }) }) break

// a generator that never ends
const g = (function* () { for (;;) yield 1 })(); for (;;) g.next()

// a generator that goes on in finally
const g = (function* () { try { yield 1 } finally { for (;;) yield 2 } })(); for (const x of g) for (;;);

// a generator of generators
function* f (n) { yield n; yield* f(n + 1) } try { for (const x of f(0)); } catch (e) { return e.name }

// generators in generators, deep
let g = (function* () { for (;;) yield 1 })(); for (let i = 0; i < 300; i++) { const inner = g; g = (function* () { yield* inner })() } for (;;) try { g.next() } catch {}

// generators, many
const kept = []; for (;;) { const g = (function* () { const a = [1, 2, 3]; yield a })(); g.next(); kept.push(g) }

// helpers of iterators in a chain
let i = [1].values(); for (let n = 0; n < 1e5; n++) i = i.map(x => x); try { i.next() } catch (e) { return e.name }

// helpers of iterators over holes
const a = []; a.length = 4294967295; a.values().filter(() => false).next()

// drop of holes
const a = []; a.length = 4294967295; a.values().drop(4294967294).next()

// drop of something endless
const i = { __proto__: Iterator.prototype, next: () => ({ done: false }) }; i.drop(Infinity).next()

// take of everything
const i = { __proto__: Iterator.prototype, next: () => ({ done: false }) }; i.take(2 ** 53).toArray()

// flatMap of an iterator
const a = []; a.length = 4294967295; [1].values().flatMap(() => a.values()).forEach(x => x)

// flatMap of an iterator whose mapper is native
const a = Array(1000).fill([]); for (;;) a.values().flatMap(Array.from).next()

// some, every, find and reduce of holes with a native function
const a = []; a.length = 4294967295; a.values().every(Boolean); a.values().some(Boolean); a.values().find(Boolean)

// reduce of holes with a native function
const a = []; a.length = 4294967295; a.values().reduce(Math.max)

// forEach of holes with a native function
const a = []; a.length = 4294967295; a.values().forEach(Boolean)

// join of an iterator
const a = []; a.length = 4294967295; a.values().join('')

// chunks and windows of holes
const a = []; a.length = 4294967295; a.values().windows(1e6).next(); a.values().chunks(4294967295).next()

// zip of many
const a = Array.from({ length: 1000 }, () => { const a = []; a.length = 1e6; return a }); for (const x of Iterator.zip(a));

// concat of iterators
const a = []; a.length = 4294967295; for (const x of Iterator.concat(a, a, a));

// every of an array of holes made dense, with a native function
const a = Array(1e6).fill(1); for (;;) a.every(Boolean)

// forEach of something that claims a length, with a native function
Array.prototype.forEach.call({ length: 2 ** 53 - 1, 0: 1 }, Boolean)

// map of a dense array with a native function
const a = Array(1e5).fill(1); for (;;) { a.map(Math.sqrt); a.filter(Boolean); a.find(isNaN) }

// map of bytes with a native function
const t = new Uint8Array(1e6); for (;;) t.map(Math.sqrt)

// reduce of bytes with a native function
const t = new Uint8Array(1e6); for (;;) t.reduce(Math.max)

// destructuring of something endless
const [x, ...rest] = { [Symbol.iterator]: () => ({ next: () => ({ done: false }) }) }

// destructuring of long texts
const s = 'x'.repeat(1e6); for (;;) { const [a, ...b] = s }

// labelled loops
outer: for (;;) { for (;;) { continue outer } }

// an empty loop
for (;;);

// an empty do loop
do {} while (true)

// loops over names that come back
const o = { a: 1 }; for (;;) for (const k in o) { delete o[k]; o[k] = 1 }

// a loop that swallows everything
for (;;) try { throw 1 } catch { continue } finally { continue }

// the end of fuel caught
try { for (;;); } catch (e) { return 'caught' }

// the end of fuel in finally
try { for (;;); } finally { for (;;); }

// the end of fuel in a return
function f () { try { return 1 } finally { for (;;) try { f() } catch {} } } f()

// a switch of many cases
const f = Function('x', 'switch (x) {' + Array.from({ length: 2e4 }, (_, i) => `case ${i}:`).join('') + '}'); for (;;) f(-1)

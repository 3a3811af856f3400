// fill of a long array
Array(1e9).fill(0)

// fill of an array as long as memory takes
for (;;) Array(2e6).fill(0)

// indexOf in an array of holes
const a = []; a.length = 4294967295; a.indexOf(1)

// lastIndexOf in an array of holes
const a = []; a.length = 4294967295; a.lastIndexOf(1)

// includes in an array of holes
const a = []; a.length = 4294967295; a.includes(1)

// join of an array of holes
const a = []; a.length = 4294967295; a.join('')

// join with a long separator
for (;;) Array(1e4).join('x'.repeat(1e3))

// join of arrays in arrays
let a = [1]; for (let i = 0; i < 40; i++) a = [a, a]; a.join()

// join of an array within itself
const a = [1, 2, 3]; a.push(a, a); for (;;) a.join()

// reverse of an array of holes
const a = []; a.length = 4294967295; a.reverse()

// reverse of a dense array
const a = Array(1e6).fill(0); for (;;) a.reverse()

// sort of an array of holes
const a = []; a.length = 4294967295; a.sort()

// sort of long texts that begin alike
const a = Array.from({ length: 300 }, (_, i) => 'x'.repeat(1e5) + i); for (;;) a.slice().sort()

// sort of numbers as texts
const a = Array.from({ length: 1e5 }, (_, i) => i * 7919 % 100003); for (;;) a.sort()

// sort of integers of many digits as texts
const a = Array(100).fill(7n ** 20000n); for (;;) a.sort()

// sort with a comparator that lies
const a = Array.from({ length: 1e5 }, (_, i) => i); for (;;) a.sort(() => Math.random() - 0.5)

// sort whose comparator changes the array
const a = Array.from({ length: 1e5 }, (_, i) => i); for (;;) a.sort((x, y) => { a.length = 4294967295; return x - y })

// toSorted of an array of holes
const a = []; a.length = 4294967295; a.toSorted()

// toSorted of a dense array
const a = Array.from({ length: 1e5 }, (_, i) => i); for (;;) a.toSorted()

// toReversed of an array of holes
const a = []; a.length = 4294967295; a.toReversed()

// toReversed of a dense array
const a = Array(1e6).fill(0); for (;;) a.toReversed()

// toSpliced of an array of holes
const a = []; a.length = 4294967295; a.toSpliced(0, 1)

// toSpliced of a dense array
const a = Array(1e6).fill(0); for (;;) a.toSpliced(5, 1, 2, 3)

// with on an array of holes
const a = []; a.length = 4294967295; a.with(0, 1)

// with on a dense array
const a = Array(1e6).fill(0); for (;;) a.with(0, 1)

// with on something that claims a length
for (;;) Array.prototype.with.call({ length: 1e6 }, 0, 1)

// toReversed of something that claims a length
for (;;) Array.prototype.toReversed.call({ length: 1e6 })

// toSpliced of something that claims a length
for (;;) Array.prototype.toSpliced.call({ length: 1e6 }, 0, 1)

// forEach over an array of holes
const a = []; a.length = 4294967295; a.forEach(x => x)

// every callback method over holes
const a = []; a.length = 1e6
for (;;) for (const name of ['map', 'filter', 'some', 'every', 'reduce', 'reduceRight', 'find', 'findLast', 'findIndex', 'findLastIndex', 'forEach']) try { a[name](x => x) } catch {}

// reduce over something that claims a length
Array.prototype.reduce.call({ length: 2 ** 53 - 1 }, x => x)

// copyWithin of an array of holes
const a = []; a.length = 4294967295; a.copyWithin(0, 1)

// copyWithin of a dense array
const a = Array(1e6).fill(0); for (;;) a.copyWithin(1, 0)

// from something that claims a length
Array.from({ length: 1e12 })

// from something that claims a possible length
Array.from({ length: 4294967295 })

// from something that claims a length, again and again
for (;;) Array.from({ length: 1e6 })

// of a thousand million elements by a constructor that takes them
Array.from.call(function () { return {} }, { length: 2 ** 53 - 1 })

// fill of something that claims a length
Array.prototype.fill.call({ length: 2 ** 53 - 1 }, 1)

// includes in something that claims a length
Array.prototype.includes.call({ length: 2 ** 53 - 1 }, 1)

// slice of something that claims a length
Array.prototype.slice.call({ length: 2 ** 32 - 1 })

// slice of a dense array
const a = Array(1e6).fill(0); for (;;) a.slice()

// unshift on something that claims a length
Array.prototype.unshift.call({ length: 2 ** 53 - 3 }, 1)

// unshift on a dense array
const a = Array(1e6).fill(0); for (;;) { a.unshift(1); a.pop() }

// shift of a dense array
const a = Array(2e6).fill(0); for (;;) { a.shift(); a.push(0) }

// splice of a dense array
const a = Array(2e6).fill(0); for (;;) { a.splice(0, 1); a.push(0) }

// lastIndexOf in something that claims a length
Array.prototype.lastIndexOf.call({ length: 2 ** 53 - 1 }, 1)

// indexOf of a long text among its equals
const t = 'x'.repeat(1e5), a = Array.from({ length: 500 }, () => 'x'.repeat(99999) + 'y'); for (;;) a.indexOf(t)

// includes of a great integer among its equals
const n = 1n << 800000n, a = Array.from({ length: 100 }, () => (1n << 800000n) + 1n); for (;;) a.includes(n)

// concat of holes
const a = []; a.length = 4294967295; [].concat(a)

// concat of dense arrays
const a = Array(5e5).fill(0); for (;;) a.concat(a)

// concat of something that claims to be spread
[].concat({ length: 2 ** 53 - 1, [Symbol.isConcatSpreadable]: true })

// flat of an array within itself
const a = [1]; a.push(a, a); a.flat(Infinity)

// flat of a deep array
let a = [1]; for (let i = 0; i < 1e5; i++) a = [a]; for (;;) try { a.flat(Infinity) } catch {}

// flatMap into arrays of holes
const a = []; a.length = 1e6; for (;;) [1].flatMap(() => a)

// a species that is endless
const a = [1, 2, 3]; a.constructor = { [Symbol.species]: function () { const b = []; b.length = 4294967295; return b } }; for (;;) a.map(x => x)

// a proxy in the place of an array
for (;;) Array.prototype.concat.call(new Proxy([], { get: (target, key) => key === 'length' ? 1e6 : target[key] }))

// push of as many as a call takes
const a = Array(6e4).fill(0); for (;;) { const b = []; for (let i = 0; i < 10; i++) b.push(...a) }

// push on something that is full
for (;;) try { Array.prototype.push.call({ length: 2 ** 53 - 1 }, 1) } catch {}

// the length of a dense array, down and up
for (;;) { const a = Array(1e6).fill(0); a.length = 0; a.length = 1e6 }

// the length of a sparse array, down
// stays: an operator, which looks at each of 100,000 elements: 10 ms for a step
const a = []; for (let i = 0; i < 1e5; i++) a[i * 10000] = 1
for (;;) { a.length = 4294967295; a.length = 999999999 - 1; a[4e9] = 1 }

// keys, values and entries to their end
const a = []; a.length = 4294967295; for (const x of a.keys()); for (const x of a.entries());

// at and element access with great indices
const a = [1]; for (;;) { a.at(2 ** 53); a[2 ** 53]; a[4294967294] = 1; delete a[4294967294]; a.length = 1 }

// Array.fromAsync of something that claims a length
return Array.fromAsync({ length: 2 ** 53 - 1 })

// text of an array of holes
const a = []; a.length = 4294967295; return `${a}`

// toLocaleString of an array of holes
const a = []; a.length = 4294967295; a.toLocaleString()

// Array.prototype with a length of its own
Array.prototype.length = 4294967295; for (;;) { Array.prototype.join.call(Array.prototype); Array.prototype.indexOf.call(Array.prototype, 5) }

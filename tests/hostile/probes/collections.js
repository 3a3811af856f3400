// a map of a million entries
for (;;) { const m = new Map(); for (let i = 0; i < 1e5; i++) m.set(i, i); m.clear() }

// a map that grows while it is walked
const m = new Map([[0, 0]]); for (const [key] of m) m.set(key + 1, 0)

// a map that loses and gains while it is walked
const m = new Map([[0, 0]]); m.forEach((value, key) => { m.delete(key); m.set(key + 1, 0) })

// entries deleted under an iterator
const m = new Map(); for (;;) { const i = m.keys(); for (let n = 0; n < 1000; n++) m.set(n, n); i.next(); m.clear() }

// iterators over what is gone, many
// stays: an iterator passes entries that are deleted and held by others in one piece: up to 1 ms for 100,000 of them
const s = new Set(); const kept = []; for (let n = 0; n < 1e5; n++) { s.add(n); const i = s.values(); i.next(); kept.push(i); s.delete(n) }

// keys that are long texts
const s = 'x'.repeat(1e6); const m = new Map(); for (let n = 0; ; n++) m.get(s + n)

// keys that are great integers
const m = new Map(), n = 1n << 1000000n; for (;;) { m.set(n + 1n, 1); m.get(n) }

// keys whose hashes are alike
const m = new Map(); for (let n = 0; ; n++) m.set(n * 2 ** 32, n)

// keys that are fractions whose hashes may be alike
const m = new Map(); for (let n = 1; ; n++) m.set(n * 2 ** -40, n)

// keys that are integers whose hashes may be alike
const m = new Map(); for (let n = 0n; ; n++) m.set(n << 64n, n)

// a set made from an array of holes
const a = []; a.length = 4294967295; new Set(a)

// a map made from a dense array
const a = Array.from({ length: 1e5 }, (_, i) => [i, i]); for (;;) new Map(a)

// union of great sets
const s = new Set(Array.from({ length: 1e5 }, (_, i) => i)), t = new Set(Array.from({ length: 1e5 }, (_, i) => -i)); for (;;) s.union(t)

// all operations on great sets
const s = new Set(Array.from({ length: 1e5 }, (_, i) => i)), t = new Set(Array.from({ length: 1e5 }, (_, i) => i / 2))
for (;;) { s.intersection(t); s.difference(t); s.symmetricDifference(t); s.isSubsetOf(s); s.isSupersetOf(s); s.isDisjointFrom(new Set([-1])) }

// a set-like whose keys never end
new Set([1]).union({ size: 1, has: () => true, keys: () => ({ next: () => ({ done: false, value: Math.random() }) }) })

// a set-like whose size is endless
const s = new Set(Array.from({ length: 1e5 }, (_, i) => i)); for (;;) s.isSubsetOf({ size: Infinity, has: () => true, keys: () => [].values() })

// a set-like that asks an array of holes
const a = []; a.length = 4294967295; new Set([1]).isSupersetOf({ size: 1, has: () => true, keys: () => a.values() })

// groupBy of everything
const a = Array(1e5).fill(0); for (;;) { Map.groupBy(a, (x, i) => i); Object.groupBy(a, (x, i) => i) }

// groupBy of holes
const a = []; a.length = 4294967295; Map.groupBy(a, x => x)

// a weak map with many keys
const m = new WeakMap(), kept = []; for (;;) { const o = {}; kept.push(o); m.set(o, o) }

// a chain of weak map entries
const m = new WeakMap(); let first = {}, o = first; for (let i = 0; i < 3e5; i++) { const next = {}; m.set(o, next); o = next } first = o = null

// a weak set that is emptied at once
for (;;) { const s = new WeakSet(), kept = Array.from({ length: 1e5 }, () => ({})); for (const o of kept) s.add(o) }

// getOrInsertComputed that never ends
const m = new Map(); m.getOrInsertComputed(1, function f (key) { return m.getOrInsertComputed(key + 1, f) })

// getOrInsert with long texts
const s = 'x'.repeat(1e6), m = new Map(); for (let i = 0; ; i++) m.getOrInsert(s + i % 3, 1)

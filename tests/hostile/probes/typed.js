// sort of floats
const t = new Float64Array(2e6); for (let i = 0; i < 2e6; i += 1000) t[i] = -i; for (;;) t.sort()

// sort of floats by a function
const t = new Float64Array(2e6); for (;;) t.sort((x, y) => y - x)

// sort that was sorted the other way
const t = Uint32Array.from({ length: 1e5 }, (_, i) => 1e5 - i); for (;;) t.toSorted()

// fill of bytes
const t = new Uint8Array(50e6); for (;;) t.fill(1)

// fill of integers
const t = new BigInt64Array(5e6); for (;;) t.fill(5n)

// all that looks at each element
const t = new Uint16Array(5e6); for (;;) { t.indexOf(1); t.lastIndexOf(1); t.includes(1) }

// includes of a fraction in floats
const t = new Float32Array(5e6), u = new Float16Array(5e6); for (;;) { t.indexOf(0.5); u.includes(0.5) }

// reverse and copyWithin
const t = new Uint8Array(5e7); for (;;) { t.reverse(); t.copyWithin(1, 0) }

// join of floats
const t = new Float64Array(1e6).fill(Math.PI); for (;;) t.join('')

// join with a long separator
const t = new Uint8Array(1e4), s = 'x'.repeat(1e3); for (;;) t.join(s)

// toLocaleString of bytes
const t = new Uint8Array(1e6); for (;;) t.toLocaleString()

// set from an array
const t = new Float64Array(1e6), a = Array(1e6).fill(1); for (;;) t.set(a)

// set from another kind
const t = new Float64Array(4e6), u = new Int8Array(4e6); for (;;) t.set(u)

// set from something that claims a length
const t = new Uint8Array(5e6); for (;;) t.set({ length: 5e6 })

// set from its own buffer
const t = new Uint8Array(4e7), u = new Uint8Array(t.buffer, 1); for (;;) u.set(t.subarray(1))

// from another kind
const t = new Uint8Array(4e6); for (;;) Float64Array.from(t)

// made from something that claims a length
for (;;) new Uint8Array({ length: 1e7 })

// made from something that claims any length
new Uint8Array({ length: 2 ** 53 - 1 })

// made again and again
for (;;) new Uint8Array(1e8)

// made again and again, small
const kept = []; for (;;) kept.push(new Uint8Array(8))

// made too large
for (;;) try { new Float64Array(2 ** 31) } catch {}

// slice of bytes
const t = new Uint8Array(4e7); for (;;) t.slice()

// slice by a species of another kind
class T extends Uint8Array { static get [Symbol.species] () { return Float64Array } } const t = new T(4e6); for (;;) t.slice()

// subarrays, many
const t = new Uint8Array(8); const kept = []; for (;;) kept.push(t.subarray(1))

// map by a species that is too short
const t = new Uint8Array(10); t.constructor = { [Symbol.species]: function () { return new Uint8Array(1e7) } }; for (;;) t.map(x => x)

// toReversed and with
const t = new Uint8Array(2e7); for (;;) { t.toReversed(); t.with(0, 1) }

// a buffer of another size
const b = new ArrayBuffer(0, { maxByteLength: 1e8 }); for (;;) { b.resize(1e8); b.resize(0) }

// a buffer that shrinks under its sort
const b = new ArrayBuffer(8e5, { maxByteLength: 8e5 }), t = new Float64Array(b); t.sort(() => { b.resize(0); return 1 })

// a buffer that is handed on
let b = new ArrayBuffer(5e7); for (;;) b = b.transfer(b.byteLength === 5e7 ? 4e7 : 5e7)

// slices of a buffer
const b = new ArrayBuffer(5e7); for (;;) b.slice(1)

// immutable copies of a buffer
const b = new ArrayBuffer(5e7); for (;;) b.sliceToImmutable()

// hexadecimal of bytes
const t = new Uint8Array(1e7); for (;;) t.toHex()

// base64 of bytes
const t = new Uint8Array(1e7); for (;;) t.toBase64()

// bytes of hexadecimal
const s = '00'.repeat(5e6); for (;;) Uint8Array.fromHex(s)

// bytes of base64
const s = 'AAAA'.repeat(3e6); for (;;) Uint8Array.fromBase64(s)

// bytes of base64 that is spaces
const s = ' '.repeat(1e7), t = new Uint8Array(10); for (;;) { Uint8Array.fromBase64(s); t.setFromBase64(s) }

// set from hexadecimal
const s = '00'.repeat(5e6), t = new Uint8Array(5e6); for (;;) t.setFromHex(s)

// a view of odd places
const v = new DataView(new ArrayBuffer(8)); for (;;) { v.setFloat64(0, 1e308, true); v.getBigInt64(0); try { v.getInt8(2 ** 53) } catch {} }

// a Buffer of everything
for (;;) Buffer.from('ä'.repeat(1e6)).toString('base64')

// a Buffer's hexadecimal
const b = Buffer.alloc(1e6); for (;;) { b.toString('hex'); b.toString('binary') }

// a Buffer from a list
for (;;) Buffer.from(Array(1e5).fill(1))

// Buffers concatenated
const b = Buffer.alloc(1e4), list = Array(1000).fill(b); for (;;) Buffer.concat(list)

// a Buffer's JSON
const b = Buffer.alloc(1e6); for (;;) JSON.stringify(b)

// a Buffer compared
const a = Buffer.alloc(1e6), b = Buffer.alloc(1e6); for (;;) a.equals(b)

// Buffers in order
const a = Buffer.alloc(1e6), b = Buffer.alloc(1e6); for (;;) { a.compare(b); Buffer.compare(a, b) }

// a Buffer searched
const b = Buffer.alloc(1e6, 'a'), n = Buffer.from('a'.repeat(5e5) + 'b'); for (;;) { b.indexOf(n); b.lastIndexOf(n); b.includes('b') }

// a Buffer searched at even places
const b = Buffer.alloc(1e6, 'a'); for (;;) b.indexOf('\u6261', 0, 'utf16le')

// a Buffer filled
const b = Buffer.alloc(1e6); for (;;) { b.fill('ab'); b.fill('61', 'hex'); b.fill(b) }

// a Buffer written
const b = Buffer.alloc(1e6), t = 'ä'.repeat(1e6), h = '00'.repeat(1e6), w = 'a b='.repeat(1e6); for (;;) { b.write(t); b.write(h, 'hex'); b.write(w, 'base64'); b.write(t, 'utf16le') }

// a Buffer's other encodings
const b = Buffer.alloc(1e6, 200); for (;;) { b.toString('ascii'); b.toString('base64url'); b.toString('utf16le') }

// a Buffer copied
const a = Buffer.alloc(1e6), b = Buffer.alloc(1e6); for (;;) { a.copy(b); a.copy(a, 1); Buffer.copyBytesFrom(a) }

// a Buffer swapped
const b = Buffer.alloc(1e6); for (;;) { b.swap16(); b.swap64() }

// a Buffer's numbers
const b = Buffer.alloc(8); for (;;) { b.writeDoubleBE(b.readDoubleLE()); b.writeUIntBE(b.readUIntLE(0, 6), 0, 6); b.writeBigInt64LE(b.readBigInt64BE()) }

// a Buffer of a thing that is longer each time
const a = { get length () { return 1e9 } }; Buffer.from(a)

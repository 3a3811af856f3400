// Calls of Buffer by chance, and what each gives: the same in a service and in Node.js. `exports.run(seed, count)` gives [call, result] pairs.
'use strict'
let state = 1
const random = (most) => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0
  return Math.floor((state >>> 8) / 16777216 * most)
}
const one = (list) => list[random(list.length)]
const show = (value) => JSON.stringify(value) ?? String(value)

const texts = ['', 'a', 'hello', 'h\u00e9llo \u20ac', '\ud83d\ude00x', '00ff', '0ff', 'zz', 'aGVsbG8=', 'aGVs bG8', '_-8', 'aGVsbG8', '==', '\u0000\u0001', 'abcabcabc', 'YQ==', 'ab\u00ff']
const encodings = ['utf8', 'hex', 'base64', 'base64url', 'latin1', 'ascii', 'utf16le', 'ucs2', 'binary', 'UTF-8', 'nope', undefined]
const numbers = [0, 1, 2, 3, 4, 5, 7, 8, 12, -1, -2, -9, 1.5, 255, 256, 65535, 65536, 4294967295, 4294967296, -128, -129, -32768, -2147483648, NaN, Infinity, undefined]
const small = [0, 1, 2, 3, 4, 5, 6, 7, 8, -1, -3, 20, undefined, 1.5]
const bytes = () => {
  const size = random(13)
  const list = []
  for (let at = 0; at < size; at++) list.push(random(4) === 0 ? random(256) : 97 + random(3))
  return 'Buffer.from(' + JSON.stringify(list) + ')'
}
const text = () => JSON.stringify(one(texts))
const encoding = () => show(one(encodings))
const number = () => String(one(numbers))
const place = () => String(one(small))
const whole = () => String(random(9))
const value = () => one([text, bytes, number, () => `new Uint8Array(${bytes()})`])()
const kinds = ['UInt8', 'Int8', 'UInt16LE', 'UInt16BE', 'Int16LE', 'Int16BE', 'UInt32LE', 'UInt32BE', 'Int32LE', 'Int32BE', 'FloatLE', 'FloatBE', 'DoubleLE', 'DoubleBE', 'Uint16LE', 'Uint8']
const big = ['BigInt64LE', 'BigInt64BE', 'BigUInt64LE', 'BigUInt64BE', 'BigUint64LE']
const sized = ['IntLE', 'IntBE', 'UIntLE', 'UIntBE', 'UintLE']
const slices = ['utf8', 'hex', 'base64', 'base64url', 'latin1', 'ascii', 'ucs2']

const calls = [
  () => `Buffer.from(${text()}, ${encoding()})`,
  () => `Buffer.from(new Uint16Array([1, 257, 3]))`,
  // Releases of Node.js differ in what is left behind a place that is no whole number.
  () => `Buffer.from(new Uint8Array([1, 2, 3, 4, 5]).buffer, ${Math.trunc(one(small))}, ${place()})`,
  () => `Buffer.from(${one(['{ type: "Buffer", data: [1, 2] }', '{ length: 2, 0: 7, 1: 300 }', 'new String("x")', '{}', 'null', '5', 'true', '[1.7, -1, "3", NaN]', '{ length: "2" }', '{ [Symbol.toPrimitive]: () => "p" }', 'new Set([1])', '() => 1', 'Symbol.iterator', 'undefined'])})`,
  () => `Buffer.alloc(${place()}, ${value()}, ${encoding()})`,
  () => `Buffer.concat([${bytes()}, new Uint8Array([1]), ${bytes()}], ${place()})`,
  () => `Buffer.concat(${one(['[1]', '"a"', '[]', 'undefined', '[[1]]'])})`,
  () => `Buffer.byteLength(${text()}, ${encoding()})`,
  () => `Buffer.byteLength(${one(['new ArrayBuffer(3)', 'new DataView(new ArrayBuffer(4), 1)', '5', 'new Float64Array(2)'])})`,
  () => `Buffer.compare(${bytes()}, ${bytes()})`,
  () => `Buffer.isEncoding(${encoding()})`,
  () => `Buffer.of(${number()}, ${number()})`,
  () => `Buffer.copyBytesFrom(new Uint16Array([1, 2, 3]), ${place()}, ${place()})`,
  () => `new Buffer(${one([whole(), text(), bytes()])})`,
  () => `Buffer(${text()}, ${encoding()})`,
  () => `${bytes()}.toString(${encoding()}, ${place()}, ${place()})`,
  () => `${bytes()}.${one(slices)}Slice()`,
  // Beyond the end, some releases of Node.js throw and others give nothing.
  () => `Buffer.concat([${bytes()}, Buffer.alloc(8)]).${one(slices)}Slice(${whole()})`,
  () => `${bytes()}.slice(${place()}, ${place()})`,
  () => `${bytes()}.subarray(${place()}, ${place()})`,
  () => `${bytes()}.equals(${bytes()})`,
  () => `${bytes()}.compare(${bytes()}, ${whole()}, ${place()}, ${whole()}, ${place()})`,
  () => `(() => { const b = Buffer.alloc(8, 1); return [${bytes()}.copy(b, ${place()}, ${whole()}, ${place()}), b] })()`,
  () => `${bytes()}.fill(${value()}, ${one(['', place() + ',' + place(), whole() + ',' + whole()])})`,
  () => `Buffer.alloc(7).fill(${text()}, ${encoding()})`,
  () => `Buffer.alloc(7).fill(${text()}, ${whole()}, ${encoding()})`,
  () => `${bytes()}.indexOf(${value()}, ${place()}, ${show(one(["utf8", "hex", "base64", "nope", undefined]))})`,
  () => `${bytes()}.lastIndexOf(${value()}, ${place()}, ${show(one(["utf8", "hex", "latin1", "nope", undefined]))})`,
  () => `${bytes()}.indexOf("${one(['a', 'b', 'ab', 'ca'])}", ${place()})`,
  () => `${bytes()}.lastIndexOf("${one(['a', 'b', 'ab', 'ca'])}", ${place()})`,
  () => `Buffer.from('abcabc', 'utf16le').${one(['indexOf', 'lastIndexOf'])}('${one(['a', 'c', 'bc'])}', ${place()}, 'utf16le')`,
  () => `${bytes()}.includes(${value()})`,
  () => `(() => { const b = Buffer.alloc(9); return [b.write(${text()}, ${one([encoding(), whole() + ',' + encoding(), whole() + ',' + whole() + ',' + encoding()])}), b] })()`,
  () => `(() => { const b = Buffer.alloc(6); return [b.${one(slices)}Write(${text()}, ${one(['0', '1', '6'])}), b] })()`,
  () => `${bytes()}.swap${one([16, 32, 64])}()`,
  () => `${bytes()}.read${one(kinds)}(${place()})`,
  () => `${bytes()}.read${one(big)}(${one(['', '0', '1', '5'])})`,
  () => `${bytes()}.read${one(sized)}(${place()}, ${place()})`,
  () => `(() => { const b = Buffer.alloc(10); return [b.write${one(kinds)}(${number()}, ${place()}), b] })()`,
  () => `(() => { const b = Buffer.alloc(10); return [b.write${one(big)}(${one(['0n', '-1n', '2n ** 63n', '2n ** 64n - 1n', '2n ** 64n', '-(2n ** 63n)', '5'])}, ${place()}), b] })()`,
  () => `(() => { const b = Buffer.alloc(10); return [b.write${one(sized)}(${number()}, ${whole()}, ${place()}), b] })()`,
  () => `(() => { const b = ${bytes()}; b.subarray(1).fill(0); return [b, b.map(x => x + 1), Buffer.isBuffer(b.map(x => x)), b.toJSON()] })()`,
  () => `[Buffer.isBuffer(${one(['new Uint8Array(1)', 'Buffer.alloc(1)', '{}'])}), Buffer.from('a') instanceof Uint8Array, Buffer.from('a').constructor === Buffer, typeof Buffer.alloc(2).parent]`
]

// What a value is, in JSON.
const told = (value) => {
  if (typeof value === 'bigint') return 'big ' + value
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : Number.isFinite(value) ? value : String(value)
  if (Array.isArray(value)) return value.map(told)
  if (value instanceof Uint8Array) return (Buffer.isBuffer(value) ? 'buffer ' : 'bytes ') + Array.prototype.join.call(value, ' ')
  if (typeof value === 'string') return 'text ' + escape(value)
  return value
}
exports.run = (seed, count) => {
  state = seed
  const results = []
  for (let done = 0; done < count; done++) {
    const call = one(calls)()
    let result
    try {
      result = told((0, eval)(call))
    } catch (error) {
      result = 'throws ' + error.name + ' ' + (error.code ?? '')
    }
    results.push([call, result ?? null])
  }
  return results
}

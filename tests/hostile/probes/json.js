// a text of brackets
JSON.parse('['.repeat(1e6) + ']'.repeat(1e6))

// a text of brackets that is possible
const s = '['.repeat(1000) + ']'.repeat(1000); for (;;) JSON.parse(s)

// deeper until it does not go
let n = 1; try { for (;; n *= 2) JSON.parse('['.repeat(n) + ']'.repeat(n)) } catch (e) { return e.name }

// a long text of numbers
const s = '[' + '1,'.repeat(2e6) + '1]'; for (;;) JSON.parse(s)

// a long text of names
const s = '{' + Array.from({ length: 1e5 }, (_, i) => `"name${i}":0,`).join('') + '"x":1}'; for (;;) JSON.parse(s)

// a long text of equal names
const s = '{' + '"a":0,'.repeat(5e5) + '"x":1}'; for (;;) JSON.parse(s)

// a long text of names that are numbers
const s = '{' + Array.from({ length: 1e5 }, (_, i) => `"${99999 - i}":0,`).join('') + '"x":1}'; for (;;) JSON.parse(s)

// a long text of long numbers
const s = '[' + ('1'.repeat(1000) + ',').repeat(1e4) + '1]'; for (;;) JSON.parse(s)

// one number of ten million digits
const s = '1'.repeat(1e7); for (;;) JSON.parse(s)

// a long text of escapes
const s = '"' + '\\u1234'.repeat(1e6) + '"'; for (;;) JSON.parse(s)

// a long text of spaces
const s = ' '.repeat(1e7) + '1'; for (;;) JSON.parse(s)

// a mistake at the end of a long text
const s = '[' + '1,\n'.repeat(2e6) + 'x]'; for (;;) try { JSON.parse(s) } catch {}

// a reviver for everything
const s = '[' + '1,'.repeat(1e5) + '1]'; for (;;) JSON.parse(s, (key, value) => value)

// a reviver that makes it grow
JSON.parse('[1,1]', function (key, value) { if (Array.isArray(this)) this.push(1, 1); return [1, 1] })

// a reviver that puts an array of holes
JSON.parse('[1,1]', function (key, value) { if (key === '0') { this[1] = []; this[1].length = 4294967295 } return value })

// an array of ones
const a = Array(1e6).fill(1); for (;;) JSON.stringify(a)

// an array of holes
const a = []; a.length = 4294967295; JSON.stringify(a)

// an array of holes within limits
const a = []; a.length = 2e6; for (;;) JSON.stringify(a)

// something that claims to be an array of any length
JSON.stringify(new Proxy([], { get: (target, key) => key === 'length' ? 2 ** 53 - 1 : target[key] }))

// an array of undefined that is dropped
const o = Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => ['k' + i, undefined])); for (;;) JSON.stringify(o)

// a text of controls
const s = '\u0001'.repeat(1e6); for (;;) JSON.stringify(s)

// arrays that share their parts
let a = [1]; for (let i = 0; i < 40; i++) a = [a, a]; JSON.stringify(a)

// objects in objects
let a = {}; for (let i = 0; i < 1e5; i++) a = { a }; for (;;) try { JSON.stringify(a) } catch {}

// objects in objects that are possible
let a = {}; for (let i = 0; i < 1000; i++) a = { a }; for (;;) JSON.stringify(a)

// a circle at the end of a deep object
let o = {}; const first = o; for (let i = 0; i < 2000; i++) o = o.a = {}; o.a = first; for (;;) try { JSON.stringify(first) } catch {}

// a toJSON that never ends
JSON.stringify({ toJSON () { return { a: this, b: [this, { toJSON: this.toJSON }] } } })

// a replacer that never ends
JSON.stringify({ a: 1 }, (key, value) => ({ a: 1, b: 2 }))

// names to choose from
const names = Array.from({ length: 1e5 }, (_, i) => 'k' + i); JSON.stringify({}, names)

// names to choose from in every object
// stays: with a list of names no replacer can pay: 2,000 names are looked up in an object in 60 us
const names = Array.from({ length: 2000 }, (_, i) => 'k' + i), a = Array(1e4).fill({}); for (;;) JSON.stringify(a, names)

// the widest indent
let a = 1; for (let i = 0; i < 500; i++) a = [a]; for (;;) JSON.stringify(a, null, '          ')

// rawJSON of a long text
const s = '1'.repeat(1e6); for (;;) JSON.rawJSON(s)

// a result that is too long
return 'x'.repeat(1 << 24)

// a result of brackets
let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a

// a result that claims to be an array of any length
return new Proxy([], { get: (target, key) => key === 'length' ? 2 ** 53 - 1 : key === 'then' || key === 'toJSON' ? undefined : 1 })

// a result of holes
const a = []; a.length = 4294967295; return a

// a result whose toJSON never ends
return { toJSON () { for (;;); } }

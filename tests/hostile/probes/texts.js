// repeat to the longest text
'x'.repeat(1 << 28)

// repeat of a long text
for (;;) 'x'.repeat(1 << 24)

// repeat of nothing very often
for (;;) ''.repeat(2 ** 31 - 1)

// repeat of long texts few times
const s = 'x'.repeat(1e6); for (;;) s.repeat(10)

// indexOf of half of a text
const s = 'a'.repeat(1 << 20), t = 'a'.repeat(1 << 19) + 'b'; for (;;) s.indexOf(t)

// indexOf of a short text at every place
const s = 'a'.repeat(1 << 22), t = 'aaaaaaaaaaaaaaab'; for (;;) s.indexOf(t)

// lastIndexOf of half of a text
const s = 'a'.repeat(1 << 20), t = 'b' + 'a'.repeat(1 << 19); for (;;) s.lastIndexOf(t)

// includes of half of a text
const s = 'a'.repeat(1 << 20), t = 'a'.repeat(1 << 19) + 'b'; for (;;) s.includes(t)

// startsWith and endsWith of long texts
const s = 'a'.repeat(1 << 22), t = s + ''; for (;;) { s.startsWith(t); s.endsWith(t) }

// replaceAll that grows
for (;;) 'a'.repeat(1 << 20).replaceAll('a', 'bcdefgh')

// replaceAll of nothing
const s = 'a'.repeat(1 << 20); for (;;) s.replaceAll('', 'x')

// replaceAll by half of a text
const s = 'a'.repeat(1 << 20); s.replaceAll('a'.repeat(1 << 19) + 'b', 'x')

// replace whose replacement names itself
const s = 'a'.repeat(1 << 16); for (;;) s.replace('a', '$`$\''.repeat(1 << 12))

// replaceAll by a function
const s = 'a'.repeat(1 << 20); for (;;) s.replaceAll('a', () => 'b')

// split into units
for (;;) 'a'.repeat(1 << 20).split('')

// split by half of a text
const s = 'a'.repeat(1 << 20); s.split('a'.repeat(1 << 19) + 'b')

// normalize of many letters
const s = '\u1e9b\u0323'.repeat(1e6); for (;;) s.normalize('NFKD')

// normalize of marks in the wrong order
const s = '\u0315\u0300'.repeat(1 << 17); s.normalize('NFD')

// normalize of one letter that becomes many
const s = '\ufdfa'.repeat(1e5); for (;;) s.normalize('NFKC')

// localeCompare of long texts
const s = 'a'.repeat(1 << 20), t = s + 'b'; for (;;) s.localeCompare(t)

// upper case of letters that grow
const s = '\u0390'.repeat(1 << 20); for (;;) s.toUpperCase()

// lower case of a letter that looks around
const s = '\u03a3'.repeat(1 << 14); for (;;) s.toLowerCase()

// lower case of a last letter behind many marks
const s = ('a' + '\u0301'.repeat(50) + '\u03a3').repeat(1 << 12); for (;;) s.toLowerCase()

// lower case of many last letters between marks
const s = '\u03a3'.repeat(20) + ('\u0301\u03a3').repeat(1 << 15); for (;;) s.toLowerCase()

// trim of spaces alone
const s = ' '.repeat(1 << 22); for (;;) { s.trim(); s.trimStart(); s.trimEnd() }

// padStart and padEnd
for (;;) { 'x'.padStart(1 << 24, 'ab'); 'x'.padEnd(1 << 24, 'abc') }

// isWellFormed and toWellFormed
const s = '\ud800'.repeat(1 << 21); for (;;) { s.isWellFormed(); s.toWellFormed() }

// concatenation that doubles
let s = 'a'; for (let i = 0; i < 30; i++) s += s

// concatenation that doubles to half of what is possible
for (;;) { let s = 'a'; for (let i = 0; i < 24; i++) s += s; s[5] }

// ropes that are read at once
for (;;) { let s = ''; for (let i = 0; i < 1e4; i++) s += 'abcdefghijklmnopq'; s.charCodeAt(1) }

// ropes that share their parts
let s = 'abcdefgh'.repeat(2000); for (let i = 0; i < 10; i++) s = s + s; for (;;) { const t = s + 'x'; t[7] }

// concat of a long text with itself
const s = 'x'.repeat(1 << 20); for (;;) s.concat(s, s, s, s, s, s, s, s)

// template with long parts
const s = 'x'.repeat(1 << 20); for (;;) `${s}${s}${s}${s}${s}${s}${s}${s}`

// long texts that are compared
const s = 'x'.repeat(1 << 22) + 'a', t = 'x'.repeat(1 << 22) + 'b'; for (let i = 0; i < 1e4; i++) s < t

// long texts that are equal
const s = 'x'.repeat(1 << 22) + 'a', t = 'x'.repeat(1 << 22) + 'a'; for (let i = 0; i < 1e4; i++) s === t

// long texts in a switch
const s = 'x'.repeat(1 << 22) + 'a', t = 'x'.repeat(1 << 22) + 'b'; for (let i = 0; i < 1e4; i++) switch (s) { case t: return 1 }

// substrings of a long text
const s = 'x'.repeat(1 << 22); for (;;) { s.slice(1); s.substring(2); s.substr(3) }

// a long text spread
const s = 'x'.repeat(1 << 20); for (;;) [...s]

// a long text as an object
const s = 'x'.repeat(1 << 20); for (;;) Object.getOwnPropertyNames(s)

// entries of a long text
const s = 'x'.repeat(1 << 18); for (;;) Object.entries(s)

// a long text as a name
const o = {}; let s = 'x'.repeat(1 << 20); for (;;) { o[s + 'a']; o[s + 'b'] = 1 }

// a long text as a name that is in
const o = {}; const s = 'x'.repeat(1 << 22); for (;;) (s + 'a') in o

// a long text as a symbol's
const s = 'x'.repeat(1 << 20); for (;;) { Symbol(s + '1').description; Symbol.for(s + '2') }

// String.raw of something that claims a length
String.raw({ raw: { length: 2 ** 53 - 1 } })

// String.raw of long parts
const raw = Array(1e5).fill('x'.repeat(50)); for (;;) String.raw({ raw })

// fromCharCode of as many as a call takes
const a = Array(6e4).fill(97); for (;;) String.fromCharCode(...a)

// fromCodePoint of as many as a call takes
const a = Array(6e4).fill(0x1f600); for (;;) String.fromCodePoint.apply(null, a)

// at, codePointAt and charAt at great places
const s = 'x'.repeat(1 << 20); for (;;) { s.at(-1); s.codePointAt(2 ** 53); s.charAt(-(2 ** 53)) }

// HTML methods of long texts
const s = '"'.repeat(1 << 20); for (;;) ''.anchor(s)

// escape and unescape
const s = '\u1234'.repeat(1 << 18), t = escape(s); for (;;) { escape(s); unescape(t) }

// encodeURIComponent and its inverse
const s = '\u1234'.repeat(1 << 18), t = encodeURIComponent(s); for (;;) { encodeURIComponent(s); decodeURIComponent(t) }

// atob and btoa
const s = 'x'.repeat(3 << 20), t = btoa(s); for (;;) { btoa(s); atob(t) }

// atob of spaces
const s = ' '.repeat(1 << 22); for (;;) atob(s)

// parseFloat of many digits
const s = '1'.repeat(1e7); for (;;) parseFloat(s)

// parseInt of many digits in many radices
const s = '1'.repeat(1e6); for (;;) { parseInt(s, 2); parseInt(s, 7); parseInt(s, 36) }

// Number of many digits
const s = '1'.repeat(1e7); for (;;) Number(s)

// plus of many digits
const s = '0.' + '0'.repeat(1e7) + '1'; for (;;) +s

// Number of spaces
const s = ' '.repeat(1e7); for (;;) Number(s)

// Date of a long text
const s = 'Jan 1 2000 ' + '('.repeat(1e7); for (;;) { Date.parse(s); new Date(s) }

// Date of many words
const s = 'x '.repeat(1e6); for (;;) Date.parse(s)

// toString of a function with a long text
const f = Function('/*' + 'x'.repeat(1e6) + '*/'); for (;;) f.toString()

// isArray and friends of a long text as receiver
const s = 'x'.repeat(1 << 20); for (;;) { Array.isArray(s); Object.isFrozen(s); Object.keys(s).length }

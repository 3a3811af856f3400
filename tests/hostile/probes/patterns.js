// a pattern that tries everything
/(a+)+$/.test('a'.repeat(40) + 'b')

// alternatives that overlap
/^(a|a|aa)+$/.test('a'.repeat(60) + 'b')

// references that try everything
/^(a*)*\1\1\1$/.test('a'.repeat(60) + 'b')

// a lookahead that tries everything
/(?=(a+)+b)x/.test('a'.repeat(60))

// a lookbehind that tries everything
/(?<=(a+)+b)x/.test('a'.repeat(60) + 'x')

// counted repetitions in one another
/^(?:(?:(?:a{0,99}){0,99}){0,99}){0,99}$/.test('a'.repeat(200) + 'b')

// a short pattern on a long text
const s = 'a'.repeat(1e6); for (;;) /b/.test(s)

// a lazy pattern on a long text
const s = 'a'.repeat(1e5); for (;;) /a*?b/.test(s)

// a pattern of squares
const s = 'a'.repeat(1e5); for (;;) /a*b/.test(s)

// the empty pattern at every place
const s = 'a'.repeat(1e5); for (;;) s.replace(/(?:)/g, 'x')

// a class of Unicode without regard to case
const s = 'a'.repeat(1e6); for (;;) /[^\p{L}]+$/ui.test(s)

// a class of Unicode that is compiled
for (;;) new RegExp('[\\p{L}\\p{Script=Han}\\P{Lu}]', 'ui')

// classes of Unicode by the hundred
for (;;) new RegExp('[\\p{L}\\p{Script=Han}\\P{Lu}]'.repeat(100), 'ui')

// a class of sets
for (;;) new RegExp('[' + '[\\p{L}--[a-z]]'.repeat(50) + ']', 'v')

// a class of many texts
for (;;) new RegExp('[\\q{' + 'abc|'.repeat(2000) + '}]', 'v')

// an emoji sequence class
for (;;) new RegExp('\\p{RGI_Emoji}', 'v')

// a long class
for (;;) new RegExp('[' + Array.from({ length: 3000 }, (_, i) => String.fromCharCode(1000 + i * 2)).join('') + ']', 'i')

// a long alternation
new RegExp('(' + 'a|'.repeat(1e6) + 'b)').test('b')

// an alternation of some thousands
for (;;) new RegExp('a|'.repeat(2000))

// parentheses in parentheses
new RegExp('('.repeat(1e5) + ')'.repeat(1e5))

// groups without capture in one another
new RegExp('(?:'.repeat(1e5) + ')'.repeat(1e5))

// groups in one another, each repeated
for (;;) try { new RegExp('(?:'.repeat(200) + 'a' + '){2}'.repeat(200)) } catch {}

// counted repetitions that are copied
for (;;) try { new RegExp('(?:(?:(?:a{1,255}){1,255}){1,255}){1,255}') } catch {}

// many captures
const r = new RegExp('(a)'.repeat(250)); const s = 'a'.repeat(1000); for (;;) s.replace(r, '$1')

// many named groups
const source = Array.from({ length: 250 }, (_, i) => `(?<n${i}>a)`).join(''); for (;;) try { new RegExp(source) } catch {}

// many references to names
const source = '(?<n>a)' + '\\k<n>'.repeat(3000); for (;;) try { new RegExp(source) } catch {}

// a pattern of escapes
for (;;) new RegExp('\\u{1f600}'.repeat(1000), 'u')

// a pattern of nothing but quantifiers
for (;;) try { new RegExp('+'.repeat(1e6)) } catch {}

// lookaheads in lookaheads
new RegExp('(?='.repeat(5000) + ')'.repeat(5000)).test('a')

// match of everything
const s = 'a'.repeat(1e6); for (;;) s.match(/a/g)

// matchAll of everything
const s = 'a'.repeat(1e5); for (;;) for (const m of s.matchAll(/a/g));

// matchAll into an array
const s = 'a'.repeat(1e4); for (;;) [...s.matchAll(/(a)(?<n>)/dg)]

// replace of everything
const s = 'a'.repeat(1e6); for (;;) s.replace(/a/g, 'bb')

// replace by what was before and after
const s = 'a'.repeat(4000); for (;;) s.replace(/a/g, '$`$\'')

// replace by a function
const s = 'a'.repeat(1e5); for (;;) s.replace(/a/g, () => 'b')

// split by a pattern
const s = 'a'.repeat(1e6); for (;;) s.split(/a/)

// split by a pattern that captures
const s = 'a'.repeat(1e5); for (;;) s.split(/(a)()()()/)

// search from the beginning
const s = 'a'.repeat(1e6); for (;;) s.search(/b/)

// an exec that says everything matches
const r = { __proto__: RegExp.prototype, global: true, flags: 'g', exec: () => ({ index: 0, length: 2 ** 53 - 1, 0: '' }) }; for (;;) RegExp.prototype[Symbol.replace].call(r, 'abc', 'x')

// an exec that never ends
const r = { flags: 'g', exec: () => [''], lastIndex: 0 }; RegExp.prototype[Symbol.match].call(r, 'abc')

// a lastIndex far away
const r = /a/g; const s = 'a'; for (;;) { r.lastIndex = 2 ** 53; r.exec(s); r.lastIndex = -Infinity; r.test(s) }

// compile of a pattern over and over
const r = /a/, source = 'abc|'.repeat(1000); for (;;) r.compile(source)

// source and flags of a long pattern
const r = new RegExp('/'.repeat(1e5)); for (;;) { r.source; r.flags; String(r) }

// RegExp.escape of a long text
const s = '+'.repeat(1 << 20); for (;;) RegExp.escape(s)

// pattern literals in a loop
for (;;) /(?:a|b|c|d|e|f|g)+[^\p{L}]/u.test('abcdefg')

// a pattern literal in text, long
const source = '/' + 'a|'.repeat(1e4) + '/'; for (;;) (0, eval)(source)

// sticky at every place
const r = /b/y, s = 'a'.repeat(1e6); for (;;) { r.lastIndex = 5e5; r.test(s) }

// a text of halves of letters with the flag u
const s = '\ud83d\ude00'.repeat(5e5); for (;;) /x/u.test(s)

// a long sum
(0, eval)('1+'.repeat(1e5) + '1')

// a long sum, again and again
const s = '1+'.repeat(1e5) + '1'; for (;;) (0, eval)(s)

// statements without a jump, in a loop
// stays: the engine asks at calls and jumps alone: a turn of 2,000 additions is two steps and takes 25 us
const f = Function('let x = 0; for (;;) {' + 'x = x + 1;'.repeat(2000) + '}'); f()

// small arrays without a jump, in a loop
// stays: the engine asks at calls and jumps alone: a turn of 2,000 pairs of arrays is two steps and takes 300 us
const f = Function('let x; for (;;) {' + 'x = [[]];'.repeat(2000) + '}'); f()

// properties that a long chain does not have, without a jump
// stays: the engine asks at calls and jumps alone: a turn of 2,000 looks along 1,000 prototypes is two steps and takes 9 ms
const f = Function('let o = {}; for (let i = 0; i < 1000; i++) o = Object.create(o); for (;;) {' + 'o.x;'.repeat(2000) + '}'); f()

// parentheses in parentheses
try { (0, eval)('('.repeat(1e5) + ')'.repeat(1e5)) } catch (e) { return e.name }

// brackets in brackets
try { (0, eval)('['.repeat(1e5) + ']'.repeat(1e5)) } catch (e) { return e.name }

// blocks in blocks
try { (0, eval)('{'.repeat(1e5) + '}'.repeat(1e5)) } catch (e) { return e.name }

// functions in functions that are possible
const s = '(()=>{'.repeat(200) + '})'.repeat(200); for (;;) try { (0, eval)(s) } catch {}

// templates in templates
try { (0, eval)('`${'.repeat(1e4) + '1' + '}`'.repeat(1e4)) } catch (e) { return e.name }

// signs before a number
try { (0, eval)('- '.repeat(1e5) + '1') } catch (e) { return e.name }

// conditions in conditions
try { (0, eval)('1?'.repeat(1e4) + '1' + ':1'.repeat(1e4)) } catch (e) { return e.name }

// patterns in patterns of destructuring
try { (0, eval)('var ' + '['.repeat(1e4) + 'a' + ']'.repeat(1e4) + ' = 1') } catch (e) { return e.name }

// classes in classes
try { (0, eval)('class A extends '.repeat(1e4) + 'B' + '{}'.repeat(1e4)) } catch (e) { return e.name }

// labels before labels
try { (0, eval)(Array.from({ length: 1e4 }, (_, i) => `l${i}:`).join('') + ';') } catch (e) { return e.name }

// many labels in a row, again and again
const s = Array.from({ length: 300 }, (_, i) => `l${i}:`).join('') + ';'; for (;;) try { (0, eval)(s) } catch {}

// ten thousand variables
const s = '(() => { let ' + Array.from({ length: 1e4 }, (_, i) => `v${i}`).join() + ' })()'; for (;;) (0, eval)(s)

// ten thousand variables that are all captured
const s = '(() => { let ' + Array.from({ length: 1e4 }, (_, i) => `v${i}`).join() + '; return () => ' + Array.from({ length: 1e4 }, (_, i) => `v${i}`).join('+') + ' })()'; for (;;) (0, eval)(s)

// functions that look for a name that is far away
const s = '(function () {'.repeat(100) + 'a'.repeat(1) + ';b;c;d;e;f;g;h'.repeat(100) + '})'.repeat(100); for (;;) (0, eval)(s)

// ten thousand globals
for (let n = 0; ; n++) (0, eval)(Array.from({ length: 1000 }, (_, i) => `var g${n}_${i} = 1`).join(';'))

// ten thousand functions
const s = Array.from({ length: 1e4 }, (_, i) => `function f${i} () {}`).join(';'); for (;;) (0, eval)(`{${s}}`)

// equal functions, declared again and again
const s = 'function f () {}'.repeat(1e4); for (;;) (0, eval)(`(() => {${s}})`)

// ten thousand parameters
const s = Array.from({ length: 1e4 }, (_, i) => 'p' + i).join(); for (;;) try { Function(s, '') } catch {}

// the same parameter, thousands of times
const s = Array(5e3).fill('p').join(); for (;;) try { Function(s, '') } catch {}

// ten thousand private names
const s = 'class A {' + Array.from({ length: 3000 }, (_, i) => `#p${i};`).join('') + '}'; for (;;) try { (0, eval)(s) } catch {}

// a long object literal
const s = '({' + Array.from({ length: 1e4 }, (_, i) => `k${i}:${i}`).join() + '})'; for (;;) (0, eval)(s)

// a long array literal
const s = '[' + '1,'.repeat(1e5) + ']'; for (;;) (0, eval)(s)

// a long string literal
const s = '"' + 'x'.repeat(1e6) + '"'; for (;;) (0, eval)(s)

// a long template literal
const s = '`' + '${1}'.repeat(1e4) + '`'; for (;;) try { (0, eval)(s) } catch {}

// a long comment
const s = '/*' + 'x'.repeat(1e7) + '*/'; for (;;) (0, eval)(s)

// a long line of semicolons
const s = ';'.repeat(1e6); for (;;) (0, eval)(s)

// many lines
const s = '1\n'.repeat(1e6); for (;;) (0, eval)(s)

// a long name
const s = 'x'.repeat(1e6); for (;;) (0, eval)('var ' + s)

// a long number
const s = '1'.repeat(1e6); for (;;) (0, eval)(s)

// a long chain of commas
const s = '1,'.repeat(1e5) + '1'; for (;;) (0, eval)(s)

// a long chain of calls
const s = 'f' + '()'.repeat(1e4); const f = (0, eval)('f = () => f'); for (;;) (0, eval)(s)

// a long chain of members
const s = 'globalThis' + '.globalThis'.repeat(1e4); for (;;) (0, eval)(s)

// a long chain of alternatives
const s = 'if (0);' + 'else if (0);'.repeat(5000); for (;;) try { (0, eval)(s) } catch {}

// many loops in a row
const s = 'for (;;) break;'.repeat(1e4); for (;;) (0, eval)(s)

// many tries in a row
const s = 'try {} finally {}'.repeat(1e4); for (;;) (0, eval)(s)

// tries in tries
try { (0, eval)('try {'.repeat(5000) + '} finally {}'.repeat(5000)) } catch (e) { return e.name }

// returns through finallys
try { (0, eval)('(() => {' + 'try {'.repeat(300) + 'return 1;'.repeat(300) + '} finally { x }'.repeat(300) + '})') } catch (e) { return e.name }

// breaks through loops over iterators
const s = '(() => { l: {' + 'for (const x of []) {'.repeat(100) + 'break l;'.repeat(1000) + '}'.repeat(100) + '} })'; for (;;) try { (0, eval)(s) } catch {}

// a mistake at the end
const s = '1+'.repeat(1e5); for (;;) try { (0, eval)(s) } catch {}

// a regular expression or a division
const s = '/a/g,'.repeat(2e4) + '1'; for (;;) (0, eval)(s)

// arrow functions that are found late
const s = '('.repeat(30) + 'a' + ')'.repeat(30); for (;;) (0, eval)('a = 1;' + s)

// parameters that may be arrow functions, in one another
const s = '(a = '.repeat(25) + '1' + ')'.repeat(25); for (;;) try { (0, eval)(s) } catch {}

// parameters that may be async arrow functions, in one another
const s = 'async(a = '.repeat(25) + '1' + ')'.repeat(25); for (;;) try { (0, eval)(s) } catch {}

// destructuring or literals, in one another
const s = '[{a:'.repeat(25) + '1' + '}]'.repeat(25); for (;;) try { (0, eval)(s) } catch {}

// arrays in arrays that may be patterns
const s = '['.repeat(400) + ']'.repeat(400); for (;;) try { (0, eval)(s) } catch {}

// objects in objects that may be patterns
const s = '({a:'.repeat(300) + '1' + '})'.repeat(300); for (;;) try { (0, eval)(s) } catch {}

// eval in eval
const f = n => { try { return (0, eval)(`f(${n + 1})`) } catch (e) { return e.name } }; globalThis.f = f; return f(0)

// Function in Function
for (;;) Function('return Function("return 1")')()

// async and generator functions from text
const A = (async () => {}).constructor, G = (function* () {}).constructor; const s = '1;'.repeat(1e4); for (;;) { A(s); G(s) }

// a direct eval that sees many variables
const s = '(() => { let ' + Array.from({ length: 1000 }, (_, i) => `v${i} = ${i}`).join() + '; for (;;) eval("v999") })()'; (0, eval)(s)

// import of something
return import('x').catch(e => e.name)

// direct eval of an empty text
for (;;) eval('')

// arrays until memory is full
let a = []; try { for (;;) a.push(new Array(1000).fill(0)) } catch (e) { a = null; return e.message }

// a text until memory is full
let s = 'abcdefgh'; try { for (;;) s = s + s + 'x' } catch (e) { s = null; return e.message }

// flat texts until memory is full
const kept = []; for (let i = 0; ; i++) kept.push(('x'.repeat(1e5) + i).charCodeAt(5) ? 'x'.repeat(1e5) + i : 0)

// a buffer that is too large
try { new Uint8Array(1e9) } catch (e) { return e.message }

// memory that comes back
for (let i = 0; i < 3; i++) { let a = []; try { for (;;) a.push({}) } catch { a = null } } return 1 + 1

// objects until memory is full
const kept = []; for (;;) kept.push({ a: {}, b: [] })

// closures until memory is full
let f = () => 1; for (;;) { const g = f; f = () => g }

// memory that is full, and full again
const kept = []; for (;;) try { for (;;) kept.push({}) } catch {}

// memory that is full, in jobs
const kept = []; for (;;) try { for (;;) kept.push(Promise.resolve().then(() => {})) } catch {}

// circles until memory is full
for (;;) { const a = {}, b = { a }; a.b = b }

// circles that are wide
for (;;) { const a = []; for (let i = 0; i < 1e5; i++) a.push({ a }) }

// a long chain that is let go at once
for (;;) { let o = null; for (let i = 0; i < 1e5; i++) o = { o } }

// a long chain of closures that is let go at once
for (;;) { let f = null; for (let i = 0; i < 1e5; i++) { const g = f; f = () => g } }

// a long chain of promises that is let go at once
for (;;) { let p = Promise.resolve(); for (let i = 0; i < 1e4; i++) p = p.then(() => {}) }

// circles kept alive beside much garbage
const kept = []; for (let i = 0; i < 3e5; i++) kept.push({}); for (;;) { const a = {}; a.a = a }

// errors with long messages
const s = 'x'.repeat(1e6); for (;;) try { throw new Error(s + 1) } catch (e) { e.stack }

// errors with long stacks
Error.stackTraceLimit = Infinity; const f = n => n ? f(n - 1) : new Error('x').stack; for (;;) f(1000)

// errors that are prepared by a function
Error.prepareStackTrace = (error, sites) => { for (;;); }; new Error('x').stack

// errors that are prepared by an error
Error.prepareStackTrace = () => new Error('x').stack; try { new Error('x').stack } catch {} ; return 1

// errors with causes in causes
let e; for (let i = 0; i < 1e5; i++) e = new Error('x', { cause: e }); return e.message

// an error with a long message
throw new Error('x'.repeat(1e7))

// an error whose message never ends
throw { get message () { for (;;); } }

// an error whose name is a proxy
throw Object.assign(new Error('x'), { name: new Proxy({}, {}) })

// an error of errors
throw new AggregateError(Array(1e6).fill(new Error('x')))

// something thrown that is deep
let a = []; for (let i = 0; i < 1e5; i++) a = [a]; throw a

// something thrown that claims to be an array of any length
throw new Proxy([], { get: (target, key) => key === 'length' ? 2 ** 53 - 1 : undefined })

// captureStackTrace on everything
const f = n => { if (n) return f(n - 1); for (;;) Error.captureStackTrace({}) }; f(500)

// functions with long names
const s = 'x'.repeat(1e6), f = () => { throw new Error('x') }; Object.defineProperty(f, 'name', { value: s }); for (;;) try { f() } catch {}

// an uncaught error in a function with a long name, deep
const s = 'x'.repeat(1e5), f = n => { if (n) f(n - 1); else throw new Error('x') }; Object.defineProperty(f, 'name', { value: s }); for (;;) try { f(200) } catch {}

// the end of fuel in an executor
new Promise(() => { for (;;); })

// the end of fuel in an executor, swallowed
for (;;) try { new Promise(() => { for (;;); }) } catch {}

// a job that makes a job
return new Promise(() => { const f = () => Promise.resolve().then(f); f() })

// a job that makes two jobs
return new Promise(() => { const f = () => { Promise.resolve().then(f); Promise.resolve().then(f) }; f() })

// a microtask that makes two
return new Promise(() => { const f = () => { queueMicrotask(f); queueMicrotask(f) }; f() })

// jobs, a million
for (let i = 0; i < 1e6; i++) Promise.resolve().then(() => {})

// jobs left behind by a call that is over
const f = () => Promise.resolve().then(f); f(); return 1

// jobs made by natives
for (;;) Promise.resolve().then(Boolean)

// a promise of a promise of a promise
let p = Promise.resolve(1); for (let i = 0; i < 1e5; i++) { const q = p; p = new Promise(resolve => resolve(q)) } return p

// a then that never ends
return { then (resolve) { resolve(this) } }

// a then that gives itself a new one
const make = () => ({ then (resolve) { resolve(make()) } }); return make()

// all of a million
const a = Array(1e5).fill(1); const f = async () => { for (;;) await Promise.all(a) }; return f()

// all of holes
const a = []; a.length = 4294967295; return Promise.all(a)

// allSettled, any and race of many
const a = Array.from({ length: 1e4 }, () => Promise.reject(1)); const f = async () => { for (;;) { await Promise.allSettled(a); try { await Promise.any(a) } catch {} ; try { await Promise.race(a) } catch {} } }; return f()

// a race that nobody wins, kept
const never = new Promise(() => {}); const f = async () => { for (;;) { Promise.race([never, 1]); await null } }; return f()

// an async function that never ends
return (async () => { for (;;) await null })()

// an async function that calls itself
const f = async () => { await f() }; return f().catch(e => e.name)

// async functions, many at once
const f = async () => { for (;;) await null }; for (let i = 0; i < 1e4; i++) f(); return new Promise(() => {})

// an async generator that never ends
return (async () => { for await (const x of (async function* () { for (;;) yield 1 })()); })()

// an async generator asked a million times at once
const g = (async function* () { for (;;) yield 1 })(); for (;;) g.next()

// for await over holes
const a = []; a.length = 4294967295; return (async () => { for await (const x of a); })()

// rejections that nobody hears
for (;;) Promise.reject(new Error('x'))

// a finally that never ends
return Promise.resolve().finally(() => { for (;;); })

// a timer that makes a timer
return new Promise(() => { const f = () => setTimeout(f, 0); f() })

// a timer that makes two timers
return new Promise(() => { const f = () => { setTimeout(f, 1); setTimeout(f, 1) }; f() })

// timers, a million
for (;;) setTimeout(() => {}, 2147483647)

// timers set and cleared
for (;;) clearTimeout(setTimeout(() => {}, 1))

// timers set, then cleared, then waited for
const ids = []; for (let i = 0; i < 1e5; i++) ids.push(setTimeout(() => {}, i)); for (const id of ids) clearTimeout(id); return new Promise(() => {})

// an interval of no time
setInterval(() => {}, 0); return new Promise(() => {})

// an interval that throws
setInterval(() => { throw 1 }, 0); return new Promise(() => {})

// a timer with native work
setInterval(Boolean, 0); return new Promise(() => {})

// a timer far away
return new Promise(resolve => { let n = 0; const f = () => { if (n++ < 1e5) setTimeout(f, 2147483647); else resolve(Date.now()) }; f() })

// immediates in immediates
const f = () => { setImmediate(f); setImmediate(f) }; f(); return new Promise(() => {})

// a promise that nobody settles
return new Promise(() => {})

// files written without end
return (async () => { for (;;) await System.files.writeFile('/a', 'x') })()

// great files written without end
return (async () => { const s = 'x'.repeat(1e6); for (;;) await System.files.writeFile('/a', s) })()

// files written without waiting
for (;;) System.files.writeFile('/a', 'x')

// files asked for by long names
const s = '/' + 'a/'.repeat(1e6); return (async () => { for (;;) try { await System.files.readFile(s) } catch {} })()

// folders asked for without end
return (async () => { for (;;) await System.files.readdir('/') })()

// history without end
return (async () => { for (;;) try { await System.files.history({ limit: 2 ** 53 }) } catch {} })()

// a console that is flooded
for (;;) console.log('x'.repeat(1e6))

// a console of empty lines
for (;;) console.log()

// a console of something deep
let a = 1; for (let i = 0; i < 1000; i++) a = [a]; for (;;) console.log(a)

// a disposal that waits for ever
const s = new AsyncDisposableStack(); for (let i = 0; i < 1e5; i++) s.defer(async () => {}); return (async () => { await s.disposeAsync(); for (;;) await null })()

// an await of something that claims to be done
return (async () => { for (;;) await { then: resolve => resolve() } })()

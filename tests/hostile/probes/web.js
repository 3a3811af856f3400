// a URL that is long
const u = 'http://a/' + 'b'.repeat(1e6); for (;;) new URL(u)

// a URL of dots
const u = 'http://a/' + '../'.repeat(3e5); for (;;) new URL(u)

// a URL whose host is in letters
const u = 'http://' + 'ä'.repeat(500) + '.' + 'ß\u0301'.repeat(500) + '/'; for (;;) URL.canParse(u)

// a URL whose host has many labels
const u = 'http://' + 'ä.'.repeat(1e5) + '/'; for (;;) URL.canParse(u)

// a URL whose host is a long label
const u = 'http://' + Array.from({ length: 1e5 }, (_, i) => String.fromCodePoint(0x4e00 + i % 20000)).join('') + '/'; for (;;) URL.canParse(u)

// a URL whose host is Punycode
const u = 'http://xn--' + 'a'.repeat(1e5) + '/'; for (;;) URL.canParse(u)

// a URL that is set again and again
const u = new URL('http://a/'); for (;;) u.pathname += 'b'

// a URL whose parameters grow
const u = new URL('http://a/'); for (;;) u.searchParams.append('a', 'b')

// parameters, many
const q = 'a=b&'.repeat(1e5); for (;;) new URLSearchParams(q)

// parameters that are sorted
const p = new URLSearchParams(); for (let i = 0; i < 1e5; i++) p.append(String((i * 7919) % 1e5), ''); for (;;) p.sort()

// parameters that are escaped
const p = new URLSearchParams([['a', 'ä'.repeat(1e6)]]); for (;;) String(p)

// bytes that are decoded
const b = new Uint8Array(4e6).fill(0xff), d = new TextDecoder(); for (;;) d.decode(b)

// bytes that are decoded as UTF-16
const b = new Uint8Array(4e6).fill(0xd8), d = new TextDecoder('utf-16le'); for (;;) d.decode(b)

// bytes that are decoded as Latin
const b = new Uint8Array(4e6).fill(0x80), d = new TextDecoder('latin1'); for (;;) d.decode(b)

// bytes that are decoded one by one
const d = new TextDecoder(), b = new Uint8Array([0xf0]); for (;;) d.decode(b, { stream: true })

// a text that is encoded
const t = '\ud800'.repeat(1e6), e = new TextEncoder(); for (;;) e.encode(t)

// a text that is encoded into little room
const t = 'ä'.repeat(1e6), e = new TextEncoder(), b = new Uint8Array(1); for (;;) e.encodeInto(t, b)

// a label that is long
const l = ' '.repeat(4e6); for (;;) try { new TextDecoder(l) } catch {}

// digests of megabytes
const b = new Uint8Array(16e6); for (;;) System.crypto.sha512(b)

// digests of nothing
const b = new Uint8Array(0); for (;;) System.crypto.blake3(b)

// signatures that are checked
const m = new Uint8Array(64), k = new Uint8Array(32).fill(1); for (;;) System.crypto.verifyEd25519(m, m, k)

// points that are read
const k = new Uint8Array(33).fill(2); const f = async () => { for (;;) await crypto.subtle.importKey('raw', k, { name: 'ECDSA', namedCurve: 'P-256' }, true, ['verify']).catch(() => {}) }; return f()

// random bytes
const b = new Uint8Array(65536); for (;;) crypto.getRandomValues(b)

// random names
for (;;) crypto.randomUUID()

// a clone of many
const a = Array.from({ length: 1e5 }, () => ({ a: [] })); for (;;) structuredClone(a)

// a clone of one in another
let a = {}; for (let i = 0; i < 1e5; i++) a = { a }; try { structuredClone(a) } catch (e) { return e.name }

// a clone that grows as it is read
const a = { get a () { return { __proto__: null, get a () { return a.a } } } }; try { structuredClone(a) } catch (e) { return e.name }

// a clone of bytes
const b = new Uint8Array(16e6); for (;;) structuredClone(b)

// a clone of a map that is its own key
const m = new Map(); for (let i = 0; i < 1e5; i++) m.set({ m }, m); for (;;) structuredClone(m)

// listeners, many
const t = new EventTarget(); for (;;) t.addEventListener('a', () => {})

// listeners that dispatch
const t = new EventTarget(); t.addEventListener('a', () => t.dispatchEvent(new Event('a'))); t.dispatchEvent(new Event('a')); return 1

// signals that follow signals
let s = new AbortController().signal; for (;;) s = AbortSignal.any([s, s])

// signals that time out
for (;;) AbortSignal.timeout(1)

// a global at the end of the stack
const f = () => { try { f() } catch { new URL('http://a') } }; try { f() } catch (e) { return e.name }

// a global at the end of memory
const kept = []; try { for (;;) kept.push(new Uint8Array(1e6)) } catch {} try { for (;;) kept.push({}) } catch {} try { return new URL('http://a').href } catch (e) { kept.length = 0; return [e.name, new URL('http://b').href] }

//! The globals of the web: against the standards' own data, against published vectors, and against hostile operands.

mod signatures;
mod urls;

use libvms_protocol::entry::Limits;

use super::{AT, load, try_load, value};
use crate::identity::Api;
use crate::message::Load;
use crate::script::Script;
use crate::sweep::Files;

#[test]
fn encoders_follow_the_standard() {
    for (expression, expected) in [
        (
            "[...new TextEncoder().encode('aé€😀\\ud800')]",
            "[97,195,169,226,130,172,240,159,152,128,239,191,189]",
        ),
        (
            "[new TextEncoder().encode().length, new TextEncoder().encoding, new TextEncoder().encode(null).length]",
            "[0,\"utf-8\",4]",
        ),
        (
            "[0, 1, 3, 4, 6, 10].map(n => { const b = new Uint8Array(n).fill(1); const r = new TextEncoder().encodeInto('aé😀b', b); return [r.read, r.written, [...b].join()] })",
            "[[0,0,\"\"],[1,1,\"97\"],[2,3,\"97,195,169\"],[2,3,\"97,195,169,1\"],[2,3,\"97,195,169,1,1,1\"],[5,8,\"97,195,169,240,159,152,128,98,1,1\"]]",
        ),
        (
            "['utf8', ' UTF-8\\n', 'latin1', 'ascii', 'utf-16', 'ucs-2', undefined].map(label => new TextDecoder(label).encoding)",
            "[\"utf-8\",\"utf-8\",\"windows-1252\",\"windows-1252\",\"utf-16le\",\"utf-16le\",\"utf-8\"]",
        ),
        (
            "(() => { const d = new TextDecoder('utf-8', { fatal: 1, ignoreBOM: true }); return [d.fatal, d.ignoreBOM, d.encoding] })()",
            "[true,true,\"utf-8\"]",
        ),
        (
            "new TextDecoder('latin1').decode(new Uint8Array([0x41, 0x80, 0x81, 0x9f, 0xe9]))",
            "\"A€\u{81}Ÿé\"",
        ),
        (
            "new TextDecoder('utf-16le').decode(new Uint8Array([0x61, 0, 0x3d, 0xd8, 0x00, 0xde, 0x00, 0xdc, 0x62]))",
            "\"a😀\u{fffd}\u{fffd}\"",
        ),
        ("new TextDecoder('utf-16le').decode(new Uint8Array([0x3d, 0xd8, 0x62]))", "\"\u{fffd}\""),
        (
            "['\\ufeffx', '\\ufeff\\ufeffx'].map(text => { const b = new TextEncoder().encode(text); return [new TextDecoder().decode(b), new TextDecoder('utf8', { ignoreBOM: true }).decode(b)] })",
            "[[\"x\",\"\u{feff}x\"],[\"\u{feff}x\",\"\u{feff}\u{feff}x\"]]",
        ),
        ("new TextDecoder().decode(new DataView(new Uint8Array([1, 97, 98, 2]).buffer, 1, 2))", "\"ab\""),
        ("new TextDecoder().decode(new Uint8Array([97, 98]).buffer)", "\"ab\""),
        ("Object.keys(TextDecoder.prototype)", "[\"encoding\",\"fatal\",\"ignoreBOM\",\"decode\"]"),
        ("String(new TextEncoder())", "\"[object TextEncoder]\""),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
    for (expression, name) in [
        ("new TextDecoder('utf-7')", "RangeError"),
        ("new TextDecoder('utf-8', 5)", "TypeError"),
        ("new TextDecoder().decode('text')", "TypeError"),
        ("new TextDecoder('utf8', { fatal: true }).decode(new Uint8Array([0xff]))", "TypeError"),
        ("new TextDecoder('utf-16', { fatal: true }).decode(new Uint8Array([0, 0xd8]))", "TypeError"),
        ("new TextEncoder().encode(Symbol())", "TypeError"),
        ("new TextEncoder().encodeInto('x', new Uint16Array(2))", "TypeError"),
        ("TextEncoder.prototype.encode.call({}, 'x')", "TypeError"),
        ("TextEncoder()", "TypeError"),
    ] {
        assert_eq!(name_of_thrown(expression), name, "{expression}");
    }
}

/// The name of what an expression throws.
fn name_of_thrown(expression: &str) -> String {
    let json = value(&format!(
        "(() => {{ try {{ return [{expression}].length }} catch (error) {{ return error.name }} }})()"
    ));
    json.trim_matches('"').to_owned()
}

/// Each sequence of bytes from a set that has all kinds, up to four bytes long: in one piece and in all cuts, lossy and fatal.
#[test]
fn every_malformed_sequence_is_read_as_the_standard_says() {
    let code = "const kinds = [0x41, 0x80, 0x90, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff]
        // The decoder of the standard, written out: https://encoding.spec.whatwg.org/#utf-8-decoder
        const decode = (bytes) => {
            let out = '', point = 0, needed = 0, seen = 0, low = 0x80, high = 0xbf
            for (let at = 0; at <= bytes.length; at++) {
                const byte = bytes[at]
                if (byte === undefined) { if (needed) out += '\\ufffd'; break }
                if (needed === 0) {
                    if (byte <= 0x7f) out += String.fromCodePoint(byte)
                    else if (byte >= 0xc2 && byte <= 0xdf) { needed = 1; point = byte & 0x1f }
                    else if (byte >= 0xe0 && byte <= 0xef) { if (byte === 0xe0) low = 0xa0; if (byte === 0xed) high = 0x9f; needed = 2; point = byte & 0xf }
                    else if (byte >= 0xf0 && byte <= 0xf4) { if (byte === 0xf0) low = 0x90; if (byte === 0xf4) high = 0x8f; needed = 3; point = byte & 7 }
                    else out += '\\ufffd'
                    continue
                }
                if (byte < low || byte > high) { point = needed = seen = 0; low = 0x80; high = 0xbf; at--; out += '\\ufffd'; continue }
                low = 0x80; high = 0xbf; point = (point << 6) | (byte & 0x3f); seen++
                if (seen === needed) { out += String.fromCodePoint(point); point = needed = seen = 0 }
            }
            return out
        }
        exports.f = (first) => {
            let wrong = [], count = 0
            const check = (list) => {
                const bytes = Uint8Array.from(list), wanted = decode(bytes)
                count++
                const found = [new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)]
                for (let cut = 0; cut <= bytes.length; cut++) {
                    const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
                    found.push(decoder.decode(bytes.subarray(0, cut), { stream: true }) + decoder.decode(bytes.subarray(cut), { stream: true }) + decoder.decode())
                }
                let fatal
                try { fatal = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) } catch { fatal = null }
                if (found.some(text => text !== wanted) || fatal !== (wanted.includes('\\ufffd') ? null : wanted)) wrong.push([list, found, wanted, fatal])
            }
            const grow = (list) => { check(list); if (list.length < 4) for (const kind of kinds) grow([...list, kind]) }
            grow([kinds[first]])
            return [count, wrong.slice(0, 3)]
        }";
    let limits = Limits { fuel: 1 << 30, ..Limits::default() };
    let mut script = try_load(code, limits).expect("a good script");
    for first in 0..18 {
        let found = script.call("f", &format!("[{first}]"));
        assert_eq!(found, super::super::message::Outcome::Returned(Some("[6175,[]]".into())), "{first}");
    }
}

#[test]
fn streams_keep_what_is_unfinished() {
    for (encoding, bytes) in [
        ("utf-8", "[0xef, 0xbb, 0xbf, 0x61, 0xf0, 0x9f, 0x98, 0x80, 0xc3, 0xa9]"),
        ("utf-16le", "[0xff, 0xfe, 0x61, 0, 0x3d, 0xd8, 0, 0xde, 0xe9, 0]"),
    ] {
        let expression = format!(
            "(() => {{
            const decoder = new TextDecoder('{encoding}'); let text = ''
            for (const byte of {bytes}) text += decoder.decode(new Uint8Array([byte]), {{ stream: true }})
            return [text + decoder.decode(), decoder.decode(new Uint8Array({bytes}))]
        }})()"
        );
        assert_eq!(value(&expression), "[\"a😀é\",\"a😀é\"]");
    }
}

#[test]
fn time_and_chance_come_with_the_call() {
    let mut script = load(
        "const loaded = performance.timeOrigin
        exports.time = async () => {
            const start = performance.now()
            await new Promise(resolve => setTimeout(resolve, 1500))
            return [loaded, performance.timeOrigin, start, performance.now(), String(performance), JSON.stringify(performance)]
        }
        exports.chance = () => [crypto.randomUUID(), crypto.randomUUID(), [...crypto.getRandomValues(new Uint8Array(20))], [...crypto.getRandomValues(new BigUint64Array(2))].map(String)]",
    );
    assert_eq!(
        script.json("time"),
        format!("[{AT},{AT},0,1500,\"[object Performance]\",\"{{\\\"timeOrigin\\\":{AT}}}\"]")
    );
    let first = script.json("chance");
    assert_eq!(first, script.json("chance"), "the same seed");
    let found: serde_json::Value = serde_json::from_str(&first).expect("JSON");
    let id = found[0].as_str().expect("a text");
    let is_id = |(at, letter): (usize, char)| match at {
        8 | 13 | 18 | 23 => letter == '-',
        14 => letter == '4',
        19 => "89ab".contains(letter),
        _ => letter.is_ascii_digit() || ('a'..='f').contains(&letter),
    };
    assert!(id.len() == 36 && id.chars().enumerate().all(is_id), "{id}");
    assert_ne!(found[0], found[1]);
    for (expression, name) in [
        ("crypto.getRandomValues(new Uint8Array(65537))", "QuotaExceededError"),
        ("crypto.getRandomValues(new Float64Array(1))", "TypeMismatchError"),
        ("crypto.getRandomValues([1])", "TypeMismatchError"),
        ("crypto.getRandomValues(new DataView(new ArrayBuffer(1)))", "TypeMismatchError"),
    ] {
        assert_eq!(name_of_thrown(expression), name, "{expression}");
    }
}

#[test]
fn events_reach_their_listeners_in_order() {
    for (expression, expected) in [
        ("(() => {
            const target = new EventTarget(), seen = []
            const note = (name) => (event) => { seen.push(name + event.eventPhase + (event.currentTarget === target)) }
            target.addEventListener('a', note('bubble')); target.addEventListener('a', note('capture'), true)
            const once = note('once'); target.addEventListener('a', once, { once: true }); target.addEventListener('a', once, { once: true })
            target.addEventListener('a', { handleEvent (event) { seen.push(typeof this.handleEvent); event.preventDefault() } })
            target.addEventListener('a', () => { throw new Error('reported') })
            const gone = note('gone'); target.addEventListener('a', gone); target.removeEventListener('a', gone)
            const event = new Event('a', { cancelable: true })
            return [target.dispatchEvent(event), event.defaultPrevented, event.target === target, event.currentTarget, [...seen], target.dispatchEvent(new Event('a')), seen.length]
        })()", "[false,true,true,null,[\"capture2true\",\"bubble2true\",\"once2true\",\"function\"],true,7]"),
        ("(() => {
            const target = new EventTarget(), seen = []
            target.addEventListener('a', (event) => { seen.push(1); event.stopImmediatePropagation() }); target.addEventListener('a', () => seen.push(2))
            target.dispatchEvent(new Event('a'))
            const again = new Event('b'); target.addEventListener('b', () => { try { target.dispatchEvent(again) } catch (error) { seen.push(error.name) } })
            target.dispatchEvent(again)
            return [seen, new Event('x').isTrusted, Event.AT_TARGET, new Event('x', { bubbles: 1 }).bubbles, Object.prototype.toString.call(target)]
        })()", "[[1,\"InvalidStateError\"],false,2,true,\"[object EventTarget]\"]"),
        ("(() => {
            const controller = new AbortController(), seen = [], { signal } = controller
            signal.onabort = function (event) { seen.push('on' + event.isTrusted + (this === signal)) }; signal.addEventListener('abort', () => seen.push('listener'))
            const both = AbortSignal.any([signal, new AbortController().signal]); both.addEventListener('abort', () => seen.push('both'))
            const target = new EventTarget(); target.addEventListener('x', () => seen.push('never'), { signal })
            controller.abort(); controller.abort('again'); target.dispatchEvent(new Event('x'))
            let thrown; try { signal.throwIfAborted() } catch (error) { thrown = error }
            return [seen, signal.aborted, thrown === signal.reason, thrown instanceof DOMException, thrown.name, thrown.code, both.reason === signal.reason, AbortSignal.abort(7).reason, AbortSignal.any([]).aborted]
        })()", "[[\"ontruetrue\",\"listener\",\"both\"],true,true,true,\"AbortError\",20,true,7,false]"),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
    let code = "exports.f = async () => { const signal = AbortSignal.timeout(250), start = Date.now()
        await new Promise(resolve => signal.addEventListener('abort', resolve)); return [Date.now() - start, signal.reason.name] }";
    assert_eq!(load(code).json("f"), "[250,\"TimeoutError\"]");
    for (expression, name) in [
        ("new AbortSignal()", "TypeError"),
        ("new Event()", "TypeError"),
        ("new EventTarget().dispatchEvent({})", "TypeError"),
        ("new EventTarget().addEventListener('x', 5)", "TypeError"),
        ("AbortSignal.any([1])", "TypeError"),
        ("AbortSignal.timeout(-1)", "TypeError"),
    ] {
        assert_eq!(name_of_thrown(expression), name, "{expression}");
    }
}

#[test]
fn clones_are_whole_and_nothing_else_is_cloned() {
    for (expression, expected) in [
        ("structuredClone([1, 'x', null, true, { a: [2] }])", "[1,\"x\",null,true,{\"a\":[2]}]"),
        (
            "(() => { const a = { b: {} }; a.self = a; a.c = a.b; const c = structuredClone(a); return [c !== a, c.self === c, c.c === c.b, c.b !== a.b] })()",
            "[true,true,true,true]",
        ),
        (
            "[new Date(5), new Date(NaN), Object(true), Object(5), Object('x'), Object(7n)].map(value => { const c = structuredClone(value); return [Object.prototype.toString.call(c), String(c.valueOf())] })",
            "[[\"[object Date]\",\"5\"],[\"[object Date]\",\"NaN\"],[\"[object Boolean]\",\"true\"],[\"[object Number]\",\"5\"],[\"[object String]\",\"x\"],[\"[object BigInt]\",\"7\"]]",
        ),
        (
            "(() => { const r = /a+(?<n>b)/dgimsuy; r.lastIndex = 3; const c = structuredClone(r); return [c.source, c.flags, c.lastIndex, c instanceof RegExp] })()",
            "[\"a+(?<n>b)\",\"dgimsuy\",0,true]",
        ),
        (
            "(() => { const m = new Map([[{ k: 1 }, new Set([1, 'a'])]]); m.set(m, m); const c = structuredClone(m); return [[...c].length, [...c.keys()][0].k, [...[...c.values()][0]], c.get(c) === c] })()",
            "[2,1,[1,\"a\"],true]",
        ),
        (
            "(() => { const b = new Uint8Array([1, 2, 3, 4]).buffer; const [x, y, z, d] = structuredClone([b, new Uint8Array(b, 1, 2), new Uint16Array(b), new DataView(b, 3)]); return [x === y.buffer && y.buffer === z.buffer, [...y], z.constructor.name, d.getUint8(0), y.byteOffset, x !== b] })()",
            "[true,[2,3],\"Uint16Array\",4,1,true]",
        ),
        (
            "(() => { const b = new ArrayBuffer(4, { maxByteLength: 8 }); const c = structuredClone(b); return [c.byteLength, c.maxByteLength, c.resizable] })()",
            "[4,8,true]",
        ),
        (
            "(() => { const b = new ArrayBuffer(4); const v = new Uint8Array(b); v[2] = 7; const c = structuredClone({ v }, { transfer: [b] }); return [b.detached, c.v[2], c.v.length, v.length] })()",
            "[true,7,4,0]",
        ),
        (
            "(() => { const e = new RangeError('m', { cause: [1] }); e.extra = 1; const c = structuredClone(e); return [c.name, c.message, c instanceof RangeError, c.extra, c.cause] })()",
            "[\"RangeError\",\"m\",true,null,[1]]",
        ),
        (
            "(() => { class Odd extends TypeError {}; const e = new Odd('m'); e.name = 'Odd'; const c = structuredClone(e); return [c.name, Object.getPrototypeOf(c) === Error.prototype] })()",
            "[\"Error\",true]",
        ),
        (
            "(() => { const c = structuredClone(new DOMException('m', 'DataError')); return [c.name, c.message, c.code, c instanceof DOMException] })()",
            "[\"DataError\",\"m\",0,true]",
        ),
        (
            "(() => { const a = [1, , 3]; a.extra = 'x'; const c = structuredClone(a); return [c.length, 1 in c, c.extra] })()",
            "[3,false,\"x\"]",
        ),
        (
            "(() => { class P { a = 1; get b () { return 2 } } const p = new P(); Object.defineProperty(p, 'hidden', { value: 1 }); p[Symbol()] = 1; const c = structuredClone(p); return [Object.getPrototypeOf(c) === Object.prototype, Reflect.ownKeys(c)] })()",
            "[true,[\"a\"]]",
        ),
        (
            "(() => { const log = []; const o = { get a () { log.push('a'); delete o.c; return 1 }, b: 2, c: 3 }; return [structuredClone(o), log] })()",
            "[{\"a\":1,\"b\":2},[\"a\"]]",
        ),
        ("(() => (function () { return structuredClone(arguments) })(1, 2))()", "{\"0\":1,\"1\":2}"),
        ("Object.keys(structuredClone({ ['__proto__']: 1, a: undefined }))", "[\"__proto__\",\"a\"]"),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
    for operand in [
        "() => 1",
        "Symbol()",
        "new WeakMap()",
        "new WeakSet()",
        "Promise.resolve()",
        "(function* () {})()",
        "new Proxy({}, {})",
        "[].values()",
        "{ deep: [class {}] }",
        "Object(Symbol())",
        "(() => { const b = new ArrayBuffer(1); b.transfer(); return b })()",
        "new Map([[1, () => 1]])",
        "{ get a () { return Symbol() } }",
        "new Map().entries()",
        "[1][Symbol.iterator]",
    ] {
        assert_eq!(name_of_thrown(&format!("structuredClone({operand})")), "DataCloneError", "{operand}");
    }
    for (call, name) in [
        ("structuredClone()", "TypeError"),
        ("structuredClone(1, { transfer: 5 })", "TypeError"),
        ("structuredClone(1, { transfer: [{}] })", "DataCloneError"),
        (
            "(() => { const b = new ArrayBuffer(1); structuredClone(b, { transfer: [b, b] }) })()",
            "DataCloneError",
        ),
        ("structuredClone({ get a () { throw new RangeError('mine') } })", "RangeError"),
    ] {
        assert_eq!(name_of_thrown(call), name, "{call}");
    }
}

#[test]
fn what_a_script_has_changed_does_not_reach_globals_that_it_uses_later() {
    let code = "let used = ''
        const { defineProperty, getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect
        const steps = [[].values(), new Map().values(), new Set().values(), ''[Symbol.iterator]()].map(getPrototypeOf)
        const typed = getPrototypeOf(Uint8Array)
        const places = { Array, ArrayBuffer, BigInt, DataView, Date, Function, JSON, Map, Math, Number, Object, Promise, Reflect, RegExp, Set, String, Symbol, Uint8Array, typed, DOMException,
            ...Object.fromEntries(steps.map((step, at) => ['steps' + at, step])) }
        const spy = (where) => function () { used += where + ' '; return undefined }
        exports.used = () => used
        const { apply } = Reflect, stackOf = getOwnPropertyDescriptor(Error.prototype, 'stack').get
        exports.poison = () => {
            try { return poisonAll() } catch (error) { return count + '/' + last + '/' + error.message }
        }
        let last = '', count = 0
        const poisonAll = () => {

            const names = Object.keys(places)
            const poison = (where, object) => {
                const keys = ownKeys(object)
                for (let at = 0; at < keys.length; at++) {
                    const key = keys[at]
                    if (key === 'constructor' || key === 'then' || key === 'prototype' || key === 'toJSON') continue
                    const property = getOwnPropertyDescriptor(object, key)
                    if (!property.configurable) continue
                    last = where
                    const name = where + '.' + (typeof key === 'symbol' ? 'symbol' : key)
                    if (typeof property.value === 'function') defineProperty(object, key, { __proto__: null, value: spy(name), writable: true, configurable: true })
                    else if (property.get !== undefined) defineProperty(object, key, { __proto__: null, get: spy(name), set: spy(name), configurable: true })
                    else continue
                    count++
                }
            }
            for (let at = 0; at < names.length; at++) {
                const object = places[names[at]], { prototype } = object
                poison(names[at], object)
                if (prototype !== undefined && prototype !== null) poison(names[at] + '.prototype', prototype)
                if (names[at] in globalThis) defineProperty(globalThis, names[at], { __proto__: null, value: spy(names[at]), writable: true, configurable: true })
            }
            const inherited = ['0', '1', '2', 'value', 'get', 'set', 'done', 'enumerable', 'name', 'fatal', 'stream', 'hash', 'code']
            for (let at = 0; at < inherited.length; at++) defineProperty(places.Object.prototype, inherited[at], { __proto__: null, get: spy(inherited[at]), set: spy(inherited[at]), configurable: true })
            return count
        }
        const bytes = new Uint8Array([104, 233])
        exports.f = () => {
            let url, decoder, event, signal
            try {
            url = new URL('http://user@example.org:8080/a/../b?x=1#y')
            url.searchParams.append('z', 'ä')
            decoder = new TextDecoder('latin1')
            event = new Event('a')
            signal = AbortSignal.abort(5)
            } catch (error) { return apply(stackOf, error, []) } return url.href + decoder.decode(bytes) + new TextEncoder().encode('é')[1] + performance.now() + crypto.randomUUID() + event.type + signal.reason +
                structuredClone({ __proto__: null, a: 7 }).a + System.crypto.sha256(bytes)[0]
        }";
    let run = |is_poisoned: bool| {
        let mut script = load(code);
        if is_poisoned {
            let count: u64 = script.json("poison").parse().expect("a number");
            assert!(count > 300, "{count}");
        }
        let found = script.json("f");
        (found, script.json("used"))
    };
    let (clean, poisoned) = (run(false), run(true));
    assert_eq!(clean, poisoned);
    assert!(clean.0.starts_with("\"http://user@example.org:8080/b?x=1&z=%C3%A4#yhé1690"), "{}", clean.0);
    assert_eq!(clean.1, "\"\"");
}

/// Memory of a heap without a script, in bytes.
fn empty(api: Api) -> u64 {
    let script = Script::new(api, Limits::default(), Box::new(Files)).expect("an engine");
    let load = Load { code: "exports.f = () => 1".into(), module: false, at: AT, seed: [0; 32] };
    script.load(&load).expect("a good script");
    script.memory.used()
}

#[test]
fn who_uses_no_new_global_pays_next_to_nothing_for_them() {
    let (before, now) = (empty(Api::V4), empty(Api::V5));
    assert!(now * 10 <= before * 11, "{now} bytes, and {before} before");
}

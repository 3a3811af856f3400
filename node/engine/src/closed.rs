//! Tests that the prelude is closed: a script gets no reference to our internals, and no change that it makes to the language
//! changes the behaviour of our functions.

use std::thread;

use libvms_protocol::entry::Limits;

use super::identity::Api;
use super::message::{Call, Load, Outcome};
use super::metering::scripted_places;
use super::script::Script;
use super::sweep::Files;

/// Far more than the tests use.
const PLENTY: Limits = Limits {
    fuel: 1 << 40,
    memory: 512 << 20,
    stack: 1 << 20,
    output: 256 << 20,
    load: None,
    call_age: None,
};

fn on_a_stack<R: Send>(run: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(64 << 20);
        builder.spawn_scoped(scope, run).expect("a thread").join().expect("no panic")
    })
}

fn script(code: &str) -> Script {
    let script = Script::new(Api::LATEST, PLENTY, Box::new(Files)).expect("an engine");
    let loaded =
        script.load(&Load { code: code.into(), module: false, at: 1_772_323_200_000, seed: [1; 32] });
    assert!(loaded.is_ok(), "{loaded:?}");
    script
}

fn call(script: &Script, method: &str, caller: Option<&str>) -> Outcome {
    let user_id = caller.map(str::to_owned);
    let call =
        Call { method: method.into(), args: "[]".into(), user_id, at: 1_772_323_200_000, seed: [2; 32] };
    script.call(&call).outcome
}

fn json(outcome: Outcome) -> String {
    match outcome {
        Outcome::Returned(Some(json)) => json,
        other => panic!("{other:?}"),
    }
}

/// Results of the prelude, with plain operands. None of these uses a function of the language by itself.
const RESULTS: &[&str] = &[
    "System.caller",
    "System.call",
    "System.oracle('rate', 1, { __proto__: null, a: 2 })",
    "System.oracle('none')",
    "System.oracle(7)",
    "System.fetch('https://a.example/', { __proto__: null, method: 'POST', body: 'x' })",
    "System.fetch('https://a.example/', { __proto__: null, verb: 'POST' })",
    "System.emit('mail', 1)",
    "thrown(System.emit('none', 1))",
    "System.files.getInfo()",
    "System.files.stat('/a')",
    "System.files.stat('/none')",
    "System.files.readFile('/a')",
    "System.files.readFile('/a', 'hex')",
    "System.files.readFile('/a', { __proto__: null, encoding: 'base64' })",
    "System.files.readFile('/a', 'binary')",
    "System.files.readFile('/a', 'json')",
    "System.files.readFile('/a', 'ebcdic')",
    "System.files.readdir()",
    "System.files.readdir('/', { __proto__: null, stat: true })",
    "System.files.readdir('/', { __proto__: null, limit: 1, offset: 1, reverse: true, recursive: true })",
    "System.files.readdir('/', { __proto__: null, limit: '1', offset: 1 })",
    "System.files.readdir('/', { __proto__: null, liimt: 1 })",
    "System.files.readdir('/', [])",
    "System.files.stat('/a', 5n)",
    "System.files.mkdir()",
    "System.files.unlink('/a', { __proto__: null, ['an option with a name that is very long, much too long']: 1 })",
    "System.files.readFile('/a', { __proto__: null, encoding: () => 1 })",
    "System.files.rmdir('/d', { __proto__: null, recursive: true })",
    "System.files.writeFile('/b', 'text')",
    "System.files.writeFile('/b', 'ff00', 'hex')",
    "System.files.writeFile('/b', { a: [1] }, 'json')",
    "System.files.writeFile('/b', bytes)",
    "System.files.writeFile('/b', floats)",
    "System.files.writeFile('/b', view)",
    "System.files.writeFile('/b', buffer)",
    "System.files.writeFile('/b', {})",
    "System.files.writeFile(7, 'x')",
    "System.files.mkdir('/d')",
    "System.files.unlink('/a')",
    "System.files.rmdir('/d')",
    "System.files.history()",
    "System.files.history({ __proto__: null, start: 1, limit: 2 })",
    "Buffer.from('h\\u00e9')",
    "Buffer.from('ff00', 'hex')",
    "Buffer.from(floats)",
    "Buffer.from(buffer)",
    "Buffer.alloc(3, 'z')",
    "Buffer.concat([bytes, bytes])",
    "Buffer.byteLength('\\u00e9')",
    "Buffer.isBuffer(bytes)",
    "Buffer.alloc(4).slice(1, 3)",
    "Buffer.alloc(4).toString('hex', 1)",
    "Buffer.alloc(4).equals(bytes)",
    "Buffer.from('abcabc').indexOf('ca', 1)",
    "Buffer.from('abcabc').lastIndexOf(bytes)",
    "Buffer.from('abc', 'utf16le').toString('ucs2')",
    "Buffer.alloc(7).fill('ab', 1)",
    "[Buffer.alloc(7).write('h\\u00e9', 1), Buffer.alloc(7).utf8Write('a', 2)]",
    "[Buffer.alloc(9).writeUInt32BE(77, 2), Buffer.alloc(8).readDoubleLE(), Buffer.alloc(8).readUIntBE(0, 3)]",
    "Buffer.alloc(3, 'z').copy(bytes)",
    "[Buffer.compare(bytes, bytes), Buffer.alloc(2).swap16(), Buffer.of(1, 2), Buffer.alloc(3).subarray(1)]",
    "Buffer.from(buffer, 1, 2)",
    "console.log('x', { __proto__: null, a: 1 }, 5n, () => 1)",
    "Date.now()",
    "Date()",
    "random()",
    "late(resolve => setTimeout(resolve, 10, 'x'))",
    "late(resolve => { setTimeout(() => {}, 30); setTimeout(() => {}, 20); setImmediate(resolve, 'y') })",
    "late(resolve => { let n = 0; const id = setInterval(() => { if (++n === 3) { clearInterval(id); resolve(n) } }, 1) })",
    "new URL('../c?q=1#h', 'http://user@a.example:81/b').href",
    "URL.canParse('x')",
    "URL.parse('http://a').host",
    "setPart(new URL('http://a/?q=1'))",
    "new URLSearchParams({ __proto__: null, a: 'b c' }).toString()",
    "new URLSearchParams('b=1&a=2').getAll('a')",
    "sorted(new URLSearchParams('b=1&a=2&b=0'))",
    "new TextEncoder().encode('h\\u00e9')",
    "new TextEncoder().encodeInto('h\\u00e9', bytes)",
    "new TextDecoder('latin1', { __proto__: null, fatal: true }).decode(bytes)",
    "new TextDecoder().decode(view)",
    "structuredClone({ __proto__: null, a: [1, { __proto__: null, b: bytes }], c: view, d: map, e: set, f: failed })",
    "thrown(structuredClone(() => 1))",
    "crypto.randomUUID()",
    "crypto.getRandomValues(bytes)",
    "crypto.subtle.digest('SHA-256', bytes)",
    "System.crypto.blake2b(bytes, 16)",
    "System.crypto.verifyEd25519(bytes, bytes, bytes)",
    "performance.now()",
    "heard(new EventTarget(), new Event('a'))",
    "aborted(new AbortController())",
    "AbortSignal.abort(5).reason",
    "thrown(new TypeErr('m'))",
    "thrown({ __proto__: null, a: 1 })",
    "thrown('text')",
];

/// Evaluated before anything is replaced.
const PREPARED: &str = "
    const bytes = new Uint8Array([0, 0, 0, 0]), floats = new Float32Array([1, 2]), buffer = new ArrayBuffer(5), view = new DataView(buffer, 1, 2)
    const TypeErr = TypeError, Pending = Promise, random = Math.random
    const late = (executor) => new Pending(executor)
    const map = new Map([[1, { __proto__: null, a: 1 }]]), set = new Set([1, 'a']), failed = new RangeError('m')
    const setPart = (url) => { url.hash = 'x'; url.searchParams.append('y', 'z'); return url.href }
    const sorted = (params) => { params.sort(); params.delete('none'); params.set('c', '1'); return params.toString() }
    const heard = (target, event) => { let n = 0; target.addEventListener('a', () => { n++ }, { __proto__: null, once: true }); target.dispatchEvent(event); return n + event.type }
    const aborted = (controller) => { controller.abort(); return controller.signal.reason.name + controller.signal.aborted }
    const thrown = (value) => { throw value }";

#[test]
fn no_hook_of_a_script_sees_anything_of_ours() {
    let places: Vec<&str> = scripted_places();
    assert!(places.len() > 40, "{}", places.len());
    let places = serde_json::to_string(&places).expect("names");
    let results: Vec<String> =
        RESULTS.iter().map(|result| format!("['{}', {result}]", result.replace(['\'', '\\'], ""))).collect();
    let results = results.into_iter().filter(|result| !result.contains("thrown("));
    let code = format!(
        "{PREPARED}\nconst run = {}\nexports.f = () => run(globalThis, {places}, () => [{}])",
        include_str!("closed/spies.js"),
        results.collect::<Vec<_>>().join(", ")
    );
    let found = on_a_stack(|| json(call(&script(&code), "f", None)));
    let found: serde_json::Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!(found["findings"], serde_json::json!([]), "{found:#}");
    assert!(found["made"].as_u64() > Some(5_000), "{found:#}");
}

#[test]
fn no_function_that_a_script_replaces_is_used_by_ours() {
    let methods: Vec<String> = RESULTS
        .iter()
        .enumerate()
        .map(|(index, result)| format!("exports.r{index} = () => {result}"))
        .collect();
    let code = format!(
        "((global) => {{
        const {{ Buffer, System, console, Date, setTimeout, setInterval, setImmediate, clearInterval }} = global
        const {{ AbortController, AbortSignal, Event, EventTarget, TextDecoder, TextEncoder, URL, URLSearchParams, crypto, performance, structuredClone }} = global
        const kinds = [AbortController, AbortSignal, Event, EventTarget, TextDecoder, TextEncoder, URL, URLSearchParams]
        const ours = kinds.concat(kinds.map(kind => kind.prototype), [crypto, crypto.subtle, performance, System.crypto].flatMap(one => [one, Object.getPrototypeOf(one)]), DOMException, DOMException.prototype).filter(one => one !== Object.prototype)
        {PREPARED}
        const attack = {}(global, [Object.prototype, Buffer, Buffer.prototype, Date, System, System.files, console, exports, module].concat(ours))
        exports.poison = attack.poison
        exports.used = attack.used
        {}
        }})(globalThis)",
        include_str!("closed/poison.js"),
        methods.join("\n")
    );
    on_a_stack(|| {
        let (clean, poisoned) = (script(&code), script(&code));
        let count: u64 = json(call(&poisoned, "poison", None)).parse().expect("a number");
        assert!(count > 450, "{count}");
        for (index, result) in RESULTS.iter().enumerate() {
            let method = format!("r{index}");
            let found = call(&poisoned, &method, Some("somebody"));
            assert_eq!(found, call(&clean, &method, Some("somebody")), "{result}");
            assert_eq!(json(call(&poisoned, "used", None)), "\"\"", "{result}");
        }
    });
}

#[test]
fn no_script_can_forge_the_caller() {
    let code = "
        const functions = []
        const collect = () => {
            Error.prepareStackTrace = (error, sites) => sites
            for (const site of new Error().stack) functions.push(site.getFunction())
            Error.prepareStackTrace = undefined
        }
        exports.attack = () => {
            collect()
            const tries = [
                () => functions.filter(found => typeof found === 'function').forEach(found => found('who', [], 'root')),
                () => { System.caller = { id: 'root' } },
                () => { System.caller.id = 'root' },
                () => Object.defineProperty(System, 'caller', { value: { id: 'root' } }),
                () => { globalThis.System = { caller: { id: 'root' } } },
                () => { Object.prototype.id = 'root' },
                () => { Object.freeze = value => ({ id: 'root' }) },
                () => { collect.caller('who', [], 'root') },
                () => { (function () { return arguments.callee.caller })()('who', [], 'root') }
            ]
            for (const attempt of tries) try { attempt() } catch {}
            return [System.caller.id, functions.every(found => found === undefined)]
        }
        exports.who = () => System.caller.id";
    on_a_stack(|| {
        let script = script(code);
        assert_eq!(json(call(&script, "attack", Some("ann"))), "[\"ann\",true]");
        for caller in [Some("ann"), None, Some("bob"), Some("")] {
            assert_eq!(json(call(&script, "who", caller)), serde_json::to_string(&caller).expect("JSON"));
        }
    });
}

#[test]
fn our_functions_look_like_those_of_the_language() {
    let code = "exports.f = () => [setTimeout, System.files.readFile, Buffer, Buffer.from, console.log, Date, Math.random,
            Object.getOwnPropertyDescriptor(System, 'caller').get].map(String).filter(text => !text.includes('[native code]'))";
    on_a_stack(|| assert_eq!(json(call(&script(code), "f", None)), "[]"));
}

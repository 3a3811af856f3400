//! Tests that metered built-ins behave as the engine's in all that a script can see, and that none runs long for little fuel.

use std::thread;

use libvms_protocol::entry::Limits;

use super::table::TABLE;
use crate::host_functions::Driver;
use crate::identity::Api;
use crate::message::{
    Call, Console, Done, Fault, FileReply, FileRequest, Load, Outcome, WorldReply, WorldRequest,
};
use crate::script::{Builtins, Script};

/// Far more than the tests use.
const PLENTY: Limits = Limits {
    fuel: 1 << 40,
    memory: 256 << 20,
    stack: 1 << 20,
    output: 256 << 20,
    load: None,
    call_age: None,
};

struct Nobody;

impl Driver for Nobody {
    fn file(&self, _: FileRequest) -> Option<FileReply> {
        None
    }
    fn world(&self, _: WorldRequest) -> Option<WorldReply> {
        None
    }

    fn console(&self, _: Console) {}
}

/// Loads a script and calls its `f` some times, on a stack as large as a worker's.
fn calls(code: &str, limits: Limits, builtins: Builtins, args: &[&str]) -> Vec<Done> {
    let (code, args) = (code.to_owned(), args.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    let run = move || {
        let engine = Script::with(Api::LATEST, limits, Box::new(Nobody), builtins).expect("an engine");
        engine.load(&Load { code, module: false, at: 0, seed: [0; 32] }).expect("a good script");
        let call = |args| Call { method: "f".into(), args, user_id: None, at: 0, seed: [0; 32] };
        args.into_iter().map(|args| engine.call(&call(args))).collect()
    };
    let builder = thread::Builder::new().stack_size(64 << 20);
    builder.spawn(run).expect("a thread").join().expect("no panic")
}

fn call(code: &str, limits: Limits, builtins: Builtins) -> Done {
    calls(code, limits, builtins, &["[]"]).remove(0)
}

fn text(code: &str, builtins: Builtins) -> String {
    match call(code, PLENTY, builtins).outcome {
        Outcome::Returned(Some(json)) => json,
        other => panic!("{builtins:?}: {other:?}"),
    }
}

/// Returns a script's result with metered built-ins, and with those of the unmodified engine.
fn both(code: &str) -> [String; 2] {
    [Builtins::Metered, Builtins::Plain].map(|builtins| text(code, builtins))
}

#[test]
fn odd_operands_show_no_difference_from_the_unmodified_engine() {
    let places: Vec<&str> = TABLE.iter().map(|row| row.place).collect();
    let places = serde_json::to_string(&places).expect("names");
    let (mut calls, mut differences) = (0, vec![]);
    for seed in 1..=12 {
        let source = include_str!("tests/observed.js");
        let code = format!("const run = {source}\nexports.f = () => run(globalThis, {places}, {seed}, 1000)");
        let [metered, plain] =
            both(&code).map(|json| serde_json::from_str::<Vec<String>>(&json).expect("lines"));
        assert_eq!(metered.len(), plain.len());
        calls += metered.len();
        let pairs = metered.into_iter().zip(plain);
        differences.extend(pairs.filter(|(metered, plain)| metered != plain));
    }
    assert_eq!(calls, 12_000);
    let told: Vec<String> = differences
        .iter()
        .take(12)
        .map(|(metered, plain)| format!("METERED {metered}\nPLAIN   {plain}"))
        .collect();
    assert!(differences.is_empty(), "{} of {calls}:\n{}", differences.len(), told.join("\n\n"));
}

#[test]
fn functions_look_as_the_engine_made_them() {
    let places: Vec<&str> = TABLE.iter().map(|row| row.place).collect();
    let places = serde_json::to_string(&places).expect("names");
    let code = format!(
        "exports.f = () => {places}.map(place => {{
            const value = (0, eval)(place)
            const own = Reflect.ownKeys(value).map(key => [String(key), JSON.stringify(Reflect.getOwnPropertyDescriptor(value, key))])
            let made; try {{ Reflect.construct(Object, [], value); made = true }} catch {{ made = false }}
            return [place, typeof value, value.toString(), Object.prototype.toString.call(value), own, made,
                Object.getPrototypeOf(value) === Function.prototype, Object.isExtensible(value)]
        }}).concat([Array.prototype[Symbol.iterator] === Array.prototype.values, Number.parseFloat === parseFloat,
            String.prototype.trimLeft === String.prototype.trimStart, Uint8Array.prototype.toString === Array.prototype.toString,
            RegExp.prototype.constructor === RegExp, (1, eval)('this') === globalThis, RegExp(/a/) !== RegExp(/a/),
            [].constructor === Array, Object.getOwnPropertyNames(globalThis).length, RegExp.$1])"
    );
    let [metered, plain] = both(&code);
    assert_eq!(metered, plain);
    assert!(metered.contains("[native code]"));
}

#[test]
fn built_ins_that_would_run_for_minutes_end_by_their_fuel() {
    for code in [
        "const a = []; a.length = 4294967295; a.join()",
        "const a = []; a.length = 4294967295; a.reverse()",
        "const a = []; a.length = 4294967295; a.sort()",
        "const a = []; a.length = 4294967295; a.sort(() => 0)",
        "const a = []; a.length = 4294967295; a.copyWithin(0, 1)",
        "const a = []; a.length = 4294967295; a.toLocaleString()",
        "const a = []; a.length = 4294967295; String(a)",
        "const a = []; a.length = 4294967295; a.slice()",
        "const a = []; a.length = 4294967295; a.splice(0, 1)",
        "const a = []; a.length = 4294967295; a.shift()",
        "const a = []; a.length = 4294967294; a.unshift(1)",
        "const a = []; a.length = 4294967295; [].concat(a)",
        "const a = []; a.length = 4294967295; [a].flat()",
        "const a = []; a.length = 4294967295; [1].flatMap(() => a)",
        "const a = []; a.length = 4294967295; a.indexOf(1)",
        "const a = []; a.length = 4294967295; new Set(a)",
        "const a = []; a.length = 4294967295; a.values().drop(4294967294).next()",
        "const a = []; a.length = 4294967295; new Set().union({ size: 1, has() {}, keys: () => a.values() })",
        "const a = []; a.length = 4294967295; [].concat({ get length () { return 2 ** 40 }, [Symbol.isConcatSpreadable]: true })",
        "const b = [1]; const a = [1]; a.constructor = { get [Symbol.species] () { b.length = 4294967295; return Array } }; a.concat(b)",
        "const a = new Proxy([], { get: (target, key) => key === 'length' ? 2 ** 53 - 1 : target[key] }); a.join()",
        "Array.prototype.join.call(new Proxy({ length: 2 ** 53 - 1 }, {}))",
        "Array.prototype.slice.call({ length: 4294967295 })",
        "Array.prototype.slice.call(new Proxy({ length: 4294967295 }, {}))",
        "Array.prototype.unshift.call({ length: 2 ** 53 - 3 }, 1)",
        "Array.prototype.unshift.call({ length: { valueOf: () => 2 ** 53 - 3 } }, 1)",
        "Array.prototype.reverse.call({ get length () { return 2 ** 53 - 1 } })",
        "Array.prototype.fill.call(Object.create(new Uint8Array(1), { length: { value: 2 ** 53 - 1 } }), 1)",
        "Array.prototype.copyWithin.call({ length: 2 ** 53 - 1 }, 0, 1)",
        "Array.prototype.splice.call({ length: 2 ** 53 - 1 }, 0, 1)",
        "Array.prototype.sort.call({ length: 2 ** 53 - 1 })",
        "String.raw({ raw: { length: 2 ** 53 - 1 } })",
        "const s = 'a'.repeat(1 << 19); const t = ['a', 'b'].map(c => s.slice(1) + c); for (;;) t[0].indexOf(t[1])",
        "const s = 'a'.repeat(1 << 20); const t = 'a'.repeat(1 << 19) + 'b'; for (;;) s.indexOf(t)",
        "const s = 'a'.repeat(1 << 20); const t = 'a'.repeat(1 << 19) + 'b'; for (;;) s.lastIndexOf(t)",
        "const s = 'a'.repeat(1 << 20); const t = 'a'.repeat(1 << 19) + 'b'; for (;;) s.includes({ toString: () => t })",
        "const s = 'a'.repeat(1 << 20); s.split('a'.repeat(1 << 19) + 'b')",
        "const s = 'a'.repeat(1 << 20); s.replaceAll({ [Symbol.replace]: null, toString: () => 'a'.repeat(1 << 19) + 'b' }, '')",
        "const s = 'a'.repeat(1 << 18); s.replaceAll('a', '$1'.repeat(1 << 16))",
        "('\\u0315\\u0300'.repeat(1 << 16)).normalize('NFD')",
        "('\\u0315\\u0300'.repeat(1 << 16)).localeCompare('x')",
        "new RegExp('a|'.repeat(1e6))",
        "RegExp({ [Symbol.match]: true, source: 'a|'.repeat(1e6), flags: '' })",
        "'x'.match('a|'.repeat(1e6))",
        "/x/.compile('a|'.repeat(1e6))",
        "for (;;) BigInt('9'.repeat(300000))",
        "const n = 1n << 1000000n; for (;;) n.toString()",
        "const n = 1n << 1000000n; for (;;) String(n)",
        "JSON.stringify({}, Array.from({ length: 1e5 }, (_, i) => 'k' + i))",
        "const t = '[' + '1,'.repeat(1e6) + '1]'; for (;;) JSON.parse(t)",
        "const a = Array(1e6).fill(1); for (;;) JSON.stringify(a)",
        "const t = new Float64Array(4e6); for (;;) t.sort()",
        "const t = new Uint8Array(5e7); for (;;) t.fill(1)",
        "const t = new Uint8Array(5e7); for (;;) t.indexOf(1)",
        "for (;;) new Uint8Array({ length: 1e7 })",
        "const b = new ArrayBuffer(0, { maxByteLength: 1e8 }); for (;;) { b.resize(1e8); b.resize(0) }",
        "const s = 'x'.repeat(1e7); const m = new Map(); for (;;) m.get(s + m.size)",
        "const s = 'x'.repeat(1e6) + 'é'; for (;;) s.toUpperCase()",
        "const a = Array.from({ length: 1000 }, () => 'x'.repeat(1e5)); for (;;) a.sort()",
        "const o = Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => ['k' + i, i])); for (;;) Object.keys(o)",
        "for (;;) 'x'.repeat(1e7)",
        "const s = '1+'.repeat(1e5) + '1'; for (;;) (0, eval)(s)",
        "for (;;) encodeURIComponent({ toString: () => 'ä'.repeat(1e6) })",
        "for (;;) try { new Promise(() => { const a = []; a.length = 4294967295; a.join() }) } catch {}",
    ] {
        let done = call(&format!("exports.f = () => {{ {code} }}"), Limits::default(), Builtins::Metered);
        assert_eq!(done.outcome, Outcome::Fault(Fault::Fuel), "{code}");
    }
}

#[test]
fn ordinary_uses_cost_little() {
    // Units of fuel, of the four hundred that a call has.
    for (most, code) in [
        (1, "const a = [5, 3, 1]; for (let i = 0; i < 100; i++) a.slice().sort().concat(a).indexOf(1)"),
        (
            3,
            "let s = 0; for (let i = 0; i < 1000; i++) s += 'a,b,c,d'.split(',').map(x => x.toUpperCase()).join('-').length; return s",
        ),
        (10, "const q = Array.from({ length: 2000 }, (_, i) => i); while (q.length) q.shift()"),
        (70, "JSON.parse(JSON.stringify(Array.from({ length: 10000 }, (_, i) => ({ i }))))"),
        (
            40,
            "let n = 0; for (let i = 0; i < 10000; i++) if (/^user-(\\d+)$/.test('user-' + i)) n++; return n",
        ),
        (
            20,
            "const text = 'the quick brown fox '.repeat(5000); return text.split(' ').filter(w => w.includes('o')).length",
        ),
        (
            30,
            "const a = Array.from({ length: 10000 }, (_, i) => 'name ' + (i * 7919) % 10007); a.sort(); return a[0]",
        ),
        // Two of them for making `Buffer`, once for each heap.
        (4, "const b = Buffer.from('x'.repeat(10000)); return b.toString('hex').length"),
    ] {
        let done = call(&format!("exports.f = () => {{ {code} }}"), Limits::default(), Builtins::Metered);
        assert!(matches!(done.outcome, Outcome::Returned(_)), "{code}: {done:?}");
        assert!(done.fuel <= most, "{code}: {}", done.fuel);
    }
}

#[test]
fn fuel_is_the_same_in_every_heap() {
    let source = include_str!("tests/observed.js");
    let places: Vec<&str> = TABLE.iter().map(|row| row.place).collect();
    let places = serde_json::to_string(&places).expect("names");
    let code =
        format!("const run = {source}\nexports.f = (seed) => run(globalThis, {places}, seed, 300).length");
    let fuel = || {
        calls(&code, PLENTY, Builtins::Metered, &["[1]", "[2]", "[1]"])
            .iter()
            .map(|done| done.fuel)
            .collect::<Vec<_>>()
    };
    assert_eq!(fuel(), fuel());
}

#[test]
fn long_texts_are_found_where_the_engine_finds_them() {
    let code = "const wide = 'abcabcabd'.repeat(140), needle = 'abcabcabd'.repeat(10)
        const texts = [wide, wide + 'é' + wide, wide + '\\u0394' + wide, 'x' + needle + wide.slice(1)]
        const needles = [needle, needle.slice(1) + 'a', needle + 'x', '\\u0394' + needle, 'é' + needle, needle.slice(0, -1) + '\\u0394']
        const places = [undefined, 0, -1, 1, 3.7, 9, 100, 1259, 1260, 1300, 3000, NaN, Infinity, -Infinity, 2 ** 40, '12', null, true, { valueOf: () => 4 }]
        exports.f = () => texts.flatMap(text => needles.flatMap(needle => places.flatMap(place =>
            ['indexOf', 'lastIndexOf', 'includes'].map(name => [text[name](needle, place), text[name](needle)].join()))))";
    let [metered, plain] = both(code);
    assert_eq!(metered, plain);
    assert!(metered.matches("-1").count() > 100 && metered.matches("true").count() > 100);
}

#[test]
fn endless_work_that_a_getter_ends_is_paid_for_as_done() {
    let code = "const claims = [2 ** 53 - 2, 2 ** 53 + 2, 2 ** 40, 2 ** 31], found = []
        const names = ['reverse', 'unshift', 'fill', 'copyWithin', 'join', 'shift', 'splice', 'slice', 'sort', 'toLocaleString']
        class Stop extends Error {}
        const trap = (length, at) => Object.defineProperty({ length }, at, { get () { throw new Stop('get ' + at) }, set () { throw new Stop('set ' + at) } })
        const operands = { unshift: [1], copyWithin: [1, 0, 3], slice: [0, 2], splice: [0, 2] }
        exports.f = () => {
            for (const length of claims) for (const name of names) for (const near of [0, 1]) {
                const at = name === 'unshift' ? Math.min(length, 2 ** 53 - 1) - 1 - near : near
                try { found.push([name, length, at, Array.prototype[name].apply(trap(length, at), operands[name] ?? [])?.length]) }
                catch (error) { found.push([name, length, at, error.name, error.message]) }
            }
            return found
        }";
    let [metered, plain] = both(code);
    assert_eq!(metered, plain);
    let done = call(code, Limits::default(), Builtins::Metered);
    assert!(done.fuel < 100, "{}", done.fuel);
}

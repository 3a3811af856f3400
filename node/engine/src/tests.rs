//! Tests of the engine by its messages: the globals of a script, and how its calls end.

mod errors;
mod exports;
mod web;
mod world;

use libvms_protocol::entry::Limits;

use super::message::{
    Call, Fault, FileAnswer, FileRequest, Load, LoadFailure, Outcome, Report, Request, Thrown,
};
use super::{EngineSettings, Worker};

/// 2026-03-01 00:00 UTC.
const AT: u64 = 1_772_323_200_000;

/// A loaded script.
struct Script {
    worker: Worker,
    methods: Vec<String>,
    console: Vec<String>,
    world: world::World,
}

fn try_load(code: &str, limits: Limits) -> Result<Script, LoadFailure> {
    let mut worker = Worker::start(limits, &EngineSettings::unconfined()).expect("a worker");
    worker
        .send(Request::Load(Load { code: code.into(), module: false, at: AT, seed: [1; 32] }))
        .expect("it runs");
    let mut console = vec![];
    loop {
        match worker.receive().expect("it runs") {
            Report::Loaded(loaded) => {
                return Ok(Script { worker, methods: loaded?.methods, console, world: Default::default() });
            }
            Report::Console(line) => console.push(line.text),
            other => panic!("{other:?}"),
        }
    }
}

fn load(code: &str) -> Script {
    try_load(code, Limits::default()).expect("a good script")
}

impl Script {
    fn call(&mut self, method: &str, args: &str) -> Outcome {
        let call = Call { method: method.into(), args: args.into(), user_id: None, at: AT, seed: [2; 32] };
        self.worker.send(Request::Call(call)).expect("it runs");
        loop {
            match self.worker.receive().expect("it runs") {
                Report::Done(done) => return done.outcome,
                Report::Console(line) => self.console.push(line.text),
                Report::File(request) => self.worker.answer(answer(&request)).expect("it runs"),
                Report::World(request) => {
                    let reply = self.world.reply(request);
                    self.worker.answer_world(reply).expect("it runs");
                }
                Report::Loaded(loaded) => panic!("{loaded:?}"),
            }
        }
    }

    fn json(&mut self, method: &str) -> String {
        match self.call(method, "[]") {
            Outcome::Returned(Some(json)) => json,
            other => panic!("{other:?}"),
        }
    }
}

/// Answers as an archive that holds one file of three odd bytes.
fn answer(request: &FileRequest) -> super::message::FileReply {
    match request {
        FileRequest::Read { path } if path == "/odd" => Ok(FileAnswer::Content(vec![0xff, 0x00, 0x41])),
        FileRequest::Write { .. } => Ok(FileAnswer::Ok),
        _ => Err(Thrown::new("NotFoundError", "nothing there")),
    }
}

fn value(expression: &str) -> String {
    load(&format!("exports.f = () => ({expression})")).json("f")
}

fn threw(name: &str, message: &str) -> Outcome {
    Outcome::Threw(Thrown::new(name, message))
}

#[test]
fn methods_are_the_exported_functions() {
    let script = load(
        "exports.b = () => {}; exports.a = async function () {}; exports.text = 'x'; exports.init = () => {}
        Object.defineProperty(exports, 'hidden', { value: () => {} }); exports['\\ud800'] = () => {}",
    );
    assert_eq!(script.methods, ["b", "a", "init"]);
    assert_eq!(load("module.exports = class { static m() {} }; module.exports.n = () => {}").methods, ["n"]);
    assert_eq!(load("").methods, [""; 0]);
}

#[test]
fn inherited_and_later_functions_are_not_called() {
    let mut script = load("exports.f = () => { exports.g = () => 1; delete exports.f }");
    assert_eq!(script.call("toString", "[]"), threw("TypeError", "toString is no function any more"));
    assert_eq!(script.call("f", "[]"), Outcome::Returned(None));
    assert_eq!(script.call("f", "[]"), threw("TypeError", "f is no function any more"));
}

#[test]
fn a_script_that_does_not_load_says_where() {
    for (code, name, position) in [
        ("\n  throw new RangeError('x')", "RangeError", Some("script.js:2:")),
        ("let a = 1\nlet a = 2", "SyntaxError", Some("script.js:2:")),
        ("throw 'text'", "Error", None),
        ("nowhere()", "ReferenceError", Some("script.js:1:")),
    ] {
        let failure = try_load(code, Limits::default()).err().expect(code);
        assert!(matches!(&failure.outcome, Outcome::Threw(thrown) if thrown.name == name), "{failure:?}");
        let found = failure.position.as_deref();
        assert_eq!(
            found.map(|found| found.starts_with(position.unwrap_or("?"))),
            position.map(|_| true),
            "{failure:?}"
        );
    }
    let failure = try_load("for (;;) {}", Limits::default()).err().expect("an endless script");
    assert_eq!(failure.outcome, Outcome::Fault(Fault::Fuel));
    let failure = try_load("1", Limits { memory: 0, ..Limits::default() }).err().expect("no memory");
    assert!(matches!(failure.outcome, Outcome::Threw(_)), "{failure:?}");
}

#[test]
fn results_are_json() {
    assert_eq!(
        value("{ a: [1, 0.1, -0, 1e21, NaN, undefined, null, true], b: undefined }"),
        "{\"a\":[1,0.1,0,1e+21,null,null,null,true]}"
    );
    assert_eq!(value("'\\ud800 \\\\ud800 \\u{1f600} \"'"), "\"\u{fffd} \\\\ud800 \u{1f600} \\\"\"");
    assert_eq!(value("{ then: (resolve) => resolve(7) }"), "7");
    assert_eq!(load("exports.f = () => {}").call("f", "[]"), Outcome::Returned(None));
    assert_eq!(load("JSON.stringify = () => 'mine'; exports.f = () => [1]").json("f"), "[1]");
    let symbol = load("exports.f = async () => Symbol('x')").call("f", "[]");
    assert_eq!(symbol, threw("TypeError", "a symbol cannot be a result: it has no JSON form"));
}

#[test]
fn any_thrown_value_has_a_name_and_a_message() {
    for (thrown, name, message) in [
        ("new Error('m')", "Error", "m"),
        ("'text'", "Error", "text"),
        ("null", "Error", "null"),
        ("undefined", "Error", "undefined"),
        ("{ a: 1 }", "Error", "{\"a\":1}"),
        ("{ name: 'N', message: 'm' }", "N", "m"),
        ("Symbol('s')", "Error", "Symbol(s)"),
        ("10n", "Error", "10"),
        ("() => 1", "Error", "() => 1"),
        ("Object.create(null)", "Error", "{}"),
        ("Object.assign(new TypeError('x'), { name: '\\ud800' })", "\u{fffd}", "x"),
        ("{ get message() { throw 1 } }", "InternalError", "what was thrown cannot be described"),
    ] {
        let mut script = load(&format!(
            "exports.f = () => {{ throw {thrown} }}; exports.g = async () => {{ throw {thrown} }}"
        ));
        assert_eq!(script.call("f", "[]"), threw(name, message), "{thrown}");
        assert_eq!(script.call("g", "[]"), threw(name, message), "{thrown}");
    }
    let long = load("exports.f = () => { throw new Error('ä'.repeat(20000)) }").call("f", "[]");
    assert!(matches!(long, Outcome::Threw(thrown) if thrown.message.len() == 16 * 1024));
}

#[test]
fn a_stopped_call_cannot_go_on() {
    let mut script = load(
        "let after = 0
        exports.swallow = () => { for (;;) { try { new Promise(() => { for (;;) {} }) } catch {} } }
        exports.later = () => { (async () => { for (;;) { try { await null } catch {} ; after++ } })(); for (;;) {} }
        exports.getter = () => ({ get a () { for (;;) {} } })
        exports.timer = () => { setInterval(() => {}, 1); return new Promise(() => {}) }
        exports.after = () => after
        exports.fine = () => 1",
    );
    for method in ["swallow", "later", "getter", "timer"] {
        assert_eq!(script.call(method, "[]"), Outcome::Fault(Fault::Fuel), "{method}");
        assert_eq!(script.json("fine"), "1", "{method}");
    }
}

/// The engine ignores an interrupt that comes while it writes the stack trace of another error. Where such a place came up at each
/// ten-thousandth poll, the loop never ended.
#[test]
fn a_stopped_call_ends_whatever_its_polls_fall_on() {
    let limits = Limits { fuel: 3, ..Limits::default() };
    for calls in 0..12 {
        let code = format!(
            "class A {{}}; const f = () => {{}}
            exports.f = () => {{ for (;;) try {{ {} new A() }} catch {{}} }}",
            "f(); ".repeat(calls)
        );
        let mut script = try_load(&code, limits).expect("a good script");
        assert_eq!(script.call("f", "[]"), Outcome::Fault(Fault::Fuel), "{calls}");
    }
}

/// Jobs that a stop leaves behind must not run: how far they came once depended on the compiler.
#[test]
fn jobs_of_a_stopped_call_do_not_run() {
    let limits = Limits { fuel: 2_000, ..Limits::default() };
    let mut script = try_load(
        "let after = 0
        exports.flood = async () => {
            for (;;) { try { await System.files.writeFile('/f', 'x'.repeat(1e6)) } catch { after++ } }
        }
        exports.unawaited = async () => {
            const write = async () => { try { await null; await flood() } finally { after++ } }
            const flood = async () => { for (;;) await System.files.writeFile('/f', 'x'.repeat(1e6)) }
            for (let i = 0; i < 10; i++) write()
            try { await flood() } catch { after++ }
        }
        exports.after = () => after",
        limits,
    )
    .expect("a good script");
    for method in ["flood", "unawaited", "flood"] {
        assert_eq!(script.call(method, "[]"), Outcome::Fault(Fault::Output), "{method}");
        assert_eq!(script.json("after"), "0", "{method}");
    }
}

#[test]
fn fuel_is_counted_alike_every_time() {
    let code = "exports.f = (n) => { let s = 0; for (let i = 0; i < n; i++) s += i; return s }";
    let fuel = || {
        let mut script = load(code);
        let call = |n: u64| {
            let args = format!("[{n}]");
            let call = Call { method: "f".into(), args, user_id: None, at: AT, seed: [0; 32] };
            script.worker.send(Request::Call(call)).expect("it runs");
            match script.worker.receive().expect("it runs") {
                Report::Done(done) => done.fuel,
                other => panic!("{other:?}"),
            }
        };
        [10, 1_000_000, 123_456, 1].map(call)
    };
    let first = fuel();
    assert_eq!(first, fuel());
    assert!(first[1] >= 100, "{first:?}");
}

/// A turn that waits is some five steps, and a job.
#[test]
fn jobs_pay_for_themselves() {
    let limits = Limits { fuel: 10, ..Limits::default() };
    let code = "exports.wait = async (n) => { for (let i = 0; i < n; i++) await 0 }";
    let mut script = try_load(code, limits).expect("a good script");
    assert_eq!(script.call("wait", "[5000]"), Outcome::Returned(None));
    assert_eq!(script.call("wait", "[12000]"), Outcome::Fault(Fault::Fuel));
}

#[test]
fn output_is_bounded() {
    let limits = Limits { output: 1000, ..Limits::default() };
    let code = "exports.big = (n) => 'x'.repeat(n)
        exports.write = async (n) => { for (let i = 0; i < n; i++) { try { await System.files.writeFile('/a', 'x'.repeat(100)) } catch {} } }";
    let mut script = try_load(code, limits).expect("a good script");
    assert_eq!(script.call("big", "[1001]"), Outcome::Fault(Fault::Output));
    assert!(matches!(script.call("big", "[998]"), Outcome::Returned(_)));
    assert_eq!(script.call("write", "[9]"), Outcome::Returned(None));
    assert_eq!(script.call("write", "[10]"), Outcome::Fault(Fault::Output));
    assert_eq!(script.call("write", "[1]"), Outcome::Returned(None));
}

#[test]
fn memory_runs_out_at_the_same_place_every_time() {
    let limits = Limits { memory: 8 << 20, ..Limits::default() };
    let code = "exports.count = () => {
            let all = [], n = 0
            try { for (;;) { all.push({ n: 'x' + n }); n++ } } catch { all = null }
            return n
        }
        const kept = []
        exports.fill = () => { for (;;) kept.push({ kept: {} }) }";
    let count = || {
        let mut script = try_load(code, limits).expect("a good script");
        let counted = script.json("count");
        assert_eq!(counted, script.json("count"), "memory comes back");
        for _ in 0..2 {
            assert_eq!(script.call("fill", "[]"), threw("InternalError", "out of memory"));
        }
        // There is no memory for anything: not for an object, or not even for the call.
        let full = script.call("count", "[]");
        let is_full = [Outcome::Returned(Some("0".into())), threw("InternalError", "out of memory")];
        assert!(is_full.contains(&full), "{full:?}");
        (counted, full)
    };
    let first = count();
    assert!(first.0.len() >= 4, "{first:?}");
    assert_eq!(first, count());
}

#[test]
fn time_and_chance_come_with_the_call() {
    let mut script = load("exports.f = async () => {
            const start = Date.now()
            await new Promise(resolve => setTimeout(resolve, 1500))
            return [start, Date.now() - start, new Date().getTime(), Date().slice(0, 15), new Date(2026, 2, 1).getTime(),
                new Date().getTimezoneOffset(), Date.prototype.constructor === Date, new Date(5) instanceof Date, Date.length, typeof Date.UTC]
        }
        exports.random = () => [Math.random(), Math.random()]
        class Day extends Date {}
        exports.sub = () => [new Day() instanceof Day, new Day(7).getTime()]");
    assert_eq!(
        script.json("f"),
        format!("[{AT},1500,{},\"Sun Mar 01 2026\",{AT},0,true,true,7,\"function\"]", AT + 1500)
    );
    let first = script.json("random");
    assert_eq!(first, script.json("random"), "the same seed");
    assert_eq!(script.json("sub"), "[true,7]");
}

#[test]
fn arithmetic_is_that_of_libm_and_not_of_this_machine() {
    type Function = fn(f64) -> f64;
    let functions: [(&str, Function); 8] = [
        ("sin", libm::sin),
        ("cos", libm::cos),
        ("tan", libm::tan),
        ("exp", libm::exp),
        ("log", libm::log),
        ("expm1", libm::expm1),
        ("cbrt", libm::cbrt),
        ("sinh", libm::sinh),
    ];
    let inputs: Vec<f64> = (1..2000).map(|step| f64::from(step) * 0.137_213_7).collect();
    let json = serde_json::to_string(&inputs).expect("numbers");
    for (name, function) in functions {
        // Exact bits: sums and prints would hide them.
        let mut script = load(&format!(
            "exports.f = (...xs) => xs.map(x => [...new Uint32Array(new Float64Array([Math.{name}(x), x ** 1.37]).buffer)])"
        ));
        let Outcome::Returned(Some(found)) = script.call("f", &json) else { panic!("{name}") };
        let found: Vec<[u64; 4]> = serde_json::from_str(&found).expect("numbers");
        for (input, [low, high, power_low, power_high]) in inputs.iter().zip(found) {
            assert_eq!(function(*input).to_bits(), high << 32 | low, "{name}({input})");
            assert_eq!(libm::pow(*input, 1.37).to_bits(), power_high << 32 | power_low, "{input} ** 1.37");
        }
    }
}

#[test]
fn timers_fire_in_virtual_order() {
    let mut script = load(
        "exports.f = () => new Promise(resolve => {
            const order = []
            setTimeout(() => order.push('c'), 20); setTimeout(() => order.push('a'), 10); setTimeout(() => order.push('b'), 10)
            setImmediate(() => order.push('now')); Promise.resolve().then(() => order.push('job'))
            const never = setTimeout(() => order.push('never'), 5); clearTimeout(never)
            let n = 0; const interval = setInterval(() => { order.push(n); if (++n === 3) { clearInterval(interval) } }, 7)
            setTimeout((...args) => resolve(order.concat(args)), 86400000, 'x', 'y')
        })
        let fired = 0
        exports.leave = () => { setTimeout(() => fired++, 1) }
        exports.fired = () => fired",
    );
    assert_eq!(script.json("f"), "[\"job\",\"now\",0,\"a\",\"b\",1,\"c\",2,\"x\",\"y\"]");
    assert_eq!(script.call("leave", "[]"), Outcome::Returned(None));
    assert_eq!(script.json("fired"), "0", "timers end with their call");
    let mut script = load("exports.f = () => new Promise(() => {})");
    assert!(
        matches!(script.call("f", "[]"), Outcome::Threw(thrown) if thrown.message.contains("never settled"))
    );
}

#[test]
fn files_come_in_any_encoding() {
    let mut script = load(
        "exports.f = async () => {
            const read = async (encoding) => { const v = await System.files.readFile('/odd', encoding); return typeof v === 'string' ? v : [...v] }
            return [await read(), await read('hex'), await read({ encoding: 'base64' }), await read('binary')]
        }
        exports.missing = () => System.files.readFile('/none')
        exports.wrong = () => System.files.readFile('/odd', 'ebcdic')
        exports.write = async () => {
            for (const [data, encoding] of [['text'], ['ff00', 'hex'], ['/wA=', 'base64'], [{ a: 1 }, 'json'], [new Uint8Array(3)], [new ArrayBuffer(2)], [Buffer.from('x')]]) {
                await System.files.writeFile('/a', data, encoding)
            }
        }
        exports.object = () => System.files.writeFile('/a', { a: 1 })",
    );
    assert_eq!(script.json("f"), "[\"\u{fffd}\\u0000A\",\"ff0041\",\"/wBB\",[255,0,65]]");
    assert_eq!(script.call("missing", "[]"), threw("NotFoundError", "nothing there"));
    assert_eq!(script.call("wrong", "[]"), threw("TypeError", "unknown encoding: ebcdic"));
    assert_eq!(script.call("write", "[]"), Outcome::Returned(None));
    assert!(matches!(script.call("object", "[]"), Outcome::Threw(thrown) if thrown.name == "TypeError"));
}

#[test]
fn a_buffer_is_what_scripts_for_nodejs_expect() {
    for (expression, expected) in [
        ("Buffer.from('hé').toString('hex')", "\"68c3a9\""),
        ("Buffer.from('aGk', 'base64').toString()", "\"hi\""),
        ("Buffer.concat([Buffer.from('a'), Buffer.alloc(2, 'z')]).toString()", "\"azz\""),
        (
            "[Buffer.isBuffer(Buffer.from([1])), Buffer.byteLength('é'), Buffer.from('a').equals(Buffer.from('a'))]",
            "[true,2,true]",
        ),
        ("Buffer.from('abc').slice(1)", "{\"type\":\"Buffer\",\"data\":[98,99]}"),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
}

#[test]
fn the_console_is_bounded_and_has_no_effect() {
    let mut script = load(
        "exports.f = () => { console.log('a', { b: 1 }, new Error('m'), () => 1, undefined); return typeof console.warn }
        exports.flood = () => { for (let i = 0; i < 5000; i++) console.log('x'.repeat(100)) }",
    );
    assert_eq!(script.json("f"), "\"function\"");
    assert_eq!(script.console, ["a {\"b\":1} Error: m [function ] undefined"]);
    script.call("flood", "[]");
    assert!(script.console.iter().map(String::len).sum::<usize>() <= 64 * 1024 + 100);
}

#[test]
fn a_script_finds_these_globals_and_no_others() {
    let mut script = load("exports.f = () => Reflect.ownKeys(globalThis).map(String).sort()");
    let globals: Vec<String> = serde_json::from_str(&script.json("f")).expect("names");
    insta::assert_snapshot!(globals.join("\n"));
}

/// Compares all properties of the language's objects.
#[test]
fn a_script_finds_these_properties_and_no_others() {
    // All that a new engine adds must be examined: is it deterministic, and does it run long in one piece?
    let mut script = load(
        "exports.f = () => {
            const seen = new Set(), lines = []
            const walk = (path, object) => {
                if (seen.has(object)) return
                seen.add(object)
                const keys = Reflect.ownKeys(object).map(key => [typeof key === 'symbol' ? `[${key.description}]` : key, Reflect.getOwnPropertyDescriptor(object, key)])
                lines.push(`${path}: ${keys.map(([name]) => name).sort().join(' ')}`)
                const inner = (name, value) => { if (value !== null && /object|function/.test(typeof value)) walk(`${path}.${name}`, value) }
                for (const [name, { value, get, set }] of keys) { inner(name, value); inner(`get ${name}`, get); inner(`set ${name}`, set) }
                inner('__proto__', Object.getPrototypeOf(object))
            }
            walk('global', globalThis)
            walk('iterator', [].values()); walk('iterator', ''[Symbol.iterator]()); walk('iterator', new Map().values()); walk('iterator', new Set().values())
            walk('iterator', 'a'.matchAll(/a/g)); walk('iterator', Iterator.from({ next () {} })); walk('iterator', [].values().map(x => x))
            walk('generator', function * () {}); walk('async', async function () {}); walk('asyncGenerator', async function * () {})
            return lines.filter(line => !/: length name$/.test(line)).sort()
        }",
    );
    let lines: Vec<String> = serde_json::from_str(&script.json("f")).expect("lines");
    insta::assert_snapshot!(lines.join("\n"));
}

/// Processors differ in the sign and the payload of a NaN: x86-64 gives 0 / 0 a sign, ARM does not.
#[test]
fn every_nan_is_stored_as_the_same_bytes() {
    let code = "
        const odd = new DataView(new ArrayBuffer(8))
        odd.setUint32(0, 0xfff12345); odd.setUint32(4, 0x6789abcd)
        const zero = Number('0'), infinity = Number('Infinity')
        const all = [NaN, -NaN, zero / zero, -(zero / zero), infinity - infinity, zero * infinity, infinity % 1, Math.sqrt(-1),
          Math.log(-1), Math.pow(-2, 0.5), Math.acos(2), Math.max(1, NaN), Number('x'), odd.getFloat64(0), -odd.getFloat64(0),
          odd.getFloat64(0) + 1, odd.getFloat32(0), -odd.getFloat32(0), odd.getFloat16(0), 1 + undefined]
        const bytes = (buffer) => [...new Uint8Array(buffer)].map(byte => byte.toString(16)).join('')
        const view = (method, size, n) => { const v = new DataView(new ArrayBuffer(size)); v[method](0, n, true); return bytes(v.buffer) }
        const stored = (Kind, n) => {
          const set = new Kind(1), other = new Kind(1), array = new Kind(1)
          set[0] = n; other.set([n]); array.set([Kind === Float64Array ? new Float32Array([n])[0] : n])
          return [set, other, array, new Kind([n]), Kind.of(n), Kind.from([n]), new Kind(1).fill(n), new Kind(1).with(0, n),
            new Kind(1).map(() => n), new Kind(Kind === Float64Array ? new Float32Array([n]) : new Float64Array([n])),
            new Kind([n]).sort(), new Kind([n]).toReversed()].map(array => bytes(array.buffer))
        }
        exports.f = () => [Float16Array, Float32Array, Float64Array].map(Kind => {
          const name = 'set' + Kind.name.replace('Array', '')
          return [...new Set(all.flatMap(n => [...stored(Kind, n), view(name, Kind.BYTES_PER_ELEMENT, n)]))]
        })";
    let outcome = load(code).call("f", "[]");
    let expected = r#"[["17c"],["00c07f"],["000000f87f"]]"#;
    assert_eq!(outcome, Outcome::Returned(Some(expected.into())));
}

//! Every operation of the host functions, stopped at every step and with every allocation refused.
//!
//! Wherever a stop comes, the call ends by its fault and by nothing else, and the calls after it are as they would be without
//! it: no exception is left over, no promise is half settled, and above all nothing of ours panics. The short form tests points
//! some distance apart; with `VMS_SWEEP=all` in the environment (`.ci/sweep`) it tests each one, and prints their number.

use std::thread;

use libvms_protocol::entry::Limits;

use super::host_functions::Driver;
use super::identity::Api;
use super::message::{
    Call, Change, Console, Done, Fault, FileAnswer, FileReply, FileRequest, Info, Load, Outcome, Stat,
    Thrown, WorldError, WorldReply, WorldRequest,
};
use super::script::Script;

/// Distance of two points in the short form. A prime, so that it meets all places of a loop.
const STRIDE: usize = 61;
/// Distance of two memory limits, in bytes: the engine allocates multiples of it.
const MEMORY_STRIDE: u64 = 8;
/// Memory limits beyond this are not tried: no operation takes so much.
const MEMORY_MAX: u64 = 1 << 20;
/// The usual memory limit of an operation.
const MEMORY: u64 = 128 << 20;
/// As large as a worker's, and a little more for a debug build.
const STACK: usize = 64 << 20;

/// The operations, as expressions.
const OPERATIONS: &[&str] = &[
    "Date.now()",
    "new Date().getTime()",
    "Date().length",
    "Date.parse('2026-03-01')",
    "Math.random() < 1",
    "System.caller.id",
    "console.log('x', { a: 1 }, new Error('e'), Symbol('s'), () => 1)",
    "console.info(1n, undefined, null)",
    "console.warn('\\ud800')",
    "console.error([1, 2])",
    "console.debug({ toJSON () { throw 1 } })",
    "Buffer.from('h\\u00e9').length",
    "new URL('/b?c=d', 'http://a').searchParams.get('c')",
    "new TextDecoder().decode(new TextEncoder().encode('h\\u00e9'))",
    "structuredClone({ a: [1, new Map([[1, new Uint8Array(3)]])] }).a.length",
    "crypto.randomUUID().length",
    "crypto.subtle.digest('SHA-256', new Uint8Array(3)).then(digest => digest.byteLength)",
    "System.crypto.sha256(new Uint8Array(3)).length",
    "AbortSignal.timeout(5).aborted",
    "performance.now()",
    "Buffer.from('ff00', 'hex').length",
    "Buffer.from('/wA=', 'base64').length",
    "Buffer.from('abc', 'binary').length",
    "Buffer.from('zz', 'hex').length",
    "Buffer.from('a', 'ebcdic').length",
    "Buffer.from([1, 2, 3]).length",
    "Buffer.from(new Float64Array([1, 2])).length",
    "Buffer.from(new ArrayBuffer(3)).length",
    "Buffer.alloc(100).length",
    "Buffer.alloc(100, 'z').length",
    "Buffer.concat([new Uint8Array(3), Buffer.alloc(2)]).length",
    "Buffer.byteLength('\\u00e9')",
    "Buffer.isBuffer({})",
    "Buffer.alloc(3).toString()",
    "Buffer.alloc(3).toString('hex', 1)",
    "Buffer.alloc(3).toString('base64')",
    "Buffer.alloc(3).toString('latin1')",
    "Buffer.alloc(3).equals(new Uint8Array(3))",
    "Buffer.alloc(3)",
    "Buffer.alloc(3).slice(1).length",
    "System.files.getInfo()",
    "System.files.stat('/a')",
    "System.files.stat('/d').then(stat => stat.isDirectory())",
    "System.files.stat('/none')",
    "System.files.readFile('/a')",
    "System.files.readFile('/a', 'hex')",
    "System.files.readFile('/a', 'base64')",
    "System.files.readFile('/a', { encoding: 'binary' })",
    "System.files.readFile('/a', 'json')",
    "System.files.readFile('/a', 'ebcdic')",
    "System.files.readFile('/none')",
    "System.files.readdir()",
    "System.files.readdir('/', { recursive: true })",
    "System.files.readdir('/', { stat: true })",
    "System.files.writeFile('/b', 'text')",
    "System.files.writeFile('/b', 'ff00', 'hex')",
    "System.files.writeFile('/b', '/wA=', 'base64')",
    "System.files.writeFile('/b', 'abc', 'binary')",
    "System.files.writeFile('/b', { a: [1] }, 'json')",
    "System.files.writeFile('/b', new Uint8Array(50))",
    "System.files.writeFile('/b', new Float32Array(5))",
    "System.files.writeFile('/b', new DataView(new ArrayBuffer(9), 2, 3))",
    "System.files.writeFile('/b', new ArrayBuffer(40))",
    "System.files.writeFile('/b', Buffer.from('x'))",
    "System.files.writeFile('/b', undefined, 'json')",
    "System.files.writeFile('/b', {})",
    "System.files.writeFile(5, 'x')",
    "System.files.mkdir('/d')",
    "System.files.unlink('/a')",
    "System.files.rmdir('/d')",
    "System.files.rmdir('/d', { recursive: true })",
    "System.files.history()",
    "System.files.history({ start: 1, end: 3, reverse: true, limit: 2 })",
    "System.call.id",
    "System.oracle('rate', 1, { a: 2 }).then(answer => answer.a.length)",
    "System.oracle('none')",
    "System.oracle(5n)",
    "System.oracle('rate', 5n)",
    "System.fetch('https://a.example/', { method: 'POST', body: 'x' })",
    "Promise.all([System.oracle('a'), System.oracle('b'), new Promise(resolve => setTimeout(resolve, 1))])",
    "(System.oracle('a'), 1)",
    "System.emit('mail', 'x', [1])",
    "System.emit('none')",
    "new Promise(resolve => setTimeout(resolve, 10, 'x'))",
    "new Promise(resolve => { let n = 0; const id = setInterval(() => { if (++n === 3) { clearInterval(id); resolve(n) } }, 1) })",
    "new Promise(resolve => setImmediate(resolve))",
    "clearTimeout(setTimeout(() => {}, 1))",
    "new Promise(() => {})",
    "undefined",
    "({ a: [1, 'x', null, { b: 2 }] })",
    "({ then (resolve) { resolve(7) } })",
    "(() => { throw new TypeError('m') })()",
    "(() => { throw 'text' })()",
    "(() => { throw { a: 1 } })()",
    "Promise.reject(new RangeError('m'))",
    "Symbol('s')",
    "((a, b) => a + b).bind(null, 1, 2)()",
];

/// Programs for the compiler, in pieces that are repeated: before, in the middle, after.
const PROGRAMS: &[(usize, &str, &str, &str)] = &[
    (300, "{", "", "}"),
    (100, "{let x=1;", "()=>x", "}"),
    (100, "l$:{", "", "}"),
    (30, "function f$(a,b=a,...c){", "arguments", "}"),
    (40, "(a$=>{", "this", "})"),
    (
        12,
        "class A$ extends(class{}){#p=1;static s=this;static{var z}get #g(){return this.#p}m(){super.m();",
        "",
        "}['c'+1]=2}",
    ),
    (12, "switch(a){case 1:let b$=1;", "", "break;default:b$}"),
    (12, "try{let a=1;", "", "}catch(e$){e$}finally{var c$=1}"),
    (12, "for(let i of a)for(let j=0;j<i;j++){()=>i+j;", "if(a)break", "}"),
    (12, "with(o$){a=b;a+=1;delete a;a();", "", "}"),
    (30, "var {a$,b:[c$,...d$]=[],...e$}=o;", "", ""),
    (70, "var v$=1;", "function f(){return v0+eval('v1')}", ""),
    (12, "async function*g$(x){yield*x;for await(let y of x)await y;", "", "}"),
    (20, "a?.b$?.[`c${d}`]?.(/e$/g,1n,...f);", "", ""),
];

/// The methods called after each point: the first throws, the second uses host functions in both directions.
const AFTER: &str = "
    exports.throws = () => { throw new RangeError('after') }
    exports.fine = async () => {
        await System.files.writeFile('/after', new Uint8Array(3))
        return [await System.files.readFile('/a'), await System.files.readdir('/'), Buffer.from('x').toString('hex')]
    }";

/// An archive in which most reads find nothing, and all writes succeed.
pub(super) struct Files;

impl Driver for Files {
    fn file(&self, request: FileRequest) -> Option<FileReply> {
        let stat = |is_directory| FileAnswer::Stat(Stat { is_directory, size: 7, blocks: 1, offset: 0 });
        let change = |version| Change { version, path: "/a".into(), deleted: version == 2 };
        Some(Ok(match request {
            FileRequest::Info => FileAnswer::Info(Info {
                url: "hyper://00".into(),
                key: "00".into(),
                title: "swept".into(),
                version: 3,
            }),
            FileRequest::Stat { path } | FileRequest::Read { path } if path == "/none" => {
                return Some(Err(Thrown::new("NotFoundError", format!("{path} is not there"))));
            }
            FileRequest::Stat { path } => stat(path == "/d"),
            FileRequest::Read { .. } => FileAnswer::Content(br#"{"a":1}"#.to_vec()),
            FileRequest::List { .. } => FileAnswer::Names { names: vec!["a".into(), "d".into()], passed: 1 },
            FileRequest::History { .. } => FileAnswer::History(vec![change(1), change(2)]),
            _ => FileAnswer::Ok,
        }))
    }

    /// One oracle fails, all others answer; one effect is unknown.
    fn world(&self, request: WorldRequest) -> Option<WorldReply> {
        let code = Some("unknown".into());
        let error = WorldError { name: "OracleError".into(), message: "unknown".into(), code };
        Some(match request {
            WorldRequest::Ask { name, .. } | WorldRequest::Emit { name, .. } if name == "none" => Err(error),
            WorldRequest::Ask { .. } | WorldRequest::Emit { .. } => Ok(None),
            WorldRequest::Answer => Ok(Some(r#"{"a":[1,"x"]}"#.into())),
            WorldRequest::CallId => Ok(Some("00".into())),
        })
    }

    fn console(&self, _: Console) {}
}

/// One operation in an engine of its own.
struct Swept {
    script: Script,
    /// The outcome if nothing interferes.
    whole: Outcome,
    fine: Outcome,
    name: String,
    /// Whether it does nothing but compile a program.
    is_compiled: bool,
    points: usize,
}

impl Swept {
    /// Returns the operation as it is, or in a script that catches all that can be caught.
    fn new(operation: &str, is_caught: bool, limits: Limits) -> Self {
        let function = if is_caught {
            format!(
                "async () => {{ try {{ return await ({operation}) }} catch (error) {{ return `caught ${{error}}` }} }}"
            )
        } else {
            format!("() => ({operation})")
        };
        let script = Script::new(Api::LATEST, limits, Box::new(Files)).expect("an engine");
        let code = format!("exports.f = {function}\n{AFTER}");
        script.load(&Load { code, module: false, at: 1, seed: [0; 32] }).expect("a good script");
        let fine = outcome(&script, "fine");
        assert!(matches!(fine, Outcome::Returned(Some(_))), "{fine:?}");
        // Twice: objects that the engine creates at their first use exist by then.
        outcome(&script, "throws");
        outcome(&script, "f");
        let whole = outcome(&script, "f");
        let name = format!("{operation}{}", if is_caught { ", caught" } else { "" });
        Self { script, whole, fine, name, is_compiled: false, points: 0 }
    }

    /// Calls it, and then others that must not notice.
    fn take(&mut self, prepare: impl FnOnce(&Script), restore: impl FnOnce(&Script)) -> Outcome {
        prepare(&self.script);
        let found = outcome(&self.script, "f");
        restore(&self.script);
        self.points += 1;
        let after = outcome(&self.script, "throws");
        assert_eq!(after, threw("RangeError", "after"), "after {} as {found:?}", self.name);
        assert_eq!(outcome(&self.script, "fine"), self.fine, "after {} as {found:?}", self.name);
        found
    }

    /// Stops it at each step.
    fn sweep_fuel(&mut self, stride: usize) {
        let (meter, most) = (self.script.meter.clone(), self.script.meter.steps_max());
        outcome(&self.script, "f");
        let steps = meter.last_steps.get();
        for left in (0..=steps + 1).step_by(stride) {
            let prepare = |script: &Script| script.meter.head_start.set(most - left);
            let found = self.take(prepare, |script| script.meter.head_start.set(0));
            let expected = if left < steps { Outcome::Fault(Fault::Fuel) } else { self.whole.clone() };
            assert_eq!(found, expected, "{} after {left} of {steps} steps", self.name);
        }
    }

    /// Refuses each of its allocations, alone and with all that follow.
    fn sweep_requests(&mut self, stride: usize) {
        let refusal = self.script.memory.refusal.clone();
        refusal.requests.set(0);
        outcome(&self.script, "f");
        let requests = refusal.requests.get();
        for first in (0..requests).step_by(stride) {
            for count in [1, u64::MAX] {
                let prepare = |script: &Script| {
                    script.memory.refusal.requests.set(0);
                    script.memory.refusal.refused.set(Some((first, count)));
                };
                let found = self.take(prepare, |script| script.memory.refusal.refused.set(None));
                self.assert_no_fault(&found, first);
            }
        }
    }

    /// Gives it a little more memory each time, until it is enough.
    fn sweep_memory(&mut self, stride: usize) {
        for more in (0..MEMORY_MAX).step_by(MEMORY_STRIDE as usize * stride) {
            let used = self.script.memory.used();
            let found =
                self.take(|script| limit_memory(script, used + more), |script| limit_memory(script, MEMORY));
            self.assert_no_fault(&found, more);
            if found == self.whole {
                return;
            }
        }
        panic!("{} takes more than {MEMORY_MAX} bytes", self.name);
    }

    fn assert_no_fault(&self, found: &Outcome, point: u64) {
        assert!(!matches!(found, Outcome::Fault(_)), "{} at {point}: {found:?}", self.name);
        let is_right = match found {
            Outcome::Threw(thrown) => thrown.name == "InternalError" && thrown.message == "out of memory",
            found => *found == self.whole,
        };
        assert!(is_right || !self.is_compiled, "{} at {point}: {found:?}", self.name);
    }
}

fn limit_memory(script: &Script, bytes: u64) {
    let _before = script.memory.limit(bytes);
}

fn outcome(script: &Script, method: &str) -> Outcome {
    let call = Call { method: method.into(), args: "[]".into(), user_id: None, at: 1, seed: [0; 32] };
    let Done { outcome, .. } = script.call(&call);
    outcome
}

fn threw(name: &str, message: &str) -> Outcome {
    Outcome::Threw(Thrown::new(name, message))
}

/// Sweeps each operation, as it is and caught; on as many threads as the machine runs at once.
fn sweep(kind: &str, sweep_one: impl Fn(&mut Swept, usize) + Sync) {
    let stride = if std::env::var("VMS_SWEEP").is_ok_and(|which| which == "all") { 1 } else { STRIDE };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let points: usize = thread::scope(|scope| {
        let parts = (0..threads).map(|part| {
            let sweep_one = &sweep_one;
            let run = move || {
                let all = OPERATIONS.iter().flat_map(|operation| [(operation, false), (operation, true)]);
                let mine = all.skip(part).step_by(threads);
                let swept = mine.map(|(operation, is_caught)| {
                    let mut swept = Swept::new(operation, is_caught, Limits::default());
                    sweep_one(&mut swept, stride);
                    swept.points
                });
                swept.sum::<usize>()
            };
            thread::Builder::new().stack_size(STACK).spawn_scoped(scope, run).expect("a thread")
        });
        let parts: Vec<_> = parts.collect();
        parts.into_iter().map(|part| part.join().expect("no panic")).sum()
    });
    assert!(points > OPERATIONS.len());
    tell(&format!("{kind}: {} operations, {points} points", OPERATIONS.len()));
}

#[test]
fn a_stop_at_any_step_ends_a_call_and_nothing_else() {
    sweep("fuel", Swept::sweep_fuel);
}

#[test]
fn any_refused_allocation_fails_a_call_and_nothing_else() {
    sweep("requests for memory", |swept, stride| swept.sweep_requests(stride.div_ceil(8)));
}

#[test]
fn any_memory_limit_fails_a_call_and_nothing_else() {
    sweep("limits of memory", |swept, stride| swept.sweep_memory(stride));
}

/// Memory ends in each part of the compiler, with room for smaller pieces or without.
#[test]
fn the_compiler_without_memory_is_out_of_memory() {
    let mut points = 0;
    for &(count, before, middle, after) in PROGRAMS {
        let repeat = |piece: &str| {
            (0..count).map(|number| piece.replace('$', &number.to_string())).collect::<String>()
        };
        let program = format!("{}{middle}{}", repeat(before), repeat(after));
        let operation = format!("new Function({}).length", serde_json::json!(program));
        let mut swept = Swept::new(&operation, false, Limits::default());
        assert!(matches!(swept.whole, Outcome::Returned(_)), "{:?}", swept.whole);
        swept.is_compiled = true;
        swept.sweep_requests(1);
        swept.sweep_memory(STRIDE.div_ceil(8));
        points += swept.points;
    }
    tell(&format!("compiler: {} programs, {points} points", PROGRAMS.len()));
}

#[test]
fn a_program_beyond_a_limit_of_the_compiler_is_a_syntax_error() {
    let names =
        |first: char| (0..33_000).map(|number| format!("{first}{number}")).collect::<Vec<_>>().join(",");
    let programs = [
        ("'{;}'.repeat(65_600)".to_owned(), "too many scopes"),
        (format!("'(({}) => {{ var {}; eval(1) }})'", names('a'), names('b')), "too many variables captured"),
        (
            format!("'(({}) => {{ var {}; return () => eval(1) }})'", names('a'), names('b')),
            "too many closure variables used",
        ),
    ];
    for (program, message) in programs {
        // So many names need more fuel than a call usually has.
        let limits = Limits { fuel: 1 << 40, ..Limits::default() };
        let script = Script::new(Api::LATEST, limits, Box::new(Files)).expect("an engine");
        let code = format!("exports.f = () => new Function({program}).length\n{AFTER}");
        script.load(&Load { code, module: false, at: 1, seed: [0; 32] }).expect("a good script");
        let found = outcome(&script, "f");
        let Outcome::Threw(thrown) = found else { panic!("no {message}: {found:?}") };
        assert_eq!(thrown.name, "SyntaxError", "{thrown:?}");
        assert!(thrown.message.starts_with(message), "{thrown:?}");
        assert!(matches!(outcome(&script, "fine"), Outcome::Returned(Some(_))), "{message}");
    }
}

#[test]
fn any_limit_of_output_ends_a_write_and_nothing_else() {
    let mut points = 0;
    let writes = OPERATIONS.iter().filter(|operation| operation.contains("writeFile('/b'"));
    for operation in writes {
        let whole = Swept::new(operation, false, Limits::default()).whole;
        for output in 0..60 {
            let limits = Limits { output, ..Limits::default() };
            let script = Script::new(Api::LATEST, limits, Box::new(Files)).expect("an engine");
            let code = format!("exports.f = () => ({operation})\n{AFTER}");
            script.load(&Load { code, module: false, at: 1, seed: [0; 32] }).expect("a good script");
            let found = outcome(&script, "f");
            let is_right = found == Outcome::Fault(Fault::Output) || found == whole;
            assert!(is_right, "{operation} with {output} bytes: {found:?}");
            assert_eq!(outcome(&script, "throws"), threw("RangeError", "after"));
            points += 1;
        }
    }
    tell(&format!("output: {points} points"));
}

#[expect(clippy::print_stderr, reason = "whoever runs the long form wants to know")]
fn tell(text: &str) {
    eprintln!("{text}");
}

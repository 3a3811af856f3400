//! Scripts that ask oracles in every pattern: in parallel, in a race, after a timer, not awaited, in a loop, after a throw, when the
//! call is stopped. Each call is executed again from its log, without one question.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use libvms::audit::{Auditor, Verdict};
use libvms::host::{CallError, Deployment, HostOptions, Vm};
use libvms::oracle::{Failure, OracleLimits, Oracles, Question};
use libvms::storage::Durability;
use libvms_hypercore::random::Dice;
use libvms_protocol::entry::{Fault, Limits};
use libvms_protocol::value::Value;

use crate::support::{auditing, hosting, run, variable};

/// Methods of one generated script: each is called once.
const METHODS: u64 = 25;

/// Writes the body of a method.
struct Writer<'a> {
    dice: &'a mut Dice,
    code: String,
}

impl Writer<'_> {
    fn question(&mut self) -> String {
        let args = ["1", "'text', { a: [null, 0.5] }", "n++", "out.length", "'x'.repeat(2000)", "'\\ud800'"];
        let args = self.dice.pick(&args);
        match self.dice.below(10) {
            0 => format!("System.fetch('http://a/' + n++, {{ body: [{args}] + '' }})"),
            1 => format!("System.oracle('nobody', {args})"),
            2 => format!("System.oracle('slow', {args})"),
            3 => format!("System.oracle('bad', {args})"),
            _ => format!("System.oracle('echo', {args})"),
        }
    }

    /// A question that never rejects.
    fn safe(&mut self) -> String {
        format!("{}.then(keep, caught)", self.question())
    }

    fn block(&mut self, depth: u32) {
        for _ in 0..=self.dice.below(3) {
            self.statement(depth);
        }
    }

    fn nested(&mut self, before: &str, after: &str, depth: u32) {
        self.code += before;
        self.block(depth.saturating_sub(1));
        self.code += after;
    }

    fn statement(&mut self, depth: u32) {
        let choices = if depth == 0 { 9 } else { 17 };
        let (one, two) = (self.safe(), self.safe());
        let mut add = |code: &str| self.code += code;
        match self.dice.below(choices) {
            0 | 1 => add(&format!("await {one}\n")),
            2 => add(&format!("{one}\n")),
            3 => add(&format!("await Promise.all([{one}, {two}])\n")),
            4 => add(&format!("keep(await Promise.race([{one}, {two}, sleep(3)]))\n")),
            5 => add(&format!("await sleep(2); {one}; await null\n")),
            6 => add(&format!("keep(await Promise.any([{one}, {two}])); System.emit('log', n)\n")),
            7 => add("keep(Date.now() - begin)\n"),
            8 => add(&format!("keep(System.call.id.length); {two}.finally(() => {one})\n")),
            9 => self.nested("for (let i = 0; i < 3; i++) {\n", "}\n", depth),
            10 => self.nested("try { null.x } catch {\n", "}\n", depth),
            11 => self.nested("setTimeout(async () => {\n", "}, 1)\n", depth),
            12 => self.nested("(async () => {\n", "})()\n", depth),
            13 => self.nested("await (async () => {\n", "})()\n", depth),
            14 => self.nested("queueMicrotask(async () => {\n", "})\n", depth),
            15 => self.nested("if (n % 2) {\n", "}\n", depth),
            _ => {
                let question = self.question();
                self.end(&question);
            }
        }
    }

    /// Ends the call in the middle, one way or another.
    fn end(&mut self, question: &str) {
        let end = match self.dice.below(6) {
            0 => "throw new RangeError('early')",
            1 => "for (;;) {}",
            2 => "return { toJSON () { QUESTION; return out } }",
            3 => "return QUESTION",
            4 => "await QUESTION",
            _ => "await new Promise(() => {})",
        };
        let end = end.replace("QUESTION", question);
        writeln!(self.code, "if (out.length > {}) {{ {end} }}", self.dice.below(6)).expect("a text");
    }
}

fn script(dice: &mut Dice) -> String {
    let mut code = String::from(
        "let n = 0\nconst sleep = (time) => new Promise(resolve => setTimeout(resolve, time, 'slept'))\n",
    );
    for method in 0..METHODS {
        writeln!(
            code,
            "exports.m{method} = async () => {{
            const out = [], begin = Date.now(), keep = (value) => {{ out.push(value) }}
            const caught = (error) => {{ out.push([error.name, error.message, error.code]) }}"
        )
        .expect("a text");
        let mut writer = Writer { dice, code: String::new() };
        writer.block(3);
        code += &writer.code;
        code += "return out }\n";
    }
    code
}

/// Oracles that take their time, each another one, and count what they are asked.
fn oracles(asked: &Arc<AtomicU64>) -> Oracles {
    let oracle = |take: fn(&Question) -> (u64, Result<Value, Failure>)| {
        let asked = asked.clone();
        move |question: Question| -> futures::future::BoxFuture<'static, Result<Value, Failure>> {
            let turn = asked.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                let (millis, answer) = take(&question);
                // So that answers are there in another order than that of their questions.
                tokio::time::sleep(Duration::from_millis(millis * (turn * 7 % 5))).await;
                answer
            })
        }
    };
    let limits = OracleLimits { question: Duration::from_millis(30), ..OracleLimits::default() };
    let echo = |question: &Question| (1, Ok(Value::Array(question.values())));
    Oracles::default()
        .within(limits)
        .with("echo", oracle(echo))
        .with("fetch", oracle(echo))
        .with("slow", oracle(|_| (30, Ok(Value::Text("slow".into())))))
        .with("bad", oracle(|question| (0, Err(Failure::Refused(format!("not {}", question.args.len()))))))
}

/// How many calls ended in which way: returned, threw, stopped.
#[derive(Debug, Default)]
struct Ends([u64; 3]);

impl Ends {
    fn count(&mut self, ended: &Result<libvms::host::CallResponse, CallError>) {
        let which = match ended {
            Ok(_) => 0,
            Err(CallError::Threw { .. }) => 1,
            Err(CallError::Stopped { fault: Fault::Fuel, .. }) => 2,
            Err(other) => panic!("{other}"),
        };
        self.0[which] += 1;
    }
}

/// Serves a script, calls each of its methods, and executes the log again in both ways there are.
async fn play(directory: &Path, code: &str, ends: &mut Ends) -> u64 {
    let asked = Arc::new(AtomicU64::new(0));
    let options = || HostOptions { oracles: oracles(&asked), ..hosting(Durability::Relaxed) };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let deployment = Deployment {
        limits: Limits { fuel: 50, ..Limits::default() },
        oracles: names(&["slow", "echo", "fetch", "bad"]),
        effects: names(&["log"]),
        ..Deployment::new(code, "patterns")
    };
    let vm = Vm::deploy(directory, deployment, options()).unwrap_or_else(|error| panic!("{error}\n{code}"));
    for method in 0..METHODS {
        ends.count(&vm.call(None, &format!("m{method}"), vec![]).await);
    }
    vm.close().await;
    let questions = asked.load(Ordering::Relaxed);
    let report = Auditor::for_directory(directory).with_options(auditing()).run(&mut |_, _| {});
    assert_eq!(report.expect("it is verified").verdict, Verdict::Agrees, "{code}");
    let vm = Vm::open(directory, options(), &mut |_, _| {}).unwrap_or_else(|error| panic!("{error}\n{code}"));
    vm.close().await;
    assert_eq!(asked.load(Ordering::Relaxed), questions, "a replay has asked");
    questions
}

#[test]
fn each_pattern_of_questions_is_executed_again_without_one() {
    let scripts = variable("VMS_ORACLE_SCRIPTS", 200).div_ceil(METHODS);
    let mut dice = Dice::new(variable("VMS_SEED", 1));
    let (mut ends, mut questions) = (Ends::default(), 0);
    run(async {
        for _ in 0..scripts {
            let directory = tempfile::tempdir().expect("a temporary directory");
            questions += play(&directory.path().join("data"), &script(&mut dice), &mut ends).await;
        }
    });
    assert!(ends.0.iter().all(|count| *count > 0), "{ends:?}");
    assert!(questions > scripts * METHODS, "{questions} questions: {ends:?}");
}

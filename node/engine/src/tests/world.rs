//! Oracles, effects and the id of a call: what a script sees of the world, and in which order.

use std::collections::VecDeque;

use super::{Outcome, load, threw};
use crate::message::{WorldError, WorldReply, WorldRequest};

/// A world whose oracles echo, except `none`, which is unknown, and `late`, which is too late.
#[derive(Debug, Default)]
pub(super) struct World {
    /// All that was wanted, in order.
    seen: Vec<String>,
    waiting: VecDeque<String>,
}

impl World {
    pub(super) fn reply(&mut self, request: WorldRequest) -> WorldReply {
        match request {
            WorldRequest::Ask { name, .. } if name == "none" => {
                Err(error("OracleError", "nobody", Some("unknown")))
            }
            WorldRequest::Ask { name, args } => {
                self.seen.push(format!("ask {name} {args}"));
                self.waiting.push_back(if name == "late" { name } else { args });
                Ok(None)
            }
            WorldRequest::Answer => {
                let answer = self.waiting.pop_front().expect("a question");
                self.seen.push(format!("answer {answer}"));
                match answer.as_str() {
                    "late" => Err(error("OracleError", "10 s", Some("timeout"))),
                    _ => Ok(Some(answer)),
                }
            }
            WorldRequest::Emit { name, .. } if name == "many" => Err(error("RangeError", "too many", None)),
            WorldRequest::Emit { name, args } => {
                self.seen.push(format!("emit {name} {args}"));
                Ok(None)
            }
            WorldRequest::CallId => Ok(Some("ab".repeat(32))),
        }
    }
}

fn error(name: &str, message: &str, code: Option<&str>) -> WorldError {
    WorldError { name: name.into(), message: message.into(), code: code.map(str::to_owned) }
}

/// Calls a function of this body, and returns its result and what the world has seen.
fn run(body: &str) -> (Outcome, Vec<String>) {
    let mut script =
        load(&format!("const {{ oracle, fetch, emit }} = System; exports.f = async () => {{ {body} }}"));
    let outcome = script.call("f", "[]");
    (outcome, script.world.seen)
}

fn returned(json: &str) -> Outcome {
    Outcome::Returned(Some(json.into()))
}

#[test]
fn a_question_has_its_arguments_as_json_and_the_answer_is_json() {
    let (outcome, seen) =
        run("return oracle('rate', 1, undefined, { a: [null, 'x\\ud800'], b: undefined }, () => 1)");
    let args = "[1,null,{\"a\":[null,\"x\u{fffd}\"]},null]";
    assert_eq!(outcome, returned(args));
    assert_eq!(seen, [format!("ask rate {args}"), format!("answer {args}")]);
    assert_eq!(run("return oracle('rate')").0, returned("[]"));
    let (outcome, seen) = run("return fetch(new URL('http://a'), { method: 'POST', body: 'b' })");
    assert_eq!(outcome, returned("[\"http://a/\",{\"method\":\"POST\",\"body\":\"b\"}]"));
    assert_eq!(seen[0], "ask fetch [\"http://a/\",{\"method\":\"POST\",\"body\":\"b\"}]");
}

#[test]
fn what_cannot_be_asked_rejects_and_asks_nobody() {
    let cases = [
        ("oracle(1)", "TypeError", "oracle: name must be a text, not the number 1"),
        ("oracle('rate', 1n)", "TypeError", "BigInt are forbidden in JSON.stringify"),
        (
            "fetch('http://a', { verb: 'GET' })",
            "TypeError",
            "fetch: there is no option \"verb\"; it has method, headers, body, encoding",
        ),
        ("oracle('none')", "OracleError", "nobody"),
        ("emit('many', 1)", "RangeError", "too many"),
    ];
    for (asked, name, message) in cases {
        let (outcome, seen) = run(&format!("await {asked}"));
        assert_eq!((outcome, seen.len()), (threw(name, message), 0), "{asked}");
    }
    // Another question after it has its own answer.
    let (outcome, _) =
        run("const [, b] = await Promise.allSettled([oracle('none'), oracle('rate', 2)]); return b.value");
    assert_eq!(outcome, returned("[2]"));
}

#[test]
fn an_oracle_fails_with_an_error_that_has_a_code() {
    let code = "try { await oracle('late') } catch (e) { return [e instanceof Error, e.name, e.message, e.code, Object.keys(e)] }";
    assert_eq!(run(code).0, returned("[true,\"OracleError\",\"10 s\",\"timeout\",[]]"));
    assert_eq!(run("await oracle('late')").0, threw("OracleError", "10 s"));
}

#[test]
fn answers_come_one_at_a_time_in_the_order_of_the_questions() {
    let (outcome, seen) = run(
        "const order = []
        const a = oracle('x', 'a').then(async () => { order.push('a'); await null; await null; order.push('a2') })
        const b = oracle('x', 'b').then(() => order.push('b'))
        const c = oracle('late').catch(() => order.push('c'))
        await c; await b; await a; return order",
    );
    assert_eq!(outcome, returned("[\"a\",\"a2\",\"b\",\"c\"]"));
    let expected =
        ["ask x [\"a\"]", "ask x [\"b\"]", "ask late []", "answer [\"a\"]", "answer [\"b\"]", "answer late"];
    assert_eq!(seen, expected);
}

#[test]
fn timers_fire_when_no_answer_is_due_and_time_stands_still() {
    let (outcome, _) = run(
        "const order = [], begin = Date.now()
        const timer = new Promise(resolve => setTimeout(() => { order.push('timer'); resolve() }, 0))
        const answer = oracle('x').then(() => { order.push('answer'); return oracle('y') }).then(() => order.push('second', Date.now() - begin))
        await Promise.all([timer, answer]); return order",
    );
    assert_eq!(outcome, returned("[\"answer\",\"second\",0,\"timer\"]"));
    let race = "return Promise.race([oracle('x'), new Promise((resolve, reject) => setTimeout(reject, 1))])";
    assert_eq!(run(race).0, returned("[]"));
}

#[test]
fn a_call_that_has_ended_needs_no_further_answer() {
    let (outcome, seen) = run(
        "oracle('x', 1); await oracle('x', 2); oracle('x', 3); return { toJSON () { oracle('x', 4); return 5 } }",
    );
    assert_eq!(outcome, returned("5"));
    let expected = ["ask x [1]", "ask x [2]", "answer [1]", "answer [2]", "ask x [3]", "ask x [4]"];
    assert_eq!(seen, expected);
    // A later call finds nothing of them.
    let mut script = load(
        "let kept; exports.f = () => { kept = System.oracle('x', 1); kept.then(() => { n++ }) }; let n = 0
        exports.wait = () => kept; exports.g = async () => [await System.oracle('x', 2), n]",
    );
    assert_eq!(script.call("f", "[]"), Outcome::Returned(None));
    script.world.waiting.clear();
    assert_eq!(script.call("g", "[]"), returned("[[2],0]"));
    let never = threw("Error", "the call never settled: nothing is left that could end it");
    assert_eq!(script.call("wait", "[]"), never);
    assert_eq!(script.world.seen.len(), 3);
}

#[test]
fn effects_and_the_id_of_the_call_reach_the_world() {
    let (outcome, seen) = run(
        "emit('mail', { to: 'bob' }); return [emit('log'), System.call.id.length, System.call === System.call]",
    );
    assert_eq!(outcome, returned("[null,64,true]"));
    assert_eq!(seen, ["emit mail [{\"to\":\"bob\"}]", "emit log []"]);
}

#[test]
fn a_large_question_costs_fuel() {
    let mut script = load("exports.f = async (n) => (await System.oracle('x', 'a'.repeat(n))).length");
    assert_eq!(script.call("f", "[1000]"), returned("1"));
    assert_eq!(script.call("f", "[10000000]"), Outcome::Fault(crate::message::Fault::Fuel));
}

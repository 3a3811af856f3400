//! A call that runs out of memory at the first use of something that the engine makes lazily breaks it for no later call.
//!
//! `starvation.js` walks all that a script can reach from the globals and from objects without a name. Each property is looked at,
//! and each use made, for the first time in a full heap, with more and more room until it succeeds; all of them must then be what they are
//! in a heap that never was full. `VMS_STARVATION=ROOMS` tries more amounts of room.

use libvms::engine::message::{Call, Load, Outcome, Report, Request};
use libvms::engine::{Sandbox, Worker};
use libvms_protocol::entry::Limits;
use serde_json::{Value, json};

use super::script;
use crate::support::{engine, variable};

/// Little memory, so that it is soon full.
const LIMITS: Limits =
    Limits { fuel: 1 << 40, memory: 1 << 20, stack: 256 << 10, output: 16 << 20, load: None, call_age: None };

struct Engine(Worker);

impl Engine {
    fn start(memory: u64) -> Self {
        let mut worker = Worker::start(Limits { memory, ..LIMITS }, &engine(Sandbox::Off)).expect("a worker");
        let code = script("starvation.js");
        worker.send(Request::Load(Load { code, module: false, at: 0, seed: [1; 32] })).expect("it runs");
        match worker.receive() {
            Ok(Report::Loaded(Ok(_))) => Self(worker),
            other => panic!("{other:?}"),
        }
    }

    fn try_call(&mut self, method: &str, args: &Value) -> Outcome {
        let call =
            Call { method: method.into(), args: args.to_string(), user_id: None, at: 0, seed: [2; 32] };
        self.0.send(Request::Call(call)).expect("it runs");
        match self.0.receive() {
            Ok(Report::Done(done)) => done.outcome,
            other => panic!("{method}{args}: {other:?}"),
        }
    }

    fn call(&mut self, method: &str, args: &Value) -> Value {
        match self.try_call(method, args) {
            Outcome::Returned(None) => Value::Null,
            Outcome::Returned(Some(json)) => serde_json::from_str(&json).expect("JSON"),
            other => panic!("{method}{args} with {other:?}"),
        }
    }

    /// Calls a method with more and more room in a full heap until it gives what it should. Says how often it did not.
    fn starve(&mut self, method: &str, what: &Value, expected: &Value, rooms: u64) -> u64 {
        for room in 0..rooms {
            match self.try_call(method, &json!([what, room])) {
                Outcome::Returned(Some(json))
                    if serde_json::from_str::<Value>(&json).expect("JSON") == *expected =>
                {
                    return room;
                }
                Outcome::Returned(_) | Outcome::Threw(_) => {}
                Outcome::Fault(fault) => panic!("{method} {what} in room {room}: {fault:?}"),
            }
        }
        rooms
    }
}

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list,
        other => panic!("{other}"),
    }
}

#[test]
fn whatever_memory_ran_out_for_is_there_in_the_next_call() {
    let rooms = variable("VMS_STARVATION", 24);
    let mut fresh = Engine::start(64 << 20);
    let paths = list(fresh.call("paths", &json!([])));
    let looks = list(Engine::start(64 << 20).call("look", &json!([paths])));
    assert!(paths.len() > 900, "{}", paths.len());
    let mut starved = Engine::start(LIMITS.memory);
    let mut failed = 0;
    for (path, look) in paths.iter().zip(&looks) {
        failed += u64::from(starved.starve("lookStarved", path, look, rooms) > 0);
        let seen = starved.call("look", &json!([[path]]));
        assert_eq!(seen[0], *look, "{path}");
    }
    for (path, look) in paths.iter().zip(&looks) {
        assert_eq!(starved.call("look", &json!([[path]]))[0], *look, "{path}, after all others");
    }
    // Else the heap was not full.
    assert!(failed as usize > paths.len() / 2, "{failed} of {}", paths.len());
}

#[test]
fn whatever_ran_out_of_memory_works_in_the_next_call() {
    let rooms = variable("VMS_STARVATION", 24);
    let mut fresh = Engine::start(64 << 20);
    fresh.call("prepare", &json!([]));
    for name in list(fresh.call("uses", &json!([]))) {
        let expected = fresh.call("use", &json!([name]));
        let mut starved = Engine::start(LIMITS.memory);
        for room in 0..rooms {
            // A function of the script's own has a prototype that is made lazily as well.
            starved.call("prepare", &json!([]));
            let _any = starved.try_call("useStarved", &json!([name, room]));
            assert_eq!(starved.call("use", &json!([name])), expected, "{name} after room {room}");
        }
    }
}

#[test]
fn a_restart_after_memory_ran_out_finds_everything_too() {
    let uses = [json!("replace"), json!("cbrt"), json!("symbol"), json!("spread"), json!("group")];
    let value = |engine: &mut Engine| -> Vec<Value> {
        uses.iter().map(|name| engine.call("use", &json!([name]))).collect()
    };
    let expected = value(&mut Engine::start(64 << 20));
    assert_eq!(expected[0], "aX!bX!");
    // A restart executes all calls again, the starved ones among them.
    for _ in 0..2 {
        let mut engine = Engine::start(LIMITS.memory);
        for name in &uses {
            let _any = engine.try_call("useStarved", &json!([name, 0]));
        }
        assert_eq!(value(&mut engine), expected);
    }
}

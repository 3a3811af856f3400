//! Callers who sign, and what goes wrong beside them: kills, old copies, clocks, slow and deadly calls, repeated calls.

use std::thread;
use std::time::Duration;

use data_encoding::HEXLOWER;
use libvms_hypercore::blocks::Length;
use libvms_hypercore::tree::TreeHash;
use libvms_protocol::entry::Seen;
use serde_json::{Value, json};

use super::super::clock::Clock;
use super::signer::{Signer, handshake, now, reason, try_post};
use crate::support::{Host, TestService, program, text, vms};

/// A counter with a slow call, and one that never ends.
const SCRIPT: &str = "
    let count = 0
    exports.increment = () => ++count
    exports.get = () => count
    exports.slow = () => { for (let i = 0; i < 300_000; i++); return ++count }
    exports.endless = () => { for (;;); }
";

/// The head that a host shows.
pub(super) fn seen(host: &Host) -> Seen {
    let head = &handshake(host, &json!({}))["head"];
    let hash = HEXLOWER.decode(head["hash"].as_str().expect("text").as_bytes()).expect("hex");
    let hash = TreeHash(hash.try_into().expect("32 bytes"));
    Seen { length: Length(head["length"].as_u64().expect("a length")), hash }
}

#[test]
fn a_call_that_was_sent_to_a_host_that_is_killed_is_executed_once() {
    let place = TestService::new(SCRIPT);
    let mut host = place.host_with(&["--auth", "signed"]);
    let signer = Signer::new(&host, 1);
    for round in 1..=12_u64 {
        let by = signer.sign("increment", now(), None, None);
        let (request, port) = (Signer::request("increment", &by), host.port());
        let sent = request.clone();
        let sender = thread::spawn(move || try_post(port, &sent, ""));
        thread::sleep(Duration::from_micros(round * 700));
        host.kill();
        let before = sender.join().expect("no panic").ok();
        host = place.host();
        let after = Signer::send(&host, "increment", &by);
        assert_eq!(after["result"], json!(round), "{after}");
        let block = signer.check(&after);
        if let Some(before) = before {
            assert_eq!(signer.check(&before), block, "one call, one entry");
        }
    }
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn one_call_sent_by_many_at_once_has_one_entry() {
    let place = TestService::new(SCRIPT);
    let host = place.host_with(&["--auth", "signed"]);
    let signer = Signer::new(&host, 1);
    let nonce = now();
    let calls: Vec<_> = (0..8)
        .map(|number| match number {
            0..4 => signer.sign("slow", nonce, None, None),
            // The client has lost its connection, and signs the same intention again.
            number => signer.sign("slow", nonce + number, None, Some(&[nonce])),
        })
        .collect();
    let blocks: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = calls
            .iter()
            .map(|by| {
                let (host, signer) = (&host, &signer);
                scope.spawn(move || {
                    let answer = Signer::send(host, "slow", by);
                    // A smaller nonce that arrives after a greater one was executed is refused, with the block of that one.
                    match answer.get("error") {
                        None => signer.check(&answer).0,
                        Some(_) => {
                            assert_eq!(reason(&answer), "repeated-nonce");
                            answer["error"]["data"]["block"].as_u64().unwrap_or(1)
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(blocks, vec![1; 8]);
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn a_host_with_an_old_copy_of_its_data_is_told_that_the_caller_has_seen_more() {
    let place = TestService::new(SCRIPT);
    let host = place.host_with(&["--auth", "signed"]);
    let signer = Signer::new(&host, 1);
    assert_eq!(signer.call(&host, now(), None)["result"], json!(1));
    assert!(host.terminate().success());
    let old = place.data().with_extension("old");
    let copied = std::process::Command::new("cp").arg("-a").args([place.data(), old.clone()]).status();
    assert!(copied.expect("cp").success());
    let host = place.host();
    assert_eq!(signer.call(&host, now(), None)["result"], json!(2));
    let newest = seen(&host);
    assert!(host.terminate().success());
    std::fs::remove_dir_all(place.data()).expect("a directory");
    std::fs::rename(old, place.data()).expect("a directory");
    let host = place.host();
    let by = signer.sign("increment", now(), Some(newest), None);
    let refused = Signer::send(&host, "increment", &by);
    assert_eq!(reason(&refused), "unknown-head", "{refused}");
    let data = &refused["error"]["data"];
    assert_eq!(data["head"]["length"], json!(newest.length - Length(1)), "{refused}");
    assert!(data.get("nodes").is_none(), "a shorter log has no nodes to show: {refused}");
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn a_call_behind_a_deadly_one_is_executed_once_and_the_deadly_one_is_logged_as_its_callers() {
    let place = TestService::new(SCRIPT);
    let host = place.host_with(&["--auth", "signed", "--call-time", "1", "--fuel", "60000"]);
    let (deadly, calm) = (Signer::new(&host, 1), Signer::new(&host, 2));
    thread::scope(|scope| {
        let killed = {
            let (host, deadly) = (&host, &deadly);
            let by = deadly.sign("endless", now(), None, None);
            scope.spawn(move || Signer::send(host, "endless", &by))
        };
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let (host, calm) = (&host, Signer { key: calm.key.clone(), log: calm.log });
                thread::sleep(Duration::from_millis(20));
                scope.spawn(move || {
                    let answer = calm.call(host, now(), None);
                    calm.check(&answer)
                })
            })
            .collect();
        for (number, thread) in (1_u64..).zip(waiting) {
            let (block, result) = thread.join().expect("no panic");
            assert_eq!(
                (block, result.map(|result| result.to_json())),
                (number + 1, Some(number.to_string()))
            );
        }
        let killed = killed.join().expect("no panic");
        assert!(killed["error"]["message"].is_string() && killed["receipt"].is_string(), "{killed}");
    });
    let again = deadly.call(&host, now(), None);
    assert_eq!(again["result"], json!(5), "its key is not locked out");
    assert!(host.terminate().success());
    assert_eq!(place.log()[1]["userId"], json!(deadly.key.public_key().to_string()));
    place.assert_agrees();
}

/// A host with a clock that the test sets.
fn host_with(clock: &Clock, place: &TestService) -> Host {
    let mut command = program();
    command.arg("host").arg(place.script()).arg("--dir").arg(place.data()).args(["--auth", "signed"]);
    Host::start(clock.give_to(&mut command))
}

#[test]
fn a_clock_that_was_an_hour_ahead_locks_nobody_out_and_accuses_nobody() {
    let place = TestService::new(SCRIPT);
    let clock = Clock::new();
    clock.shift_by(3_600);
    let host = host_with(&clock, &place);
    let signer = Signer::new(&host, 1);
    // The caller's own clock is an hour behind the log's time, and it goes by what the host shows.
    let stale = signer.call(&host, now(), None);
    assert_eq!(reason(&stale), "stale-call");
    let told = stale["error"]["data"]["now"].as_u64().expect("the log's time");
    assert!(told > now() + 3_500_000_000, "{stale}");
    assert_eq!(signer.call(&host, told, None)["result"], json!(1));
    assert!(host.terminate().success());
    // The clock is right again, and the log's time goes on from where it was.
    clock.shift_by(0);
    let host = host_with(&clock, &place);
    for count in 2..=6 {
        let told = handshake(&host, &json!({}))["now"].as_u64().expect("the log's time");
        thread::sleep(Duration::from_millis(5));
        let answer = signer.call(&host, told + count, None);
        let answer = match answer.get("error") {
            // Half as fast as a clock: a nonce a few microseconds ahead has its time soon.
            Some(_) => {
                assert_eq!(reason(&answer), "early");
                thread::sleep(Duration::from_millis(20));
                signer.call(&host, told + count, None)
            }
            None => answer,
        };
        assert_eq!(answer["result"], json!(count), "{answer}");
    }
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn a_clock_that_is_a_year_behind_refuses_with_its_time_and_accuses_nobody() {
    let place = TestService::new(SCRIPT);
    let clock = Clock::new();
    clock.shift_by(-365 * 86_400);
    let host = host_with(&clock, &place);
    let signer = Signer::new(&host, 1);
    let early = signer.call(&host, now(), None);
    assert_eq!(reason(&early), "early");
    let told = early["error"]["data"]["now"].as_u64().expect("the log's time");
    assert!(told < now() - 364 * 86_400_000_000, "{early}");
    assert_eq!(signer.call(&host, told, None)["result"], json!(1));
    clock.shift_by(0);
    assert_eq!(signer.call(&host, now(), None)["result"], json!(2));
    assert!(host.terminate().success());
    let verified = vms(["verify".as_ref(), place.data().as_os_str()]);
    assert!(verified.status.success(), "{}", text(&verified.stdout));
}

#[test]
fn a_flood_of_bad_signatures_stops_nobody() {
    let place = TestService::new(SCRIPT);
    let host = place.host_with(&["--auth", "signed"]);
    let signer = Signer::new(&host, 1);
    let mut forged = signer.sign("increment", now(), None, None);
    forged.sig.0[9] ^= 1;
    let batch: Vec<Value> = (0..50).map(|_| Signer::request("increment", &forged)).collect();
    let done = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let answers = try_post(host.port(), &json!(batch), "").expect("it answers");
                    for answer in answers.as_array().expect("a batch") {
                        // A queue that is full of forged calls says so; none of them is executed.
                        assert!(["bad-signature", "busy"].contains(&reason(answer)), "{answer}");
                    }
                }
            });
        }
        for count in 1..=40 {
            let answer = signer.call(&host, now(), None);
            assert_eq!(answer["result"], json!(count), "{answer}");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(host.terminate().success());
    place.assert_agrees();
}

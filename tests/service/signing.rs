//! Clients with a key and a real host: `vms call --key`, `vms repl --key`, and the library's client.

mod forks;
mod restarts;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use libvms::rpc::{ClientError, ClientOptions, KnownLogs, RpcClient};
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::SecretKey;
use libvms_protocol::limits;
use libvms_protocol::proof::{Proof, Verdict};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::callers::signer::handshake;
use super::clock::Clock;
use crate::support::{Host, Process, TestService, program, run, text, vms};

/// A counter that fails where it is asked to.
pub(crate) const SCRIPT: &str = "
    let count = 0
    exports.increment = () => ++count
    exports.get = () => count
    exports.fail = () => { throw new RangeError('far') }
    exports.whoami = () => System.caller.id
";

/// The home of somebody who calls: keys, and what was remembered.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().expect("a temporary directory") };
        assert!(vms(["keygen", &home.key("own.key")]).status.success());
        home
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn key(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    /// The command with these arguments, at this home.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.args(arguments).env("XDG_STATE_HOME", self.folder.path());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        Process::output(&mut self.command(arguments)).expect("vms starts")
    }

    /// Makes a signed call.
    pub(crate) fn call(&self, url: &str, method: &str, more: &[&str]) -> Output {
        self.run(&[&["call", url, method, "--key", &self.key("own.key")], more].concat())
    }

    /// Makes a signed call that must succeed, and returns its result.
    pub(crate) fn result(&self, url: &str, method: &str) -> Value {
        let output = self.call(url, method, &[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// What was remembered, in lines.
    pub(crate) fn remembered(&self) -> Vec<Value> {
        let file = fs::read_to_string(self.file("vms/known_logs")).unwrap_or_default();
        file.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }
}

/// Asserts that a command fails with this code and says all of this.
pub(crate) fn fails(output: &Output, code: i32, what: &[&str]) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(what.iter().all(|what| stderr.contains(what)), "{what:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
}

pub(crate) fn signed_host(place: &TestService) -> Host {
    place.host_with(&["--auth", "signed"])
}

fn log_key(host: &Host) -> String {
    host.announced[0]["callLogUrl"].as_str().expect("a key").trim_start_matches("hyper://").to_owned()
}

fn own_options(known: Option<KnownLogs>) -> ClientOptions {
    ClientOptions { key: Some(SecretKey::from_seed(&[5; 32])), known_logs: known, ..ClientOptions::default() }
}

#[test]
fn a_call_with_a_key_is_signed_proved_and_remembered() {
    let (home, place) = (Home::new(), TestService::new(SCRIPT));
    let host = signed_host(&place);
    let (url, receipt) = (host.url(), home.key("one.proof"));
    let public = home.run(&["keygen", &home.key("other.key"), "--json"]);
    let other: Value = serde_json::from_slice(&public.stdout).expect("JSON");
    let output = home.call(url, "increment", &["--receipt", &receipt]);
    assert_eq!(text(&output.stdout), "1\n", "{}", text(&output.stderr));
    let proof = Proof::decode(&fs::read(&receipt).expect("a file")).expect("a proof file");
    assert_eq!((proof.check(), proof.kind()), (Verdict::Holds, "inclusion"));
    assert_eq!(proof.log().expect("a log").to_string(), log_key(&host));
    let checked = vms(["proof", "check", &receipt, "--log", &log_key(&host)]);
    assert!(checked.status.success(), "{}", text(&checked.stdout));
    // A receipt is evidence: none is written over, and no call is made for it.
    fails(&home.call(url, "increment", &["--receipt", &receipt]), 2, &["File exists", "one.proof"]);
    let whoami = home.run(&["call", url, "whoami", "--key", &home.key("other.key")]);
    assert_eq!(text(&whoami.stdout).trim(), format!("\"{}\"", other["publicKey"].as_str().expect("a key")));
    let mut by_variable = home.command(&["call", url, "whoami"]);
    let by_variable =
        Process::output(by_variable.env("VMS_KEY", home.file("other.key"))).expect("vms starts");
    assert_eq!(by_variable.stdout, whoami.stdout);
    // An error of the script is in the log, too.
    let failed = home.key("failed.proof");
    fails(&home.call(url, "fail", &["--receipt", &failed]), 1, &["error: RangeError: far"]);
    assert_eq!(Proof::decode(&fs::read(&failed).expect("a file")).expect("a proof").check(), Verdict::Holds);
    fails(&home.call(url, "nothing", &["--receipt", &home.key("none.proof")]), 1, &["no-method"]);
    assert!(!home.file("none.proof").exists());
    let refused = home.call(url, "nothing", &["--json"]);
    let event: Value = serde_json::from_slice(&refused.stderr).expect("an object");
    assert_eq!((&event["event"], &event["reason"]), (&json!("error"), &json!("no-method")));
    let remembered = home.remembered();
    let head = remembered.iter().find(|line| line["url"] == json!(url)).expect("a line for the URL");
    assert_eq!((&head["log"], &head["length"]), (&json!(log_key(&host)), &json!(5)));
    assert_eq!(remembered.iter().filter(|line| line["nonce"].is_u64()).count(), 2, "of both keys");
    // Nobody has to sign.
    assert_eq!(text(&vms(["call", url, "get"]).stdout), "1\n");
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn a_key_that_cannot_be_used_is_named_and_never_shown() {
    let (home, place) = (Home::new(), TestService::new(SCRIPT));
    let host = place.host();
    let url = host.url();
    fs::write(home.file("wrong.key"), "secret words").expect("writable");
    fs::write(home.file("long.key"), "ab".repeat(300)).expect("writable");
    for name in ["wrong.key", "long.key", "none.key", "."] {
        let output = home.run(&["call", url, "get", "--key", &home.key(name)]);
        fails(&output, 2, &[name]);
        assert!(!text(&output.stderr).contains("secret") && !text(&output.stderr).contains("abab"));
    }
    let not_signed = ["believes any name", "call it without a key"];
    fails(&home.call(url, "get", &[]), 2, &not_signed);
    fails(&home.run(&["repl", url, "--key", &home.key("own.key")]), 2, &not_signed);
    fails(
        &home.run(&["call", url, "get", "--receipt", &home.key("a.proof")]),
        2,
        &["--receipt has no effect"],
    );
    fails(&home.run(&["call", url, "get", "--accept-new-key"]), 2, &["--accept-new-key has no effect"]);
    fails(&home.run(&["call", url, "get", "--user", "a", "--key", "b"]), 2, &["cannot be used with"]);
    let mut named = home.command(&["call", url, "whoami", "--user", "bob"]);
    let named = Process::output(named.env("VMS_KEY", home.file("own.key"))).expect("vms starts");
    assert_eq!(text(&named.stdout), "\"bob\"\n", "an option wins over the variable");
    let mut homeless = home.command(&["call", url, "get", "--key", &home.key("own.key")]);
    let homeless = Process::output(homeless.env_remove("XDG_STATE_HOME").env_remove("HOME"));
    fails(&homeless.expect("vms starts"), 2, &["no place to remember", "XDG_STATE_HOME"]);
    assert!(!home.file("vms").exists(), "nothing was remembered of a service whose callers do not sign");
}

#[test]
fn the_repl_signs_and_goes_on_after_a_refusal() {
    let (home, place) = (Home::new(), TestService::new(SCRIPT));
    let host = signed_host(&place);
    let mut command = home.command(&["repl", host.url(), "--key", &home.key("own.key")]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::start(&mut command).expect("vms starts");
    let lines = b"increment()\nnothing()\nfail()\nget()\n";
    process.stdin.take().expect("a pipe").write_all(lines).expect("it reads");
    let output = process.wait_with_output().expect("it ends");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let results: Vec<&str> = stdout.lines().map(|line| line.trim_start_matches("> ")).collect();
    assert_eq!((output.status.code(), &results[..2]), (Some(0), &["1", "1"][..]), "{stderr}");
    assert!(stderr.contains("calls are signed by ") && stderr.contains("no-method"), "{stderr}");
    assert!(stderr.contains("RangeError: far"), "{stderr}");
    assert!(host.terminate().success());
    assert!(place.log()[1..].iter().all(|entry| entry["sig"].is_string()), "{:?}", place.log());
    place.assert_agrees();
}

#[test]
fn a_url_with_the_logs_key_takes_no_other_service() {
    let (home, place) = (Home::new(), TestService::new(SCRIPT));
    let host = signed_host(&place);
    let (right, wrong) =
        (format!("{}#{}", host.url(), log_key(&host)), format!("{}#{}", host.url(), "ab".repeat(32)));
    assert_eq!(home.result(&right, "increment"), json!(1));
    assert_eq!(home.remembered()[0].get("url"), None, "the URL is not what was believed");
    let keys = [log_key(&host), "ab".repeat(32)];
    let named: Vec<&str> = keys.iter().map(String::as_str).collect();
    fails(&home.call(&wrong, "increment", &[]), 3, &named);
    fails(&home.run(&["call", &wrong, "increment"]), 3, &named);
    assert_eq!(text(&home.run(&["call", &right, "increment"]).stdout), "2\n");
    // Auditors take it, too.
    let peer = host.peer_address().to_string();
    let audited = vms(["verify", &right, "--no-swarm", "--peer", &peer]);
    assert!(audited.status.success(), "{}", text(&audited.stdout));
    fails(&vms(["log", &wrong, "--no-swarm"]), 3, &named);
    fails(&home.run(&["call", &format!("{}#x", host.url()), "get"]), 2, &["after `#` stands the key"]);
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn another_log_at_a_known_url_is_refused_until_it_is_accepted() {
    let (home, first, second) = (Home::new(), TestService::new(SCRIPT), TestService::new(SCRIPT));
    let host = signed_host(&first);
    let (url, port, before) = (host.url().to_owned(), host.port(), log_key(&host));
    assert_eq!(home.result(&url, "increment"), json!(1));
    assert!(host.terminate().success());
    let host = second.host_at(port, &["--auth", "signed"]);
    let now = log_key(&host);
    let refused = home.call(&url, "increment", &[]);
    fails(&refused, 3, &[&before, &now, "known_logs", "hint: ", "--accept-new-key", "#KEY"]);
    assert_eq!(second.log().len(), 1, "nothing was signed for it");
    assert_eq!(text(&home.run(&["call", &url, "get"]).stdout), "0\n", "who does not sign asks nothing");
    let accepted = home.call(&url, "increment", &["--accept-new-key"]);
    assert_eq!(text(&accepted.stdout), "1\n", "{}", text(&accepted.stderr));
    assert_eq!(home.result(&url, "increment"), json!(2));
    assert!(host.terminate().success());
    second.assert_agrees();
}

#[test]
fn a_file_of_known_logs_that_cannot_be_read_is_kept_as_it_is() {
    let (home, place) = (Home::new(), TestService::new(SCRIPT));
    let host = signed_host(&place);
    assert_eq!(home.result(host.url(), "increment"), json!(1));
    let file = home.file("vms/known_logs");
    let torn = fs::read_to_string(&file).expect("text") + "{\"url\":\"ws://";
    fs::write(&file, &torn).expect("writable");
    fails(
        &home.call(host.url(), "increment", &[]),
        2,
        &["line 3 of", "known_logs", "correct it or remove it"],
    );
    assert_eq!(fs::read_to_string(&file).expect("text"), torn);
    assert!(host.terminate().success());
    assert_eq!(place.log().len(), 2, "nothing was called");
}

#[test]
fn many_programs_with_one_key_are_one_caller() {
    let (home, place) = (Home::new(), TestService::new(SCRIPT));
    let host = signed_host(&place);
    assert_eq!(home.result(host.url(), "increment"), json!(1));
    let mut results: Vec<i64> = std::thread::scope(|scope| {
        let call = || home.result(host.url(), "increment").as_i64().expect("a number");
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(move || [call(), call(), call()])).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    results.sort_unstable();
    assert!(results.into_iter().eq(2..=13));
    let head = &home.remembered().into_iter().find(|line| line["url"].is_string()).expect("a line");
    assert_eq!(head["length"], json!(14));
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn a_thousand_calls_at_once_over_one_client_are_each_executed_once() {
    let place = TestService::new(SCRIPT);
    let host = signed_host(&place);
    run(async {
        let client = RpcClient::connect(host.url(), own_options(None)).await.expect("it listens");
        let calls = (0..1000).map(|_| client.call_proved("increment", &[(); 0]));
        let answers = futures::future::join_all(calls).await;
        let result = |answer: Result<libvms::rpc::ProvedAnswer, ClientError>| {
            let answer = answer.expect("an answer");
            let count: u64 =
                answer.outcome.expect("a result").expect("a value").get().parse().expect("a number");
            assert_eq!(answer.block, BlockIndex(count));
            count
        };
        assert!(answers.into_iter().map(result).eq(1..=1000), "in the order in which they were begun");
        assert_eq!(client.head().expect("it compares heads").length(), Length(1001));
        client.close().await;
    });
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn heads_are_compared_while_many_callers_make_the_log_grow() {
    const CLIENTS: u8 = 6;
    const CALLS: u64 = 150;
    let place = TestService::new(SCRIPT);
    let host = signed_host(&place);
    run(async {
        let host = &host;
        let calls = (1..=CLIENTS).map(|seed| async move {
            let options = ClientOptions { key: Some(SecretKey::from_seed(&[seed; 32])), ..own_options(None) };
            let client = RpcClient::connect(host.url(), options).await.expect("it listens");
            let one_by_one = async {
                for _ in 0..CALLS {
                    client.call("increment", &[(); 0]).await.expect("an answer");
                }
            };
            let at_once = futures::future::join_all((0..CALLS).map(|_| client.call("increment", &[(); 0])));
            let ((), at_once) = futures::future::join(one_by_one, at_once).await;
            at_once.into_iter().for_each(|answer| drop(answer.expect("an answer")));
            client.close().await;
        });
        futures::future::join_all(calls).await;
        let total = u64::from(CLIENTS) * 2 * CALLS;
        assert_eq!(host.client().await.call("get", json!([])).await, json!(total));
    });
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn callers_go_by_the_time_of_a_log_whose_clock_is_wrong() {
    for hours in [1, -1] {
        let (home, place, clock) = (Home::new(), TestService::new(SCRIPT), Clock::new());
        clock.shift_by(hours * 3_600);
        let mut command = program();
        command.arg("host").arg(place.script()).arg("--dir").arg(place.data()).args(["--auth", "signed"]);
        let host = Host::start(clock.give_to(&mut command));
        // The deployment, a moment ago, shows the time.
        assert_eq!(home.result(host.url(), "increment"), json!(1));
        assert_eq!(home.result(host.url(), "increment"), json!(2));
        if hours > 0 {
            // Two minutes later, only the host says so.
            clock.shift_by(hours * 3_600 + 120);
            fails(&home.call(host.url(), "increment", &[]), 3, &["one of the two clocks is wrong"]);
            assert_eq!(text(&vms(["call", host.url(), "increment"]).stdout), "3\n");
            assert_eq!(home.result(host.url(), "increment"), json!(4), "now an entry does");
        }
        assert!(host.terminate().success());
        place.assert_agrees();
    }
}

#[test]
fn the_largest_answer_is_proved_too() {
    let (home, place) = (Home::new(), TestService::new("exports.echo = list => list"));
    let host = place.host_with(&["--auth", "signed", "--fuel", "60000"]);
    // Of all JSON texts this one grows most in the log: four bytes become nine, twice, and those twelve in base64.
    let too_many = vec![0.5; limits::ARGUMENTS_BYTES_MAX / 4];
    let options = ClientOptions { key: Some(SecretKey::from_seed(&[5; 32])), ..ClientOptions::default() };
    run(async {
        let client = RpcClient::connect(host.url(), options).await.expect("it listens");
        let refused = client.call("echo", &[&too_many]).await.expect_err("too many").to_string();
        assert_eq!(
            refused,
            "the arguments have 1048579 bytes of JSON text, and those of a call at most 1048576"
        );
        let largest = &too_many[1..];
        let answer = client.call_proved("echo", &[largest]).await.expect("the largest");
        assert!(answer.receipt.len() > 4 * limits::ARGUMENTS_BYTES_MAX, "{}", answer.receipt.len());
        let result = answer.outcome.expect("a result").expect("a value");
        assert_eq!(result.get(), serde_json::to_string(largest).expect("JSON"));
        fs::write(home.file("largest.proof"), &answer.receipt).expect("writable");
        // Whoever wants to know the time of that entry gets all of it.
        let latest = handshake(&host, &json!({ "latest": true }));
        assert!(latest["latest"].as_str().is_some_and(|receipt| receipt.len() > answer.receipt.len()));
    });
    let checked = home.run(&["proof", "check", &home.key("largest.proof")]);
    assert!(checked.status.success(), "{}", text(&checked.stdout));
    assert!(host.terminate().success());
    place.assert_agrees();
}

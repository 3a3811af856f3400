//! Refusals that take more than one call: a head that is too old, a method in quarantine, a host that closes.

use std::sync::Arc;
use std::time::Duration;

use libvms::host::{Deployment, Form, Vm};
use libvms::rpc::{ClientOptions, RpcClient, RpcOptions, RpcServer};
use libvms::storage::{Core, Durability};
use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::SecretKey;
use libvms_protocol::entry::{Auth, Call, CallEntry, Caller, Entry, Fault, Limits, Outcome, Seen};
use libvms_protocol::limits::SEEN_LENGTHS_MAX;
use serde_json::{Value, json};

use super::signer::{Signer, now, reason, try_post};
use super::trouble::seen;
use crate::support::{TestService, hosting, run};

/// A step of a loop takes a microsecond: fuel does not end it within a second.
const SCRIPT: &str = "
    let count = 0
    const step = () => [{}, {}, {}, {}, {}, {}, {}, {}, {}, {}]
    exports.increment = () => ++count
    exports.slow = () => { for (let i = 0; i < 2_000_000; i++) step(); return ++count }
    exports.endless = () => { for (;;) step() }
";

/// Lets a log grow by calls of nobody, while no host runs. They were killed, so that no replay has to execute them.
fn grow(place: &TestService, blocks: u64) {
    let mut log = Core::open(&place.data().join("log"), Durability::Relaxed).expect("a core");
    let at = now() / 1000;
    let call = Call::new(Caller::Anonymous, "endless", vec![], at);
    let entry = CallEntry::new(call, Outcome::Fault(Fault::Killed));
    let entry = Entry::Call(entry).encode().expect("an entry");
    let mut left = usize::try_from(blocks).expect("few");
    while left > 0 {
        let some = left.min(8_192);
        log.append(&vec![entry.as_slice(); some]).expect("a disk");
        left -= some;
    }
}

#[test]
fn a_head_is_known_for_so_many_lengths_and_then_too_old() {
    let place = TestService::new(SCRIPT);
    let host = place.host_with(&["--auth", "signed"]);
    let (signer, port) = (Signer::new(&host, 1), host.port());
    run(async {
        let options = ClientOptions {
            key: Some(SecretKey::from_seed(&[2; 32])),
            retry_timeout: Duration::from_secs(120),
            ..ClientOptions::default()
        };
        let client = RpcClient::connect(host.url(), options).await.expect("it listens");
        let increment =
            async || client.call("increment", &[(); 0]).await.expect("an answer").expect("a value");
        assert_eq!(increment().await.get(), "1");
        let first = seen(&host);
        assert!(host.terminate().success());
        // The next block is as far from the first head as a call may be.
        grow(&place, SEEN_LENGTHS_MAX - 1);
        let host = place.host_at(port, &[]);
        let call = |seen| {
            let by = signer.sign("increment", now(), Some(seen), None);
            Signer::send(&host, "increment", &by)
        };
        assert_eq!(call(first)["result"], json!(2));
        let refused = call(first);
        assert_eq!(reason(&refused), "old-head");
        let data = &refused["error"]["data"];
        assert!(data["sig"].is_string() && data["head"]["length"].is_u64(), "{refused}");
        assert!(data["nodes"].as_array().is_some_and(|nodes| !nodes.is_empty()), "how it goes on: {refused}");
        // One that was never of this log is too old as well: the host remembers no such length.
        let other = Seen { length: Length(1), ..first };
        assert_eq!(reason(&call(other)), "old-head");
        // A client that has slept as long is shown how the log goes on, and signs again.
        assert_eq!(increment().await.get(), "3");
        client.close().await;
        assert!(host.terminate().success());
    });
    let log = place.log();
    let last = log.last().expect("entries");
    assert_eq!(last["instead"].as_array().map(Vec::len), Some(1), "it was signed again: {last}");
    place.assert_agrees();
}

/// Asserts that an answer, with this code, has a signed refusal beside it.
fn assert_refused(answer: &Value, code: i64, reason: &str) {
    assert_eq!(answer["error"]["code"], json!(code), "{answer}");
    let refusal = &answer["error"]["refusal"];
    assert_eq!(refusal["reason"], json!(reason), "{answer}");
    assert!(refusal["sig"].is_string() && refusal["now"].is_u64(), "{answer}");
}

#[test]
fn a_call_of_a_method_in_quarantine_is_refused_and_signed() {
    let place = TestService::new(SCRIPT);
    let host = place.host_with(&["--auth", "signed", "--call-time", "1", "--fuel", "60000"]);
    let signer = Signer::new(&host, 1);
    let endless = || Signer::send(&host, "endless", &signer.sign("endless", now(), None, None));
    let killed = endless();
    assert!(killed["receipt"].is_string(), "it stands in the log: {killed}");
    assert_refused(&endless(), -32_000, "suspended");
    assert_eq!(signer.call(&host, now(), None)["result"], json!(1), "other methods are available");
    assert!(host.terminate().success());
    assert_eq!(place.log().len(), 3, "the refused one is not logged");
    place.assert_agrees();
}

/// A service in this process. `vms host` takes leave of its callers before it closes its services, and a caller sees only that
/// the connection ends.
fn embedded(place: &TestService) -> Vm {
    let deployment = Deployment {
        code: SCRIPT.into(),
        title: "embedded".into(),
        auth: Auth::Signed,
        limits: Limits { fuel: 60_000, ..Limits::default() },
        form: Form::default(),
        oracles: vec![],
        effects: vec![],
    };
    Vm::deploy(&place.data(), deployment, hosting(Durability::Relaxed)).expect("deployed")
}

#[test]
fn a_call_that_waits_when_a_service_closes_is_refused_and_signed_and_good_when_it_is_open() {
    let place = TestService::new(SCRIPT);
    let waiting = run(async {
        let vm = Arc::new(embedded(&place));
        let address = ([127, 0, 0, 1], 0).into();
        let server = RpcServer::bind(address, RpcOptions::default()).await.expect("a free port");
        server.mount("/", vm.clone());
        let port = server.local_addr().port();
        let send = |seed: u8, method: &'static str| {
            let signer = Signer { key: SecretKey::from_seed(&[seed; 32]), log: vm.log_key() };
            let by = signer.sign(method, now(), None, None);
            let request = Signer::request(method, &by);
            (by, tokio::task::spawn_blocking(move || try_post(port, &request, "").expect("it answers")))
        };
        let (_, running) = send(1, "slow");
        tokio::time::sleep(Duration::from_millis(300)).await;
        let (by, waits) = send(2, "increment");
        tokio::time::sleep(Duration::from_millis(300)).await;
        vm.close().await;
        assert_eq!(running.await.expect("no panic")["result"], json!(1), "the running call is finished");
        assert_refused(&waits.await.expect("no panic"), -32_000, "closing");
        server.shutdown().await;
        by
    });
    let host = place.host();
    assert_eq!(Signer::send(&host, "increment", &waiting)["result"], json!(2));
    assert!(host.terminate().success());
    place.assert_agrees();
}

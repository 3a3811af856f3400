//! Hosts that lie to clients with a key: whatever they say, a client believes the log and nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::SecretKey;
use libvms_protocol::proof::{Proof, Verdict};
use libvms_protocol::refusal::Reason;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::ledger::{History, Ledger, Trick};
use super::signing::{connect, increment, options, serve, url};
use super::soon;
use crate::{
    ClientError, ClientOptions, Fork, KnownLogs, RpcAnswer, RpcClient, RpcError, RpcOptions, RpcServer,
    TrustError,
};

fn answer(change: impl Fn(&History, RpcAnswer) -> RpcAnswer + Send + Sync + 'static) -> Trick {
    Trick::Answer(Arc::new(change))
}

fn instead(answer: impl Fn(&History) -> RpcAnswer + Send + Sync + 'static) -> Trick {
    Trick::Instead(Arc::new(answer))
}

fn raw(value: &Value) -> Result<Option<Box<RawValue>>, RpcError> {
    Ok(Some(RawValue::from_string(value.to_string()).expect("JSON")))
}

fn fork_of(error: ClientError) -> Fork {
    match error {
        ClientError::Trust(TrustError::Fork(fork)) => *fork,
        other => panic!("no fork: {other}"),
    }
}

/// Asserts that a fork is proved to anybody.
fn is_proved(fork: &Fork, ledger: &Ledger) {
    let proof = Proof::decode(&fork.proof_bytes()).expect("a proof file");
    assert_eq!((proof.check(), proof.log()), (Verdict::Holds, Some(ledger.log())));
}

/// A history that differs from `history` in its last block.
fn other_than(history: &History, mut before: History) -> History {
    while before.length() < history.length() {
        before.append_other();
    }
    assert_ne!(before.hash(), history.hash());
    before
}

#[tokio::test]
async fn what_stands_beside_a_receipt_is_not_read() {
    let ledger = Ledger::new(1);
    let server = serve(&ledger).await;
    let client = connect(&url(&server)).await;
    let lies = |outcome: fn() -> Result<Option<Box<RawValue>>, RpcError>| {
        answer(move |_, honest| RpcAnswer { outcome: outcome(), ..honest })
    };
    ledger.next_calls([
        lies(|| raw(&json!(77))),
        lies(|| Err(RpcError::from_script("Error".into(), "lie".into()))),
        lies(|| {
            let refusal = json!({ "reason": "stale-call" }).as_object().expect("an object").clone();
            Err(RpcError::refused("lie".into(), refusal))
        }),
    ]);
    for number in 1..=3 {
        assert_eq!(increment(&client).await.expect("the log's answer"), number.to_string());
    }
}

#[tokio::test]
async fn an_answer_without_the_receipt_of_this_call_is_none() {
    let ledger = Ledger::new(1);
    let server = serve(&ledger).await;
    let client = connect(&url(&server)).await;
    assert_eq!(increment(&client).await.expect("an answer"), "1");
    let key = ledger.key().clone();
    let other_key = SecretKey::from_seed(&[99; 32]);
    let receipt_of = move |key: &SecretKey, block: BlockIndex| {
        let key = key.clone();
        answer(move |history, honest| RpcAnswer { receipt: Some(history.receipt(&key, block)), ..honest })
    };
    let receipt =
        |text: &'static str| answer(move |_, honest| RpcAnswer { receipt: Some(text.into()), ..honest });
    let long = answer(|_, honest| RpcAnswer { receipt: Some("A".repeat(3_000_000)), ..honest });
    let cut = answer(|_, honest| {
        let receipt = honest.receipt.expect("a receipt");
        RpcAnswer { receipt: Some(receipt[..receipt.len() / 2].into()), ..honest }
    });
    for (name, trick) in [
        ("another call of this key", receipt_of(&key, BlockIndex(1))),
        ("the deployment", receipt_of(&key, BlockIndex(0))),
        ("another log's", receipt_of(&other_key, BlockIndex(2))),
        ("none", answer(|_, honest| RpcAnswer { receipt: None, ..honest })),
        ("none of an error", instead(|_| Err(RpcError::internal("no".into())).into())),
        ("none of a result", instead(|_| raw(&json!(2)).into())),
        ("empty", receipt("")),
        ("not base64", receipt("====")),
        ("not a proof", receipt("AAAA")),
        ("garbage of three megabytes", long),
        ("half a receipt", cut),
    ] {
        ledger.next_calls([trick]);
        let error = increment(&client).await.expect_err(name);
        assert!(matches!(error, ClientError::Unproved { .. }), "{name}: {error}");
    }
    let before = ledger.history().calls().len();
    assert_eq!(increment(&client).await.expect("an answer"), (before + 1).to_string(), "all goes on");
}

#[tokio::test]
async fn a_host_that_never_lets_a_call_be_executed_is_given_up() {
    let ledger = Ledger::new(1);
    let server = serve(&ledger).await;
    let options = ClientOptions { retry_timeout: Duration::from_millis(300), ..options() };
    let client = RpcClient::connect(&url(&server), options).await.expect("it listens");
    let reasons = [
        Reason::Early,
        Reason::Closing,
        Reason::Busy,
        Reason::RepeatedNonce,
        Reason::StaleCall,
        Reason::UnknownHead,
    ];
    for reason in reasons {
        for more in [json!({}), json!({ "now": 0 }), json!({ "now": u64::MAX }), json!({ "latest": "AAAA" })]
        {
            ledger.next_calls(std::iter::repeat_n(Trick::Refuse(reason, more.clone()), 1000));
            let before = ledger.calls_seen();
            let error = increment(&client).await.expect_err("it is refused");
            let is_told = matches!(error, ClientError::CallRefused(_) | ClientError::Clock { .. });
            assert!(is_told, "{reason} {more}: {error}");
            assert!(ledger.calls_seen() - before < 30, "{reason} {more}");
        }
    }
    for more in [
        json!({ "reason": 7 }),
        json!({ "reason": "early", "nodes": vec![json!({}); 10] }),
        json!({ "reason": "unknown-head", "nodes": nodes(600) }),
        json!({ "reason": "unknown-head", "head": [] }),
    ] {
        ledger.next_calls([Trick::Refuse(Reason::Busy, more.clone())]);
        let error = increment(&client).await.expect_err("a refusal that cannot be read");
        assert!(matches!(error, ClientError::Unproved { .. }), "{more}: {error}");
    }
    ledger.next_calls([]);
    assert_eq!(increment(&connect(&url(&server)).await).await.expect("an answer"), "1");
}

fn nodes(count: usize) -> Value {
    vec![json!({ "index": 1, "hash": "00".repeat(32), "size": 1 }); count].into()
}

#[tokio::test]
async fn a_service_that_does_not_describe_its_log_gets_no_signature() {
    let refused = async |change: fn(&mut serde_json::Map<String, Value>)| {
        let ledger = Ledger::new(1);
        ledger.change_handshakes(change);
        let server = serve(&ledger).await;
        let error = soon(RpcClient::connect(&url(&server), options())).await.expect_err("no log");
        assert_eq!(ledger.calls_seen(), 0);
        error
    };
    let changes: [fn(&mut serde_json::Map<String, Value>); 8] = [
        |told| told.clear(),
        |told| drop(told.remove("log")),
        |told| drop(told.remove("head")),
        |told| told["log"] = json!("AB".repeat(32)),
        |told| told["head"]["length"] = json!(7),
        |told| told["head"]["sig"] = json!("00".repeat(64)),
        |told| told["now"] = json!(-1),
        |told| drop(told.insert("consistency".into(), json!({ "nodes": nodes(10_000) }))),
    ];
    for change in changes {
        let error = refused(change).await;
        assert!(matches!(error, ClientError::Trust(TrustError::NoLog { .. })), "{error}");
    }
    let error = refused(|told| told["auth"] = json!("debug")).await;
    assert!(matches!(error, ClientError::Trust(TrustError::NotSigned { .. })), "{error}");
    assert!(error.to_string().contains("call it without a key"), "{error}");
    let (server, _) = super::serve(RpcOptions::default()).await;
    let error = soon(RpcClient::connect(&url(&server), options())).await.expect_err("no log at all");
    assert!(matches!(error, ClientError::Trust(TrustError::NoLog { .. })), "{error}");
}

#[tokio::test]
async fn another_log_is_refused_until_it_is_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    let known = KnownLogs::at(folder.path().join("state/known_logs"));
    let options = ClientOptions { known_logs: Some(known.clone()), ..options() };
    let (ledger, other) = (Ledger::new(1), Ledger::new(2));
    let server = serve(&ledger).await;
    let url = url(&server);
    let client = RpcClient::connect(&url, options.clone()).await.expect("the first time any log will do");
    assert_eq!(increment(&client).await.expect("an answer"), "1");
    client.close().await;
    server.mount("/", other.clone());
    let error = RpcClient::connect(&format!("{url}?a=b"), options.clone()).await.expect_err("another log");
    let text = error.to_string();
    let keys = [ledger.log(), other.log()].map(|key| key.to_string());
    assert!(keys.iter().all(|key| text.contains(key)) && text.contains("known_logs"), "{text}");
    for named in [ledger.log(), other.log()] {
        let url = format!("{url}#{named}");
        let connected = RpcClient::connect(&url, options.clone()).await;
        assert_eq!(connected.is_ok(), named == other.log(), "who names the log needs no file");
    }
    let still = RpcClient::connect(&url, options.clone()).await;
    assert!(matches!(still, Err(ClientError::Trust(TrustError::OtherLog { .. }))));
    let accepting = ClientOptions { accept_new_key: true, ..options.clone() };
    drop(RpcClient::connect(&url, accepting).await.expect("it is accepted"));
    let client = RpcClient::connect(&url, options.clone()).await.expect("from now on");
    assert_eq!(client.log(), Some(other.log()));
    let both = ClientOptions { log: Some(ledger.log()), ..options };
    let error = RpcClient::connect(&format!("{url}#{}", other.log()), both).await.expect_err("two logs");
    assert!(matches!(error, ClientError::Trust(TrustError::OtherLog { .. })));
}

/// A place where a client remembers logs, and a host that it has called twice.
async fn acquainted() -> (tempfile::TempDir, ClientOptions, Arc<Ledger>, RpcServer, History) {
    let folder = tempfile::tempdir().expect("a folder");
    let known = KnownLogs::at(folder.path().join("known_logs"));
    let options = ClientOptions { known_logs: Some(known), ..options() };
    let ledger = Ledger::new(1);
    let server = serve(&ledger).await;
    let client = RpcClient::connect(&url(&server), options.clone()).await.expect("it listens");
    increment(&client).await.expect("an answer");
    let before = ledger.history();
    increment(&client).await.expect("an answer");
    client.close().await;
    (folder, options, ledger, server, before)
}

#[tokio::test]
async fn a_shorter_head_is_stale_and_proves_nothing() {
    let (folder, options, ledger, server, before) = acquainted().await;
    let newest = ledger.history();
    ledger.show(before.clone());
    let error = soon(RpcClient::connect(&url(&server), options.clone())).await.expect_err("it is shorter");
    let ClientError::Trust(TrustError::Stale { known, shown, .. }) = error else { panic!("{error}") };
    assert_eq!((known, shown), (Length(3), Length(2)));
    // It may catch up.
    let catches_up = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ledger.show(newest.clone());
    };
    let url = url(&server);
    let connecting = RpcClient::connect(&url, options.clone());
    let (client, ()) = soon(futures::future::join(connecting, catches_up)).await;
    increment(&client.expect("it has caught up")).await.expect("an answer");
    // Longer again, but it does not show how.
    ledger.change_handshakes(|told| drop(told.remove("consistency")));
    ledger.change(History::append_other);
    let error = soon(RpcClient::connect(&url, options)).await.expect_err("it does not say");
    assert!(matches!(error, ClientError::Trust(TrustError::Stale { .. })), "{error}");
    let files: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").collect();
    assert_eq!(files.len(), 2, "the file and its lock, and no proof: {files:?}");
}

#[tokio::test]
async fn a_fork_is_proved_kept_and_never_forgiven() {
    for longer in [0, 1, 5] {
        let (_folder, options, ledger, server, before) = acquainted().await;
        let newest = ledger.history();
        let mut other = other_than(&newest, before);
        (0..longer).for_each(|_| other.append_other());
        ledger.show(other);
        let url = url(&server);
        let connect = || RpcClient::connect(&url, options.clone());
        let error = soon(connect()).await.expect_err("a fork");
        let fork = fork_of(error);
        is_proved(&fork, &ledger);
        let path = fork.path.expect("it is kept");
        assert_eq!(std::fs::read(&path).expect("a file"), Proof::Equivocation(fork.proof).encode());
        // Back on the first history, it is refused all the same, until somebody removes the proof.
        ledger.show(newest);
        let again = fork_of(soon(connect()).await.expect_err("it has forked once"));
        assert_eq!(again.path.as_ref(), Some(&path));
        assert!(again.to_string().contains(&path.display().to_string()), "{again}");
        std::fs::remove_file(&path).expect("it is there");
        soon(connect()).await.expect("nothing is held against it");
        std::fs::write(&path, b"garbage").expect("writable");
        soon(connect()).await.expect("this proves nothing");
    }
}

#[tokio::test]
async fn a_receipt_of_another_history_is_a_fork() {
    for length in [1, 2, 6] {
        let ledger = Ledger::new(1);
        let server = serve(&ledger).await;
        let client = connect(&url(&server)).await;
        let before = ledger.history();
        increment(&client).await.expect("an answer");
        // The call is executed there, although its caller has seen this.
        let mut other = before;
        (0..length).for_each(|_| other.append_other());
        ledger.show(other);
        ledger.change(History::forget_heads);
        let fork = fork_of(increment(&client).await.expect_err("a fork"));
        is_proved(&fork, &ledger);
        let calls = ledger.calls_seen();
        fork_of(increment(&client).await.expect_err("for good"));
        assert_eq!(ledger.calls_seen(), calls, "nothing more is signed");
    }
}

#[tokio::test]
async fn a_refusal_that_shows_another_history_is_a_fork() {
    let ledger = Ledger::new(1);
    let server = serve(&ledger).await;
    let client = connect(&url(&server)).await;
    let before = ledger.history();
    increment(&client).await.expect("an answer");
    increment(&client).await.expect("an answer");
    let newest = ledger.history();
    let mut other = other_than(&newest, before);
    other.append_other();
    ledger.show(other);
    let fork = fork_of(increment(&client).await.expect_err("its host knows another head"));
    is_proved(&fork, &ledger);
}

#[tokio::test]
async fn a_host_restored_from_a_backup_is_stale_to_calls_under_way() {
    let ledger = Ledger::new(1);
    let server = serve(&ledger).await;
    let client = connect(&url(&server)).await;
    let before = ledger.history();
    increment(&client).await.expect("an answer");
    ledger.show(before);
    let begun = Instant::now();
    let error = increment(&client).await.expect_err("it is shorter");
    assert!(matches!(error, ClientError::Trust(TrustError::Stale { .. })), "{error}");
    assert!(begun.elapsed() > Duration::from_millis(500), "it was asked again");
    assert_eq!(ledger.history().calls().len(), 0);
}

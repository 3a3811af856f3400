//! Clients with a key, with an honest host and over a network that fails. Those that lie are in `distrust`.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::SecretKey;
use libvms_protocol::entry::{Call, CallEntry, Caller, Entry, Intention, Outcome};
use libvms_protocol::proof::Inclusion;
use libvms_protocol::refusal::Reason;
use serde_json::json;
use serde_json::value::RawValue;

use super::ledger::{History, Ledger, Trick, now_millis};
use super::proxy::Proxy;
use super::soon;
use crate::{ClientError, ClientOptions, KnownLogs, RpcClient, RpcError, RpcOptions, RpcServer};

/// Serves a ledger on a free port.
pub(super) async fn serve(ledger: &Arc<Ledger>) -> RpcServer {
    let options = RpcOptions { shutdown_timeout: Duration::ZERO, ..RpcOptions::default() };
    let server = RpcServer::bind(([127, 0, 0, 1], 0).into(), options).await.expect("a free port");
    server.mount("/", ledger.clone());
    server
}

pub(super) fn url(server: &RpcServer) -> String {
    format!("ws://{}/", server.local_addr())
}

pub(super) fn key() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

pub(super) fn options() -> ClientOptions {
    ClientOptions { key: Some(key()), ..ClientOptions::default() }
}

pub(super) async fn connect(url: &str) -> RpcClient {
    soon(RpcClient::connect(url, options())).await.expect("an honest host")
}

pub(super) async fn increment(client: &RpcClient) -> Result<String, ClientError> {
    let result = soon(client.call("increment", &[(); 0])).await?;
    Ok(result.expect("a result").get().to_owned())
}

fn nonces(ledger: &Ledger) -> Vec<u64> {
    ledger.history().calls().iter().filter_map(|entry| entry.call.nonce).collect()
}

#[tokio::test]
async fn a_call_is_signed_and_its_answer_is_that_of_the_log() {
    let ledger = Ledger::new(1);
    let server = serve(&ledger).await;
    let client = connect(&url(&server)).await;
    assert_eq!(client.log(), Some(ledger.log()));
    let answer = client.call_proved("echo", &(1.5, "ö", [(); 0])).await.expect("an honest host");
    assert_eq!(answer.outcome.expect("a result").expect("a value").get(), r#"[1.5,"ö",[]]"#);
    assert_eq!(answer.block, BlockIndex(1));
    let (_, head, entry) = Inclusion::open(&answer.receipt, &ledger.log()).expect("a receipt");
    let Entry::Call(entry) = entry else { panic!("a call") };
    assert!(entry.call.is_signed(&ledger.log()));
    assert_eq!(entry.call.seen.map(|seen| seen.length), Some(Length(1)), "it has seen the deployment");
    assert_eq!(client.head(), Some(head));
    // The entry after the known head proves itself: nobody was asked for more.
    assert_eq!(ledger.handshakes_seen(), 1);
    let error = client.call("throw", &[1]).await.expect_err("it throws");
    assert_eq!(error.to_string(), "TypeError: no luck");
    let thrown = client.call_proved("throw", &[1]).await.expect("it is in the log");
    assert_eq!(thrown.outcome.expect_err("it throws").message, "TypeError");
    assert!(client.call("nothing", &[1]).await.expect("an answer").is_none(), "undefined is not null");
    client.close().await;
    assert!(matches!(increment(&client).await, Err(ClientError::Closed)));
}

#[tokio::test]
async fn arguments_that_nobody_can_sign_are_not_sent() {
    let ledger = Ledger::new(1);
    let server = serve(&ledger).await;
    let client = connect(&url(&server)).await;
    let surrogate = RawValue::from_string(r#""\ud800""#.into()).expect("JSON");
    let deep = (0..200).fold(json!(1), |value, _| json!([value]));
    assert!(matches!(client.call("echo", &[surrogate]).await, Err(ClientError::Arguments(_))));
    assert!(matches!(client.call("echo", &deep).await, Err(ClientError::Arguments(_))));
    assert!(matches!(client.call("echo", &json!({ "a": 1 })).await, Err(ClientError::Arguments(_))));
    let error = client.call("echo", &[1.5, f64::NAN]).await.expect_err("no number").to_string();
    assert_eq!(error, "the arguments cannot be written as JSON: a number is NaN, which JSON does not have");
    assert_eq!(ledger.calls_seen(), 0);
    let anonymous = RpcClient::connect(&url(&server), ClientOptions::default()).await.expect("it listens");
    assert!(matches!(anonymous.call_proved("echo", &[1]).await, Err(ClientError::NoKey)));
}

#[tokio::test]
async fn a_client_without_a_key_asks_nothing_of_the_log() {
    let ledger = Ledger::new(1);
    let server = serve(&ledger).await;
    let anonymous = RpcClient::connect(&url(&server), ClientOptions::default()).await.expect("it listens");
    assert_eq!(increment(&anonymous).await.expect("an answer"), "1");
    assert_eq!((ledger.handshakes_seen(), anonymous.log()), (0, None));
    assert_eq!(ledger.history().calls()[0].call.user_id, None);
    let url = format!("{}#{}", url(&server), ledger.log());
    let named = RpcClient::connect(&url, ClientOptions::default()).await.expect("it is this log");
    assert_eq!(increment(&named).await.expect("an answer"), "2");
    assert_eq!((ledger.handshakes_seen(), named.log()), (1, Some(ledger.log())));
}

#[tokio::test]
async fn a_thousand_calls_at_once_are_each_executed_once_and_in_order() {
    let ledger = Ledger::new(1);
    let server = serve(&ledger).await;
    let client = connect(&url(&server)).await;
    let calls = join_all((0..1000).map(|_| client.call("increment", &[(); 0])));
    let busy = async {
        for _ in 0..200 {
            ledger.change(History::append_other);
            tokio::task::yield_now().await;
        }
    };
    let (answers, ()) = soon(futures::future::join(calls, busy)).await;
    let results: Vec<u64> = answers
        .into_iter()
        .map(|answer| answer.expect("an answer").expect("a result").get().parse().expect("a number"))
        .collect();
    assert!(results.is_sorted_by(|one, next| one < next), "in the order in which they were begun");
    assert_eq!(nonces(&ledger).len(), 1000);
    assert!(nonces(&ledger).is_sorted_by(|one, next| one < next));
}

#[tokio::test]
async fn calls_whose_answers_are_lost_are_executed_once() {
    let ledger = Ledger::new(1);
    let server = serve(&ledger).await;
    let proxy = Proxy::before(server.local_addr()).await;
    let client = connect(&proxy.url()).await;
    assert_eq!(increment(&client).await.expect("an answer"), "1");
    proxy.lose_answers(true);
    let calls = join_all((0..50).map(|_| client.call("increment", &[(); 0])));
    let trouble = async {
        while ledger.calls_seen() < 51 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        proxy.refuse(true);
        proxy.cut();
        tokio::time::sleep(Duration::from_millis(300)).await;
        proxy.lose_answers(false);
        proxy.refuse(false);
    };
    let (answers, ()) = soon(futures::future::join(calls, trouble)).await;
    let results: Vec<u64> = answers
        .into_iter()
        .map(|answer| answer.expect("an answer").expect("a result").get().parse().expect("a number"))
        .collect();
    assert!(results.into_iter().eq(2..=51));
    assert_eq!((nonces(&ledger).len(), ledger.calls_seen()), (51, 101), "each came twice, and counts once");
    // While nothing waits, a lost connection is nobody's concern.
    let before = proxy.connections();
    proxy.cut();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(proxy.connections(), before);
    assert_eq!(increment(&client).await.expect("an answer"), "52");
}

#[tokio::test]
async fn a_service_that_stays_away_is_given_up_and_found_again() {
    let ledger = Ledger::new(1);
    let server = serve(&ledger).await;
    let proxy = Proxy::before(server.local_addr()).await;
    let options = ClientOptions { retry_timeout: Duration::from_millis(300), ..options() };
    let client = soon(RpcClient::connect(&proxy.url(), options)).await.expect("it listens");
    proxy.refuse(true);
    proxy.cut();
    assert!(matches!(increment(&client).await, Err(ClientError::Lost { .. })));
    assert!(matches!(increment(&client).await, Err(ClientError::Lost { .. })));
    proxy.refuse(false);
    assert_eq!(increment(&client).await.expect("an answer"), "1");
    // A host that takes connections and answers nothing is given up, too.
    proxy.lose_answers(true);
    let lost = async {
        for _ in 0..40 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            proxy.cut();
        }
    };
    let (answer, ()) = futures::future::join(increment(&client), lost).await;
    assert!(matches!(answer, Err(ClientError::Lost { .. })), "{answer:?}");
    soon(client.close()).await;
}

#[tokio::test]
async fn a_client_closes_while_its_service_is_away() {
    let ledger = Ledger::new(1);
    let server = serve(&ledger).await;
    let proxy = Proxy::before(server.local_addr()).await;
    let client = connect(&proxy.url()).await;
    proxy.refuse(true);
    proxy.cut();
    let call = increment(&client);
    let close = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.close().await;
    };
    let (answer, ()) = soon(futures::future::join(call, close)).await;
    assert!(matches!(answer, Err(ClientError::Closed)), "{answer:?}");
}

#[tokio::test]
async fn an_early_call_is_sent_again_and_a_stale_one_is_signed_again() {
    let ledger = Ledger::new(1);
    let server = serve(&ledger).await;
    let client = connect(&url(&server)).await;
    ledger.next_calls([Trick::Refuse(Reason::Early, json!({})), Trick::None]);
    assert_eq!(increment(&client).await.expect("an answer"), "1");
    assert_eq!(ledger.history().calls()[0].call.instead, None, "the same call");
    for (reason, number) in [(Reason::StaleCall, 1), (Reason::OldHead, 2), (Reason::UnknownHead, 3)] {
        ledger.next_calls([Trick::Refuse(reason, json!({})), Trick::None]);
        assert_eq!(increment(&client).await.expect("an answer"), (number + 1).to_string());
        let calls = ledger.history().calls();
        let call = &calls[number].call;
        assert_eq!(call.instead.as_ref().map(Vec::len), Some(1), "{reason}: in the place of the first");
        let twice = [Trick::Refuse(reason, json!({})), Trick::Refuse(reason, json!({ "block": 9 }))];
        ledger.next_calls(twice);
        let error = increment(&client).await.expect_err("only once by itself");
        let ClientError::CallRefused(refusal) = error else { panic!("{error}") };
        assert_eq!((refusal.reason, refusal.block), (Some(reason), Some(BlockIndex(9))));
    }
    assert_eq!(ledger.history().calls().len(), 4);
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason_and_signature() {
    let ledger = Ledger::new(1);
    let server = serve(&ledger).await;
    let client = connect(&url(&server)).await;
    ledger.next_calls([Trick::Refuse(Reason::Rate, json!({ "retryAfter": 1500 }))]);
    let error = increment(&client).await.expect_err("too many");
    assert!(error.to_string().contains("rate (as the test wants it)"), "{error}");
    let ClientError::CallRefused(refusal) = error else { panic!("a refusal") };
    assert_eq!(refusal.reason, Some(Reason::Rate));
    assert_eq!(refusal.retry_after, Some(Duration::from_millis(1500)));
    assert!(refusal.signed.is_some(), "the host has signed it");
    ledger.next_calls([Trick::Refuse(Reason::Rate, json!({ "sig": "00".repeat(64) }))]);
    let error = increment(&client).await.expect_err("too many");
    let ClientError::CallRefused(refusal) = error else { panic!("{error}") };
    assert!(refusal.signed.is_none(), "not its signature");
    ledger.next_calls([Trick::Refuse(Reason::Rate, json!({ "reason": "tired" }))]);
    let error = increment(&client).await.expect_err("too many");
    assert!(matches!(&error, ClientError::CallRefused(refusal) if refusal.reason.is_none()), "{error}");
}

#[tokio::test]
async fn a_closing_or_busy_host_gets_the_same_call_again() {
    let ledger = Ledger::new(1);
    let server = serve(&ledger).await;
    let client = connect(&url(&server)).await;
    let closing = || Trick::Refuse(Reason::Closing, json!({}));
    ledger.next_calls([closing(), closing(), Trick::Refuse(Reason::Busy, json!({}))]);
    assert_eq!(increment(&client).await.expect("an answer"), "1");
    assert_eq!((ledger.calls_seen(), nonces(&ledger).len()), (4, 1));
    let options = ClientOptions { retry_timeout: Duration::ZERO, ..options() };
    let hasty = RpcClient::connect(&url(&server), options).await.expect("it listens");
    ledger.next_calls([closing()]);
    assert!(matches!(increment(&hasty).await, Err(ClientError::CallRefused(_))));
}

#[tokio::test]
async fn a_failing_host_gets_the_same_call_again() {
    let ledger = Ledger::new(1);
    let server = serve(&ledger).await;
    let failed =
        || Trick::Instead(Arc::new(|_| Err(RpcError::from_script("Error".into(), "no disk".into())).into()));
    // Whether the failing host has executed it, nobody knows.
    let executed = Trick::Answer(Arc::new(|_, _| {
        Err(RpcError::from_script("Error".into(), "the disk failed".into())).into()
    }));
    let client = connect(&url(&server)).await;
    ledger.next_calls([failed(), executed, failed()]);
    assert_eq!(increment(&client).await.expect("an answer"), "1");
    assert_eq!((ledger.calls_seen(), nonces(&ledger).len()), (4, 1), "one call, sent four times");
    let options = ClientOptions { retry_timeout: Duration::ZERO, ..options() };
    let hasty = RpcClient::connect(&url(&server), options).await.expect("it listens");
    ledger.next_calls([failed()]);
    let error = increment(&hasty).await.expect_err("it fails");
    assert!(matches!(&error, ClientError::Unproved { why } if why == "Error: no disk"), "{error}");
}

#[tokio::test]
async fn another_device_with_the_same_key_and_number_does_not_lose_a_call() {
    let ledger = Ledger::new(1);
    let server = serve(&ledger).await;
    let client = connect(&url(&server)).await;
    assert_eq!(increment(&client).await.expect("an answer"), "1");
    // Overtaken by half a second: its number is refused, and it is signed again with a greater one.
    overtake(&ledger, now_millis() * 1000 + 500_999);
    assert_eq!(increment(&client).await.expect("an answer"), "3");
    // Where the log's time stands still, an hour ahead, and the client knows nothing of the other one.
    overtake(&ledger, now_millis() * 1000 + 3_600_000_000);
    assert_eq!(increment(&connect(&url(&server)).await).await.expect("an answer"), "5");
    let nonces = nonces(&ledger);
    assert!(nonces.is_sorted_by(|one, next| one < next), "{nonces:?}");
    assert!(ledger.history().calls()[2].call.instead.is_some(), "it was refused first");
}

/// Has another device with the key make a call with this number.
fn overtake(ledger: &Ledger, nonce: u64) {
    let by = Intention { method: "other", args: &[], nonce, seen: None, instead: None };
    let by = by.sign(&key(), &ledger.log());
    let call = Call::new(Caller::Key(Box::new(by)), "other", vec![], nonce / 1000);
    let outcome = Outcome::Returned { value: None, files: None };
    ledger.change(|history| {
        history.append(&Entry::Call(CallEntry::new(call, outcome)));
    });
}

#[tokio::test]
async fn two_clients_with_one_key_are_one_caller() {
    let ledger = Ledger::new(1);
    let server = serve(&ledger).await;
    let folder = tempfile::tempdir().expect("a folder");
    let options = ClientOptions { known_logs: Some(KnownLogs::at(folder.path().join("known"))), ..options() };
    let url = url(&server);
    let connect = || RpcClient::connect(&url, options.clone());
    let (one, other) = (connect().await.expect("it listens"), connect().await.expect("it listens"));
    let calls = (0..100).map(|_| async { (increment(&one).await, increment(&other).await) });
    for (one, other) in soon(join_all(calls)).await {
        one.expect("an answer");
        other.expect("an answer");
    }
    assert_eq!(ledger.history().calls().len(), 200);
    one.remember().await.expect("a writable folder");
    other.remember().await.expect("a writable folder");
    // A third one begins where both have ended, even if its clock is behind.
    ledger.set_ahead(-3_600_000);
    let last = nonces(&ledger).into_iter().max();
    let third = connect().await.expect("it listens");
    assert_eq!(increment(&third).await.expect("an answer"), "201");
    assert!(nonces(&ledger).last().copied() > last);
}

#[tokio::test]
async fn the_logs_time_counts_and_not_the_callers() {
    let hour = 3_600_000;
    let behind = Ledger::new(1);
    behind.show({
        behind.set_ahead(-hour);
        let mut history = behind.history();
        history.set_at(now_millis() - 2 * 3_600_000);
        history
    });
    let server = serve(&behind).await;
    assert_eq!(increment(&connect(&url(&server)).await).await.expect("an answer"), "1");
    let ahead = Ledger::new(2);
    ahead.set_ahead(hour);
    let server = serve(&ahead).await;
    let client = connect(&url(&server)).await;
    let error = increment(&client).await.expect_err("only the host says so");
    assert!(matches!(error, ClientError::Clock { .. }), "{error}");
    assert_eq!(ahead.calls_seen(), 0, "nothing was signed");
    // An entry shows it.
    let anonymous = RpcClient::connect(&url(&server), ClientOptions::default()).await.expect("it listens");
    assert_eq!(increment(&anonymous).await.expect("an answer"), "1");
    assert_eq!(increment(&client).await.expect("an answer"), "2");
}

//! A host that is killed under load, again and again: nothing acknowledged is lost, nothing is doubled.
//!
//! `VMS_CRASHES` sets how often (20 unless it says otherwise; the long form is 200), `VMS_SEED` where the dice start.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use libvms_hypercore::random::Dice;
use serde_json::json;

use crate::support::{Host, TestService, processor_time, run, variable};

const SCRIPT: &str = "let calls = 0
exports.add = async (id) => {
    calls++
    await System.files.writeFile('/last', id)
    if (calls % 3 === 0) await System.files.writeFile(`/d/${calls % 50}`, 'x'.repeat(calls % 4000))
    if (calls % 7 === 0) await System.files.unlink('/last')
    return calls
}
exports.count = () => calls";

/// What clients were told: id of a call to its result.
type Acknowledged = Arc<Mutex<BTreeMap<String, u64>>>;

#[test]
fn a_host_that_is_killed_loses_nothing_that_it_acknowledged() {
    let crashes = variable("VMS_CRASHES", 20);
    let mut dice = Dice::new(variable("VMS_SEED", 1));
    let place = TestService::new(SCRIPT);
    let acknowledged = Acknowledged::default();
    for crash in 0..crashes {
        run(load_and_kill(&place, &acknowledged, crash, Duration::from_micros(dice.below(150_000))));
        check(&place, &acknowledged, crash);
    }
    // Once more alive, and closed in order: the archive is then complete.
    run(async {
        let host = place.host();
        host.client().await.call("count", json!([])).await;
        assert!(host.terminate().success());
    });
    place.assert_agrees();
    assert!(
        acknowledged.lock().expect("no panic").len() as u64 > crashes,
        "hardly any call was acknowledged"
    );
}

/// Eight clients call at once; after a random time, from the start on, the host is killed.
async fn load_and_kill(place: &TestService, acknowledged: &Acknowledged, crash: u64, time: Duration) {
    let host = place.host();
    let url = host.url().to_owned();
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..8 {
        clients.spawn(call_until_killed(url.clone(), format!("{crash}-{client}"), acknowledged.clone()));
    }
    tokio::time::sleep(time).await;
    Host::kill(host);
    while clients.join_next().await.is_some() {}
}

async fn call_until_killed(url: String, name: String, acknowledged: Acknowledged) {
    let options = libvms::rpc::ClientOptions::default();
    let Ok(rpc) = libvms::rpc::RpcClient::connect(&url, options).await else { return };
    for call in 0.. {
        let id = format!("{name}-{call}");
        let Ok(Some(result)) = rpc.call("add", &json!([id])).await else { return };
        let count = result.get().parse().expect("a count");
        acknowledged.lock().expect("no panic").insert(id, count);
    }
}

/// Every acknowledged call is in the log once, in the place that its result says, and the log verifies.
fn check(place: &TestService, acknowledged: &Acknowledged, crash: u64) {
    let mut logged: BTreeMap<String, u64> = BTreeMap::new();
    for entry in place.log().iter().filter(|entry| entry["methodName"] == "add") {
        let id = entry["args"][0].as_str().expect("an id").to_owned();
        let count = entry["result"]["res"].as_u64().expect("a count");
        assert_eq!(logged.insert(id.clone(), count), None, "crash {crash}: {id} stands twice");
    }
    for (id, count) in &*acknowledged.lock().expect("no panic") {
        assert_eq!(logged.get(id), Some(count), "crash {crash}: {id} was acknowledged");
    }
    let (code, report) = place.verify();
    assert_eq!((code, &report["verdict"]), (0, &json!("agrees")), "crash {crash}: {report}");
}

#[test]
fn a_call_in_hand_is_finished_when_the_host_is_asked_to_stop() {
    for signal in ["TERM", "INT"] {
        let place = TestService::new(
            "let started = 0; exports.slow = () => { started++; for (let i = 0; i < 15e5; i++); return started }",
        );
        run(async {
            let host = place.host();
            let client = host.client().await;
            client.call("slow", json!([])).await;
            let (answer, ()) = tokio::join!(client.try_call("slow", json!([])), async {
                host.signal(signal);
            });
            assert_eq!(host.wait().code(), Some(0), "{signal}");
            let logged = place.log().len() as u64 - 1;
            match answer {
                Ok(count) => assert_eq!(count, json!(logged), "{signal}: an answer without its entry"),
                Err(_) => assert!(logged <= 2, "{signal}"),
            }
        });
        place.assert_agrees();
    }
}

#[test]
fn whoever_will_not_wait_for_a_call_ends_the_host_with_a_second_signal() {
    // Of all that is slow, few things take long for little fuel: so nothing else ends this call soon.
    let place = TestService::new(
        "let chain = null
        exports.grow = () => { for (let i = 0; i < 3000; i++) chain = { __proto__: chain, i }; return 1 }
        exports.hang = () => { for (;;) chain.absent }",
    );
    run(async {
        // Where a call can be ended by nobody.
        let mut host = place.host_with(&["--sandbox", "off"]);
        let client = host.client().await;
        assert_eq!(client.call("grow", json!([])).await, json!(1));
        let before = processor_time(host.id());
        let signals = async {
            while processor_time(host.id()) < before + Duration::from_millis(300) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // More often than twice where the first one is not noticed yet.
            while host.is_running() {
                host.signal("TERM");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        let (answer, ()) = tokio::join!(client.try_call("hang", json!([])), signals);
        answer.expect_err("the call was not finished");
        assert_eq!(host.wait().signal(), Some(15));
    });
    assert_eq!(place.log().len(), 2, "init and the call that was answered");
    place.assert_agrees();
}

#[test]
fn a_second_host_cannot_take_a_directory_in_use() {
    let place = TestService::of_example("counter.js");
    let host = place.host();
    let mut command = crate::support::program();
    let second = Host::try_start(command.arg("host").arg(place.script()).arg("--dir").arg(place.data()));
    let Err(stderr) = second else { panic!("two hosts in one directory") };
    assert!(stderr.contains("in use by another process"), "{stderr}");
    assert!(host.terminate().success());
}

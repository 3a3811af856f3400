//! The services of `examples/` whose callers sign: what belongs to a key belongs to nobody else.

use libvms_hypercore::identity::SecretKey;
use serde_json::{Value, json};

use crate::support::{Client, Host, TestService, run, text, vms};

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn id(seed: u8) -> String {
    key(seed).public_key().to_string()
}

async fn caller(host: &Host, seed: u8) -> Client {
    Client::signing(host.url(), key(seed)).await
}

/// The message of an error that a call must end with.
async fn refused(caller: &Client, method: &str, args: Value) -> String {
    let (name, message) = caller.error(method, args).await;
    format!("{name}: {message}")
}

#[test]
fn in_a_poll_each_key_votes_once() {
    let place = TestService::of_example("poll.js");
    let host = place.host_with(&["--auth", "signed"]);
    let question = json!(["Lunch?", ["soup", "salad"], [id(2), id(3)]]);
    run(async {
        let (opener, ann) = (caller(&host, 1).await, caller(&host, 2).await);
        assert_eq!(refused(&ann, "vote", json!(["soup"])).await, "Error: no poll is open yet");
        assert_eq!(opener.call("open", &question).await["of"], json!(2));
        assert_eq!(refused(&ann, "open", question).await, "Error: there is a poll already");
        assert_eq!(refused(&ann, "vote", json!(["cake"])).await, "Error: choose soup, salad");
        assert_eq!(ann.call("vote", json!(["soup"])).await, json!({ "voted": 1, "of": 2 }));
        assert_eq!(refused(&ann, "vote", json!(["salad"])).await, format!("Error: {} has voted", id(2)));
        let stranger = refused(&caller(&host, 4).await, "vote", json!(["soup"])).await;
        assert_eq!(stranger, format!("Error: {} is no voter", id(4)));
        let nobody = refused(&host.client().await, "vote", json!(["soup"])).await;
        assert_eq!(nobody, "Error: sign the call: nobody in particular has no vote");
        assert_eq!(host.client().await.call("result", json!([])).await["counts"], Value::Null);
        assert!(refused(&ann, "close", json!([])).await.starts_with("Error: only who has opened"));
    });
    // The heap comes back out of the log.
    assert!(host.terminate().success());
    let host = place.host();
    run(async {
        let (opener, ann, bob) = (caller(&host, 1).await, caller(&host, 2).await, caller(&host, 3).await);
        assert!(refused(&ann, "vote", json!(["salad"])).await.ends_with("has voted"));
        assert_eq!(bob.call("vote", json!(["salad"])).await, json!({ "voted": 2, "of": 2 }));
        let closed = opener.call("close", json!([])).await;
        assert_eq!(closed["counts"], json!([["soup", 1], ["salad", 1]]));
        assert_eq!(refused(&bob, "vote", json!(["soup"])).await, "Error: the poll is closed");
    });
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn in_a_package_registry_a_name_belongs_to_its_key() {
    let place = TestService::of_example("package-registry.js");
    let host = place.host_with(&["--auth", "signed"]);
    run(async {
        let (ann, bob, nobody) = (caller(&host, 1).await, caller(&host, 2).await, host.client().await);
        assert_eq!(nobody.call("list", json!([])).await, json!([]));
        assert_eq!(
            refused(&nobody, "publish", json!(["pad", "1.0.0", "x"])).await,
            "Forbidden: sign the call"
        );
        let published = ann.call("publish", json!(["pad", "1.9.0", "first"])).await;
        assert_eq!(
            (&published["owner"], &published["versions"]["1.9.0"]["by"]),
            (&json!(id(1)), &json!(id(1)))
        );
        ann.call("publish", json!(["pad", "1.10.0", "second"])).await;
        let again = refused(&ann, "publish", json!(["pad", "1.9.0", "other"])).await;
        assert_eq!(again, "Error: pad 1.9.0 is published, and never changes");
        let not_his = format!("Forbidden: pad belongs to {}", id(1));
        assert_eq!(refused(&bob, "publish", json!(["pad", "2.0.0", "evil"])).await, not_his);
        assert_eq!(refused(&bob, "yank", json!(["pad", "1.9.0"])).await, not_his);
        assert_eq!(refused(&bob, "transfer", json!(["pad", id(2)])).await, not_his);
        for name in ["../pad", "Pad", "", "package.json"] {
            assert!(
                refused(&bob, "publish", json!([name, "1.0.0", "x"])).await.starts_with("TypeError"),
                "{name}"
            );
        }
        assert_eq!(nobody.call("latest", json!(["pad"])).await, json!("1.10.0"));
        ann.call("yank", json!(["pad", "1.10.0"])).await;
        assert_eq!(nobody.call("latest", json!(["pad"])).await, json!("1.9.0"));
        assert_eq!(ann.call("transfer", json!(["pad", id(2)])).await, json!(id(2)));
        assert!(refused(&ann, "publish", json!(["pad", "2.0.0", "mine"])).await.starts_with("Forbidden"));
        bob.call("publish", json!(["pad", "2.0.0", "third"])).await;
        assert_eq!(nobody.call("latest", json!(["pad"])).await, json!("2.0.0"));
        assert_eq!(nobody.call("list", json!([])).await, json!(["pad"]));
        // A yanked version stays.
        let file = crate::service::reading::get(&host, "/files/packages/pad/1.10.0");
        assert_eq!(text(&file.body), "second");
    });
    assert!(host.terminate().success());
    place.assert_agrees();
    let data = place.data().display().to_string();
    let copied = vms(["files", "cat", &data, "/packages/pad/2.0.0"]);
    assert_eq!(text(&copied.stdout), "third");
}

//! The traps of the wire, each with a real JavaScript peer in it: what stalls it, what makes it pause its peer for good,
//! what has it break the connection. `interop/traps.js` brings it there.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{JsPeer, Replicating, Serving, address, hashes, key};
use crate::support::{Host, TestService, run};

fn blocks(count: u8, bytes: usize) -> Vec<Vec<u8>> {
    (0..count).map(|block| vec![block; bytes]).collect()
}

/// A Hypercore that reads what is served.
fn reader(serving: &Serving) -> (JsPeer, String) {
    let mut peer = JsPeer::hypercore();
    let key = serving.key();
    peer.read(&key);
    peer.connect(serving.address);
    (peer, key)
}

#[test]
fn a_reject_is_no_end_an_open_that_follows_is_answered() {
    let place = TestService::of_example("files.js");
    run(async {
        let host: Host = place.host();
        host.client().await.call("write", json!(["/a", "x"])).await;
        let mut peer = JsPeer::corestore();
        peer.connect(address(&host));
        // We have opened all three cores, and the store has none of them.
        peer.tell("refused", json!({ "count": 3 }));
        let log = key(&host, "callLogUrl");
        peer.read(&log);
        peer.blocks(&log, 2);
        assert_eq!(peer.tell("connections", json!({})), json!(1), "all of it came over one connection");
    });
}

#[test]
fn a_second_core_joins_late_on_the_same_connection() {
    let place = TestService::of_example("files.js");
    let copies = tempfile::tempdir().expect("a temporary directory");
    run(async {
        let host = place.host();
        let client = host.client().await;
        client.call("write", json!(["/a", "x"])).await;
        let (log, archive) = (key(&host, "callLogUrl"), key(&host, "filesArchiveUrl"));
        let mut peer = JsPeer::corestore();
        peer.read(&log);
        peer.connect(address(&host));
        peer.blocks(&log, 2);
        peer.read(&archive);
        peer.blocks(&archive, 2);
        assert_eq!(peer.tell("connections", json!({})), json!(1));
        // The other way round: our replicator hears of the archive from the log, and then opens it too.
        let replicating = Replicating::start(&log, &[peer.listen()], copies.path());
        let mut last = JsPeer::corestore();
        last.read(&archive);
        last.connect(replicating.address);
        last.blocks(&archive, 2);
        assert_eq!(peer.tell("connections", json!({})), json!(2), "one to the host, one from the replicator");
    });
}

#[test]
fn a_late_acknowledgement_is_answered_so_that_live_updates_go_on() {
    run(async {
        let mut serving = Serving::of(&blocks(3, 10)).await;
        let (mut peer, key) = reader(&serving);
        peer.blocks(&key, 3);
        // It grows to 4, and we do not hear of it: our word of the 5th block then acknowledges 3.
        peer.tell("hold", json!({ "key": key }));
        serving.core.append(&[b"4th"]).expect("a disk");
        peer.long(&key, 4);
        peer.begin("hears", json!({ "key": key, "length": 5, "remoteLength": 3 }));
        serving.core.append(&[b"5th"]).expect("a disk");
        peer.end();
        assert_eq!(peer.state(&key)["length"], json!(4), "it stalls");
        peer.tell("release", json!({}));
        peer.long(&key, 5);
        serving.network.shutdown().await;
    });
}

#[test]
fn every_request_is_answered() {
    run(async {
        let serving = Serving::of(&blocks(200, 1000)).await;
        let (mut peer, key) = reader(&serving);
        peer.blocks(&key, 200);
        let stats = peer.state(&key)["stats"].clone();
        assert_eq!(stats["wireRequest"]["tx"], stats["wireData"]["rx"], "{stats}");
        let block = |index: u64, nodes: u64| json!({ "block": { "index": index, "nodes": nodes } });
        let far = (1_u64 << 53) - 1;
        let requests = json!([
            block(0, 0),
            block(199, 3),
            block(200, 0),
            block(far, 0),
            block(1, far),
            { "fork": 1, "block": { "index": 1, "nodes": 0 } },
            { "hash": { "index": 1, "nodes": 0 } },
            { "hash": { "index": far, "nodes": 0 } },
            { "upgrade": { "start": 0, "length": 200 } },
            { "upgrade": { "start": 10, "length": 100 } },
            { "upgrade": { "start": 200, "length": 1 } },
            { "upgrade": { "start": 0, "length": 0 } },
            { "manifest": true },
            {},
            block(7, 0),
        ]);
        let answers = peer.tell("requests", json!({ "key": key, "requests": requests }));
        let [none, invalid] = [json!(1), json!(2)];
        let data = || json!("data");
        let expected = json!([
            data(),
            data(),
            none,
            none,
            invalid,
            none,
            data(),
            invalid,
            data(),
            data(),
            invalid,
            invalid,
            invalid,
            invalid,
            data(),
        ]);
        assert_eq!(answers, expected);
        serving.network.shutdown().await;
    });
}

#[test]
fn a_peer_that_is_wrong_about_us_is_made_to_connect_anew_before_it_pauses_us() {
    let copies = tempfile::tempdir().expect("a temporary directory");
    // Our replicator knows of ten blocks and has four.
    let mut sparse = JsPeer::hypercore();
    let key = sparse.write(4, &[10; 10]);
    let written = sparse.blocks(&key, 10);
    sparse.tell("clear", json!({ "key": key, "start": 4, "end": 10 }));
    let replicating = Replicating::start(&key, &[sparse.listen()], copies.path());
    let mut peer = JsPeer::hypercore();
    peer.read(&key);
    peer.connect(replicating.address);
    peer.long(&key, 10);
    let mistaken = peer.tell("mistakes", json!({ "key": key, "end": 10 }));
    assert_eq!(mistaken["paused"], json!(false), "{mistaken}");
    let refusals = mistaken["refusals"].as_u64().expect("a number");
    assert!((1..32).contains(&refusals), "the 32nd would have had it pause us: {mistaken}");
    // The next connection is as good as new.
    peer.connect(replicating.address);
    let first = peer.tell("blocks", json!({ "key": key, "end": 4 }));
    assert_eq!(first.as_array().expect("hashes")[..], written.as_array().expect("hashes")[..4]);
}

#[test]
fn bad_data_is_followed_by_request_0_and_its_answer_makes_good() {
    run(async {
        let mut serving = Serving::of(&blocks(100, 100)).await;
        let (mut peer, key) = reader(&serving);
        peer.long(&key, 100);
        let spoilt = peer.tell("spoils", json!({ "key": key, "block": 30 }));
        assert_eq!(spoilt, json!({ "found": "INVALID_CHECKSUM", "paused": false }));
        // It asks for the rest when it next hears of something.
        serving.core.append(&[b"next"]).expect("a disk");
        let mut all = blocks(100, 100);
        all.push(b"next".to_vec());
        assert_eq!(peer.blocks(&key, 101), hashes(all));
        assert_eq!(peer.tell("connections", json!({})), json!(1));
        serving.network.shutdown().await;
    });
}

/// A peer that knows of six blocks and has the first two, and the writer of them. Where both are served.
fn sparse_and_writer() -> (String, [JsPeer; 2], [SocketAddr; 2]) {
    let (mut sparse, mut writer) = (JsPeer::hypercore(), JsPeer::hypercore());
    let key = writer.write(6, &[100; 6]);
    let served = writer.listen();
    sparse.read(&key);
    sparse.connect(served);
    sparse.long(&key, 6);
    sparse.blocks(&key, 2);
    sparse.tell("leave", json!({}));
    let addresses = [sparse.listen(), served];
    (key, [sparse, writer], addresses)
}

#[test]
fn a_sparse_peer_gives_what_it_has_and_another_one_the_rest() {
    let copies = tempfile::tempdir().expect("a temporary directory");
    let (key, [mut sparse, mut writer], addresses) = sparse_and_writer();
    sparse.begin("uploaded", json!({ "key": key, "count": 2 }));
    let replicating = Replicating::start(&key, &addresses[..1], copies.path());
    sparse.end();
    replicating.terminate();
    let replicating = Replicating::start(&key, &addresses, copies.path());
    let mut last = JsPeer::hypercore();
    last.read(&key);
    last.connect(replicating.address);
    assert_eq!(last.blocks(&key, 6), writer.blocks(&key, 6));
    assert_eq!(sparse.state(&key)["stats"]["invalidRequests"], json!(0));
}

#[test]
fn a_peer_that_has_paused_us_is_asked_for_nothing_that_would_end_its_process() {
    let copies = tempfile::tempdir().expect("a temporary directory");
    let (key, [mut sparse, mut writer], addresses) = sparse_and_writer();
    // From now on it answers no request for a block that it has, and one for a block that it lacks ends it.
    sparse.tell("pauses", json!({ "key": key }));
    writer.tell("leave", json!({}));
    let replicating = Replicating::start(&key, &addresses, copies.path());
    assert!(sparse.tell("asked", json!({})).as_u64() < Some(2), "it has the first two");
    writer.listen_on(addresses[1]);
    let mut last = JsPeer::hypercore();
    last.read(&key);
    last.connect(replicating.address);
    assert_eq!(last.blocks(&key, 6), writer.blocks(&key, 6), "what it keeps back comes from the other one");
    assert_eq!(sparse.tell("connections", json!({})), json!(1), "it lives, and we have not given it up");
}

#[test]
fn a_sparse_peer_is_not_asked_for_an_upgrade_that_it_lacks_the_nodes_for() {
    let copies = tempfile::tempdir().expect("a temporary directory");
    // Our copy has five of the six blocks: the sparse peer has the roots for six, and not those for five.
    let mut writer = JsPeer::hypercore();
    let key = writer.write(6, &[100; 5]);
    Replicating::start(&key, &[writer.listen()], copies.path()).until(&key, 5).terminate();
    let (same, [mut sparse, _writer], addresses) = sparse_and_writer();
    assert_eq!(same, key);
    let replicating = Replicating::start(&key, &addresses[..1], copies.path());
    // Its request goes out behind its state, and is answered: we have not asked for what would have had it break off.
    let request = json!([{ "block": { "index": 4, "nodes": 0 } }]);
    let answers = sparse.tell("requests", json!({ "key": key, "requests": request }));
    assert_eq!(answers, json!(["data"]));
    let state = sparse.state(&key);
    assert_eq!(sparse.tell("connections", json!({})), json!(1));
    assert_eq!(state["stats"]["wireRequest"]["rx"], json!(0), "{state}");
    drop(replicating);
}

#[test]
fn a_peer_behind_us_is_asked_for_what_it_can_prove_and_led_on_when_we_can() {
    let copies = tempfile::tempdir().expect("a temporary directory");
    let [mut writer, mut behind, mut roots, mut last] = [(); 4].map(|()| JsPeer::hypercore());
    let key = writer.write(9, &[10; 70]);
    let served = writer.listen();
    behind.read(&key);
    behind.connect(served);
    behind.blocks(&key, 70);
    behind.tell("leave", json!({}));
    let later = behind.reserve();
    writer.append(&key, &[10; 30]);
    roots.read(&key);
    roots.connect(served);
    roots.long(&key, 100);
    writer.tell("leave", json!({}));
    // Our copy knows the roots of 100 blocks and has none of them: below these roots the shorter tree ends.
    let replicating = Replicating::start(&key, &[roots.listen(), later, served], copies.path());
    last.read(&key);
    last.connect(replicating.address);
    last.long(&key, 100);
    behind.listen_on(later);
    let request = json!([{ "upgrade": { "start": 0, "length": 100 } }]);
    let answers = behind.tell("requests", json!({ "key": key, "requests": request }));
    assert_eq!(answers, json!(["data"]));
    let state = behind.state(&key);
    assert_eq!((&state["length"], &state["stats"]["wireRequest"]["rx"]), (&json!(70), &json!(0)), "{state}");
    // Once the blocks are here, the nodes are, too.
    writer.listen_on(served);
    behind.long(&key, 100);
    assert_eq!(last.blocks(&key, 100), writer.blocks(&key, 100));
    assert_eq!(behind.tell("connections", json!({})), json!(1));
    assert_eq!(behind.state(&key)["stats"]["invalidRequests"], json!(0));
}

#[test]
fn a_channel_that_was_closed_is_opened_again_on_the_same_connection() {
    run(async {
        let mut serving = Serving::of(&blocks(3, 10)).await;
        let (mut peer, key) = reader(&serving);
        peer.blocks(&key, 3);
        for length in 4..8_u64 {
            peer.tell("closes", json!({ "key": key }));
            serving.core.append(&[length.to_le_bytes()]).expect("a disk");
            peer.tell("reopens", json!({ "key": key }));
            peer.blocks(&key, length);
            assert_eq!(peer.tell("connections", json!({})), json!(1));
        }
        serving.network.shutdown().await;
    });
}

#[test]
fn a_peer_that_is_killed_in_mid_transfer_holds_up_nobody() {
    let copies = tempfile::tempdir().expect("a temporary directory");
    let sizes = [16 << 10; 1500];
    let (mut first, mut second) = (JsPeer::hypercore(), JsPeer::hypercore());
    let key = first.write(8, &sizes);
    assert_eq!(second.write(8, &sizes), key);
    let (here, there) = (first.listen(), second.listen());
    first.begin("uploaded", json!({ "key": key, "count": 100 }));
    let replicating = Replicating::start(&key, &[here, there], copies.path());
    first.end();
    first.kill();
    // A reader is killed while it copies from us, too.
    let read = || {
        let mut reader = JsPeer::hypercore();
        reader.read(&key);
        reader.connect(replicating.address);
        reader
    };
    let mut killed = read();
    killed.tell("blocks", json!({ "key": key, "end": 100 }));
    killed.begin("blocks", json!({ "key": key, "end": 1500 }));
    killed.kill();
    let copied: Value = read().blocks(&key, 1500);
    assert_eq!(copied, second.blocks(&key, 1500));
}

//! `fixtures/wire/proofs.json`: the reference's answers to every small request, made here and checked here.

use std::collections::BTreeMap;

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::{PublicKey, SecretKey, Signature};
use libvms_hypercore::replication::{Refusal, Store, answer, check, check_head};
use libvms_hypercore::signed_head::{SignedHead, UnverifiedHead};
use libvms_hypercore::tree::index;
use libvms_hypercore::wire::Message;
use libvms_hypercore::wire::message::{Data, Request};
use serde_json::Value;

use super::core::{Core, writer};
use crate::vector::{array, hex, items, number, read};

fn content(block: u64) -> Vec<u8> {
    (0..4 + block).map(|byte| (block * 31 + byte * 7 + (byte >> 8)) as u8).collect()
}

fn request(value: &Value) -> Request {
    match Message::decode(1, &hex(value)) {
        Ok(Some(Message::Request(request))) => request,
        other => panic!("not a request: {other:?}"),
    }
}

fn data(value: &Value) -> Data {
    match Message::decode(3, &hex(value)) {
        Ok(Some(Message::Data(data))) => data,
        other => panic!("not data: {other:?}"),
    }
}

/// Creates our core of the same blocks, signed by a key of ours.
fn core(vector: &Value) -> Core {
    let mut core = Core::default();
    core.append(&(0..number(&vector["length"])).map(content).collect::<Vec<_>>());
    core
}

/// Returns the store of a reader that knows the log up to `length` only by its roots.
fn roots_only(core: &Core, length: u64) -> Core {
    let mut reader = Core::default();
    if length > 0 {
        let roots = core.roots_at(Length(length));
        reader.head = Some(SignedHead::sign(&writer(), Length(length), roots.tree_hash()));
        reader.nodes = roots.nodes().iter().map(|node| (node.index, *node)).collect::<BTreeMap<_, _>>();
    }
    reader
}

fn cores() -> Vec<Value> {
    items(&read("wire/proofs.json")["cores"]).to_vec()
}

#[test]
fn every_request_gets_the_answer_of_the_reference() {
    for vector in cores() {
        let core = core(&vector);
        for case in items(&vector["answers"]) {
            let request = request(&case["request"]);
            let answer = answer(&core, &request);
            if case["error"].is_string() {
                let is_there = request.block.is_none_or(|block| core.has(block.index));
                let refusal = if is_there { Refusal::Invalid } else { Refusal::NotAvailable };
                assert_eq!(answer, Err(refusal), "{}", case["asked"]);
                continue;
            }
            let mut expected = data(&case["data"]);
            if let Some(upgrade) = &mut expected.upgrade {
                upgrade.signature = core.signature().expect("not empty").0.to_vec();
            }
            assert_eq!(answer, Ok(expected), "length {} {}", vector["length"], case["asked"]);
        }
    }
}

#[test]
fn answers_of_the_reference_verify() {
    let mut checked = 0;
    for vector in cores() {
        let core = core(&vector);
        for case in items(&vector["answers"]).iter().filter(|case| case["data"].is_string()) {
            let mut data = data(&case["data"]);
            if data.hash.is_some() || data.seek.is_some() {
                continue;
            }
            let start = data.upgrade.as_ref().map_or(core.length(), |upgrade| upgrade.start);
            if let Some(upgrade) = &mut data.upgrade {
                upgrade.signature = core.signature().expect("not empty").0.to_vec();
            }
            let mut reader = roots_only(&core, start.0);
            let top = data.block.as_ref().map(|block| {
                (0..block.nodes.len()).fold(2 * block.index.0, |node, _| index::parent(node).expect("small"))
            });
            // A path that ends below the known part of the log proves nothing.
            let old = data.block.as_ref().is_none_or(|block| block.index < start.next_block());
            if let Some(top) = top.filter(|_| old) {
                reader.nodes.insert(top, core.nodes[&top]);
            }
            if data.upgrade.as_ref().is_some_and(|upgrade| upgrade.start == Length(0)) {
                assert_eq!(check_head(writer().public_key(), &data).is_ok(), data.block.is_none());
            }
            let verified = check(writer().public_key(), &reader, data.clone()).expect("a good answer");
            reader.store(verified, &core);
            if data.upgrade.is_some() {
                assert_eq!(reader.head, core.head);
            }
            checked += 1;
        }
    }
    assert!(checked > 350, "{checked}");
}

#[test]
fn no_changed_proof_verifies() {
    for vector in cores().iter().filter(|vector| [5, 10].contains(&number(&vector["length"]))) {
        let core = core(vector);
        for case in items(&vector["answers"]).iter().filter(|case| case["data"].is_string()) {
            let bytes = hex(&case["data"]);
            for position in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[position] ^= 1 << (position % 8);
                let Ok(Some(Message::Data(mut data))) = Message::decode(3, &changed) else { continue };
                let start = data.upgrade.as_ref().map_or(core.length(), |upgrade| upgrade.start);
                if let Some(upgrade) = &mut data.upgrade {
                    upgrade.signature = core.signature().expect("not empty").0.to_vec();
                }
                let mut reader = roots_only(&core, start.min(core.length()).0);
                // Everything that passes is true: storing compares it.
                if let Ok(verified) = check(writer().public_key(), &reader, data) {
                    reader.store(verified, &core);
                }
            }
        }
    }
}

#[test]
fn compat_heads_of_the_reference_are_signed_as_ours() {
    for vector in cores().iter().filter(|vector| vector["kind"] == "compat") {
        let key = PublicKey(array(&vector["key"]));
        let core = core(vector);
        let (length, tree_hash) = (core.length(), core.roots_at(Length(core.length().0)).tree_hash());
        let signature = Signature(array(&vector["signature"]));
        let claim = UnverifiedHead { key, length, fork: 0, tree_hash, signature };
        assert_eq!(claim.verify().map(|head| head.length()), Ok(length));
        for case in items(&vector["answers"]).iter().filter(|case| case["data"].is_string()) {
            let data = data(&case["data"]);
            if data.upgrade.as_ref().is_some_and(|upgrade| upgrade.start == Length(0)) && data.seek.is_none()
            {
                check(key, &Core::default(), data).expect("the reference's own signature");
            }
        }
    }
}

#[test]
fn a_reader_of_roots_asks_for_as_many_nodes_as_the_reference() {
    let vectors = read("wire/proofs.json");
    let mut most = 0;
    for row in items(&vectors["missingNodesIfOnlyRootsAreStored"]["rows"]) {
        let numbers: Vec<u64> =
            row.as_str().expect("text").split(' ').map(|number| number.parse().expect("a number")).collect();
        let [length, block, nodes] = numbers[..] else { panic!("three numbers") };
        if block < length {
            let core = Core::written(length);
            let steps = std::iter::successors(Some(2 * block), |&node| index::parent(node));
            let reader = roots_only(&core, length);
            assert_eq!(steps.take_while(|&node| reader.node(node).is_none()).count() as u64, nodes);
            most = most.max(nodes);
        }
    }
    assert_eq!(most, 3);
}

#[test]
fn hostile_numbers_are_refused_at_once() {
    let core = core(&cores()[5]);
    let numbers =
        [0, 1, 9, 10, 63, 64, 65, (1 << 53) - 1, 1 << 62, (1 << 63) - 1, 1 << 63, u64::MAX - 1, u64::MAX];
    for (index, nodes) in numbers.iter().flat_map(|&index| numbers.map(|nodes| (index, nodes))) {
        let node = Some(libvms_hypercore::wire::message::RequestNode { index, nodes });
        let block = Some(libvms_hypercore::wire::message::RequestBlock { index: BlockIndex(index), nodes });
        let seek = Some(libvms_hypercore::wire::message::RequestSeek { bytes: index, padding: nodes });
        let upgrade =
            Some(libvms_hypercore::wire::message::RequestUpgrade { start: Length(index), length: nodes });
        for request in [
            Request { block, ..Request::default() },
            Request { hash: node, ..Request::default() },
            Request { hash: node, seek, ..Request::default() },
            Request { seek, upgrade, ..Request::default() },
            Request { block, upgrade, ..Request::default() },
            Request { hash: node, upgrade, seek, ..Request::default() },
        ] {
            let _ = answer(&core, &request);
        }
    }
    let _ = SecretKey::from_seed(&[0; 32]);
}

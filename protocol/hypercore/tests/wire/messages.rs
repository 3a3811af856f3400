//! `messages.json` and `proofs.json`: bodies of messages, both ways.

use libvms_hypercore::encoding::{Reader, Writer};
use libvms_hypercore::manifest::Manifest;
use libvms_hypercore::wire::message::{Data, Message};
use serde_json::Value;

use super::json::{KINDS, message};
use crate::vector::{hex, items, number, read};

#[test]
fn every_message_is_read_and_written_as_the_reference_does() {
    let vector = read("wire/messages.json");
    let manifests: Vec<Vec<u8>> = items(&vector["manifest"]).iter().map(|case| hex(&case["hex"])).collect();
    for (kind, name) in (0..).zip(KINDS) {
        assert_eq!(number(&vector["types"][name]), kind);
        for case in items(&vector[name]) {
            check(kind, name, case, &manifests);
        }
    }
}

fn check(kind: u64, name: &str, case: &Value, manifests: &[Vec<u8>]) {
    let bytes = hex(&case["hex"]);
    let decoded = Message::decode(kind, &bytes);
    if case.get("error").is_some() {
        assert!(decoded.is_err(), "{name} {case}");
        return;
    }
    let manifest = manifests.iter().find(|manifest| bytes.ends_with(manifest)).cloned();
    let expected = message(name, &case["decoded"], manifest);
    assert_eq!(decoded, Ok(Some(expected.clone())), "{name} {case}");
    assert_eq!(expected.kind(), kind);
    // Cases that only decoding can have (unknown flags, old forms, surplus bytes) have `leftOver`.
    if case.get("leftOver").is_none() {
        assert_eq!(expected.encode(), bytes, "{name} {case}");
    } else {
        assert_eq!(Message::decode(kind, &expected.encode()), Ok(Some(expected)), "{name} {case}");
    }
}

#[test]
fn numbers_are_read_and_written_as_the_reference_does() {
    let vector = read("wire/messages.json");
    for case in items(&vector["uint"]) {
        let mut writer = Writer::default();
        writer.uint(number(&case["n"]));
        assert_eq!(writer.finish(), hex(&case["hex"]));
    }
    for case in items(&vector["uintDecode"]) {
        let bytes = hex(&case["hex"]);
        let expected = case.get("decoded").map(number);
        assert_eq!(Reader::new(&bytes).uint().ok(), expected, "{case}");
    }
}

#[test]
fn the_manifest_at_the_end_of_data_has_the_key_of_its_core() {
    let vector = read("wire/messages.json");
    for case in items(&vector["manifest"]) {
        let bytes = hex(&case["hex"]);
        let data = Data { manifest: Some(bytes.clone()), ..Data::default() };
        let mut body = Message::Data(data.clone()).encode();
        body.extend_from_slice(b"more");
        assert_eq!(Message::decode(3, &body), Ok(Some(Message::Data(data))));
        for end in 3..body.len() - 4 {
            assert!(Message::decode(3, &body[..end]).is_err(), "{end} of {case}");
        }
        if let Ok(manifest) = Manifest::decode(&bytes) {
            assert_eq!(hex(&case["manifestHash"]), manifest.key().0);
        }
    }
}

#[test]
fn proofs_of_the_reference_survive_decoding_and_encoding() {
    let mut count = 0;
    for core in items(&read("wire/proofs.json")["cores"]) {
        bodies(core, &mut |kind, body| {
            let decoded = Message::decode(kind, body).expect("a message").expect("a known kind");
            assert_eq!(decoded.encode(), body);
            count += 1;
        });
    }
    assert!(count > 100, "only {count} bodies");
}

/// Finds all requests and answers, at any depth.
fn bodies(value: &Value, receive: &mut impl FnMut(u64, &[u8])) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| bodies(value, receive)),
        Value::Object(members) => members.iter().for_each(|(name, value)| match (name.as_str(), value) {
            ("request", Value::String(_)) => receive(1, &hex(value)),
            ("data", Value::String(_)) => receive(3, &hex(value)),
            _ => bodies(value, receive),
        }),
        _ => {}
    }
}

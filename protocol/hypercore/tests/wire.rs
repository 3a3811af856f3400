//! `fixtures/wire`: the messages of JavaScript peers, and their reactions to messages.

mod decoders;
mod frames;
mod json;
mod messages;
mod mux;
mod mux_pairs;
mod transcripts;

use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::secret_stream::{HandshakeHash, Role, stream_id};
use libvms_hypercore::wire::capability::{self, CoreOpen};
use serde_json::Value;

use crate::vector::{array, hex, items, read};

#[test]
fn capabilities_and_stream_ids_are_those_of_the_reference() {
    let vector = read("wire/caps.json");
    for case in items(&vector["capabilities"]) {
        let (key, hash) = (PublicKey(array(&case["key"])), HandshakeHash(array(&case["handshakeHash"])));
        for (role, expected) in [(Role::Initiator, "initiatorSends"), (Role::Responder, "responderSends")] {
            let capability = capability::capability(role, &hash, &key);
            assert_eq!(hex(&case[expected]), capability);
            assert!(capability::is_capability(role, &hash, &key, &capability));
            // A peer cannot send back the capability that the other side has sent.
            assert!(!capability::is_capability(role.other(), &hash, &key, &capability));
        }
    }
    for case in items(&vector["streamIds"]) {
        let hash = HandshakeHash(array(&case["handshakeHash"]));
        assert_eq!(hex(&case["initiatorHeaderId"]), stream_id(Role::Initiator, &hash));
        assert_eq!(hex(&case["responderHeaderId"]), stream_id(Role::Responder, &hash));
    }
    for case in items(&vector["discoveryKeys"]) {
        assert_eq!(hex(&case["discoveryKey"]), PublicKey(array(&case["key"])).discovery_key());
    }
}

#[test]
fn opens_of_cores_are_read_and_written_as_the_reference_does() {
    for case in items(&read("wire/messages.json")["handshake"]) {
        let bytes = hex(&case["hex"]);
        let Some(decoded) = case.get("decoded") else {
            assert!(CoreOpen::decode(&bytes).is_err());
            continue;
        };
        let open = CoreOpen {
            seeks: decoded["seeks"] == Value::Bool(true),
            capability: array(&decoded["capability"]),
        };
        assert_eq!(CoreOpen::decode(&bytes), Ok(open));
        if case.get("leftOver").is_none() {
            assert_eq!(open.encode(), bytes);
        }
    }
}

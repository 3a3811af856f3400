//! The contents of requests, answers and handshakes: the reference's bytes both ways, and random bytes.

use libvms_hypercore::encoding::Reader;
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::secret_stream::HandshakeHash;
use libvms_hyperswarm::dht_rpc::{Address, Command, Message, NodeId, Target, Token};
use libvms_hyperswarm::hyperdht::announce::{Announcement, Destination, Purpose};
use libvms_hyperswarm::hyperdht::command::{Firewall, PeerError};
use libvms_hyperswarm::hyperdht::envelope::{HandshakeEnvelope, HolepunchEnvelope, Mode};
use libvms_hyperswarm::hyperdht::handshake_payload::{HandshakePayload, PayloadError};
use libvms_hyperswarm::hyperdht::holepunch::payload::{
    HolepunchError, HolepunchPayload, NONCE_BYTES, PunchSecrets, holepunch_secret,
};
use libvms_hyperswarm::hyperdht::namespaces;
use libvms_hyperswarm::hyperdht::record::{LookupReply, PeerRecord, peer_target};
use proptest::prelude::*;
use serde_json::Value;

use crate::vector::{array, hex, items, number, read};

pub(super) fn address(text: &str) -> Address {
    let address: std::net::SocketAddrV4 = text.parse().expect("an address");
    address.into()
}

/// Reads an address in the form of JSON: `{host, port}` or null.
fn optional_address(value: &Value) -> Option<Address> {
    let host = value.get("host")?.as_str().expect("a host");
    Some(address(&format!("{host}:{}", value["port"])))
}

fn mode(number: u64) -> Mode {
    [Mode::FromClient, Mode::FromServer, Mode::FromRelay, Mode::FromSecondRelay, Mode::Reply][number as usize]
}

#[test]
fn namespaces_and_targets_are_those_of_the_reference() {
    let vector = read("swarm/hyperdht.json");
    let expected = &vector["constants"]["namespaces"];
    for (name, ours) in [
        ("PEER_HOLEPUNCH", namespaces::peer_holepunch()),
        ("ANNOUNCE", namespaces::announce()),
        ("UNANNOUNCE", namespaces::unannounce()),
    ] {
        assert_eq!(hex(&expected[name]), ours, "{name}");
    }
    for name in ["kp1", "kp2"] {
        let pair = &vector["keys"][name];
        assert_eq!(peer_target(&PublicKey(array(&pair["publicKey"]))), Target(array(&pair["target"])));
    }
    let commands = &vector["constants"]["COMMANDS"];
    for (name, ours) in [
        ("PEER_HANDSHAKE", Command::PEER_HANDSHAKE),
        ("PEER_HOLEPUNCH", Command::PEER_HOLEPUNCH),
        ("FIND_PEER", Command::FIND_PEER),
        ("LOOKUP", Command::LOOKUP),
        ("ANNOUNCE", Command::ANNOUNCE),
        ("UNANNOUNCE", Command::UNANNOUNCE),
        ("PLUGIN", Command::PLUGIN),
    ] {
        assert_eq!(Command::External(number(&commands[name])), ours, "{name}");
    }
}

/// Read, written, signed and verified.
#[test]
fn announcements_match_the_reference() {
    let vector = &read("swarm/hyperdht.json")["announce"];
    let (node, token) = (NodeId(array(&vector["nodeId"])), Token(array(&vector["token"])));
    assert_eq!(NodeId::of(&address(vector["node"].as_str().expect("text"))), node);
    for case in items(&vector["cases"]) {
        let (name, bytes) = (&case["name"], hex(&case["value"]));
        let target = Target(array(&case["target"]));
        let destination = Destination { target: &target, node: &node, token: &token };
        let (purpose, other) = match number(&case["command"]) {
            4 => (Purpose::Announce, Purpose::Unannounce),
            _ => (Purpose::Unannounce, Purpose::Announce),
        };
        assert_eq!(purpose.command(), Command::External(number(&case["command"])));

        let announcement = Announcement::decode(&bytes).expect("readable");
        assert_eq!(announcement.encode(), bytes, "{name}");
        let peer = announcement.verified(purpose, destination).expect("signed").clone();
        assert_eq!(peer.to_bytes(), hex(&case["peerRecord"]), "{name}");
        assert_eq!(announcement.signature.expect("signed").0.to_vec(), hex(&case["signature"]));

        // No signed byte can be changed, and no signature can be used for another purpose.
        assert_eq!(announcement.verified(other, destination), None, "{name}");
        let (elsewhere, other_token) = (NodeId([9; 32]), Token([9; 32]));
        assert_eq!(announcement.verified(purpose, Destination { node: &elsewhere, ..destination }), None);
        assert_eq!(announcement.verified(purpose, Destination { token: &other_token, ..destination }), None);
        let other_target = Target([9; 32]);
        assert_eq!(
            announcement.verified(purpose, Destination { target: &other_target, ..destination }),
            None
        );
        let mut moved = announcement.clone();
        moved.peer.as_mut().expect("a peer").relays.push(address("6.6.6.6:6"));
        assert_eq!(moved.verified(purpose, destination), None, "{name}");

        if announcement.refresh.is_none() && announcement.bump == 0 {
            let seed = if peer.public_key.0[0] == 0x8a { 1 } else { 2 };
            let key = SecretKey::from_seed(&[seed; 32]);
            assert_eq!(Announcement::sign(purpose, destination, peer, &key).encode(), bytes, "{name}");
        }
    }
    let refresh = hex(&vector["refreshOnly"]["value"]);
    let announcement = Announcement::decode(&refresh).expect("readable");
    assert_eq!((announcement.peer.is_none(), announcement.refresh), (true, Some([0x66; 32])));
    assert_eq!(announcement.encode(), refresh);
}

#[test]
fn records_and_answers_to_lookups_are_those_of_the_reference() {
    let vector = &read("swarm/hyperdht.json")["records"];
    for name in ["peer3relays", "peerNoRelays"] {
        let bytes = hex(&vector[name]);
        let record = PeerRecord::decode(&mut Reader::new(&bytes)).expect("a record");
        assert_eq!(record.to_bytes(), bytes, "{name}");
    }
    for (name, peers, bump) in [("lookupReplyTwo", 2, 0), ("lookupReplyBump", 1, 1_790_000_000_000_u64)] {
        let bytes = hex(&vector[name]);
        let reply = LookupReply::decode(&bytes).expect("an answer");
        assert_eq!((reply.peers.len(), reply.bump), (peers, bump), "{name}");
        assert_eq!(reply.encode(), bytes, "{name}");
    }
    let old = LookupReply::decode(&hex(&vector["lookupReplyOldWithoutBump"])).expect("an answer");
    assert_eq!((old.peers.len(), old.bump), (1, 0));
}

#[test]
fn envelopes_are_read_and_written_as_the_reference_does() {
    let vector = read("swarm/hyperdht.json");
    for case in items(&vector["handshakeEnvelopes"]) {
        let envelope = HandshakeEnvelope {
            mode: mode(number(&case["mode"])),
            noise: hex(&case["noise"]),
            peer: optional_address(&case["peerAddress"]),
            relay: optional_address(&case["relayAddress"]),
        };
        assert_eq!(envelope.encode(), hex(&case["hex"]));
        assert_eq!(HandshakeEnvelope::decode(&hex(&case["hex"])), Ok(envelope));
    }
    for case in items(&vector["holepunchEnvelopes"]) {
        let envelope = HolepunchEnvelope {
            mode: mode(number(&case["mode"])),
            id: number(&case["id"]),
            payload: hex(&case["payload"]),
            peer: optional_address(&case["peerAddress"]),
        };
        assert_eq!(envelope.encode(), hex(&case["hex"]));
        assert_eq!(HolepunchEnvelope::decode(&hex(&case["hex"])), Ok(envelope));
    }
}

/// Read and written.
#[test]
fn handshake_payloads_match_the_reference() {
    let vector = read("swarm/hyperdht.json");
    for case in items(&vector["noisePayloads"]) {
        let (name, bytes, expected) = (&case["name"], hex(&case["hex"]), &case["decoded"]);
        if number(&expected["version"]) != 1 {
            assert_eq!(HandshakePayload::decode(&bytes), Err(PayloadError::Version(2)));
            continue;
        }
        let payload = HandshakePayload::decode(&bytes).expect("readable");
        assert_eq!(payload.encode(), bytes, "{name}");
        check_payload(&payload, expected);
    }
    let refused = HandshakePayload::decode(&hex(&vector["noisePayloads"][4]["hex"])).expect("readable");
    assert_eq!(refused.error, Some(PeerError::ABORTED));
}

/// Compares field by field with the payload that the reference decoded.
fn check_payload(payload: &HandshakePayload, expected: &Value) {
    assert_eq!(payload.firewall == Firewall::Open, number(&expected["firewall"]) == 1);
    let list = |value: &Value| -> Vec<Address> {
        value.as_array().map_or(vec![], |list| list.iter().filter_map(optional_address).collect())
    };
    assert_eq!(payload.addresses, list(&expected["addresses4"]));
    assert_eq!(payload.relay_addresses, list(&expected["relayAddresses"]));
    assert_eq!(payload.addresses6.len(), items(&expected["addresses6"]).len());
    assert_eq!(payload.has_secret_stream, !expected["secretStream"].is_null());
    assert_eq!(payload.relay_through.is_some(), !expected["relayThrough"].is_null());
    let udx = &expected["udx"];
    assert_eq!(payload.udx.is_some(), !udx.is_null());
    if let Some(stream) = payload.udx {
        assert_eq!(
            (u64::from(stream.id), u64::from(stream.first_packet)),
            (number(&udx["id"]), number(&udx["seq"]))
        );
        assert_eq!(Value::from(stream.is_reusable_socket), udx["reusableSocket"]);
    }
    let holepunch = &expected["holepunch"];
    assert_eq!(payload.holepunch.is_some(), !holepunch.is_null());
    if let Some(relays) = &payload.holepunch {
        assert_eq!(relays.id, number(&holepunch["id"]));
        for (route, expected) in relays.relays.iter().zip(items(&holepunch["relays"])) {
            assert_eq!(Some(route.relay), optional_address(&expected["relayAddress"]));
            assert_eq!(Some(route.peer), optional_address(&expected["peerAddress"]));
        }
    }
}

#[test]
fn captured_handshake_payloads_hold_what_the_peers_sent() {
    for name in ["lan", "open", "holepunch", "swarm"] {
        let transcript = read(&format!("swarm/transcript-{name}.json"));
        let mut seen = 0;
        for datagram in items(&transcript["datagrams"]) {
            let Ok(Message::Request(request)) = Message::decode(&hex(&datagram["hex"])) else { continue };
            let Some(value) = &request.value else { continue };
            match request.command {
                Command::PEER_HANDSHAKE => {
                    assert_eq!(HandshakeEnvelope::decode(value).expect("an envelope").encode(), *value);
                }
                Command::PEER_HOLEPUNCH => {
                    assert_eq!(HolepunchEnvelope::decode(value).expect("an envelope").encode(), *value);
                }
                Command::ANNOUNCE | Command::UNANNOUNCE => {
                    assert_eq!(Announcement::decode(value).expect("an announcement").encode(), *value);
                }
                _ => continue,
            }
            seen += 1;
        }
        assert!(seen > 5, "{name}");
    }
}

/// Sealed and opened.
#[test]
fn the_holepunch_secret_of_a_handshake_is_that_of_the_reference() {
    let vector = &read("swarm/hyperdht.json")["noiseIK"];
    let hash = HandshakeHash(array(&vector["handshakeHash"]));
    assert_eq!(holepunch_secret(&hash).to_vec(), hex(&vector["holepunchSecret"]));
}

#[test]
fn holepunch_payloads_match_the_reference() {
    let vector = &read("swarm/hyperdht.json")["holepunchPayloads"];
    let secrets = PunchSecrets::new(array(&vector["secret"]), array(&vector["localSecret"]));
    for case in items(&vector["cases"]) {
        let (name, plain, sealed) = (&case["name"], hex(&case["plain"]), hex(&case["box"]));
        let payload = HolepunchPayload::decode(&plain).expect("readable");
        assert_eq!(payload.encode(), plain, "{name}");
        assert_eq!(secrets.open(&sealed), Ok(payload.clone()), "{name}");
        assert_eq!(secrets.seal(&array::<NONCE_BYTES>(&case["nonce"]), &payload), sealed, "{name}");
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert_eq!(secrets.open(&changed), Err(HolepunchError::NotAuthentic), "{name}");
            assert!(secrets.open(&sealed[..position]).is_err(), "{name}");
        }
    }
    // The token of a host does not depend on the port, and is the one in the second case.
    let answer = HolepunchPayload::decode(&hex(&vector["cases"][1]["plain"])).expect("readable");
    assert_eq!(answer.token, Some(secrets.token(&address("7.7.7.7:7"))));
    assert_eq!(secrets.token(&address("7.7.7.7:9")), secrets.token(&address("7.7.7.7:7")));
    assert_ne!(secrets.token(&address("7.7.7.8:7")), secrets.token(&address("7.7.7.7:7")));
}

#[test]
fn holepunch_payloads_of_a_capture_open_with_its_secret() {
    let transcript = read("swarm/transcript-holepunch.json");
    let secrets = &transcript["secrets"];
    let shared = array(&secrets["handshakes"][0]["holepunchSecret"]);
    for case in items(&secrets["holepunch"]) {
        let local = PunchSecrets::new(shared, array(&case["localSecret"]));
        let payload = local.open(&hex(&case["box"])).expect("authentic");
        assert_eq!(payload.round, number(&case["plain"]["round"]));
        assert_eq!(payload.remote_address, optional_address(&case["plain"]["remoteAddress"]));
        // The token the server gave is that of the client's host.
        if let Some(token) = payload.token {
            assert_eq!(token, local.token(&address("127.0.0.1:1")));
        }
    }
}

#[test]
fn bytes_that_the_reference_refuses_are_refused_here_too() {
    for case in items(&read("swarm/hyperdht.json")["decodeEdgeCases"]) {
        let (bytes, result) = (hex(&case["hex"]), &case["result"]);
        let decoded = match case["encoding"].as_str().expect("text") {
            "handshake" => HandshakeEnvelope::decode(&bytes).is_ok(),
            "holepunch" => HolepunchEnvelope::decode(&bytes).is_ok(),
            "announce" => Announcement::decode(&bytes).is_ok(),
            "peer" => PeerRecord::decode(&mut Reader::new(&bytes)).is_ok(),
            "lookupRawReply" => LookupReply::decode(&bytes).is_ok(),
            "noisePayload" => HandshakePayload::decode(&bytes).is_ok(),
            name => panic!("unknown encoding {name}"),
        };
        // The only value that the reference reads and we do not: a mode that gets no answer.
        let unknown_mode = result["mode"] == 9;
        assert_eq!(decoded, !result.is_string() && !unknown_mode, "{case}");
    }
}

fn is_stable<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Option<T>,
    encode: impl Fn(&T) -> Vec<u8>,
) -> Result<(), TestCaseError> {
    if let Some(value) = decode(bytes) {
        prop_assert_eq!(decode(&encode(&value)), Some(value));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn decoded_values_round_trip(
        first in prop_oneof![Just(1_u8), any::<u8>()],
        rest in proptest::collection::vec(prop_oneof![0_u8..8, any::<u8>()], 0..160),
    ) {
        let bytes = [&[first][..], &rest].concat();
        is_stable(&bytes, |bytes| HandshakeEnvelope::decode(bytes).ok(), HandshakeEnvelope::encode)?;
        is_stable(&bytes, |bytes| HolepunchEnvelope::decode(bytes).ok(), HolepunchEnvelope::encode)?;
        is_stable(&bytes, |bytes| Announcement::decode(bytes).ok(), Announcement::encode)?;
        is_stable(&bytes, |bytes| LookupReply::decode(bytes).ok(), LookupReply::encode)?;
        is_stable(&bytes, |bytes| HandshakePayload::decode(bytes).ok(), HandshakePayload::encode)?;
        is_stable(&bytes, |bytes| HolepunchPayload::decode(bytes).ok(), HolepunchPayload::encode)?;
    }
}

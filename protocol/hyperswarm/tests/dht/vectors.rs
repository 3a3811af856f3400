//! `fixtures/swarm/dht-rpc.json`: datagrams of the reference, both ways.

use std::net::SocketAddrV4;

use libvms_hypercore::encoding::{Reader, Writer};
use libvms_hyperswarm::dht_rpc::message::MessageError;
use libvms_hyperswarm::dht_rpc::{
    Address, Command, ErrorCode, Message, NodeId, Observed, Request, Response, Sampler, Target, Token,
};
use serde_json::Value;

use crate::vector::{array, hex, items, number, read};

pub(crate) fn address(value: &Value) -> Address {
    let text = value.as_str().expect("an address");
    text.parse::<SocketAddrV4>().expect("host and port").into()
}

/// Returns the message that the reference's decoder read from a datagram.
pub(crate) fn message(decoded: &Value) -> Message {
    let present = |name: &str| decoded.get(name).filter(|value| !value.is_null());
    let (tid, to) = (number(&decoded["tid"]) as u16, address(&decoded["to"]));
    let (id, token) = (present("id").map(|id| NodeId(array(id))), present("token").map(|t| Token(array(t))));
    let value = present("value").map(hex);
    if decoded["kind"] == "request" {
        let command = number(&decoded["command"]);
        let is_internal = decoded["internal"] == Value::Bool(true);
        let command = if is_internal { Command::Internal(command) } else { Command::External(command) };
        let target = present("target").map(|target| Target(array(target)));
        return Message::Request(Request { tid, to, id, token, command, target, value });
    }
    let closer = present("closerNodes").map(|nodes| items(nodes).iter().map(address).collect());
    let error = Some(ErrorCode(number(&decoded["error"]))).filter(|error| error.0 != 0);
    Message::Response(Response { tid, to, id, token, closer: closer.unwrap_or_default(), error, value })
}

#[test]
fn datagrams_are_read_and_written_as_the_reference_does() {
    let vector = read("swarm/dht-rpc.json");
    let mut count = 0;
    for case in items(&vector["requests"]).iter().chain(items(&vector["responses"])) {
        let Some(decoded) = case.get("decoded") else { continue };
        let (bytes, expected) = (hex(&case["hex"]), message(decoded));
        assert_eq!(Message::decode(&bytes), Ok(expected.clone()), "{}", case["name"]);
        assert_eq!(expected.encode(), bytes, "{}", case["name"]);
        count += 1;
    }
    assert_eq!(count, 23);
}

#[test]
fn ids_follow_from_addresses_as_in_the_reference() {
    for case in items(&read("swarm/dht-rpc.json")["ids"]) {
        let bytes = hex(&case["addr6"]);
        let address = Address::decode(&mut Reader::new(&bytes)).expect("six bytes");
        assert_eq!(address.ip().to_string(), case["host"].as_str().expect("text"));
        assert_eq!(u64::from(address.port()), number(&case["port"]));
        assert_eq!(NodeId::of(&address).0, array(&case["id"]));
        let mut writer = Writer::default();
        address.encode(&mut writer);
        assert_eq!(writer.finish(), bytes);
    }
}

#[test]
fn odd_requests_are_taken_or_refused_as_by_the_reference() {
    let mut accepted = 0;
    for case in items(&read("swarm/dht-rpc.json")["decode"]) {
        let decoded = Message::decode(&hex(&case["hex"]));
        if case["accepted"] == Value::Bool(false) {
            assert!(decoded.is_err(), "{case}");
            continue;
        }
        let Ok(Message::Request(request)) = decoded else { panic!("{case}") };
        let expected = &case["decoded"];
        let is_internal = expected["internal"] == Value::Bool(true);
        let command = number(&expected["command"]);
        assert_eq!(u64::from(request.tid), number(&expected["tid"]));
        assert_eq!(
            request.command,
            if is_internal { Command::Internal(command) } else { Command::External(command) }
        );
        assert_eq!(request.target, Some(Target(array(&expected["target"]))));
        assert_eq!((request.value, request.token), (None, None));
        // The reference drops an id that is not the sender's; here the node compares it, not the decoder.
        let sender = NodeId::of(&address(&Value::from("5.6.7.8:9012")));
        assert_eq!(request.id.filter(|id| *id == sender).is_some(), !expected["fromId"].is_null());
        accepted += 1;
    }
    assert_eq!(accepted, 6);
}

#[test]
fn a_datagram_cut_at_any_byte_is_refused() {
    let vector = read("swarm/dht-rpc.json");
    for case in items(&vector["requests"]).iter().chain(items(&vector["responses"])) {
        let Some(bytes) = case.get("hex").or(case.get("request")).map(hex) else { continue };
        for end in 0..bytes.len() {
            assert!(Message::decode(&bytes[..end]).is_err(), "{} at {end}", case["name"]);
        }
    }
}

#[test]
fn numbers_and_counts_that_no_datagram_can_hold_are_refused() {
    let header = "0000010203042e16";
    let bad = [
        ("a command above 2^53 - 1", format!("0300{header}ff0000000000002000")),
        ("flags above 2^53 - 1", format!("03ff0000000000002000{header}00")),
        ("2^32 closer nodes", format!("1304{header}ff0000000001000000")),
        ("2^32 - 1 closer nodes", format!("1304{header}feffffffff")),
        ("one closer node more than there is", format!("1304{header}02010203040506")),
        ("a value of 2^53 - 1 bytes", format!("1310{header}ffffffffffffff1f00")),
        ("an error above 2^53 - 1", format!("1308{header}ffffffffffffffffff")),
    ];
    for (name, bytes) in bad {
        let decoded = Message::decode(&hex(&Value::from(bytes)));
        assert!(matches!(decoded, Err(MessageError::Malformed(_))), "{name}: {decoded:?}");
    }
    let mut long = vec![0x13, 0x10, 0, 0, 1, 2, 3, 4, 5, 6, 0xfd, 0xf3, 0x07];
    long.resize(2_048, 0);
    assert!(Message::decode(&long).is_ok());
    long.push(0);
    assert_eq!(Message::decode(&long), Err(MessageError::TooLong(2_049)));
}

#[test]
fn surplus_closer_nodes_are_ignored() {
    let mut bytes = vec![0x13, 0x04, 0, 0, 1, 2, 3, 4, 5, 6, 100];
    bytes.extend((0..100).flat_map(|number| [10, 0, 0, number, 1, 0]));
    let Ok(Message::Response(response)) = Message::decode(&bytes) else { panic!("a response") };
    assert_eq!(response.closer.len(), 20);
    assert_eq!(response.closer[19].ip().octets()[3], 19);
}

#[test]
fn samples_of_our_address_are_judged_as_in_the_reference() {
    let vector = read("swarm/dht-rpc.json");
    for trace in [&vector["natSampler"], &vector["natSamplerRandom"]] {
        let mut sampler = Sampler::default();
        for step in items(trace) {
            sampler.add(address(&step["add"]));
            let text = format!("{}:{}", step["host"].as_str().expect("text"), step["port"]);
            let expected = address(&Value::from(text));
            let observed = match expected.port() {
                0 => Observed::Host(expected.ip()),
                _ => Observed::Address(expected),
            };
            assert_eq!(sampler.observed(), observed, "{step}");
        }
    }
    assert_eq!(Sampler::default().observed(), Observed::Nothing);
}

#[test]
fn rows_of_the_table_are_those_of_the_reference() {
    let own = Target([0; 32]);
    for case in items(&read("swarm/dht-rpc.json")["tableRows"]) {
        let bits = NodeId(array(&case["id"])).distance(&own).common_bits();
        // The reference puts its own id into the last row; here it has none.
        let is_own = case.get("note").is_some();
        assert_eq!(u64::from(bits), if is_own { 256 } else { number(&case["row"]) });
    }
}

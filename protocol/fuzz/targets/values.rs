//! Values inside messages of DHT nodes and peers: an accepted value decodes to the same after it is encoded again.
#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use libvms_hyperswarm::hyperdht::announce::Announcement;
use libvms_hyperswarm::hyperdht::envelope::{HandshakeEnvelope, HolepunchEnvelope};
use libvms_hyperswarm::hyperdht::handshake_payload::HandshakePayload;
use libvms_hyperswarm::hyperdht::holepunch::payload::{HolepunchPayload, PunchSecrets};
use libvms_hyperswarm::hyperdht::record::LookupReply;

fn check<T: PartialEq + Debug, E>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, E>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    let Ok(value) = decode(bytes) else { return };
    let written = encode(&value);
    // Numbers may have been encoded longer than necessary, never shorter.
    assert!(written.len() <= bytes.len() + 2, "{} bytes became {}", bytes.len(), written.len());
    assert_eq!(decode(&written).ok(), Some(value));
}

fuzz_target!(|bytes: &[u8]| {
    let [kind, body @ ..] = bytes else { return };
    match kind % 7 {
        0 => check(body, HandshakePayload::decode, HandshakePayload::encode),
        1 => check(body, HandshakeEnvelope::decode, HandshakeEnvelope::encode),
        2 => check(body, HolepunchEnvelope::decode, HolepunchEnvelope::encode),
        3 => check(body, HolepunchPayload::decode, HolepunchPayload::encode),
        4 => check(body, LookupReply::decode, LookupReply::encode),
        5 => check(body, Announcement::decode, Announcement::encode),
        _ => assert!(PunchSecrets::new([1; 32], [2; 32]).open(body).is_err(), "nobody has sealed it"),
    }
});

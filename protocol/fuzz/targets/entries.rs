//! An accepted entry of a call log has one encoding only: the one that was decoded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use libvms_protocol::entry::Entry;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(entry) = Entry::decode(bytes) {
        let written = entry.encode().expect("what was read can be written");
        assert_eq!(written, bytes, "another encoding of the same entry was accepted");
    }
});

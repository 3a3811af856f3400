//! An accepted proof file has one encoding only, is judged without a panic, and prints no control characters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use libvms_protocol::proof::{History, Proof, Verdict};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(proof) = Proof::decode(bytes) {
        assert_eq!(proof.encode(), bytes, "another encoding of the same proof was accepted");
        for text in [proof.check().to_string(), proof.claim(), proof.contents()] {
            assert!(!text.contains(char::is_control), "{text:?}");
        }
        // One file has one history, unless it says itself that there are two.
        for mut shown in History::all_from_proof(&proof).into_iter().flatten() {
            for mut other in History::all_from_proof(&proof).into_iter().flatten() {
                if let Ok(fork) = shown.conflict(&mut other) {
                    assert_eq!(Proof::Equivocation(fork).check(), Verdict::Holds);
                }
            }
        }
    }
});

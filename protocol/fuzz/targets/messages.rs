//! An accepted message decodes to the same value after it is encoded again, and is hardly longer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use libvms_hypercore::wire::capability::CoreOpen;
use libvms_hypercore::wire::message::Message;

fuzz_target!(|bytes: &[u8]| {
    let [kind, body @ ..] = bytes else { return };
    if let Ok(Some(message)) = Message::decode(u64::from(*kind), body) {
        let written = message.encode();
        assert!(written.len() <= 3 * body.len() + 2);
        if !is_repaired(&message) {
            assert_eq!(Message::decode(u64::from(*kind), &written), Ok(Some(message)));
        }
    }
    if let Ok(open) = CoreOpen::decode(body) {
        assert_eq!(CoreOpen::decode(&open.encode()), Ok(open));
    }
});

/// Returns whether a name was not UTF-8: its replacement characters may exceed the limit of a name.
fn is_repaired(message: &Message) -> bool {
    matches!(message, Message::Extension(extension) if extension.name.contains(char::REPLACEMENT_CHARACTER))
}

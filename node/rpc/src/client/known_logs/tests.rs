//! The file of known logs, read and changed by any number of programs.

use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::SecretKey;
use libvms_hypercore::tree::TreeHash;

use super::*;

fn head(seed: u8, length: Length) -> SignedHead {
    SignedHead::sign(&SecretKey::from_seed(&[seed; 32]), length, TreeHash([length.0 as u8; 32]))
}

fn file() -> (tempfile::TempDir, KnownLogs) {
    let folder = tempfile::tempdir().expect("a folder");
    let known = KnownLogs::at(folder.path().join("deep/er/known_logs"));
    (folder, known)
}

fn store(file: &KnownLogs, name: Option<&str>, head: &SignedHead, compared: Option<&SignedHead>) -> Stored {
    file.change(|known| known.store(name, head, compared)).expect("a writable folder")
}

#[test]
fn what_is_stored_is_read() {
    let (_folder, file) = file();
    let known = file.read().expect("nothing yet");
    assert_eq!((known.log_of("ws://h/"), known.head_of(&head(1, Length(1)).key())), (None, None));
    let (one, key) = (head(1, Length(5)), SecretKey::from_seed(&[9; 32]).public_key());
    assert_eq!(store(&file, Some("ws://h/"), &one, None), Stored::Newest);
    file.change(|known| known.store_nonce(key, one.key(), 7)).expect("writable");
    file.change(|known| known.store_nonce(key, one.key(), 6)).expect("writable");
    let known = file.read().expect("readable");
    assert_eq!((known.log_of("ws://h/"), known.head_of(&one.key())), (Some(one.key()), Some(one)));
    assert_eq!((known.nonce_of(&key, &one.key()), known.nonce_of(&one.key(), &key)), (Some(7), None));
    let text = std::fs::read_to_string(file.path()).expect("text");
    assert!(text.starts_with(r#"{"url":"ws://h/","log":""#) && text.ends_with("\n"), "{text}");
    assert_eq!(text.lines().count(), 2, "{text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(file.path()).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn the_newest_head_of_a_log_is_that_of_all_its_urls() {
    let (_folder, file) = file();
    let (old, new) = (head(1, Length(5)), head(1, Length(9)));
    store(&file, Some("ws://a/"), &old, None);
    assert_eq!(store(&file, Some("ws://b/"), &new, Some(&old)), Stored::Newest);
    assert_eq!(store(&file, None, &new, Some(&old)), Stored::Newest, "no line of its own");
    let known = file.read().expect("readable");
    assert_eq!((known.lines.len(), known.head_of(&old.key())), (2, Some(new)));
    assert_eq!(known.log_of("ws://a/"), Some(old.key()));
    let other = head(2, Length(1));
    assert_eq!(store(&file, None, &other, None), Stored::Newest);
    assert_eq!(store(&file, Some("ws://a/"), &other, Some(&other)), Stored::Newest);
    let known = file.read().expect("readable");
    assert_eq!((known.log_of("ws://a/"), known.head_of(&other.key())), (Some(other.key()), Some(other)));
    assert_eq!(known.head_of(&old.key()), Some(new), "its head stays with its other URL");
}

#[test]
fn a_head_that_was_not_compared_is_not_replaced() {
    let (_folder, file) = file();
    let (ours, theirs) = (head(1, Length(5)), head(1, Length(7)));
    store(&file, Some("ws://h/"), &theirs, None);
    for head in [ours, head(1, Length(9))] {
        assert_eq!(store(&file, Some("ws://h/"), &head, Some(&ours)), Stored::Other(theirs));
        assert_eq!(file.read().expect("readable").head_of(&ours.key()), Some(theirs));
    }
    assert_eq!(store(&file, Some("ws://h/"), &head(1, Length(9)), Some(&theirs)), Stored::Newest);
}

#[test]
fn a_line_that_is_none_is_named_and_nothing_is_lost() {
    let (_folder, file) = file();
    store(&file, Some("ws://h/"), &head(1, Length(5)), None);
    let good = std::fs::read_to_string(file.path()).expect("text");
    let torn = &good[..good.len() / 2];
    let forged = good.replace("\"length\":5", "\"length\":6");
    let both = good.replace("\"length\":5", "\"length\":5,\"nonce\":5");
    let large = format!(r#"{{"key":"{0}","log":"{0}","nonce":9007199254740992}}"#, "ab".repeat(32));
    for bad in
        [torn, &forged, &both, &large, "{}", "7", "example.org ssh-ed25519 AAAA", &"x".repeat(30 << 10)]
    {
        let text = format!("{good}\n{bad}");
        std::fs::write(file.path(), &text).expect("writable");
        let error = file.read().expect_err(bad);
        assert!(matches!(error, KnownLogsError::Line { line: 3, .. }), "{error}");
        assert!(error.to_string().contains("known_logs"), "{error}");
        assert!(file.change(|known| known.store(None, &head(2, Length(1)), None)).is_err());
        assert_eq!(std::fs::read_to_string(file.path()).expect("text"), text, "as it was");
    }
    std::fs::write(file.path(), [good.as_bytes(), b"\xff"].concat()).expect("writable");
    assert!(matches!(file.read(), Err(KnownLogsError::Line { line: 2, .. })));
    std::fs::write(file.path(), vec![b'\n'; file::BYTES_MAX + 1]).expect("writable");
    assert!(matches!(file.read(), Err(KnownLogsError::Full { .. })));
}

#[test]
fn the_file_has_a_bound() {
    let (_folder, file) = file();
    let key = |number: u64| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        PublicKey(key)
    };
    let fill = |known: &mut Known, count: u64| {
        known.lines =
            (0..count).map(|n| Line::Nonce(NonceLine { key: key(n), log: key(n), nonce: n })).collect();
    };
    file.change(|known| fill(known, LINES_MAX as u64)).expect("just as many");
    let full = file.change(|known| known.store(None, &head(1, Length(1)), None));
    assert!(matches!(full, Err(KnownLogsError::Full { .. })));
    assert_eq!(file.read().expect("readable").lines.len(), LINES_MAX);
}

#[test]
fn programs_change_it_in_turn() {
    let (_folder, file) = file();
    let log = head(1, Length(1)).key();
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let file = &file;
            scope.spawn(move || {
                for nonce in 1..=20 {
                    let key = PublicKey([thread; 32]);
                    file.change(|known| known.store_nonce(key, log, nonce)).expect("writable");
                }
            });
        }
    });
    let known = file.read().expect("readable");
    assert!((0..8).all(|thread| known.nonce_of(&PublicKey([thread; 32]), &log) == Some(20)));
    assert_eq!(known.lines.len(), 8);
}

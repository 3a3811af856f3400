//! The length of a manifest: among the fields of a message it is not preceded by one.
//!
//! ```text
//! version 0    hash, type: 0 { prologue hash } | 1 { signer } | 2 { flags, quorum, count { signer } }
//! version 1..3 flags, hash, quorum, count { signer }, [prologue: hash, length], [count { links }], [bytes]
//! signer       0, namespace, public key
//! ```

use crate::encoding::{DecodeError, Reader, has};

/// Signers, and links to other cores, in one manifest.
const ITEMS_MAX: usize = 1024;
const SIGNER_BYTES_MIN: usize = 65;
const HASH_BYTES: u64 = 32;

/// Takes the bytes of one manifest.
pub(super) fn take_manifest<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let mut ahead = reader.clone();
    match ahead.uint()? {
        0 => skip_oldest(&mut ahead)?,
        1..=3 => skip_current(&mut ahead)?,
        number => return Err(DecodeError::Unknown { what: "manifest version", number }),
    }
    let length = reader.remaining() - ahead.remaining();
    reader.take(length as u64)
}

fn skip_oldest(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    expect_zero(reader, "hash function")?;
    match reader.uint()? {
        0 => reader.take(HASH_BYTES).map(drop),
        1 => skip_signer(reader),
        2 => {
            let (_flags, _quorum) = (reader.uint()?, reader.uint()?);
            skip_signers(reader)
        }
        number => Err(DecodeError::Unknown { what: "manifest type", number }),
    }
}

fn skip_current(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let flags = reader.uint()?;
    expect_zero(reader, "hash function")?;
    let _quorum = reader.uint()?;
    skip_signers(reader)?;
    if has(flags, 1) {
        reader.take(HASH_BYTES)?;
        reader.uint()?;
    }
    if has(flags, 2) {
        let links = reader.count("links of a manifest", HASH_BYTES as usize, ITEMS_MAX)?;
        reader.take(links as u64 * HASH_BYTES)?;
    }
    if has(flags, 3) {
        reader.bytes()?;
    }
    Ok(())
}

fn skip_signers(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let count = reader.count("signers of a manifest", SIGNER_BYTES_MIN, ITEMS_MAX)?;
    (0..count).try_for_each(|_| skip_signer(reader))
}

fn skip_signer(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    expect_zero(reader, "kind of signatures")?;
    reader.take(2 * HASH_BYTES).map(drop)
}

fn expect_zero(reader: &mut Reader<'_>, what: &'static str) -> Result<(), DecodeError> {
    match reader.uint()? {
        0 => Ok(()),
        number => Err(DecodeError::Unknown { what, number }),
    }
}

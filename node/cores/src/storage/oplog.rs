//! The oplog file of a core: two header slots, then the entries since the newest header.
//!
//! Start from [`Oplog::parse`]. The crate `hypercore` reads the same bytes, but gives up at a torn tail or header, and
//! replays entries that a newer header has made obsolete. We therefore read the file ourselves and show the crate
//! only the whole and current parts ([`Oplog::oplog_image`]).
//!
//! ```text
//! 0      header slot 0: leader, header
//! 4096   header slot 1: leader, header
//! 8192   entries: leader, entry; leader, entry; ..
//! leader u32le CRC-32 of all that follows, u32le (bytes << 2 | partial << 1 | bit)
//! ```
//!
//! The bit says which slot is current: slot 0 when the bits of both headers are equal (or only slot 0 is whole), slot 1
//! otherwise. An entry belongs to the header of slot 0 when its bit is 0, to that of slot 1 when it is 1.

use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::{PublicKey, SecretKey, Signature};
use libvms_hypercore::tree::{Hash, Node};

/// The offset of the entries.
pub(super) const ENTRIES_START: u64 = 2 * SLOT_BYTES as u64;
/// Bytes of a header slot.
pub(super) const SLOT_BYTES: usize = 4096;

const LEADER_BYTES: usize = 8;
const HEADER_BYTES_MAX: usize = SLOT_BYTES - LEADER_BYTES;
const PARTIAL: u32 = 2;
const BIT: u32 = 1;

/// Version 1; a key and a manifest are present.
const HEADER_START: [u8; 2] = [1, 6];
/// Manifest version 0, BLAKE2b, one signer, Ed25519.
const MANIFEST_START: [u8; 4] = [0, 0, 1, 0];
/// The parts of an append's entry: tree nodes, an upgrade and a bitfield update.
const ENTRY_OF_APPEND: u8 = 2 | 4 | 8;

/// A parsed oplog.
#[derive(Debug)]
pub(super) struct Oplog {
    pub(super) header: Header,
    /// The slot of the header: 0 or 1. Entries carry it as their bit.
    pub(super) slot: u8,
    /// The bit of the header's leader.
    pub(super) header_bit: u8,
    pub(super) entries: Vec<Entry>,
    /// The entries as in the file.
    pub(super) entry_bytes: Vec<u8>,
    /// The bytes of the file behind the entries: none, a part of an entry, or more.
    pub(super) remainder: Vec<u8>,
}

/// The core's keys, and its head when the header was written.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) bytes: Vec<u8>,
    pub(super) key: PublicKey,
    pub(super) secret_key: Option<SecretKey>,
    pub(super) length: Length,
    pub(super) signature: Option<Signature>,
}

/// One append: the nodes it added to the tree, the length before and the length after it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) nodes: Vec<Node>,
    pub(super) length_before: Length,
    pub(super) length: Length,
    pub(super) signature: Signature,
}

/// Why bytes are not an oplog.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OplogError {
    /// No header was ever completed; there is at most the beginning of one.
    Unborn,
    /// The bytes are something else.
    Foreign(&'static str),
}

impl Oplog {
    /// Parses an oplog, up to the last whole entry.
    ///
    /// The bytes behind that entry are an append that was interrupted before it was acknowledged, or older than the header.
    pub(super) fn parse(file: &[u8]) -> Result<Self, OplogError> {
        let oplog = Self::parse_beginning(file)?;
        oplog.refuse_a_hole()?;
        oplog.refuse_a_lost_header(file)?;
        Ok(oplog)
    }

    /// Parses an oplog up to the first incomplete part, whatever lies behind: for a reader that then looks into
    /// [`Oplog::remainder`] and into the data, which may know more than the oplog.
    pub(super) fn parse_beginning(file: &[u8]) -> Result<Self, OplogError> {
        let (slot, header_bit, header) = current_header(file)?;
        let (entries, entry_bytes, remainder) = Default::default();
        let mut oplog = Self { header, slot, header_bit, entries, entry_bytes, remainder };
        oplog.read_entries(file.get(ENTRIES_START as usize..).unwrap_or_default())?;
        Ok(oplog)
    }

    /// Drops all entries but the first `count`.
    pub(super) fn keep(&mut self, count: usize) {
        let mut rest = self.entry_bytes.as_slice();
        for _ in 0..count {
            rest = Record::read(rest).map_or(&[], |record| record.rest);
        }
        let kept = self.entry_bytes.len() - rest.len();
        self.entry_bytes.truncate(kept);
        self.entries.truncate(count);
    }

    /// Returns the number of blocks in the core.
    pub(super) fn length(&self) -> Length {
        self.entries.last().map_or(self.header.length, |entry| entry.length)
    }

    /// Returns the signature of the core's head, if it has blocks.
    pub(super) fn signature(&self) -> Option<Signature> {
        self.entries.last().map_or(self.header.signature, |entry| Some(entry.signature))
    }

    /// Returns the offset of the end of the last whole entry.
    pub(super) fn end(&self) -> u64 {
        ENTRIES_START + self.entry_bytes.len() as u64
    }

    /// Returns the oplog as the crate may see it: the current header in slot 0, an empty slot 1, the whole entries.
    pub(super) fn oplog_image(&self) -> Vec<u8> {
        let mut oplog_image = frame(&self.header.bytes, 0);
        oplog_image.resize(ENTRIES_START as usize, 0);
        oplog_image.extend_from_slice(&self.entry_bytes);
        oplog_image
    }

    fn read_entries(&mut self, area: &[u8]) -> Result<(), OplogError> {
        let mut rest = area;
        while let Some(record) = Record::read(rest).filter(|record| record.bit == self.slot) {
            let entry = record.entry()?;
            if entry.length_before != self.length() {
                break;
            }
            self.entries.push(entry);
            rest = record.rest;
        }
        self.entry_bytes = area[..area.len() - rest.len()].to_vec();
        self.remainder = rest.to_vec();
        Ok(())
    }

    /// Refuses a whole entry behind a broken one. An append is written only after the one before it is durable, so this
    /// means that an acknowledged append was lost, and the core must not sign that length a second time.
    fn refuse_a_hole(&self) -> Result<(), OplogError> {
        let Some((_, after)) = claimed(&self.remainder) else { return Ok(()) };
        match Record::read(after).filter(|record| record.bit == self.slot).map(|record| record.entry()) {
            Some(Ok(entry)) if entry.length_before > self.length() => {
                Err(OplogError::Foreign("an entry in the middle of its oplog is broken"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses an oplog whose newer header was lost. A header is written while the entries that it makes obsolete still exist.
    /// If the other header is broken and no entry belongs to this one, the other was lost later, and with it the knowledge of
    /// acknowledged appends.
    fn refuse_a_lost_header(&self, file: &[u8]) -> Result<(), OplogError> {
        let other = slot_bytes(file, 1 - self.slot);
        let is_broken = other.iter().any(|byte| *byte != 0) && Record::read(other).is_none();
        if is_broken && self.entries.is_empty() {
            return Err(OplogError::Foreign("the newer header of its oplog is broken"));
        }
        Ok(())
    }
}

/// The remains of appends in an oplog behind its last whole entry.
#[derive(Debug, Default)]
pub(super) struct Remains {
    /// Whether there is anything but zeros and entries that a newer header has made obsolete.
    pub(super) is_anything: bool,
    /// The readable fields of the broken entry at the beginning; they may be wrong.
    pub(super) broken: Partial,
    /// Whole entries behind the broken one.
    pub(super) whole: Vec<Entry>,
}

/// As much of an entry as can be read.
#[derive(Debug, Default)]
pub(super) struct Partial {
    pub(super) nodes: Vec<Node>,
    pub(super) length: Option<Length>,
    pub(super) signature: Option<Signature>,
}

impl Remains {
    /// Searches the bytes behind the last whole entry of a core with `length` blocks.
    pub(super) fn find(remainder: &[u8], length: Length) -> Self {
        let mut rest = remainder;
        // A crash after a header was written leaves the entries that it made obsolete.
        while let Some(record) = Record::read(rest)
            && record.entry().is_ok_and(|entry| entry.length <= length)
        {
            rest = record.rest;
        }
        // Zeros at the end are bytes that the system never wrote.
        let written = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let is_anything = written > 0;
        let broken = match Record::read(rest) {
            None => Entry::decode_partly(rest[..written].get(LEADER_BYTES..).unwrap_or_default()),
            Some(_) => Partial::default(),
        };
        let mut whole = vec![];
        let mut at = 0;
        while at + LEADER_BYTES < rest.len() {
            let found = Some(&rest[at..]).filter(|bytes| bytes[LEADER_BYTES] == ENTRY_OF_APPEND);
            match found.and_then(Record::read) {
                Some(record) => {
                    whole.extend(record.entry().ok().filter(|entry| entry.length > length));
                    at = rest.len() - record.rest.len();
                }
                None => at += 1,
            }
        }
        Self { is_anything, broken, whole }
    }
}

/// Returns a header or entry with its leader.
pub(super) fn frame(payload: &[u8], bit: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(LEADER_BYTES + payload.len());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&((payload.len() as u32) << 2 | u32::from(bit)).to_le_bytes());
    bytes.extend_from_slice(payload);
    let checksum = crc32(&bytes[4..]);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Returns the payload behind a leader that the crate wrote.
pub(super) fn unframe(bytes: &[u8]) -> Option<&[u8]> {
    Record::read(bytes).map(|record| record.payload)
}

fn current_header(file: &[u8]) -> Result<(u8, u8, Header), OplogError> {
    let headers = (Record::read(slot_bytes(file, 0)), Record::read(slot_bytes(file, 1)));
    let (slot, record) = match headers {
        (Some(first), Some(second)) if first.bit == second.bit => (0, first),
        (_, Some(second)) => (1, second),
        (Some(first), None) => (0, first),
        (None, None) if is_unborn(file) => return Err(OplogError::Unborn),
        (None, None) => return Err(OplogError::Foreign("its oplog has no whole header")),
    };
    Ok((slot, record.bit, Header::decode(record.payload)?))
}

fn slot_bytes(file: &[u8], slot: u8) -> &[u8] {
    let bytes = file.get(usize::from(slot) * SLOT_BYTES..).unwrap_or_default();
    &bytes[..bytes.len().min(SLOT_BYTES)]
}

/// Returns whether the file is that of an interrupted creation: empty, zeros, or the beginning of a header.
fn is_unborn(file: &[u8]) -> bool {
    let written = file.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let Some(header) = file[..written].get(LEADER_BYTES..) else { return true };
    let begins = header.iter().zip(HEADER_START).all(|(found, expected)| *found == expected);
    let fits = claimed(file).is_none_or(|(length, _)| length <= HEADER_BYTES_MAX);
    begins && fits && written <= SLOT_BYTES
}

/// A checked leader and its payload.
struct Record<'a> {
    bit: u8,
    partial: bool,
    payload: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Record<'a> {
    /// Returns `None` when the checksum or the length does not match.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (checksum, after) = bytes.split_first_chunk::<4>()?;
        let (combined, body) = after.split_first_chunk::<4>()?;
        let combined = u32::from_le_bytes(*combined);
        let length = (combined >> 2) as usize;
        let payload = body.get(..length).filter(|payload| !payload.is_empty())?;
        (crc32(&after[..4 + length]) == u32::from_le_bytes(*checksum)).then(|| Self {
            bit: (combined & BIT) as u8,
            partial: combined & PARTIAL != 0,
            payload,
            rest: &body[length..],
        })
    }

    fn entry(&self) -> Result<Entry, OplogError> {
        const FOREIGN: OplogError = OplogError::Foreign("its oplog holds an entry of another program");
        if self.partial {
            return Err(FOREIGN);
        }
        Entry::decode(self.payload).ok_or(FOREIGN)
    }
}

/// Returns the length that a leader claims, and the bytes behind the leader; does not check the checksum.
fn claimed(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let combined = bytes.get(4..LEADER_BYTES)?.first_chunk::<4>()?;
    let length = (u32::from_le_bytes(*combined) >> 2) as usize;
    (length > 0).then(|| (length, bytes.get(LEADER_BYTES + length..).unwrap_or_default()))
}

impl Header {
    fn decode(bytes: &[u8]) -> Result<Self, OplogError> {
        Self::decode_fields(bytes).ok_or(OplogError::Foreign("its header is of a kind that we do not write"))
    }

    fn decode_fields(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        fields.expect(&HEADER_START)?;
        let key = fields.array::<32>()?;
        fields.expect(&MANIFEST_START)?;
        let _namespace = fields.array::<32>()?;
        fields.expect(&key)?;
        fields.expect(&[32])?;
        fields.expect(&key)?;
        let secret_key = secret_key(fields.bytes()?, PublicKey(key))?;
        fields.expect(&[0])?;
        let fork = fields.number()?;
        let length = Length(fields.number()?);
        let _root_hash = fields.bytes()?;
        let signature = fields.bytes()?;
        let signature = if signature.is_empty() { None } else { Some(Signature(signature.try_into().ok()?)) };
        // A core of ours is never truncated: its fork stays 0, and it has a signature as soon as it has blocks.
        let is_ours = fork == 0 && length.0 < 1 << 62 && signature.is_none() == length.is_empty();
        is_ours.then(|| Self { bytes: bytes.to_vec(), key: PublicKey(key), secret_key, length, signature })
    }
}

/// Parses the seed with the public key behind it, as libsodium stores secret keys; or nothing. `None` for other bytes.
fn secret_key(bytes: &[u8], public: PublicKey) -> Option<Option<SecretKey>> {
    if bytes.is_empty() {
        return Some(None);
    }
    let (seed, rest) = bytes.split_first_chunk::<32>()?;
    let secret = SecretKey::from_seed(seed);
    (rest == public.0 && secret.public_key() == public).then_some(Some(secret))
}

impl Entry {
    /// Decodes the entry of an append; `None` for any other.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        fields.expect(&[ENTRY_OF_APPEND])?;
        let count = usize::try_from(fields.number()?).ok()?;
        // A node has at least 34 bytes, so that a claimed count allocates no more than the entry itself.
        let mut nodes = Vec::with_capacity(count.min(bytes.len() / 34));
        for _ in 0..count {
            nodes.push(Node { index: fields.number()?, size: fields.number()?, hash: Hash(fields.array()?) });
        }
        let fork = fields.number()?;
        let length_before = Length(fields.number()?);
        let length = Length(fields.number()?);
        let signature = Signature(fields.bytes()?.try_into().ok()?);
        fields.expect(&[0])?;
        let (start, added) = (fields.number()?, fields.number()?);
        let fits = fork == 0 && start == length_before.0 && length_before.checked_add(added) == Some(length);
        let grows = added > 0 && length.0 < 1 << 62 && nodes.iter().all(|node| node.index < 2 * length.0);
        (fits && grows && fields.0.is_empty()).then_some(Self { nodes, length_before, length, signature })
    }

    /// Decodes the readable part of a broken append entry.
    fn decode_partly(bytes: &[u8]) -> Partial {
        let mut partial = Partial::default();
        let mut fields = Fields(bytes);
        let _ended = partial.read(&mut fields);
        partial
    }
}

impl Partial {
    fn read(&mut self, fields: &mut Fields<'_>) -> Option<()> {
        fields.expect(&[ENTRY_OF_APPEND])?;
        for _ in 0..fields.number()? {
            let node = Node { index: fields.number()?, size: fields.number()?, hash: Hash(fields.array()?) };
            self.nodes.push(node);
        }
        let _fork = fields.number()?;
        let _length_before = fields.number()?;
        self.length = Some(Length(fields.number()?));
        self.signature = Some(Signature(fields.bytes()?.try_into().ok()?));
        Some(())
    }
}

/// The unread rest of a record in the compact encoding.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const LENGTH: usize>(&mut self) -> Option<[u8; LENGTH]> {
        self.take(LENGTH)?.try_into().ok()
    }

    fn expect(&mut self, bytes: &[u8]) -> Option<()> {
        (self.take(bytes.len())? == bytes).then_some(())
    }

    /// Reads a number: up to 252 in one byte, else a byte that says how many follow.
    fn number(&mut self) -> Option<u64> {
        Some(match self.array::<1>()?[0] {
            0xfd => u16::from_le_bytes(self.array()?).into(),
            0xfe => u32::from_le_bytes(self.array()?).into(),
            0xff => u64::from_le_bytes(self.array()?),
            small => small.into(),
        })
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }
}

/// Returns the CRC-32 as zlib computes it.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| CRC_TABLE[((sum ^ u32::from(*byte)) & 0xff) as usize] ^ (sum >> 8))
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut sum = index as u32;
        let mut round = 0;
        while round < 8 {
            sum = if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 };
            round += 1;
        }
        table[index] = sum;
        index += 1;
    }
    table
};

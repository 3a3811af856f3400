//! Violation: the entries of a log themselves break a rule. No engine is needed to see it.

use std::fmt;
use std::str::FromStr;

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::Node;
use serde::{Deserialize, Serialize};

use super::basis::{
    call_age, call_of, check_entries, check_head, claims_known_format, entry_at, read_entry, read_init,
    signed_by,
};
use super::path::Cover;
use super::record::{self, Head, NumberedEntry, Tag, Version, constant, within};
use super::{Judged, ProofError, cannot_tell, describe, fails};
use crate::audit::{self, callers, check_place};
use crate::entry::{Call, Entry, EntryError, Init, Seen};
use crate::limits::SEEN_LENGTHS_MAX;

constant!(
    /// The `kind`.
    KindName: String = "violation"
);

/// Entries that a proof may hold: block 0, the one in question, and an earlier one.
const ENTRIES_MAX: usize = 3;

/// Bytes of the name of a class.
const CLASS_BYTES_MAX: usize = 64;

/// The proof that the key signed a log in which block `block` breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Violation {
    #[serde(rename = "type")]
    tag: Tag,
    v: Version,
    kind: KindName,
    /// The signed head.
    pub checkpoint: Head,
    /// The rule, by the name of its violation (see [`Class`]).
    pub class: String,
    /// Number of the block in question.
    pub block: BlockIndex,
    /// Block 0, the block in question, and where the class compares two entries, the earlier one; ascending.
    pub entries: Vec<NumberedEntry>,
    /// The given nodes of the cover of these entries; for `unknown-head` with the cut at the length that the caller has
    /// seen, where that is at most `block`.
    pub path: Vec<Node>,
}

/// The violations that entries alone show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The block is not an entry of its log's format.
    MalformedEntry,
    /// The entry is not allowed at its place, whatever the script.
    WrongOrder,
    /// The time is before that of the earlier entry.
    TimeWentBack,
    /// The call is not signed by the caller that it names.
    BadSignature,
    /// The nonce is not greater than that of the earlier call of the same caller.
    RepeatedNonce,
    /// The call replaces a number of the earlier call of the same caller, or `instead` is not in its form.
    RepeatedCall,
    /// The call replaces a number that is too old.
    StaleInstead,
    /// The call is older than the log allows, or younger than its entry.
    StaleCall,
    /// The caller has seen a head that is not among the log's latest.
    UnknownHead,
}

impl Violation {
    /// The name of this kind.
    pub const KIND: &'static str = "violation";

    /// Makes the proof from block 0, the block in question and, where the class compares two entries, the earlier one, in
    /// any order, and from a store of nodes that holds those of the head's log. `None` if a node or block is not there.
    ///
    /// Whether it holds, [`Proof::check`](super::Proof::check) says.
    pub fn make(
        head: &SignedHead,
        class: Class,
        block: BlockIndex,
        entries: impl IntoIterator<Item = (BlockIndex, Vec<u8>)>,
        node: impl FnMut(u64) -> Option<Node>,
    ) -> Option<Self> {
        let entries = NumberedEntry::in_order(entries);
        let (checkpoint, class) = (head.into(), class.name().into());
        let mut proof =
            Self { tag: Tag, v: Version, kind: KindName, checkpoint, class, block, entries, path: vec![] };
        let cut = proof.cut().ok().flatten();
        let blocks = proof.entries.iter().map(|entry| entry.block);
        proof.path = Cover::new(head.length(), blocks, cut)?.nodes(node)?;
        proof.check_bounds().is_ok().then_some(proof)
    }

    pub(super) fn check_bounds(&self) -> Result<(), ProofError> {
        within("bytes in the name of the class", self.class.len(), CLASS_BYTES_MAX)?;
        record::check_entries(&self.entries, ENTRIES_MAX)?;
        record::check_path(&self.path)
    }

    pub(super) fn judge(&self) -> Judged {
        check_head(&self.checkpoint)?;
        let block_0 = entry_at(&self.entries, BlockIndex::FIRST)?;
        let block = entry_at(&self.entries, self.block)?;
        let class = self.known_class()?;
        let earlier = self.earlier(class)?;
        let hash_at_cut = check_entries(&self.checkpoint, &self.entries, self.cut()?, &self.path)?;
        if self.block == BlockIndex::FIRST {
            return judge_block_0(class, block_0);
        }
        let init = read_init(block_0)?;
        match class {
            Class::MalformedEntry => self.judge_form(&init, block),
            Class::WrongOrder => judge_place(self.block, &read_entry(block, init.v)?),
            Class::TimeWentBack => {
                let entry = read_entry(block, init.v)?;
                judge_time(&entry, earlier, &init, self.block == BlockIndex(1))
            }
            _ => {
                let entry = read_entry(block, init.v)?;
                self.judge_call(class, &init, call_of(&entry)?, earlier, hash_at_cut)
            }
        }
    }

    fn known_class(&self) -> Judged<Class> {
        let unknown =
            || cannot_tell(format_args!("this program cannot judge class {}", describe::quoted(&self.class)));
        self.class.parse().map_err(|UnknownClass| unknown())
    }

    /// Returns the entry with which the class compares the one in question. There must be no others.
    fn earlier(&self, class: Class) -> Judged<Option<&NumberedEntry>> {
        let mut others =
            self.entries.iter().filter(|entry| ![BlockIndex::FIRST, self.block].contains(&entry.block));
        let first = others.next();
        let is_needed = first.is_none_or(|entry| class.compares() && entry.block < self.block);
        if is_needed && others.next().is_none() {
            Ok(first)
        } else {
            Err(fails("entries", "there are others than the class needs"))
        }
    }

    /// Returns the length of which the tree hash is compared.
    fn cut(&self) -> Judged<Option<Length>> {
        if self.known_class()? != Class::UnknownHead || self.block == BlockIndex::FIRST {
            return Ok(None);
        }
        let init = read_init(entry_at(&self.entries, BlockIndex::FIRST)?)?;
        let entry = read_entry(entry_at(&self.entries, self.block)?, init.v)?;
        Ok(call_of(&entry)?
            .seen
            .map(|seen| seen.length)
            .filter(|length| *length <= self.block.length_before()))
    }

    fn judge_form(&self, init: &Init, block: &[u8]) -> Judged {
        let well_formed = || fails("entry", "it is well-formed");
        match Entry::decode_in(block, init.v) {
            Err(error @ EntryError::Unknown { .. }) => {
                Err(cannot_tell(describe::escaped(&error.to_string())))
            }
            Err(EntryError::Malformed { .. } | EntryError::TooLarge { .. }) => Ok(()),
            Ok(Entry::Call(entry)) => {
                // Fields that the log's kind of callers does not have.
                match callers::check_signature(&self.checkpoint.log, init.auth, &entry.call) {
                    Err(audit::Violation::MalformedEntry { .. }) => Ok(()),
                    _ => Err(well_formed()),
                }
            }
            Ok(_) => Err(well_formed()),
        }
    }

    fn judge_call(
        &self,
        class: Class,
        init: &Init,
        call: &Call,
        earlier: Option<&NumberedEntry>,
        hash_at_cut: libvms_hypercore::tree::TreeHash,
    ) -> Judged {
        if class == Class::BadSignature {
            let checked = callers::check_signature(&self.checkpoint.log, init.auth, call);
            return expect(checked, "the signature holds, or there is none to check");
        }
        let call_age = call_age(init)?;
        let by = signed_by(call)?;
        let earlier = || -> Judged<Call> {
            let entry = earlier.ok_or_else(|| cannot_tell("the earlier entry is missing"))?;
            call_of(&read_entry(&entry.entry.0, init.v)?).cloned()
        };
        match class {
            Class::StaleCall => expect(callers::check_age(call.at, by.nonce, call_age), "it is young enough"),
            Class::StaleInstead => {
                let checked = callers::check_instead_age(call.at, &by, call_age);
                expect(checked, "what it replaces is young enough")
            }
            Class::RepeatedCall if !by.is_instead_in_form() => Ok(()),
            Class::UnknownHead => judge_seen(self.block, by.seen, hash_at_cut),
            _ => {
                let earlier = signed_by(&earlier()?)?;
                let is_repeated = if class == Class::RepeatedNonce {
                    by.nonce <= earlier.nonce
                } else {
                    by.instead.iter().flatten().any(|number| earlier.numbers().any(|other| other == *number))
                };
                match (earlier.key == by.key, is_repeated) {
                    (true, true) => Ok(()),
                    (true, false) => Err(fails("numbers", "those of the two calls do not meet")),
                    (false, _) => Err(fails("entries", "the calls are of different callers")),
                }
            }
        }
    }

    pub(super) fn claim(&self) -> String {
        let Self { checkpoint: Head { log, length, .. }, class, block, .. } = self;
        let rule = match class.parse::<Class>() {
            Ok(class) => class.words(),
            Err(UnknownClass) => "breaks a rule that this program does not know",
        };
        let entry =
            entry_at(&self.entries, *block).map_or("an entry that is missing here".into(), describe::entry);
        let class = describe::quoted(class);
        format!(
            "Key {log} signed a log of {length} blocks, of which block {block} {rule} ({class}): {entry}."
        )
    }

    pub(super) fn contents(&self) -> String {
        let entries = describe::count(self.entries.len(), "entry", "entries");
        let bytes: usize = self.entries.iter().map(|entry| entry.entry.0.len()).sum();
        let nodes = describe::count(self.path.len(), "node", "nodes");
        format!("A signed head, {entries} of {bytes} bytes, {nodes} of the tree.")
    }
}

/// Judges block 0, of which there is nothing to compare it with.
fn judge_block_0(class: Class, block_0: &[u8]) -> Judged {
    match (class, Entry::decode(block_0)) {
        (_, Err(error @ EntryError::Unknown { .. })) => {
            Err(cannot_tell(describe::escaped(&error.to_string())))
        }
        (Class::MalformedEntry, Err(_)) if claims_known_format(block_0) => Ok(()),
        (_, Err(_)) => Err(cannot_tell("block 0 is not the init of a format that this program knows")),
        (Class::MalformedEntry, Ok(_)) => Err(fails("entry", "it is well-formed")),
        (Class::WrongOrder, Ok(entry)) => judge_place(BlockIndex::FIRST, &entry),
        (_, Ok(_)) => Err(fails("entry", "it is block 0, which the class is not about")),
    }
}

/// Judges the place of an entry. Some depends on whether the script exports `init`, which an engine would have to say.
fn judge_place(block: BlockIndex, entry: &Entry) -> Judged {
    let [without, with] = [false, true].map(|has_init| check_place(block, entry, has_init));
    match (without, with) {
        (Err(_), Err(_)) => Ok(()),
        (Ok(()), Ok(())) => Err(fails("place", "the entry may stand there")),
        _ => Err(cannot_tell("that depends on whether the script exports init, which needs an engine")),
    }
}

/// Compares the times of two entries; without an earlier one, that of block 0.
fn judge_time(entry: &Entry, earlier: Option<&NumberedEntry>, init: &Init, is_first: bool) -> Judged {
    let at = call_of(entry)?.at;
    let before = match earlier {
        Some(earlier) => call_of(&read_entry(&earlier.entry.0, init.v)?)?.at,
        None => init.at,
    };
    match (at < before, earlier) {
        (true, _) => Ok(()),
        (false, None) if !is_first => Err(cannot_tell("the earlier entry is missing")),
        (false, _) => Err(fails("time", format_args!("{at} is not before {before}"))),
    }
}

/// Judges the head that a caller has seen before the entry at `block`.
fn judge_seen(
    block: BlockIndex,
    seen: Option<Seen>,
    hash_at_seen: libvms_hypercore::tree::TreeHash,
) -> Judged {
    let seen = seen.ok_or_else(|| fails("entry", "the call names no head"))?;
    let is_recent =
        block.length_before().checked_sub(seen.length).is_some_and(|back| back < SEEN_LENGTHS_MAX);
    if is_recent && seen.hash == hash_at_seen {
        Err(fails("head", format_args!("the log's head at length {} is the one that was seen", seen.length)))
    } else {
        Ok(())
    }
}

/// Wants a rule of the audit to be broken.
fn expect(checked: Result<(), audit::Violation>, otherwise: &str) -> Judged {
    match checked {
        Ok(()) => Err(fails("entry", otherwise)),
        Err(audit::Violation::MalformedEntry { .. }) => {
            Err(fails("entry", "it is malformed, which is another class"))
        }
        Err(_) => Ok(()),
    }
}

/// The name is that of no [`Class`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownClass;

impl fmt::Display for UnknownClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no class of violations that entries alone show")
    }
}

impl std::error::Error for UnknownClass {}

impl Class {
    /// All classes.
    pub const ALL: [Self; 9] = [
        Self::MalformedEntry,
        Self::WrongOrder,
        Self::TimeWentBack,
        Self::BadSignature,
        Self::RepeatedNonce,
        Self::RepeatedCall,
        Self::StaleInstead,
        Self::StaleCall,
        Self::UnknownHead,
    ];

    /// Returns the name, as [`audit::Violation::class`] has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::MalformedEntry => "malformed-entry",
            Self::WrongOrder => "wrong-order",
            Self::TimeWentBack => "time-went-back",
            Self::BadSignature => "bad-signature",
            Self::RepeatedNonce => "repeated-nonce",
            Self::RepeatedCall => "repeated-call",
            Self::StaleInstead => "stale-instead",
            Self::StaleCall => "stale-call",
            Self::UnknownHead => "unknown-head",
        }
    }

    /// Returns whether the class compares the entry with an earlier one.
    pub fn compares(self) -> bool {
        matches!(self, Self::TimeWentBack | Self::RepeatedNonce | Self::RepeatedCall)
    }

    fn words(self) -> &'static str {
        match self {
            Self::MalformedEntry => "is not an entry of the log's format",
            Self::WrongOrder => "is not allowed at its place",
            Self::TimeWentBack => "has an earlier time than an entry before it",
            Self::BadSignature => "is not signed by the caller that it names",
            Self::RepeatedNonce => {
                "has a nonce that is not greater than that of an earlier call of its caller"
            }
            Self::RepeatedCall => "executes an intention of its caller for a second time",
            Self::StaleInstead => "replaces a call that is too old for that",
            Self::StaleCall => "was executed too long after it was signed, or before",
            Self::UnknownHead => "names a head as seen that is not this log's",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Class {
    type Err = UnknownClass;

    fn from_str(name: &str) -> Result<Self, UnknownClass> {
        Self::ALL.into_iter().find(|class| class.name() == name).ok_or(UnknownClass)
    }
}

//! Proof files: what one party can show another that trusts neither. Start from [`Proof`].
//!
//! A proof holds a claim about one log and everything that is needed to judge it without a network, an engine or
//! trust: only the log's key comes from outside, for people to compare. `FORMAT.md` has a schema and an example of
//! each kind.
//!
//! A proof never rests on parts that its maker left out. Where a part is missing the verdict is
//! [`Verdict::CannotTell`]; so is it for a kind or a version that this program does not know.
//!
//! A proof speaks about a *key*. The cores of an archive have keys of their own, and their blocks are what callers
//! wrote: a proof about such a key says nothing about its host. Compare [`Proof::log`] with the log in question.

pub mod equivocation;
pub mod false_refusal;
pub mod history;
pub mod inclusion;
pub mod path;
pub mod violation;

mod basis;
mod describe;
mod record;

use std::borrow::Cow;
use std::fmt;

use libvms_hypercore::identity::PublicKey;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits;

pub use equivocation::Equivocation;
pub use false_refusal::{FalseRefusal, SignedCall};
pub use history::{History, NoFork};
pub use inclusion::Inclusion;
pub use record::{Bytes, Head, NumberedEntry};
pub use violation::Violation;

/// Bytes of one proof file: room for the largest block that peers exchange, two more entries and their paths.
pub const PROOF_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Items of CBOR in one proof file: as many as the arguments of a call may have, and more than all else needs. An item takes
/// far more room in memory than in a file.
const ITEMS_MAX: usize = limits::ARGUMENTS_BYTES_MAX + 64 * 1024;

/// Bytes of the name of a proof's kind.
const KIND_BYTES_MAX: usize = 64;

/// A claim about a log, with what is needed to judge it.
#[derive(Clone, Debug, PartialEq)]
pub enum Proof {
    /// An entry stands in the log that the host signed: a receipt.
    Inclusion(Inclusion),
    /// The host signed two histories of one core.
    Equivocation(Equivocation),
    /// The entries of a log break a rule.
    Violation(Violation),
    /// The host refused a good call.
    FalseRefusal(Box<FalseRefusal>),
    /// A proof of a kind or version that this program does not know.
    Unknown(UnknownProof),
}

/// A proof of a kind or version that this program does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownProof {
    kind: String,
    version: u64,
    bytes: Vec<u8>,
}

/// The outcome of checking a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The claim holds.
    Holds,
    /// The claim does not hold.
    Fails {
        /// The step at which it fails, and why.
        step: String,
    },
    /// Neither can be told: a part is missing, or something that this program does not have or know.
    CannotTell {
        /// What is missing or not known.
        why: String,
    },
}

/// Why bytes are not a proof that can be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ProofError {
    /// The bytes are not a proof in its only encoding.
    #[error("not a proof file: {why}")]
    Malformed {
        /// The decoder's message.
        why: String,
    },
    /// A part is larger than any proof needs.
    #[error("not a proof file: {found} {what}, the limit is {max}")]
    TooLarge {
        /// The part.
        what: &'static str,
        /// Its size.
        found: usize,
        /// The limit.
        max: usize,
    },
}

/// The fields that every proof has, read before all others.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    tag: Cow<'a, str>,
    v: u64,
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

impl Proof {
    /// Reads a proof file.
    ///
    /// # Errors
    /// [`ProofError`] if the bytes are not the one encoding of a proof within the bounds. A proof of an unknown kind or
    /// version is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProofError> {
        record::within("bytes", bytes.len(), PROOF_BYTES_MAX)?;
        let Kind { tag, v, kind } = from_slice(bytes)?;
        if tag != "proof" {
            return Err(ProofError::malformed("its type is not `proof`"));
        }
        record::within("bytes in the name of the kind", kind.len(), KIND_BYTES_MAX)?;
        match (v, kind.as_ref()) {
            (1, Inclusion::KIND) => decode(bytes, Inclusion::check_bounds).map(Self::Inclusion),
            (1, Equivocation::KIND) => decode(bytes, Equivocation::check_bounds).map(Self::Equivocation),
            (1, Violation::KIND) => decode(bytes, Violation::check_bounds).map(Self::Violation),
            (1, FalseRefusal::KIND) => {
                decode(bytes, FalseRefusal::check_bounds).map(|proof| Self::FalseRefusal(Box::new(proof)))
            }
            _ => {
                Ok(Self::Unknown(UnknownProof { kind: kind.into_owned(), version: v, bytes: bytes.to_vec() }))
            }
        }
    }

    /// Returns the bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Inclusion(proof) => encode(proof),
            Self::Equivocation(proof) => encode(proof),
            Self::Violation(proof) => encode(proof),
            Self::FalseRefusal(proof) => encode(proof),
            Self::Unknown(proof) => proof.bytes.clone(),
        }
    }

    /// Judges the claim from the file alone.
    pub fn check(&self) -> Verdict {
        let judged = match self {
            Self::Inclusion(proof) => proof.judge().map(|_| ()),
            Self::Equivocation(proof) => proof.judge(),
            Self::Violation(proof) => proof.judge(),
            Self::FalseRefusal(proof) => proof.judge(),
            Self::Unknown(UnknownProof { kind, version, .. }) => Err(cannot_tell(format_args!(
                "a proof of kind {} and version {version} needs a later version of this program",
                describe::quoted(kind)
            ))),
        };
        judged.err().unwrap_or(Verdict::Holds)
    }

    /// Judges the claim, and whether it is about the core `log`: a proof convicts a key, and anybody has keys. A claim about
    /// another core fails, whatever else it holds.
    pub fn check_about(&self, log: &PublicKey) -> Verdict {
        match self.log() {
            Some(found) if found != *log => {
                fails("log", format_args!("it is about {found}, not about {log}"))
            }
            _ => self.check(),
        }
    }

    /// Returns the key of the log about which the claim is. `None` for an unknown kind.
    pub fn log(&self) -> Option<PublicKey> {
        match self {
            Self::Inclusion(proof) => Some(proof.checkpoint.log),
            Self::Equivocation(proof) => proof.heads.first().map(|head| head.log),
            Self::Violation(proof) => Some(proof.checkpoint.log),
            Self::FalseRefusal(proof) => Some(proof.refusal.log),
            Self::Unknown(_) => None,
        }
    }

    /// Returns the name of the kind.
    pub fn kind(&self) -> &str {
        match self {
            Self::Inclusion(_) => Inclusion::KIND,
            Self::Equivocation(_) => Equivocation::KIND,
            Self::Violation(_) => Violation::KIND,
            Self::FalseRefusal(_) => FalseRefusal::KIND,
            Self::Unknown(proof) => &proof.kind,
        }
    }

    /// Returns a sentence for people: what the file claims. Texts of others in it are escaped and cut.
    pub fn claim(&self) -> String {
        match self {
            Self::Inclusion(proof) => proof.claim(),
            Self::Equivocation(proof) => proof.claim(),
            Self::Violation(proof) => proof.claim(),
            Self::FalseRefusal(proof) => proof.claim(),
            Self::Unknown(UnknownProof { kind, version, .. }) => {
                format!("A claim of kind {} and version {version}.", describe::quoted(kind))
            }
        }
    }

    /// Returns a sentence for people: what the file holds for its claim.
    pub fn contents(&self) -> String {
        match self {
            Self::Inclusion(proof) => proof.contents(),
            Self::Equivocation(proof) => proof.contents(),
            Self::Violation(proof) => proof.contents(),
            Self::FalseRefusal(proof) => proof.contents(),
            Self::Unknown(proof) => format!("{} bytes that this program cannot read.", proof.bytes.len()),
        }
    }
}

impl Verdict {
    /// Returns `holds`, `fails` or `cannot-tell`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Fails { .. } => "fails",
            Self::CannotTell { .. } => "cannot-tell",
        }
    }

    /// Returns the exit code of a program that checks proofs: 0, 1 or 3. (2 is for files that cannot be read.)
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Holds => 0,
            Self::Fails { .. } => 1,
            Self::CannotTell { .. } => 3,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds => f.write_str("the claim holds"),
            Self::Fails { step } => write!(f, "the claim does not hold: {step}"),
            Self::CannotTell { why } => write!(f, "cannot be told: {why}"),
        }
    }
}

impl ProofError {
    fn malformed(why: impl ToString) -> Self {
        Self::Malformed { why: why.to_string() }
    }
}

/// The result of a step of a check; the error ends the check.
type Judged<T = ()> = Result<T, Verdict>;

/// Returns the verdict that a claim fails at a step.
fn fails(step: &str, why: impl fmt::Display) -> Verdict {
    Verdict::Fails { step: format!("{step}: {why}") }
}

fn cannot_tell(why: impl ToString) -> Verdict {
    Verdict::CannotTell { why: why.to_string() }
}

/// Reads a record that has only one encoding.
fn decode<T: DeserializeOwned + Serialize>(
    bytes: &[u8],
    check_bounds: fn(&T) -> Result<(), ProofError>,
) -> Result<T, ProofError> {
    record::within("items", record::items(bytes, ITEMS_MAX + 1), ITEMS_MAX)?;
    let record: T = from_slice(bytes)?;
    check_bounds(&record)?;
    if encode(&record) == bytes {
        Ok(record)
    } else {
        Err(ProofError::malformed("it is not in the canonical encoding"))
    }
}

fn from_slice<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ProofError> {
    serde_ipld_dagcbor::from_slice(bytes).map_err(ProofError::malformed)
}

fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(record).expect("proofs hold nothing that DAG-CBOR cannot express")
}

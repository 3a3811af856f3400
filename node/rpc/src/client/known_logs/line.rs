//! One line of the file: `{url, log, length, hash, sig}` of a head, `{key, log, nonce}` of a key.

use data_encoding::HEXLOWER;
use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::{PublicKey, Signature};
use libvms_hypercore::signed_head::{SignedHead, UnverifiedHead};
use libvms_hypercore::tree::TreeHash;
use libvms_protocol::limits::NONCE_MAX;
use serde::{Deserialize, Serialize};

/// Bytes of a line: the longest URL and what stands beside it.
const LINE_BYTES_MAX: usize = 20 << 10;

/// A line.
#[derive(Debug)]
pub(super) enum Line {
    Head(HeadLine),
    Nonce(NonceLine),
}

/// The newest head of a log, and a service that has it.
#[derive(Debug)]
pub(super) struct HeadLine {
    /// `None` where the log was named beside the URL.
    pub(super) url: Option<String>,
    pub(super) log: PublicKey,
    pub(super) length: Length,
    hash: TreeHash,
    sig: Signature,
}

/// The last nonce of a key in a log.
#[derive(Debug)]
pub(super) struct NonceLine {
    pub(super) key: PublicKey,
    pub(super) log: PublicKey,
    pub(super) nonce: u64,
}

/// The members of both kinds.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Members {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    log: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    length: Option<Length>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sig: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nonce: Option<u64>,
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if text.len() > LINE_BYTES_MAX {
            return Err(format!("it has {} bytes", text.len()));
        }
        let members: Members = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let log = PublicKey(fixed("log", &members.log)?);
        match members {
            Members {
                url,
                key: None,
                length: Some(length),
                hash: Some(hash),
                sig: Some(sig),
                nonce: None,
                ..
            } => {
                let (hash, sig) = (TreeHash(fixed("hash", &hash)?), Signature(fixed("sig", &sig)?));
                let line = HeadLine { url, log, length, hash, sig };
                // A changed head would make an honest host look as if it had forked, with a proof that proves nothing.
                line.head().ok_or("its head is not signed by its log")?;
                Ok(Self::Head(line))
            }
            Members {
                url: None,
                key: Some(key),
                length: None,
                hash: None,
                sig: None,
                nonce: Some(nonce),
                ..
            } if nonce <= NONCE_MAX => {
                Ok(Self::Nonce(NonceLine { key: PublicKey(fixed("key", &key)?), log, nonce }))
            }
            _ => Err("it has neither the members of a head nor those of a nonce".into()),
        }
    }

    /// Returns the text of the line, without its end.
    pub(super) fn write(&self) -> String {
        let none = Members {
            url: None,
            key: None,
            log: String::new(),
            length: None,
            hash: None,
            sig: None,
            nonce: None,
        };
        let members = match self {
            Self::Head(HeadLine { url, log, length, hash, sig }) => Members {
                url: url.clone(),
                log: log.to_string(),
                length: Some(*length),
                hash: Some(hash.to_string()),
                sig: Some(HEXLOWER.encode(&sig.0)),
                ..none
            },
            Self::Nonce(NonceLine { key, log, nonce }) => {
                Members { key: Some(key.to_string()), log: log.to_string(), nonce: Some(*nonce), ..none }
            }
        };
        serde_json::to_string(&members).expect("texts and numbers can be written as JSON")
    }

    pub(super) fn head(&self) -> Option<&HeadLine> {
        match self {
            Self::Head(line) => Some(line),
            Self::Nonce(_) => None,
        }
    }

    pub(super) fn head_mut(&mut self) -> Option<&mut HeadLine> {
        match self {
            Self::Head(line) => Some(line),
            Self::Nonce(_) => None,
        }
    }

    pub(super) fn nonce(&self) -> Option<&NonceLine> {
        match self {
            Self::Nonce(line) => Some(line),
            Self::Head(_) => None,
        }
    }
}

impl HeadLine {
    pub(super) fn new(url: Option<String>, head: &SignedHead) -> Self {
        Self { url, log: head.key(), length: head.length(), hash: head.tree_hash(), sig: head.signature() }
    }

    /// Returns the head if its log has signed it.
    pub(super) fn head(&self) -> Option<SignedHead> {
        let Self { log, length, hash, sig, .. } = self;
        let claim = UnverifiedHead { key: *log, length: *length, fork: 0, tree_hash: *hash, signature: *sig };
        claim.verify().ok()
    }
}

fn fixed<const N: usize>(what: &str, text: &str) -> Result<[u8; N], String> {
    let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| format!("{what} is not {N} bytes in lower-case hexadecimal digits"))
}

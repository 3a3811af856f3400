//! The JSON forms of requests, heads and nodes of the tree. Bytes are lower-case hexadecimal digits.

use std::fmt;

use data_encoding::HEXLOWER;
use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::{PublicKey, Signature};
use libvms_hypercore::signed_head::UnverifiedHead;
use libvms_hypercore::tree::{Hash, Node, TreeHash};
use libvms_protocol::entry::{Authorization, Seen};
use libvms_protocol::value::Value;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Nodes of a comparison of two heads: more than those of a log of 2^62 blocks.
const NODES_MAX: usize = 512;

#[derive(Serialize)]
struct Request<'a, A: ?Sized> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    params: &'a A,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<CallerForm<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<bool>,
}

#[derive(Serialize)]
struct CallerForm<'a> {
    key: String,
    nonce: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<SeenForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instead: Option<&'a [u64]>,
    sig: String,
}

#[derive(Serialize)]
struct SeenForm {
    length: Length,
    hash: String,
}

/// Returns the text of a request that nobody signs.
pub(super) fn request<A: Serialize + ?Sized>(
    id: u64,
    method: &str,
    params: &A,
) -> serde_json::Result<String> {
    serde_json::to_string(&Request { jsonrpc: "2.0", id, method, params, caller: None, receipt: None })
}

/// Returns the text of a signed call that asks for a receipt.
pub(super) fn signed_request(
    id: u64,
    method: &str,
    args: &[Value],
    by: &Authorization,
) -> serde_json::Result<String> {
    let seen = |seen: &Seen| SeenForm { length: seen.length, hash: seen.hash.to_string() };
    let caller = CallerForm {
        key: by.key.to_string(),
        nonce: by.nonce,
        seen: by.seen.as_ref().map(seen),
        instead: by.instead.as_deref(),
        sig: HEXLOWER.encode(&by.sig.0),
    };
    let (caller, receipt) = (Some(caller), Some(true));
    serde_json::to_string(&Request { jsonrpc: "2.0", id, method, params: args, caller, receipt })
}

/// A head of a log as a service shows it.
#[derive(Debug, Deserialize)]
pub(super) struct HeadForm {
    length: Length,
    #[serde(deserialize_with = "fixed")]
    hash: [u8; 32],
    #[serde(deserialize_with = "fixed")]
    sig: [u8; 64],
}

impl HeadForm {
    /// Returns the claim that `log` has signed it.
    pub(super) fn of(&self, log: PublicKey) -> UnverifiedHead {
        let (tree_hash, signature) = (TreeHash(self.hash), Signature(self.sig));
        UnverifiedHead { key: log, length: self.length, fork: 0, tree_hash, signature }
    }
}

/// Nodes of a log's tree as a service shows them, no more than any comparison needs.
#[derive(Debug, Default)]
pub(super) struct Nodes(pub(super) Vec<Node>);

#[derive(Deserialize)]
struct NodeForm {
    index: u64,
    #[serde(deserialize_with = "fixed")]
    hash: [u8; 32],
    size: u64,
}

impl<'de> Deserialize<'de> for Nodes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Nodes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of nodes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Nodes, A::Error> {
                let mut nodes = vec![];
                while let Some(NodeForm { index, hash, size }) = list.next_element()? {
                    if nodes.len() == NODES_MAX {
                        return Err(A::Error::custom("more nodes than any comparison needs"));
                    }
                    nodes.push(Node { index, hash: Hash(hash), size });
                }
                Ok(Nodes(nodes))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// Reads a key.
pub(super) fn key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PublicKey, D::Error> {
    fixed(deserializer).map(PublicKey)
}

/// Reads bytes of a fixed number.
pub(super) fn fixed<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<[u8; N], D::Error> {
    struct Text<const N: usize>;
    impl<const N: usize> Visitor<'_> for Text<N> {
        type Value = [u8; N];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{N} bytes in lower-case hexadecimal digits")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<[u8; N], E> {
            let bytes = if text.len() == 2 * N { HEXLOWER.decode(text.as_bytes()).ok() } else { None };
            bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| E::custom(self_text::<N>()))
        }
    }
    fn self_text<const N: usize>() -> String {
        format!("not {N} bytes in lower-case hexadecimal digits")
    }
    deserializer.deserialize_str(Text)
}

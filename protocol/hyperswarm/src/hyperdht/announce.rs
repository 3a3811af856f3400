//! Announcements of peers to nodes: [`Announcement`], signed by the peer's key.
//!
//! ```text
//! value      flags | [1: peer record] [2: refresh 32] [4: signature 64] [8: bump uint]
//! signed     namespace of the command | H(target || id of the node || token || peer record || refresh)
//! ```
//!
//! The token and the node's id are signed, so that a node cannot pass an announcement on to another, nor can an
//! eavesdropper replay it from elsewhere. The bump is not signed: it is a hint. Source: npm hyperdht
//! (`lib/persistent.js`).

use crate::dht_rpc::address::{NodeId, Target};
use crate::dht_rpc::message::{Command, Token};
use crate::hyperdht::namespaces;
use crate::hyperdht::record::PeerRecord;
use libvms_hypercore::encoding::{DecodeError, Reader, Writer, flags, has};
use libvms_hypercore::hash::blake2b;
use libvms_hypercore::identity::{SecretKey, Signature};

/// The value of ANNOUNCE and UNANNOUNCE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// The announced peer, and the relays through which it can be reached.
    pub peer: Option<PeerRecord>,
    /// Either the hash of the value that will renew this announcement, or (without a peer) the value that renews one.
    pub refresh: Option<[u8; 32]>,
    /// The peer's signature.
    pub signature: Option<Signature>,
    /// Asks the peers that look up the topic to look again, in milliseconds since 1970; 0 for none. Not signed.
    pub bump: u64,
}

/// The purpose of an announcement: to store or to remove a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// ANNOUNCE: store the record.
    Announce,
    /// UNANNOUNCE: remove the record.
    Unannounce,
}

/// The node and the request that an announcement is made for.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    /// The announced target.
    pub target: &'a Target,
    /// The node that is to store it.
    pub node: &'a NodeId,
    /// The token that the node issued.
    pub token: &'a Token,
}

impl Purpose {
    /// Returns the command of this purpose.
    pub fn command(self) -> Command {
        match self {
            Self::Announce => Command::ANNOUNCE,
            Self::Unannounce => Command::UNANNOUNCE,
        }
    }

    fn namespace(self) -> [u8; 32] {
        match self {
            Self::Announce => namespaces::announce(),
            Self::Unannounce => namespaces::unannounce(),
        }
    }
}

impl Announcement {
    /// Creates an announcement of `peer`, signed by its key.
    pub fn sign(purpose: Purpose, destination: Destination<'_>, peer: PeerRecord, key: &SecretKey) -> Self {
        let signature = key.sign(&signable(purpose, destination, &peer, None));
        Self { peer: Some(peer), refresh: None, signature: Some(signature), bump: 0 }
    }

    /// Returns the record, if the peer signed it for this purpose and destination.
    pub fn verified(&self, purpose: Purpose, destination: Destination<'_>) -> Option<&PeerRecord> {
        let (peer, signature) = (self.peer.as_ref()?, self.signature.as_ref()?);
        let signed = signable(purpose, destination, peer, self.refresh.as_ref());
        peer.public_key.verifies(&signed, signature).then_some(peer)
    }

    /// Reads the value of a request.
    ///
    /// # Errors
    /// If the bytes end inside a field.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let flags = reader.uint()?;
        let peer = if has(flags, 0) { Some(PeerRecord::decode(&mut reader)?) } else { None };
        let refresh = if has(flags, 1) { Some(reader.array()?) } else { None };
        let signature = if has(flags, 2) { Some(Signature(reader.array()?)) } else { None };
        let bump = if has(flags, 3) { reader.uint()? } else { 0 };
        Ok(Self { peer, refresh, signature, bump })
    }

    /// Returns the value of a request.
    pub fn encode(&self) -> Vec<u8> {
        let optional =
            [self.peer.is_some(), self.refresh.is_some(), self.signature.is_some(), self.bump != 0];
        let mut writer = Writer::default();
        writer.uint(flags(&optional));
        self.peer.as_ref().inspect(|peer| peer.encode(&mut writer));
        self.refresh.inspect(|refresh| _ = writer.raw(refresh));
        self.signature.inspect(|signature| _ = writer.raw(&signature.0));
        if self.bump != 0 {
            writer.uint(self.bump);
        }
        writer.finish()
    }
}

/// Returns the 64 bytes that are signed.
fn signable(
    purpose: Purpose,
    destination: Destination<'_>,
    peer: &PeerRecord,
    refresh: Option<&[u8; 32]>,
) -> Vec<u8> {
    let Destination { target, node, token } = destination;
    let refresh = refresh.map_or(&[][..], |refresh| refresh);
    let covered = blake2b(&[&target.0, &node.0, &token.0, &peer.to_bytes(), refresh]);
    [purpose.namespace(), covered].concat()
}

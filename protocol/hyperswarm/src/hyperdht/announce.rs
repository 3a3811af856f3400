//! What a peer asks a node to keep or to forget about it: [`Announcement`], signed by the peer's key.
//!
//! ```text
//! value      flags | [1: peer record] [2: refresh 32] [4: signature 64] [8: bump uint]
//! signed     namespace of the command | H(target || id of the node || token || peer record || refresh)
//! ```
//!
//! The token and the node's id are signed, so that a node cannot pass an announcement on to another, nor somebody who
//! saw it repeat it from elsewhere. The bump is not signed: it is a hint. Source: npm hyperdht (`lib/persistent.js`).

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
    /// Who announces, and through which relays it is reached.
    pub peer: Option<PeerRecord>,
    /// Either the hash of what will renew this announcement, or (without a peer) what renews one.
    pub refresh: Option<[u8; 32]>,
    /// The peer's signature.
    pub signature: Option<Signature>,
    /// Asks those who look up the topic to look again, in milliseconds since 1970; 0 for no wish. Not signed.
    pub bump: u64,
}

/// Whether a record is to be kept or to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// ANNOUNCE.
    Announce,
    /// UNANNOUNCE.
    Unannounce,
}

/// For which node and which request an announcement is made.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    /// What is announced.
    pub target: &'a Target,
    /// The node that is to store it.
    pub node: &'a NodeId,
    /// What the node gave out.
    pub token: &'a Token,
}

impl Purpose {
    /// The command that carries it.
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
    /// An announcement of `peer`, signed by its key.
    pub fn sign(purpose: Purpose, destination: Destination<'_>, peer: PeerRecord, key: &SecretKey) -> Self {
        let signature = key.sign(&signable(purpose, destination, &peer, None));
        Self { peer: Some(peer), refresh: None, signature: Some(signature), bump: 0 }
    }

    /// The record, if the peer signed that it is for this purpose and destination.
    pub fn verified(&self, purpose: Purpose, destination: Destination<'_>) -> Option<&PeerRecord> {
        let (peer, signature) = (self.peer.as_ref()?, self.signature.as_ref()?);
        let signed = signable(purpose, destination, peer, self.refresh.as_ref());
        peer.public_key.verifies(&signed, signature).then_some(peer)
    }

    /// Reads the value of a request.
    ///
    /// # Errors
    /// Where the bytes end inside a field.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let flags = reader.uint()?;
        let peer = if has(flags, 0) { Some(PeerRecord::decode(&mut reader)?) } else { None };
        let refresh = if has(flags, 1) { Some(reader.array()?) } else { None };
        let signature = if has(flags, 2) { Some(Signature(reader.array()?)) } else { None };
        let bump = if has(flags, 3) { reader.uint()? } else { 0 };
        Ok(Self { peer, refresh, signature, bump })
    }

    /// The value of a request.
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

/// What is signed: 64 bytes.
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

//! The state of a peer's core: the newest message counts.

use crate::blocks::Length;
use crate::encoding::{DecodeError, Reader, Writer, flags, has};

/// The state of the sender's core, as the sender sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sync {
    /// How often the sender's core was truncated.
    pub fork: u64,
    /// Length of the sender's signed tree, in blocks.
    pub length: Length,
    /// The length that the sender last received from the receiver in a sync of the same fork, else 0: an
    /// acknowledgement.
    pub remote_length: Length,
    /// Whether the sender can prove its length to the receiver, as far as it knows.
    pub can_upgrade: bool,
    /// Whether the sender answers requests.
    pub uploading: bool,
    /// Whether the sender may still send requests.
    pub downloading: bool,
    /// Whether the sender has a manifest that the receiver needs in order to check signatures.
    pub has_manifest: bool,
    /// Whether the sender accepts data that it did not request.
    pub allow_push: bool,
}

impl Sync {
    pub(super) fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = reader.uint()?;
        Ok(Self {
            fork: reader.uint()?,
            length: Length(reader.uint()?),
            remote_length: Length(reader.uint()?),
            can_upgrade: has(flags, 0),
            uploading: has(flags, 1),
            downloading: has(flags, 2),
            has_manifest: has(flags, 3),
            allow_push: has(flags, 4),
        })
    }

    pub(super) fn put(&self, writer: &mut Writer) {
        let Self { can_upgrade, uploading, downloading, has_manifest, allow_push, .. } = *self;
        writer
            .uint(flags(&[can_upgrade, uploading, downloading, has_manifest, allow_push]))
            .uint(self.fork)
            .uint(self.length.0)
            .uint(self.remote_length.0);
    }
}

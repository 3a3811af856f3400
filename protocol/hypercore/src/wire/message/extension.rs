//! Extension messages, which two programs have agreed upon beyond the protocol.

use crate::encoding::{DecodeError, Reader, Writer};

/// Bytes of the name of an extension.
pub const EXTENSION_NAME_BYTES_MAX: usize = 1024;

/// A message of an extension. Unknown ones are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Name of the extension; empty if it is that of the previous one in this direction of the channel.
    pub name: String,
    /// Its own bytes.
    pub message: Vec<u8>,
}

impl Extension {
    pub(super) fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let name = reader.text("bytes of an extension's name", EXTENSION_NAME_BYTES_MAX)?;
        Ok(Self { name, message: reader.rest().to_vec() })
    }

    pub(super) fn put(&self, writer: &mut Writer) {
        writer.bytes(self.name.as_bytes()).raw(&self.message);
    }
}

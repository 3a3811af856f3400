//! The entry of one file: the JSON text that is its value in the drive's Hyperbee.
//!
//! ```json
//! {"executable":false,"linkname":null,"blob":{"blockOffset":0,"byteOffset":0,"blockLength":1,"byteLength":11},"metadata":null}
//! ```
//!
//! The bytes are those of `JSON.stringify`. Readers take the fields in any order and skip unknown ones.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::blocks::BlockIndex;
use crate::limits::INTEGER_MAX;

/// Bytes of an entry that we write. An entry with a link or metadata must leave room in its block for the nodes of
/// the tree: a batch may put some hundred into one block.
pub const ENTRY_BYTES_MAX: usize = 1024 * 1024;

/// The entry of one path in a drive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileEntry {
    /// Whether the file may be executed.
    pub executable: bool,
    /// The target of a symbolic link, as it was passed. Not normalised.
    pub linkname: Option<String>,
    /// The place of the content; `None` for a link.
    pub blob: Option<BlobId>,
    /// The writer's own data.
    pub metadata: Option<Metadata>,
}

/// The blocks of the blobs core that hold a content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlobId {
    /// The first block.
    pub block_offset: BlockIndex,
    /// Bytes in all blocks before the first one.
    pub byte_offset: u64,
    /// Number of blocks.
    pub block_length: u64,
    /// Bytes in these blocks.
    pub byte_length: u64,
    /// Whether the blocks hold a list of other blocks, which hold the content: npm hyperblobs writes such maps for
    /// streams with `dedup`.
    pub is_map: bool,
}

/// Metadata of an entry, as JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata(String);

/// The bytes are not an entry.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("not the entry of a file: {why}")]
pub struct EntryError {
    why: String,
}

impl FileEntry {
    /// Creates the entry of a file.
    pub fn file(blob: BlobId) -> Self {
        Self { blob: Some(blob), ..Self::default() }
    }

    /// Creates the entry of a symbolic link.
    pub fn link(target: &str) -> Self {
        Self { linkname: Some(target.to_owned()), ..Self::default() }
    }

    /// Returns the bytes that JavaScript writes.
    pub fn encode(&self) -> Vec<u8> {
        let linkname = serde_json::to_string(&self.linkname).expect("text has a JSON form");
        let blob = self.blob.map_or_else(|| NULL.to_owned(), |blob| blob.to_json());
        let metadata = self.metadata.as_ref().map_or(NULL, Metadata::as_json);
        let executable = self.executable;
        format!(r#"{{"executable":{executable},"linkname":{linkname},"blob":{blob},"metadata":{metadata}}}"#)
            .into_bytes()
    }

    /// Reads an entry. The contents of unknown fields and of metadata are not checked, however deep they are nested.
    ///
    /// # Errors
    /// The reason why the bytes are not an entry.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        // `Text` reads strings as bytes, which serde_json does not check.
        let text = std::str::from_utf8(bytes).map_err(EntryError::of)?;
        let Object(fields): Object<Fields<'_>> = serde_json::from_str(text).map_err(EntryError::of)?;
        Ok(Self {
            executable: fields.executable,
            linkname: fields.linkname.map(|Text(text)| text),
            blob: fields.blob.map(|Object(blob)| blob.check()).transpose()?,
            metadata: fields.metadata.map(|raw| Metadata(raw.get().to_owned())),
        })
    }
}

impl BlobId {
    fn to_json(self) -> String {
        let Self { block_offset, byte_offset, block_length, byte_length, is_map } = self;
        let mut json = format!(
            r#"{{"blockOffset":{block_offset},"byteOffset":{byte_offset},"blockLength":{block_length},"byteLength":{byte_length}"#
        );
        json.push_str(if is_map { r#","blockMap":true}"# } else { "}" });
        json
    }
}

impl Metadata {
    /// Creates metadata from JSON text; `null` is none. Members keep their order, except that names which are array
    /// indexes come first, as in JavaScript; the text becomes that of `JSON.stringify(JSON.parse(text))`.
    ///
    /// # Errors
    /// If the text is not JSON, nests deeper than 127 levels, or holds a number beyond the range of a 64-bit float or a
    /// lone surrogate.
    pub fn from_json(text: &str) -> Result<Option<Self>, EntryError> {
        let value: super::json::Json = serde_json::from_str(text).map_err(EntryError::of)?;
        let text = value.to_string();
        Ok((text != NULL).then_some(Self(text)))
    }

    /// Returns the JSON text.
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

const NULL: &str = "null";

impl EntryError {
    pub(super) fn new(why: &str) -> Self {
        Self { why: why.to_owned() }
    }

    fn of(error: impl fmt::Display) -> Self {
        Self { why: error.to_string() }
    }
}

/// The fields of an entry as they are in JSON.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(default)]
    executable: bool,
    #[serde(default)]
    linkname: Option<Text>,
    #[serde(default)]
    blob: Option<Object<BlobFields>>,
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlobFields {
    block_offset: u64,
    byte_offset: u64,
    block_length: u64,
    byte_length: u64,
    #[serde(default)]
    block_map: bool,
}

impl BlobFields {
    fn check(self) -> Result<BlobId, EntryError> {
        let numbers = [self.block_offset, self.byte_offset, self.block_length, self.byte_length];
        if numbers.iter().any(|number| *number > INTEGER_MAX.unsigned_abs()) {
            return Err(EntryError::of("a number above 2^53"));
        }
        Ok(BlobId {
            block_offset: BlockIndex(self.block_offset),
            byte_offset: self.byte_offset,
            block_length: self.block_length,
            byte_length: self.byte_length,
            is_map: self.block_map,
        })
    }
}

/// A value that must be an object: a derived reader would also take the fields from an array.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// Text in which each lone surrogate is replaced, as JavaScript does when a name becomes a key.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde_json returns lone surrogates only to visitors that ask for bytes.
        deserializer.deserialize_bytes(TextVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Text, E> {
        let text = String::from_utf8(without_surrogates(bytes)).map_err(E::custom)?;
        Ok(Text(text))
    }
}

/// Replaces surrogates with U+FFFD, which has three bytes too. A surrogate has three bytes in this almost UTF-8: `ed`,
/// `a0` to `bf`, and any. No other character begins so.
fn without_surrogates(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len().saturating_sub(2) {
        if bytes[at] == 0xed && bytes[at + 1] >= 0xa0 {
            bytes[at..at + 3].copy_from_slice("\u{fffd}".as_bytes());
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = r#"{"executable":false,"linkname":null,"blob":null,"metadata":null}"#;

    #[test]
    fn fields_come_in_any_order_and_unknown_ones_are_skipped() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let text = format!(
            r#" {{ "new": {deep}, "blob": {{"byteOffset":2,"blockMap":true,"blockOffset":1,"byteLength":4,"x":[],"blockLength":3}},
            "executable": true }} "#
        );
        let blob = BlobId {
            block_offset: BlockIndex(1),
            byte_offset: 2,
            block_length: 3,
            byte_length: 4,
            is_map: true,
        };
        let entry = FileEntry { executable: true, ..FileEntry::file(blob) };
        assert_eq!(FileEntry::decode(text.as_bytes()), Ok(entry.clone()));
        assert_eq!(FileEntry::decode(&entry.encode()), Ok(entry));
        assert_eq!(FileEntry::decode(PLAIN.as_bytes()), Ok(FileEntry::default()));
    }

    #[test]
    fn numbers_end_at_two_to_the_53() {
        let entry = |number: &str| {
            let text = format!(
                r#"{{"blob":{{"blockOffset":{number},"byteOffset":0,"blockLength":0,"byteLength":0}}}}"#
            );
            FileEntry::decode(text.as_bytes())
        };
        assert!(entry("9007199254740992").is_ok());
        for number in ["9007199254740993", "-1", "1.5", "1e400", "18446744073709551616", "null", "\"1\""] {
            assert!(entry(number).is_err(), "{number}");
        }
    }

    #[test]
    fn bytes_that_are_not_an_entry_are_refused() {
        let wrong: [&[u8]; 10] = [
            b"",
            b"{",
            b"null",
            b"[]",
            b"{\"blob\":[0,0,0,0]}",
            b"{\"linkname\":\"\xff\"}",
            b"{\"executable\":1}",
            b"{\"linkname\":1}",
            b"{\"blob\":{}}",
            b"{} {}",
        ];
        for bytes in wrong {
            assert!(FileEntry::decode(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_lone_surrogate_is_replaced() {
        for (json, text) in [
            (r"\ud800", "\u{fffd}"),
            (r"a\udfffb", "a\u{fffd}b"),
            (r"\ud83d\ude00", "😀"),
            (r"\ud83d\ud83d", "\u{fffd}\u{fffd}"),
            (r"퟿", "\u{d7ff}"),
        ] {
            let entry = FileEntry::decode(format!(r#"{{"linkname":"{json}"}}"#).as_bytes());
            assert_eq!(entry.expect("an entry").linkname.as_deref(), Some(text), "{json}");
        }
    }
}

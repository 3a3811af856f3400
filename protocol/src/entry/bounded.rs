//! Reading a list that a stranger has made, no further than its bounds.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// The bounds of a list.
pub(super) struct Bounds<T> {
    pub(super) items_max: usize,
    /// Bytes of all items together, as `bytes_of` counts those of one.
    pub(super) bytes_max: usize,
    pub(super) bytes_of: fn(&T) -> usize,
}

impl<T> Bounds<T> {
    /// Reads a list. Of one that is beyond its bounds, no more is kept than the item that passes them.
    pub(super) fn read<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error>
    where
        T: Deserialize<'de>,
    {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounds<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let Self { items_max, bytes_max, bytes_of } = self;
        let (mut items, mut bytes) = (vec![], 0);
        while let Some(item) = seq.next_element()? {
            bytes += bytes_of(&item);
            items.push(item);
            if items.len() > items_max || bytes > bytes_max {
                return Err(A::Error::custom("a list that is longer than its limit"));
            }
        }
        Ok(items)
    }
}

//! Numbers, byte strings and arrays in the format of npm compact-encoding: [`Reader`] and [`Writer`].
//!
//! ```text
//! uint    00..fc itself | fd + 2 bytes | fe + 4 bytes | ff + 8 bytes, little-endian
//! bytes   uint length, then that many bytes
//! array   uint count, then that many items
//! ```
//!
//! A reader borrows. A length or count that a peer claims is compared with the bytes present before anything is
//! allocated for it.

use thiserror::Error;

/// The largest number that a peer may send: 2^53 - 1, the largest that JavaScript holds exactly.
pub const UINT_MAX: u64 = (1 << 53) - 1;

/// The bytes are not in the format. JavaScript peers end the connection then, and so do we.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// A field extends beyond the last byte.
    #[error("the bytes end inside a field")]
    Truncated,
    /// A number is larger than JavaScript can hold.
    #[error("the number {0} is above 2^53 - 1")]
    NumberTooLarge(u64),
    /// There are more items than the bound.
    #[error("{count} {what} exceed the maximum of {maximum}")]
    TooMany {
        /// The name of the items, in the plural.
        what: &'static str,
        /// The number that the peer announced.
        count: u64,
        /// The number that is allowed.
        maximum: u64,
    },
    /// The format leaves room for other values, and this one is not known.
    #[error("{number} is not a known {what}")]
    Unknown {
        /// The meaning of the number.
        what: &'static str,
        /// The number.
        number: u64,
    },
}

/// Takes fields from the front of borrowed bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Creates a reader at the first of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns whether no bytes are left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns the number of bytes left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Takes a number. Longer forms than necessary are accepted, as in JavaScript.
    ///
    /// # Errors
    /// If the bytes end, or the number is above [`UINT_MAX`].
    pub fn uint(&mut self) -> Result<u64, DecodeError> {
        let [first] = self.array()?;
        let number = match first {
            0xfd => u16::from_le_bytes(self.array()?).into(),
            0xfe => u32::from_le_bytes(self.array()?).into(),
            0xff => u64::from_le_bytes(self.array()?),
            small => small.into(),
        };
        if number > UINT_MAX { Err(DecodeError::NumberTooLarge(number)) } else { Ok(number) }
    }

    /// Takes `N` bytes.
    ///
    /// # Errors
    /// If there are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Takes `count` bytes.
    ///
    /// # Errors
    /// If there are fewer.
    pub fn take(&mut self, count: u64) -> Result<&'a [u8], DecodeError> {
        let count = usize::try_from(count).map_err(|_| DecodeError::Truncated)?;
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes a length and that many bytes.
    ///
    /// # Errors
    /// If there are fewer.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.uint()?;
        self.take(length)
    }

    /// Takes a length, which must not be above `maximum`, and that many bytes. `what` names them in the error.
    ///
    /// # Errors
    /// If the length is too large, or there are fewer bytes.
    pub fn bytes_bounded(&mut self, what: &'static str, maximum: usize) -> Result<&'a [u8], DecodeError> {
        let count = self.uint()?;
        check_count(what, count, maximum)?;
        self.take(count)
    }

    /// Takes a text. Invalid UTF-8 is replaced, as in JavaScript.
    ///
    /// # Errors
    /// If the length is above `maximum`, or there are fewer bytes.
    pub fn text(&mut self, what: &'static str, maximum: usize) -> Result<String, DecodeError> {
        Ok(String::from_utf8_lossy(self.bytes_bounded(what, maximum)?).into_owned())
    }

    /// Takes the count of an array whose items have at least `item_bytes` bytes each: never more than the remaining
    /// bytes can hold, so the caller may allocate for that many items.
    ///
    /// # Errors
    /// If the count is above `maximum`, or the bytes cannot hold that many.
    pub fn count(
        &mut self,
        what: &'static str,
        item_bytes: usize,
        maximum: usize,
    ) -> Result<usize, DecodeError> {
        let count = check_count(what, self.uint()?, maximum)?;
        if count > self.rest.len() / item_bytes.max(1) { Err(DecodeError::Truncated) } else { Ok(count) }
    }

    /// Takes all remaining bytes.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Takes all remaining bytes, which must not be more than `maximum`. `what` names them in the error.
    ///
    /// # Errors
    /// If more are left.
    pub fn rest_bounded(&mut self, what: &'static str, maximum: usize) -> Result<&'a [u8], DecodeError> {
        check_count(what, self.remaining() as u64, maximum)?;
        Ok(self.rest())
    }
}

fn check_count(what: &'static str, count: u64, maximum: usize) -> Result<usize, DecodeError> {
    match usize::try_from(count) {
        Ok(fits) if fits <= maximum => Ok(fits),
        _ => Err(DecodeError::TooMany { what, count, maximum: maximum as u64 }),
    }
}

/// Appends fields one after another.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Creates a writer with capacity for `bytes` bytes.
    pub fn with_room(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    /// Appends a number in its shortest form. Peers refuse numbers above [`UINT_MAX`].
    pub fn uint(&mut self, number: u64) -> &mut Self {
        match uint_bytes(number) {
            1 => self.raw(&[number as u8]),
            3 => self.raw(&[0xfd]).raw(&(number as u16).to_le_bytes()),
            5 => self.raw(&[0xfe]).raw(&(number as u32).to_le_bytes()),
            _ => self.raw(&[0xff]).raw(&number.to_le_bytes()),
        }
    }

    /// Appends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends the length of the bytes and the bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.uint(bytes.len() as u64).raw(bytes)
    }

    /// Returns the appended bytes.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Returns the number of bytes of a number in its shortest form.
pub(crate) fn uint_bytes(number: u64) -> usize {
    match number {
        0..=0xfc => 1,
        0xfd..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// Returns a flags field with these bits, lowest first. Unknown bits of a field are ignored everywhere.
pub fn flags(bits: &[bool]) -> u64 {
    bits.iter().enumerate().map(|(position, bit)| u64::from(*bit) << position).sum()
}

/// Returns whether a bit of a flags field is set.
pub fn has(flags: u64, position: u32) -> bool {
    flags >> position & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_that_the_bytes_cannot_hold_are_refused() {
        let claim = [0xfe, 0, 0, 0x10, 0, 1, 2, 3];
        assert_eq!(Reader::new(&claim).bytes(), Err(DecodeError::Truncated));
        assert_eq!(Reader::new(&claim).count("things", 1, usize::MAX), Err(DecodeError::Truncated));
        assert_eq!(Reader::new(&[3, 0, 0, 0]).count("things", 1, 3), Ok(3));
        let too_many = DecodeError::TooMany { what: "things", count: 3, maximum: 2 };
        assert_eq!(Reader::new(&[3, 0, 0, 0]).count("things", 1, 2), Err(too_many));
        assert_eq!(Reader::new(&[3, 0, 0, 0]).count("things", 2, 3), Err(DecodeError::Truncated));
    }

    #[test]
    fn a_number_takes_as_many_bytes_as_it_says() {
        for number in [0, 0xfc, 0xfd, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, UINT_MAX] {
            let mut writer = Writer::default();
            writer.uint(number);
            assert_eq!(writer.finish().len(), uint_bytes(number), "{number}");
        }
    }

    #[test]
    fn text_that_is_not_utf_8_is_replaced() {
        assert_eq!(Reader::new(&[2, b'a', 0xff]).text("texts", 2), Ok("a\u{fffd}".to_owned()));
    }
}

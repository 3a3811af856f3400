//! Numbers, byte strings and arrays as npm compact-encoding writes them: [`Reader`] and [`Writer`].
//!
//! ```text
//! uint    00..fc itself | fd + 2 bytes | fe + 4 bytes | ff + 8 bytes, little-endian
//! bytes   uint length, then that many bytes
//! array   uint count, then that many items
//! ```
//!
//! A reader borrows. Whatever a peer claims as a length or a count is compared with the bytes that are there before
//! room is made for it.

use thiserror::Error;

/// The largest number that a peer may send: 2^53 - 1, the largest that JavaScript holds exactly.
pub const UINT_MAX: u64 = (1 << 53) - 1;

/// The bytes are not in the format. JavaScript peers end the connection for it, and so do we.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// A field goes on behind the last byte.
    #[error("the bytes end inside a field")]
    Truncated,
    /// A number that JavaScript cannot hold.
    #[error("the number {0} is above 2^53 - 1")]
    NumberTooLarge(u64),
    /// More of something than we take.
    #[error("{count} {what}, of which {maximum} are allowed")]
    TooMany {
        /// What there is too much of, in the plural.
        what: &'static str,
        /// How much the peer announced.
        count: u64,
        /// How much we take.
        maximum: u64,
    },
    /// The format leaves room for other values, and this is one that nobody knows.
    #[error("{number} is not a known {what}")]
    Unknown {
        /// What the number stands for.
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
    /// A reader at the first of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Takes a number. Longer forms than necessary are accepted, as in JavaScript.
    ///
    /// # Errors
    /// Where the bytes end, or the number is above [`UINT_MAX`].
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
    /// Where there are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Takes `count` bytes.
    ///
    /// # Errors
    /// Where there are fewer.
    pub fn take(&mut self, count: u64) -> Result<&'a [u8], DecodeError> {
        let count = usize::try_from(count).map_err(|_| DecodeError::Truncated)?;
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes a length and that many bytes.
    ///
    /// # Errors
    /// Where there are fewer.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.uint()?;
        self.take(length)
    }

    /// Takes a length, which must not be above `maximum`, and that many bytes. `what` names them in the error.
    ///
    /// # Errors
    /// Where the length is too large, or there are fewer bytes.
    pub fn bytes_bounded(&mut self, what: &'static str, maximum: usize) -> Result<&'a [u8], DecodeError> {
        let count = self.uint()?;
        check_count(what, count, maximum)?;
        self.take(count)
    }

    /// Takes a text. What is not UTF-8 is replaced, as JavaScript does.
    ///
    /// # Errors
    /// Where the length is above `maximum`, or there are fewer bytes.
    pub fn text(&mut self, what: &'static str, maximum: usize) -> Result<String, DecodeError> {
        Ok(String::from_utf8_lossy(self.bytes_bounded(what, maximum)?).into_owned())
    }

    /// Takes the count of an array of items of which each has at least `item_bytes` bytes: never more than could be
    /// there, so that room for that many items may be made.
    ///
    /// # Errors
    /// Where the count is above `maximum`, or the bytes cannot hold that many.
    pub fn count(
        &mut self,
        what: &'static str,
        item_bytes: usize,
        maximum: usize,
    ) -> Result<usize, DecodeError> {
        let count = check_count(what, self.uint()?, maximum)?;
        if count > self.rest.len() / item_bytes.max(1) { Err(DecodeError::Truncated) } else { Ok(count) }
    }

    /// Takes all that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Takes all that is left, which must not be above `maximum`. `what` names it in the error.
    ///
    /// # Errors
    /// Where more is left.
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

/// Puts fields one behind the other.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A writer that need not move what is put until there are so many bytes.
    pub fn with_room(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    /// Puts a number in its shortest form. Peers refuse numbers above [`UINT_MAX`].
    pub fn uint(&mut self, number: u64) -> &mut Self {
        match uint_bytes(number) {
            1 => self.raw(&[number as u8]),
            3 => self.raw(&[0xfd]).raw(&(number as u16).to_le_bytes()),
            5 => self.raw(&[0xfe]).raw(&(number as u32).to_le_bytes()),
            _ => self.raw(&[0xff]).raw(&number.to_le_bytes()),
        }
    }

    /// Puts bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Puts the length of the bytes and the bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.uint(bytes.len() as u64).raw(bytes)
    }

    /// What was put.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Bytes that a number takes in its shortest form.
pub(crate) fn uint_bytes(number: u64) -> usize {
    match number {
        0..=0xfc => 1,
        0xfd..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// Bits of a flags field, lowest first. Unknown bits of a field are ignored everywhere.
pub fn flags(bits: &[bool]) -> u64 {
    bits.iter().enumerate().map(|(position, bit)| u64::from(*bit) << position).sum()
}

/// Whether a bit of a flags field is set.
pub fn has(flags: u64, position: u32) -> bool {
    flags >> position & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_that_the_bytes_can_not_hold_are_refused() {
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

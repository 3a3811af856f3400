//! The part of Protocol Buffers that Hyperbee uses: length-delimited fields and packed varints.

/// The largest number that JavaScript writes exactly.
const NUMBER_MAX: u64 = 1 << 53;

/// The bytes are not protobuf, or not the expected message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// Takes a varint from the front of `bytes`.
pub(super) fn take_varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0_u64;
    for (position, byte) in bytes.iter().enumerate().take(8) {
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            *bytes = &bytes[position + 1..];
            return if value <= NUMBER_MAX { Ok(value) } else { Err(Malformed("a number above 2^53")) };
        }
    }
    Err(Malformed("an unterminated varint"))
}

/// Takes a field from the front of `bytes`: its number and content. `None` at the end.
pub(super) fn take_field<'a>(bytes: &mut &'a [u8]) -> Result<Option<(u64, &'a [u8])>, Malformed> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let tag = take_varint(bytes)?;
    if tag & 7 != 2 {
        return Err(Malformed("a field that is not length-delimited"));
    }
    let length = usize::try_from(take_varint(bytes)?).map_err(|_| Malformed("a field that is too long"))?;
    let (content, rest) = bytes.split_at_checked(length).ok_or(Malformed("a field longer than the block"))?;
    *bytes = rest;
    Ok(Some((tag >> 3, content)))
}

/// Reads packed varints to the end.
pub(super) fn packed(mut bytes: &[u8]) -> Result<Vec<u64>, Malformed> {
    // Each number has at least one byte, so this reserves no more than the caller provided.
    let mut numbers = Vec::with_capacity(bytes.iter().filter(|byte| **byte < 0x80).count());
    while !bytes.is_empty() {
        numbers.push(take_varint(&mut bytes)?);
    }
    Ok(numbers)
}

pub(super) fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

pub(super) fn put_field(bytes: &mut Vec<u8>, number: u64, content: &[u8]) {
    put_varint(bytes, number << 3 | 2);
    put_varint(bytes, content.len() as u64);
    bytes.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_read_as_they_were_written() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, u64::from(u32::MAX), NUMBER_MAX] {
            let mut bytes = vec![];
            put_varint(&mut bytes, value);
            assert_eq!(take_varint(&mut bytes.as_slice()), Ok(value));
        }
    }

    #[test]
    fn numbers_that_are_too_large_or_do_not_end_are_refused() {
        let mut above = vec![];
        put_varint(&mut above, NUMBER_MAX + 1);
        for bytes in [&above[..], &[0x80; 20], &[0x80], &[]] {
            assert!(take_varint(&mut &*bytes).is_err(), "{bytes:x?}");
        }
    }
}

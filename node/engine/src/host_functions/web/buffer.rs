//! What `Buffer` needs of us, as Node.js has it (<https://nodejs.org/api/buffer.html>): encodings, and places in bytes.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use memchr::memmem;

/// Returns the bytes of a text; `None` if the encoding is unknown.
///
/// As in Node.js nothing is an error: hexadecimal ends before the first pair that is none, base64 leaves out what is no letter
/// of either alphabet, and of other texts each UTF-16 unit gives its low byte.
pub(super) fn bytes(text: String, encoding: &str) -> Option<Vec<u8>> {
    match encoding {
        "utf8" => Some(text.into_bytes()),
        "latin1" | "ascii" => Some(text.encode_utf16().map(|unit| unit.to_le_bytes()[0]).collect()),
        "hex" => Some(from_hex(text.as_bytes())),
        "base64" | "base64url" => Some(from_base64(text.as_bytes())),
        _ => None,
    }
}

/// Returns the text of bytes; `None` if the encoding is unknown.
pub(super) fn text(bytes: &[u8], encoding: &str) -> Option<String> {
    match encoding {
        "utf8" => Some(String::from_utf8_lossy(bytes).into_owned()),
        "latin1" => Some(bytes.iter().copied().map(char::from).collect()),
        "ascii" => Some(bytes.iter().map(|byte| char::from(byte & 0x7f)).collect()),
        "hex" => Some(HEXLOWER.encode(bytes)),
        "base64" => Some(BASE64.encode(bytes)),
        "base64url" => Some(BASE64URL_NOPAD.encode(bytes)),
        _ => None,
    }
}

/// Returns where `value`, which is not empty, stands in `bytes`: the first place from `start` on, or the last one until it.
pub(super) fn find(bytes: &[u8], value: &[u8], start: usize, is_forward: bool) -> Option<usize> {
    if is_forward {
        return memmem::find(bytes.get(start..)?, value).map(|place| place + start);
    }
    let end = start.saturating_add(value.len()).min(bytes.len());
    memmem::rfind(&bytes[..end], value)
}

fn from_hex(text: &[u8]) -> Vec<u8> {
    let digit = |letter: u8| char::from(letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, _) = text.as_chunks::<2>();
    pairs.iter().map_while(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

fn from_base64(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut bits, mut count) = (0_u32, 0);
    for value in text.iter().filter_map(|letter| base64_value(*letter)) {
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count).to_le_bytes()[0]);
        }
    }
    bytes
}

fn base64_value(letter: u8) -> Option<u8> {
    match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

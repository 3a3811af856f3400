//! Letters from bytes, as the Encoding standard reads them (<https://encoding.spec.whatwg.org/>).

/// Returns the name of the encoding with this label; `None` for one that is not offered.
pub(super) fn name_of(label: &str) -> Option<&'static str> {
    let label = label.trim_ascii();
    let found =
        LABELS.iter().find(|(_, labels)| labels.iter().any(|known| known.eq_ignore_ascii_case(label)));
    found.map(|(name, _)| *name)
}

const UTF_8: &str = "utf-8";
const UTF_16: &str = "utf-16le";
const LATIN: &str = "windows-1252";

const LABELS: [(&str, &[&str]); 3] = [
    (UTF_8, &["unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "utf-8", "utf8", "x-unicode20utf8"]),
    (UTF_16, &["csunicode", "iso-10646-ucs-2", "ucs-2", "unicode", "unicodefeff", "utf-16", "utf-16le"]),
    (
        LATIN,
        &[
            "ansi_x3.4-1968",
            "ascii",
            "cp1252",
            "cp819",
            "csisolatin1",
            "ibm819",
            "iso-8859-1",
            "iso-ir-100",
            "iso8859-1",
            "iso88591",
            "iso_8859-1",
            "iso_8859-1:1987",
            "l1",
            "latin1",
            "us-ascii",
            "windows-1252",
            "x-cp1252",
        ],
    ),
];

/// The letters of the bytes 80 to 9f in windows-1252.
const LATIN_CONTROLS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Decodes bytes; `None` if `is_fatal` and some of them are no letters, or the encoding is unknown.
pub(super) fn decode(bytes: &[u8], encoding: &str, is_fatal: bool) -> Option<String> {
    match encoding {
        UTF_8 if is_fatal => std::str::from_utf8(bytes).ok().map(str::to_owned),
        // One replacement for each longest beginning of a letter, as the standard has it.
        UTF_8 => Some(String::from_utf8_lossy(bytes).into_owned()),
        UTF_16 => utf_16(bytes, is_fatal),
        LATIN => Some(bytes.iter().map(|byte| latin(*byte)).collect()),
        _ => None,
    }
}

fn latin(byte: u8) -> char {
    match byte {
        0x80..=0x9f => LATIN_CONTROLS[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

fn utf_16(bytes: &[u8], is_fatal: bool) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(units.len());
    let mut is_half_last = false;
    for letter in char::decode_utf16(units.iter().map(|unit| u16::from_le_bytes(*unit))) {
        is_half_last = letter.as_ref().is_err_and(|half| half.unpaired_surrogate() < 0xdc00);
        match letter {
            Ok(letter) => text.push(letter),
            Err(_) if is_fatal => return None,
            Err(_) => text.push(char::REPLACEMENT_CHARACTER),
        }
    }
    match rest {
        [] => {}
        _ if is_fatal => return None,
        // Half a letter and half of its other half are one mistake.
        _ if is_half_last => {}
        _ => text.push(char::REPLACEMENT_CHARACTER),
    }
    Some(text)
}

/// Returns how many bytes at the end begin a letter that is not complete.
pub(super) fn unfinished(bytes: &[u8], encoding: &str) -> usize {
    match encoding {
        UTF_8 => {
            // No letter has more than four bytes, and each begins with a byte that stands nowhere else.
            let first = bytes.len().saturating_sub(3);
            let begins = |start: &usize| {
                let wrong = std::str::from_utf8(&bytes[*start..]).err();
                wrong.is_some_and(|wrong| wrong.valid_up_to() == 0 && wrong.error_len().is_none())
            };
            (first..bytes.len()).find(begins).map_or(0, |start| bytes.len() - start)
        }
        UTF_16 => {
            let (units, rest) = bytes.as_chunks::<2>();
            let is_half = units.last().is_some_and(|unit| (0xd8..0xdc).contains(&unit[1]));
            rest.len() + if is_half { 2 } else { 0 }
        }
        _ => 0,
    }
}

/// Returns the UTF-16 units of the longest beginning of `text` that fits into so many bytes of UTF-8.
pub(super) fn fitting(text: &str, bytes_max: usize) -> usize {
    let end = text.floor_char_boundary(bytes_max);
    text[..end].chars().map(char::len_utf16).sum()
}

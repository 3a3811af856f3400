//! The memory cost of a message's calls: parsed JSON takes more memory than its text, in the worst case sixtyfold.

/// Bytes of a member of an object, with its part of a list that may be half empty.
const MEMBER_BYTES: usize = 112;
/// Bytes of an object that has any member: a list with one, and its allocation.
const OBJECT_BYTES: usize = 128;
/// Bytes of an item of an array.
const ITEM_BYTES: usize = 32;
/// The least bytes of an array that is not empty.
const ARRAY_BYTES: usize = 4 * ITEM_BYTES;
/// Bytes of an allocation besides the text in it.
const TEXT_BYTES: usize = 32;

/// Returns an upper bound on the bytes of memory that `json` takes once parsed. The text need not be valid JSON.
pub(super) fn of_calls(json: &str) -> usize {
    // One bit for each level, set for objects; a text that nests deeper is refused when it is parsed.
    let (mut levels, mut is_text, mut bytes) = (0_u128, false, json.len());
    let mut rest = json.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => {
                is_text = !is_text;
                bytes += TEXT_BYTES / 2;
            }
            b'\\' if is_text => drop(rest.next()),
            _ if is_text => (),
            b'{' => {
                levels = levels << 1 | 1;
                bytes += OBJECT_BYTES;
            }
            b'[' => {
                levels <<= 1;
                bytes += ARRAY_BYTES;
            }
            b'}' | b']' => levels >>= 1,
            b',' => bytes += if levels & 1 == 1 { MEMBER_BYTES } else { ITEM_BYTES },
            _ => (),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsed_values_cost_more_than_their_text() {
        assert_eq!(of_calls(""), 0);
        assert_eq!(of_calls("12"), 2);
        assert!(of_calls(&"{},".repeat(1_000)) > 128_000);
        assert!(of_calls(&format!("[{}0]", "0,".repeat(1_000))) >= 32_000);
        let text = format!("[\"{}\"]", r#"\",{[{"#.repeat(1_000));
        assert!(of_calls(&text) < text.len() + 1_000, "what stands in a text is no structure");
        assert!(of_calls(r#"["\\",[[]]]"#) > 3 * ARRAY_BYTES);
    }
}

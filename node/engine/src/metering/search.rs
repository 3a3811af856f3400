//! Finding a long text in a long text, in time that grows with the sum of their lengths.
//!
//! The engine tries each place anew, which takes the product of the lengths. This is the algorithm of Knuth, Morris and
//! Pratt ("Fast pattern matching in strings", 1977): the part that has matched so far says how far the pattern can be moved.

/// Returns where `needle` first occurs in `haystack` at or after `from`.
pub(super) fn first(haystack: &[u16], needle: &[u16], from: usize) -> Option<usize> {
    let places = haystack.get(from..)?;
    scan(places.iter(), needle.iter(), needle.len()).map(|end| from + end - needle.len())
}

/// Returns where `needle` last occurs in `haystack`, beginning at `until` or before.
pub(super) fn last(haystack: &[u16], needle: &[u16], until: usize) -> Option<usize> {
    let end = until.saturating_add(needle.len()).min(haystack.len());
    scan(haystack[..end].iter().rev(), needle.iter().rev(), needle.len()).map(|length| end - length)
}

/// Returns the units of the text up to the end of the first match.
fn scan<'a>(
    text: impl Iterator<Item = &'a u16>,
    needle: impl Iterator<Item = &'a u16>,
    length: usize,
) -> Option<usize> {
    let needle: Vec<u16> = needle.copied().collect();
    if length == 0 {
        return Some(0);
    }
    let borders = borders(&needle);
    let mut matched = 0;
    for (index, unit) in text.enumerate() {
        while matched > 0 && needle[matched] != *unit {
            matched = borders[matched - 1];
        }
        if needle[matched] == *unit {
            matched += 1;
        }
        if matched == length {
            return Some(index + 1);
        }
    }
    None
}

/// Returns for each prefix of the pattern the length of its longest border (a shorter prefix that is also its suffix).
fn borders(needle: &[u16]) -> Vec<usize> {
    let mut borders = vec![0; needle.len()];
    let mut matched = 0;
    for index in 1..needle.len() {
        while matched > 0 && needle[matched] != needle[index] {
            matched = borders[matched - 1];
        }
        if needle[matched] == needle[index] {
            matched += 1;
        }
        borders[index] = matched;
    }
    borders
}

#[cfg(test)]
mod tests {
    use super::{first, last};

    #[test]
    fn a_text_is_found_where_trying_each_place_finds_it() {
        let texts = ["", "a", "aa", "ab", "aba", "abab", "aabaab", "abcabcabd", "aaaaaaab", "baaaaaaa"];
        let units = |text: &str| text.encode_utf16().collect::<Vec<_>>();
        for haystack in texts.map(units) {
            for needle in texts.map(units) {
                for at in 0..=haystack.len() + 1 {
                    let is_here = |place: &usize| haystack[*place..].starts_with(&needle);
                    let expected = (at..=haystack.len()).find(is_here);
                    assert_eq!(first(&haystack, &needle, at), expected, "{haystack:?} {needle:?} {at}");
                    let expected = (0..=at.min(haystack.len())).rev().find(is_here);
                    assert_eq!(last(&haystack, &needle, at), expected, "{haystack:?} {needle:?} {at}");
                }
            }
        }
    }
}

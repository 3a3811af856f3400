//! Conditional and range requests for a file: `Range`, `If-Range` and `If-None-Match` (RFC 9110, sections 13 and 14).

use std::ops::Range;

use hyper::header::{self, HeaderMap};
use libvms_hypercore::blocks::Length;

/// The part of a file that a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    All,
    /// A range of its bytes; never empty.
    Part(Range<u64>),
    /// A range beyond its end.
    Nothing,
}

/// Returns whether the caller already has the version.
pub(super) fn is_known(headers: &HeaderMap, version: Length) -> bool {
    let tag = format!("\"{version}\"");
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).any(|known| {
        // Our tags hold no comma. `If-None-Match` uses the weak comparison, in which a weak tag equals its strong one.
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
    })
}

/// Returns the requested part of a file of `size` bytes. As RFC 9110 permits, a malformed range, several ranges, and a
/// range for another version are ignored: the whole file is a correct answer to each.
pub(super) fn wanted(headers: &HeaderMap, version: Length, size: u64) -> Wanted {
    let holds_for = headers.get(header::IF_RANGE).map(|value| value.to_str().unwrap_or_default());
    if holds_for.is_some_and(|tag| tag != format!("\"{version}\"")) {
        return Wanted::All;
    }
    let mut values = headers.get_all(header::RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Wanted::All };
    match value.to_str().ok().and_then(parse) {
        Some(Asked::From(first, last)) if first < size => {
            Wanted::Part(first..last.map_or(size, |last| last.saturating_add(1).min(size)))
        }
        Some(Asked::Last(count)) if count > 0 && size > 0 => Wanted::Part(size.saturating_sub(count)..size),
        Some(_) => Wanted::Nothing,
        None => Wanted::All,
    }
}

/// A range as requested, not yet resolved against the file's size.
enum Asked {
    From(u64, Option<u64>),
    Last(u64),
}

fn parse(value: &str) -> Option<Asked> {
    let (unit, range) = value.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    match (first.trim_end(), last.trim_start()) {
        ("", count) => Some(Asked::Last(number(count)?)),
        (first, "") => Some(Asked::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Asked::From(first, Some(last)))
        }
    }
}

/// Parses digits only, any number of them: a number that is too large counts as beyond the end of every file.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, header::HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn one_range_of_bytes_is_understood() {
        let ask = |value, size| wanted(&headers(&[(header::RANGE, value)]), Length(7), size);
        for (value, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-", 0..10),
            ("bytes=3-5", 3..6),
            ("bytes=9-", 9..10),
            ("bytes=5-99999999999999999999999", 5..10),
            ("bytes=-1", 9..10),
            ("bytes=-99", 0..10),
            ("Bytes = 1 - 2", 1..3),
        ] {
            assert_eq!(ask(value, 10), Wanted::Part(part), "{value}");
        }
        for value in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(ask(value, 10), Wanted::Nothing, "{value}");
        }
        assert_eq!(ask("bytes=0-", 0), Wanted::Nothing);
        assert_eq!(ask("bytes=-5", 0), Wanted::Nothing);
        for value in [
            "bytes=",
            "bytes",
            "bytes=-",
            "bytes=5-3",
            "bytes=0-1,3-4",
            "items=0-1",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=--1",
        ] {
            assert_eq!(ask(value, 10), Wanted::All, "{value}");
        }
        let twice = headers(&[(header::RANGE, "bytes=0-1"), (header::RANGE, "bytes=2-3")]);
        assert_eq!(wanted(&twice, Length(7), 10), Wanted::All);
    }

    #[test]
    fn a_range_holds_for_the_version_that_it_names() {
        let ask =
            |tag| wanted(&headers(&[(header::RANGE, "bytes=1-2"), (header::IF_RANGE, tag)]), Length(7), 10);
        assert_eq!(ask("\"7\""), Wanted::Part(1..3));
        for other in ["\"8\"", "W/\"7\"", "7", "", "Sat, 29 Oct 1994 19:43:31 GMT"] {
            assert_eq!(ask(other), Wanted::All, "{other}");
        }
    }

    #[test]
    fn a_known_version_is_recognised() {
        let ask = |tags| is_known(&headers(&[(header::IF_NONE_MATCH, tags)]), Length(7));
        for tags in ["\"7\"", "W/\"7\"", "*", "\"1\", \"7\"", "\"1\" ,W/\"7\""] {
            assert!(ask(tags), "{tags}");
        }
        for tags in ["\"8\"", "7", "", "\"77\"", "w/\"7\""] {
            assert!(!ask(tags), "{tags}");
        }
        assert!(!is_known(&HeaderMap::new(), Length(7)));
    }
}

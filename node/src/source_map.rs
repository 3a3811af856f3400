//! Positions in the files that a bundle was made of, by the source map that a bundler has put at its end (ECMA-426,
//! <https://tc39.es/ecma426/>): `//# sourceMappingURL=data:application/json;base64,...`.
//!
//! Only the operator sees such positions: in errors of a deployment, and in stacks. Nothing in a log depends on them, and a map
//! that cannot be read is none. The map is as large as its script allows, and is read when the first position is asked for.

use std::cell::OnceCell;

use data_encoding::BASE64;
use libvms_engine::SCRIPT;
use serde::Deserialize;

/// What stands before the URL of a map.
const MARK: &str = "//# sourceMappingURL=data:application/json";
/// Characters of a source's name that are shown.
const NAME_LENGTH_MAX: usize = 200;

/// The inline source map of a script, if it has one.
#[derive(Debug, Default)]
pub(crate) struct SourceMap {
    /// In base64, as it stands in the script.
    encoded: Option<String>,
    decoded: OnceCell<Option<Decoded>>,
}

#[derive(Debug)]
struct Decoded {
    sources: Vec<String>,
    /// Of each generated line, in the order of columns.
    lines: Vec<Vec<Segment>>,
}

/// A place in the script, and the place in a source that it was made from; all count from 0.
#[derive(Clone, Copy, Debug)]
struct Segment {
    generated_column: i64,
    source: i64,
    line: i64,
    column: i64,
}

/// The members of a map that positions depend on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    version: u64,
    #[serde(default)]
    sources: Vec<Option<String>>,
    #[serde(default)]
    source_root: Option<String>,
    mappings: String,
}

impl SourceMap {
    /// Finds the map of a script.
    pub(crate) fn of(code: &str) -> Self {
        let encoded = code.rfind(MARK).and_then(|start| {
            let url = code[start + MARK.len()..].lines().next()?;
            url.split_once(";base64,").map(|(_, encoded)| encoded.trim().to_owned())
        });
        Self { encoded, decoded: OnceCell::new() }
    }

    /// Replaces the position in the script that stands in `text` by that in its source, and returns both the text and the
    /// position. A position that the map does not know stays as it is. `None` if there is no position.
    pub(crate) fn translate(&self, text: &str) -> Option<(String, String)> {
        let start = text.find(&format!("{SCRIPT}:"))?;
        let place = libvms_engine::place_in(&text[start..])?;
        let original = self.original(&place[SCRIPT.len()..]).unwrap_or_else(|| place.to_owned());
        let (before, after) = (&text[..start], &text[start + place.len()..]);
        Some((format!("{before}{original}{after}"), original))
    }

    /// Returns `SOURCE:LINE:COLUMN` for `:LINE:COLUMN` in the script, both counted from 1.
    fn original(&self, position: &str) -> Option<String> {
        let mut numbers = position.split(':').skip(1).map(|number| number.parse::<i64>());
        let line = usize::try_from(numbers.next()?.ok()? - 1).ok()?;
        let column = numbers.next().and_then(Result::ok).map_or(0, |column| column - 1);
        let decoded = self.decoded.get_or_init(|| decode(self.encoded.as_deref()?)).as_ref()?;
        let segments = decoded.lines.get(line)?;
        let next = segments.partition_point(|segment| segment.generated_column <= column);
        let segment = segments.get(next.checked_sub(1)?)?;
        let source = decoded.sources.get(usize::try_from(segment.source).ok()?)?;
        Some(format!("{source}:{}:{}", segment.line.checked_add(1)?, segment.column.checked_add(1)?))
    }
}

fn decode(encoded: &str) -> Option<Decoded> {
    let json: Json = serde_json::from_slice(&BASE64.decode(encoded.as_bytes()).ok()?).ok()?;
    if json.version != 3 {
        return None;
    }
    let root = json.source_root.unwrap_or_default();
    let name = |source: Option<String>| {
        let name = format!("{root}{}", source.unwrap_or_else(|| "(unknown)".into()));
        name.chars().filter(|letter| !letter.is_control()).take(NAME_LENGTH_MAX).collect()
    };
    Some(Decoded { sources: json.sources.into_iter().map(name).collect(), lines: lines(&json.mappings)? })
}

/// Decodes the mappings: lines end with `;`, segments with `,`, and each number is the difference to the one before.
fn lines(mappings: &str) -> Option<Vec<Vec<Segment>>> {
    let (mut source, mut line, mut column) = (0_i64, 0_i64, 0_i64);
    let mut lines = vec![];
    for text in mappings.split(';') {
        let mut generated_column = 0_i64;
        let mut segments = vec![];
        for text in text.split(',').filter(|text| !text.is_empty()) {
            let numbers = numbers(text)?;
            generated_column = generated_column.checked_add(*numbers.first()?)?;
            let [_, by_source, by_line, by_column, ..] = numbers[..] else { continue };
            source = source.checked_add(by_source)?;
            line = line.checked_add(by_line)?;
            column = column.checked_add(by_column)?;
            segments.push(Segment { generated_column, source, line, column });
        }
        segments.sort_by_key(|segment| segment.generated_column);
        lines.push(segments);
    }
    Some(lines)
}

/// Decodes numbers of variable length: groups of five bits, the lowest first, each with a bit for whether another follows.
fn numbers(text: &str) -> Option<Vec<i64>> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    /// More are no number of 32 bits.
    const GROUPS_MAX: u32 = 7;
    let (mut numbers, mut value, mut groups) = (vec![], 0_i64, 0);
    for letter in text.bytes() {
        let digit = i64::try_from(DIGITS.iter().position(|digit| *digit == letter)?).ok()?;
        if groups == GROUPS_MAX {
            return None;
        }
        value |= (digit & 31) << (5 * groups);
        groups += 1;
        if digit & 32 == 0 {
            numbers.push(if value & 1 == 0 { value >> 1 } else { -(value >> 1) });
            (value, groups) = (0, 0);
        }
    }
    (groups == 0).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_map(map: &str) -> SourceMap {
        SourceMap::of(&format!("code()\n{MARK};charset=utf-8;base64,{}\n", BASE64.encode(map.as_bytes())))
    }

    #[test]
    fn positions_are_those_of_the_sources() {
        // Two lines: columns 0 and 4 of the first are 1:0 and 1:8 of the first source, column 2 of the second is 0:3 of the other.
        let map = with_map(
            r#"{"version":3,"sourceRoot":"src/","sources":["a.ts","b.ts"],"names":["x"],"mappings":"AACA,IAAQA;ECDL"}"#,
        );
        let broken = |text: &str| map.translate(text).map(|(_, place)| place);
        assert_eq!(broken("at f (script.js:1:1)").as_deref(), Some("src/a.ts:2:1"));
        assert_eq!(broken("script.js:1:20").as_deref(), Some("src/a.ts:2:9"));
        assert_eq!(broken("script.js:1").as_deref(), Some("src/a.ts:2:1"));
        assert_eq!(broken("script.js:2:3").as_deref(), Some("src/b.ts:1:4"));
        // Before the first column of its line, and beyond the last line.
        assert_eq!(broken("script.js:2:1").as_deref(), Some("script.js:2:1"));
        assert_eq!(broken("script.js:9:1").as_deref(), Some("script.js:9:1"));
        assert_eq!(broken("at map (native)"), None);
        let (frame, _) = map.translate("at f (script.js:1:5) again").expect("a position");
        assert_eq!(frame, "at f (src/a.ts:2:9) again");
    }

    #[test]
    fn what_is_no_map_changes_nothing() {
        for code in ["", "code()", MARK, &format!("{MARK};base64,!"), &format!("{MARK};base64,e30=")] {
            let told = SourceMap::of(code).translate("script.js:1:1").map(|(text, _)| text);
            assert_eq!(told.as_deref(), Some("script.js:1:1"), "{code}");
        }
        for map in [
            r#"{"version":2,"sources":["a"],"mappings":"AAAA"}"#,
            r#"{"version":3,"sources":[],"mappings":"AAAA"}"#,
            r#"{"version":3,"sources":["a"],"mappings":"A?"}"#,
            r#"{"version":3,"sources":["a"],"mappings":"gggggggggggggggggA"}"#,
            r#"{"version":3,"sources":["a"],"mappings":"ADAA"}"#,
            r#"{"version":3,"sources":["a"],"mappings":"AAAg"}"#,
        ] {
            let told = with_map(map).translate("script.js:1:1").map(|(text, _)| text);
            assert_eq!(told.as_deref(), Some("script.js:1:1"), "{map}");
        }
    }
}

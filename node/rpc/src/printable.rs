//! Untrusted text, made safe for a terminal.
//!
//! Start from [`Printable`] for text, [`PrintableJson`] for JSON. Names, messages and results come from strangers.
//! On a terminal a control character moves the cursor or writes a line that looks like one of ours,
//! and a bidirectional one shows a text in another order than it has. So each character that a terminal acts on, or
//! that is invisible, is printed as its escape; all others, quotes and backslashes included, are printed as they are.
//! Escaping is idempotent: an escaped text stays the same when it is escaped again.

use std::fmt::{self, Write};

/// Displays a text with escapes such as `\n` and `\u{202e}`, on one line.
///
/// ```
/// # use libvms_rpc::printable::Printable;
/// assert_eq!(Printable("it's\u{1b}[2J\nerror: none").to_string(), r"it's\u{1b}[2J\nerror: none");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a str);

/// Displays a JSON text with escapes such as `\u202e`, on one line. The value stays the same.
///
/// ```
/// # use libvms_rpc::printable::PrintableJson;
/// assert_eq!(PrintableJson("[\"\u{202e}\",\n1]").to_string(), r#"["\u202e", 1]"#);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PrintableJson<'a>(pub &'a str);

/// Displays a text of several lines: line ends and tabs are kept, all else is as in [`Printable`].
#[derive(Clone, Copy, Debug)]
pub struct PrintableLines<'a>(pub &'a str);

/// A writer that escapes the text written through it, as [`Printable`] does.
#[derive(Debug)]
pub struct Escaping<W>(pub W);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(self.0, formatter, in_text)
    }
}

impl fmt::Display for PrintableJson<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(self.0, formatter, in_json)
    }
}

impl fmt::Display for PrintableLines<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(self.0, formatter, |character, to| match character {
            '\n' | '\t' => to.write_char(character),
            _ => in_text(character, to),
        })
    }
}

impl<W: Write> Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(text, &mut self.0, in_text)
    }
}

/// Writes each run of harmless characters at once, and each other character by `write`.
fn escape<W: Write>(text: &str, to: &mut W, write: impl Fn(char, &mut W) -> fmt::Result) -> fmt::Result {
    let mut rest = text;
    while let Some((at, character)) = rest.char_indices().find(|(_, character)| !is_harmless(*character)) {
        to.write_str(&rest[..at])?;
        write(character, to)?;
        rest = &rest[at + character.len_utf8()..];
    }
    to.write_str(rest)
}

fn in_text<W: Write>(character: char, to: &mut W) -> fmt::Result {
    match character {
        '\n' | '\r' | '\t' => write!(to, "{}", character.escape_default()),
        _ => write!(to, "{}", character.escape_unicode()),
    }
}

fn in_json<W: Write>(character: char, to: &mut W) -> fmt::Result {
    match character {
        // JSON has these only between tokens, where they are equivalent to a space.
        '\n' | '\r' | '\t' => to.write_char(' '),
        _ => character.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(to, "\\u{unit:04x}")),
    }
}

/// Returns whether a terminal only shows a character and does not act on it.
fn is_harmless(character: char) -> bool {
    match character {
        ' '..='~' => true,
        _ if character.is_ascii() || is_empty(character) => false,
        _ => !is_escaped_by_std(character),
    }
}

/// Returns whether a character counts as a letter or mark, but shows nothing or a gap: two names that differ only in
/// such characters look the same.
fn is_empty(character: char) -> bool {
    matches!(
        character,
        '\u{34f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{ffa0}'
            | '\u{1d159}'
            | '\u{e0100}'..='\u{e01ef}'
    )
}

/// Returns whether `{:?}` escapes a character that is neither ASCII nor the first of its text: controls, formats (which
/// change the direction or are invisible), spaces other than ` `, line separators, and unassigned code points.
fn is_escaped_by_std(character: char) -> bool {
    // After a letter, because a combining mark is escaped when it has nothing to combine with.
    let mut pair = [b'a'; 5];
    let length = 1 + character.encode_utf8(&mut pair[1..]).len();
    std::str::from_utf8(&pair[..length]).is_ok_and(|pair| pair.escape_debug().nth(2).is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn characters_that_a_terminal_acts_on_are_escaped() {
        for (text, expected) in [
            ("\u{1b}[2J", r"\u{1b}[2J"),
            ("a\nerror: b\r\t", r"a\nerror: b\r\t"),
            ("\0\u{7}\u{8}\u{7f}", r"\u{0}\u{7}\u{8}\u{7f}"),
            ("\u{9b}31m\u{85}\u{90}", r"\u{9b}31m\u{85}\u{90}"),
            ("\u{202e}\u{2066}\u{2069}\u{200e}\u{61c}", r"\u{202e}\u{2066}\u{2069}\u{200e}\u{61c}"),
            ("\u{2028}\u{2029}", r"\u{2028}\u{2029}"),
            ("\u{200b}\u{200d}\u{2060}\u{feff}\u{ad}", r"\u{200b}\u{200d}\u{2060}\u{feff}\u{ad}"),
            ("\u{3164}\u{fe0f}\u{e0041}\u{e0100}\u{34f}", r"\u{3164}\u{fe0f}\u{e0041}\u{e0100}\u{34f}"),
            ("\u{e000}\u{fff9}\u{10ffff}", r"\u{e000}\u{fff9}\u{10ffff}"),
        ] {
            assert_eq!(Printable(text).to_string(), expected);
        }
    }

    #[test]
    fn readable_characters_are_kept() {
        for text in
            ["", "it's \"so\" \\ `~`", "Grüße, e\u{301}, 日本語, עברית, 👋, 𝄞, हिन्दी", r"C:\new\u{1b}"]
        {
            assert_eq!(Printable(text).to_string(), text);
            assert_eq!(PrintableJson(text).to_string(), text);
            assert_eq!(PrintableLines(text).to_string(), text);
        }
    }

    #[test]
    fn lines_stay_where_they_are_wanted() {
        assert_eq!(PrintableLines("a\n\tb\r\u{1b}c\n").to_string(), "a\n\tb\\r\\u{1b}c\n");
    }

    proptest! {
        #[test]
        fn json_keeps_its_value(text in any::<String>()) {
            let json = serde_json::to_string_pretty(&[&text, "x"]).expect("JSON");
            let printable = PrintableJson(&json).to_string();
            prop_assert!(printable.chars().all(is_harmless));
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&printable).expect("JSON"), [text.as_str(), "x"]);
        }

        #[test]
        fn escaping_twice_is_escaping_once(text in any::<String>(), at in 0_usize..100) {
            let once = Printable(&text).to_string();
            prop_assert!(once.chars().all(is_harmless));
            prop_assert_eq!(Printable(&once).to_string(), once.clone());
            // The output must not depend on how the text is split into writes.
            let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let mut pieces = Escaping(String::new());
            pieces.write_str(&text[..at]).and_then(|()| pieces.write_str(&text[at..])).expect("a String takes all");
            prop_assert_eq!(pieces.0, once);
        }
    }
}

//! Rust's text as names and signs, without comments, strings and lifetimes: as much as it takes to read paths.

/// A name or a sign, and the line that it stands on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

/// Returns the tokens of a file that compiles. `::` is one token, a number or literal none.
pub(crate) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (length, is_kept) = match first {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), false),
            '/' if rest.starts_with("/*") => (comment(rest), false),
            '"' => (string(rest), false),
            '\'' => (character(rest), false),
            ':' if rest.starts_with("::") => (2, true),
            _ if is_name(first) => name(rest),
            _ => (first.len_utf8(), !first.is_whitespace()),
        };
        let (token, after) = rest.split_at(length);
        if is_kept {
            tokens.push(Token { text: token, line });
        }
        line += token.matches('\n').count();
        rest = after;
    }
    tokens
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// A name, a number or a string with letters before it, and whether it is a name.
fn name(text: &str) -> (usize, bool) {
    let length = text.find(|character| !is_name(character)).unwrap_or(text.len());
    let (name, after) = text.split_at(length);
    match (name, after.chars().next()) {
        ("r" | "br" | "cr", Some('"' | '#')) => match raw_string(after) {
            Some(string) => (length + string, false),
            None => (length, false),
        },
        ("b" | "c", Some('"')) => (length + string(after), false),
        ("b", Some('\'')) => (length + character(after), false),
        _ => (length, !name.starts_with(|first: char| first.is_ascii_digit())),
    }
}

fn raw_string(text: &str) -> Option<usize> {
    let hashes = text.find(|character| character != '#')?;
    let inside = text[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", &text[..hashes]);
    Some(hashes + 1 + inside.find(&end)? + end.len())
}

fn string(text: &str) -> usize {
    let mut is_escaped = true;
    let end = text.find(|character| {
        let is_end = character == '"' && !is_escaped;
        is_escaped = match (is_escaped, character) {
            // The first quote begins it.
            (true, _) => false,
            (false, character) => character == '\\',
        };
        is_end
    });
    end.map_or(text.len(), |end| end + 1)
}

/// A character, or the sign that begins a lifetime.
fn character(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some((escaped, _))) => {
            let after = escaped + 1;
            text[after..].find('\'').map_or(text.len(), |end| after + end + 1)
        }
        (Some(_), Some((end, '\''))) => end + 1,
        _ => text.find(|character| character != '\'' && !is_name(character)).unwrap_or(text.len()),
    }
}

fn comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        match () {
            () if rest.starts_with("/*") => (depth, at) = (depth + 1, at + 2),
            () if rest.starts_with("*/") => (depth, at) = (depth - 1, at + 2),
            () => at += rest.chars().next().map_or(1, char::len_utf8),
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

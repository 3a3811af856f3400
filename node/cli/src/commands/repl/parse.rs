//! The parser of a line at the prompt of `vms repl`, which is a call.
//!
//! Start from [`parse`]. Arguments are JSON with additions from JavaScript: single quotes, bare keys, commas at
//! the end, `undefined`.

use std::fmt::Write;
use std::iter::Peekable;
use std::str::Chars;

use serde_json::value::RawValue;

/// Levels of nested arrays and objects, at most: the limit of a LibVMS service.
const DEPTH_MAX: usize = libvms_protocol::limits::VALUE_DEPTH_MAX;

/// A call as it was typed.
#[derive(Debug)]
pub(super) struct ReplCall {
    /// The method's name, without `client.`.
    pub(super) method: String,
    /// Its arguments, each as JSON.
    pub(super) args: Vec<Box<RawValue>>,
}

/// A syntax error in a line, and its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: expected {expected}")]
pub(super) struct ReplError {
    /// In characters, from 1.
    pub(super) column: usize,
    /// The syntax that is allowed there.
    pub(super) expected: &'static str,
}

/// Reads `client.method(1, {a: 2}, 'text')`, `method(1)` or `method` alone.
///
/// # Errors
///
/// When the line is not a call, or values are nested deeper than a service accepts.
pub(super) fn parse(line: &str) -> Result<ReplCall, ReplError> {
    Parser { rest: line.chars().peekable(), column: 1 }.call()
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    column: usize,
}

type Parsed<T> = Result<T, ReplError>;

impl Parser<'_> {
    fn call(mut self) -> Parsed<ReplCall> {
        let mut method = self.name("a method's name")?;
        if method == "client" && self.takes('.') {
            method = self.name("a method's name")?;
        }
        let args = if self.takes('(') { self.args()? } else { vec![] };
        self.takes(';');
        match self.peek() {
            None => Ok(ReplCall { method, args }),
            Some(_) => Err(self.expected("the end of the line")),
        }
    }

    fn args(&mut self) -> Parsed<Vec<Box<RawValue>>> {
        let mut args = vec![];
        while !self.takes(')') {
            let mut json = String::new();
            self.value(&mut json, 0)?;
            args.push(RawValue::from_string(json).map_err(|_| self.expected("JSON"))?);
            if !self.takes(',') && self.peek() != Some(')') {
                return Err(self.expected("`,` or `)`"));
            }
        }
        Ok(args)
    }

    /// Reads a value, and writes it to `json`.
    fn value(&mut self, json: &mut String, depth: usize) -> Parsed<()> {
        match self.peek() {
            Some('[' | '{') if depth == DEPTH_MAX => Err(self.expected("a value that is nested less deeply")),
            Some('[') => self.array(json, depth + 1),
            Some('{') => self.object(json, depth + 1),
            Some('"' | '\'') => self.string(json),
            Some('-' | '0'..='9') => self.number(json),
            _ => self.word(json),
        }
    }

    fn array(&mut self, json: &mut String, depth: usize) -> Parsed<()> {
        self.takes('[');
        json.push('[');
        while !self.takes(']') {
            separate(json, '[');
            self.value(json, depth)?;
            if !self.takes(',') && self.peek() != Some(']') {
                return Err(self.expected("`,` or `]`"));
            }
        }
        json.push(']');
        Ok(())
    }

    fn object(&mut self, json: &mut String, depth: usize) -> Parsed<()> {
        self.takes('{');
        json.push('{');
        while !self.takes('}') {
            separate(json, '{');
            self.key(json)?;
            if !self.takes(':') {
                return Err(self.expected("`:`"));
            }
            json.push(':');
            self.value(json, depth)?;
            if !self.takes(',') && self.peek() != Some('}') {
                return Err(self.expected("`,` or `}`"));
            }
        }
        json.push('}');
        Ok(())
    }

    fn key(&mut self, json: &mut String) -> Parsed<()> {
        if matches!(self.peek(), Some('"' | '\'')) {
            return self.string(json);
        }
        let name = self.name("a key")?;
        quote(json, &name);
        Ok(())
    }

    fn string(&mut self, json: &mut String) -> Parsed<()> {
        let quote = self.next_raw();
        json.push('"');
        loop {
            let end = self.expected("a closing quote");
            match self.next_raw().ok_or(end)? {
                character if Some(character) == quote => break,
                '\\' => self.escape(json)?,
                character => push_quoted(json, character),
            }
        }
        json.push('"');
        Ok(())
    }

    /// Reads what stands behind a `\`. Escapes that JSON has are kept, so that every string of JavaScript can be said.
    fn escape(&mut self, json: &mut String) -> Parsed<()> {
        let unknown = self.expected("an escape of JavaScript");
        match self.next_raw().ok_or(unknown.clone())? {
            escape @ ('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => json.extend(['\\', escape]),
            '\'' => json.push('\''),
            '0' => json.push_str("\\u0000"),
            'v' => json.push_str("\\u000b"),
            'x' => self.hexadecimal(json, "\\u00", 2)?,
            'u' => self.hexadecimal(json, "\\u", 4)?,
            _ => return Err(unknown),
        }
        Ok(())
    }

    fn hexadecimal(&mut self, json: &mut String, prefix: &str, digits: usize) -> Parsed<()> {
        json.push_str(prefix);
        for _ in 0..digits {
            let wanted = self.expected("a hexadecimal digit");
            json.push(self.next_raw().filter(char::is_ascii_hexdigit).ok_or(wanted)?);
        }
        Ok(())
    }

    fn number(&mut self, json: &mut String) -> Parsed<()> {
        let wanted = self.expected("a number");
        let mut number = String::new();
        while let Some(character) =
            self.next_raw_if(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'))
        {
            number.push(character);
        }
        match serde_json::from_str::<serde_json::Number>(&number) {
            Ok(_) => json.push_str(&number),
            Err(_) => return Err(wanted),
        }
        Ok(())
    }

    fn word(&mut self, json: &mut String) -> Parsed<()> {
        self.skip_space();
        let wanted = self.expected("a value");
        let name = self.name("a value")?;
        match name.as_str() {
            "true" | "false" | "null" => json.push_str(&name),
            "undefined" => json.push_str("null"),
            _ => return Err(wanted),
        }
        Ok(())
    }

    fn name(&mut self, expected: &'static str) -> Parsed<String> {
        self.skip_space();
        let mut name = String::new();
        while let Some(character) = self.next_raw_if(|c| c.is_alphanumeric() || matches!(c, '_' | '$')) {
            name.push(character);
        }
        if name.is_empty() { Err(self.expected(expected)) } else { Ok(name) }
    }

    fn takes(&mut self, wanted: char) -> bool {
        self.skip_space();
        self.next_raw_if(|character| character == wanted).is_some()
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_space();
        self.rest.peek().copied()
    }

    fn skip_space(&mut self) {
        while self.next_raw_if(char::is_whitespace).is_some() {}
    }

    fn next_raw_if(&mut self, wanted: impl FnOnce(char) -> bool) -> Option<char> {
        let next = self.rest.next_if(|&character| wanted(character))?;
        self.column += 1;
        Some(next)
    }

    fn next_raw(&mut self) -> Option<char> {
        self.next_raw_if(|_| true)
    }

    fn expected(&self, expected: &'static str) -> ReplError {
        ReplError { column: self.column, expected }
    }
}

/// Puts a comma before every element but the first.
fn separate(json: &mut String, opening: char) {
    if !json.ends_with(opening) {
        json.push(',');
    }
}

fn quote(json: &mut String, text: &str) {
    json.push('"');
    text.chars().for_each(|character| push_quoted(json, character));
    json.push('"');
}

fn push_quoted(json: &mut String, character: char) {
    match character {
        '"' | '\\' => json.extend(['\\', character]),
        '\0'..='\x1f' => write!(json, "\\u{:04x}", u32::from(character)).expect("a String takes everything"),
        _ => json.push(character),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(line: &str) -> Result<(String, String), String> {
        let call = parse(line).map_err(|error| error.to_string())?;
        let args: Vec<_> = call.args.iter().map(|arg| arg.get()).collect();
        Ok((call.method, args.join(" ")))
    }

    fn args(line: &str) -> String {
        read(&format!("f({line})")).unwrap_or_else(|error| panic!("{line}: {error}")).1
    }

    #[test]
    fn a_call_has_three_spellings() {
        for line in ["client.add(1, 2)", "add(1,2)", "  client . add ( 1 , 2 , ) ; "] {
            assert_eq!(read(line), Ok(("add".into(), "1 2".into())), "{line}");
        }
        for line in ["client.list()", "list", "list;", "client.list"] {
            assert_eq!(read(line), Ok(("list".into(), String::new())), "{line}");
        }
        assert_eq!(read("client(1)"), Ok(("client".into(), "1".into())));
    }

    #[test]
    fn arguments_are_json_as_javascript_writes_it() {
        assert_eq!(args(r#"{"a":[1,-2.5e3,true]}, null"#), r#"{"a":[1,-2.5e3,true]} null"#);
        assert_eq!(args("{a: 'b', $c_1: undefined, 7: [[],],}"), r#"{"a":"b","$c_1":null,"7":[[]]}"#);
        assert_eq!(
            args(r#"'it\'s "so"', "it's", '\x41\ud800\0'"#),
            r#""it's \"so\"" "it's" "\u0041\ud800\u0000""#
        );
        assert_eq!(args("'a\tb', '['"), r#""a\u0009b" "[""#);
        assert_eq!(args("['[', '{', {x: '{'}]"), r#"["[","{",{"x":"{"}]"#);
    }

    #[test]
    fn an_error_says_where() {
        let cases = [
            ("", "column 1: expected a method's name"),
            ("client.", "column 8: expected a method's name"),
            ("f(1", "column 4: expected `,` or `)`"),
            ("f(1) 2", "column 6: expected the end of the line"),
            ("f('é", "column 5: expected a closing quote"),
            ("f(,)", "column 3: expected a value"),
            ("f(01)", "column 3: expected a number"),
            ("f(1-2)", "column 3: expected a number"),
            ("f({a 1})", "column 6: expected `:`"),
            ("f( nothing)", "column 4: expected a value"),
            ("f('\\q')", "column 5: expected an escape of JavaScript"),
            ("f('\\u12g4')", "column 8: expected a hexadecimal digit"),
        ];
        for (line, error) in cases {
            assert_eq!(read(line), Err(error.into()), "{line}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("f({}{})", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(DEPTH_MAX)).is_ok());
        assert!(parse(&nested(DEPTH_MAX + 1)).is_err());
        assert!(parse(&"f([".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in "(f\\()?[\\PC\\[\\]{}'\",:\\\\ux0-9]{0,60}\\)?") {
            if let Ok(call) = parse(&line) {
                for arg in call.args {
                    prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(arg.get()).is_ok());
                }
            }
        }
    }
}

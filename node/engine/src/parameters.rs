//! The names of a function's parameters, parsed from its text: for callers who pass arguments by name.
//!
//! Start from [`names`]. Only plain parameters are understood: names, with or without a default. Any other function has no
//! names here; this only decides whether it can be called by name.

use std::iter::Peekable;
use std::str::Chars;

/// Functions with more parameters have no names.
const PARAMETERS_MAX: usize = 64;

/// Returns the parameters' names in order, if all are plain. `text` may be cut off after them.
pub(super) fn names(text: &str) -> Option<Vec<String>> {
    if text.contains("[native code]") {
        return None;
    }
    let mut reader = Reader { rest: text.chars().peekable() };
    let mut last_word = None;
    loop {
        reader.skip_blanks()?;
        match *reader.rest.peek()? {
            '(' => {
                reader.rest.next();
                return reader.parameters();
            }
            // `name => ...`
            '=' => return last_word.map(|word| vec![word]),
            '[' => reader.skip_value(&[']'])?,
            '*' | '#' => drop(reader.rest.next()),
            '"' | '\'' => reader.skip_text()?,
            _ => {
                let word = reader.word()?;
                // A class is called with `new`, which no caller can.
                if word == "class" {
                    return None;
                }
                last_word = Some(word);
            }
        }
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
}

impl Reader<'_> {
    /// Parses the text between the parentheses, after the opening one.
    fn parameters(&mut self) -> Option<Vec<String>> {
        let mut names = vec![];
        loop {
            self.skip_blanks()?;
            if *self.rest.peek()? == ')' {
                return Some(names);
            }
            let name = self.word()?;
            if names.len() >= PARAMETERS_MAX || names.contains(&name) {
                return None;
            }
            names.push(name);
            self.skip_blanks()?;
            if *self.rest.peek()? == '=' {
                self.rest.next();
                self.skip_value(&[',', ')'])?;
            }
            match self.rest.peek()? {
                ',' => drop(self.rest.next()),
                ')' => {}
                _ => return None,
            }
        }
    }

    /// Skips to one of `ends` outside of brackets; after an open bracket, to behind its closing one.
    fn skip_value(&mut self, ends: &[char]) -> Option<()> {
        let mut open = vec![];
        loop {
            self.skip_blanks()?;
            let letter = *self.rest.peek()?;
            if open.is_empty() && ends.contains(&letter) {
                return Some(());
            }
            match letter {
                '"' | '\'' => {
                    self.skip_text()?;
                    continue;
                }
                '(' => open.push(')'),
                '[' => open.push(']'),
                '{' => open.push('}'),
                ')' | ']' | '}' if open.pop() != Some(letter) => return None,
                ')' | ']' | '}' if open.is_empty() && ends == [letter] => {
                    self.rest.next();
                    return Some(());
                }
                // A template or a pattern: they hold anything.
                '`' | '/' => return None,
                _ => {}
            }
            self.rest.next();
        }
    }

    fn skip_text(&mut self) -> Option<()> {
        let quote = self.rest.next()?;
        loop {
            match self.rest.next()? {
                '\\' => drop(self.rest.next()?),
                letter if letter == quote => return Some(()),
                _ => {}
            }
        }
    }

    fn word(&mut self) -> Option<String> {
        let mut word = String::new();
        while let Some(letter) =
            self.rest.next_if(|letter| letter.is_alphanumeric() || "_$".contains(*letter))
        {
            word.push(letter);
        }
        let begins_well = word.chars().next().is_some_and(|first| !first.is_numeric());
        begins_well.then_some(word)
    }

    /// Skips white space and comments; `None` at a `/` that begins neither.
    fn skip_blanks(&mut self) -> Option<()> {
        loop {
            while self.rest.next_if(|letter| letter.is_whitespace() || *letter == '\u{feff}').is_some() {}
            if self.rest.peek() != Some(&'/') {
                return Some(());
            }
            self.rest.next();
            match self.rest.next()? {
                '/' => {
                    while self.rest.next_if(|letter| !"\n\r\u{2028}\u{2029}".contains(*letter)).is_some() {}
                }
                '*' => loop {
                    if self.rest.next()? == '*' && self.rest.next_if_eq(&'/').is_some() {
                        break;
                    }
                },
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        names(text).map_or_else(|| "none".into(), |names| names.join(" "))
    }

    #[test]
    fn plain_parameters_have_names() {
        for (text, expected) in [
            ("function add(a, b) { return a + b }", "a b"),
            ("async function* f (a,\n  b = 1, // (c)\n c /* , d */, ) {}", "a b c"),
            ("(a, b) => a + b", "a b"),
            ("a => a", "a"),
            ("async a => a", "a"),
            ("async => async", "async"),
            ("async (a) => a", "a"),
            ("() => 1", ""),
            ("add(a, b) {}", "a b"),
            ("async add(a) {}", "a"),
            ("*add($a, _b, ümlaut) {}", "$a _b ümlaut"),
            ("'quoted (name)'(a) {}", "a"),
            ("['comp' + 'uted'](a) {}", "a"),
            ("function (a = ')', b = [1, (2)], c = { d: ',' }, e = f(g, h)) {}", "a b c e"),
            ("function f(a = (x, y) => x, b) {", "a b"),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
    }

    #[test]
    fn anything_else_has_none() {
        for text in [
            "",
            "(",
            "function f",
            "function f(a",
            "function f(a, b = 'cut off",
            "({ a, b }) => a",
            "([a]) => a",
            "(...rest) => rest",
            "(a, ...rest) => rest",
            "(a, a) => a",
            "(a = `)`) => a",
            "(a = /[,)]/) => a",
            "(\\u0061) => a",
            "class A { constructor(a) {} }",
            "(a b) => a",
            "(1) => a",
            "function () {\n    [native code]\n}",
            "function bound f() { [native code] }",
        ] {
            assert_eq!(plain(text), "none", "{text}");
        }
        let many: Vec<_> = (0..65).map(|number| format!("a{number}")).collect();
        assert_eq!(plain(&format!("({}) => 1", many.join(","))), "none");
    }
}

//! The tokens of a program, as far as [`super`] needs them: words, brackets, and the tokens that separate declarations.
//!
//! Only a parser can tell whether a `/` divides or begins a pattern. The reader of the tokens says which it is, or that it is
//! unknown: then the tokens end.

/// The meaning of a `/` at this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slash {
    Divides,
    BeginsPattern,
    Unknown,
}

/// A part of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name or a keyword.
    Word(&'a [u8]),
    /// A private name of a class, with its `#`.
    Private(&'a [u8]),
    /// A number of so many bytes.
    Number(usize),
    /// A text, a template without expressions or the end of one with them, or a pattern.
    Literal,
    /// The part of a template before an expression.
    Template,
    Open(u8),
    Close(u8),
    Comma,
    Semicolon,
    Colon,
    Dot,
    Ellipsis,
    Arrow,
    /// `++` or `--`.
    Step,
    Star,
    /// Anything between two operands, or before one.
    Operator,
}

/// Reads a program's bytes, once.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Whether the last token came after the end of a line.
    pub(super) is_new_line: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, is_new_line: true }
    }

    /// Returns the number of bytes read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Returns the unread bytes.
    pub(super) fn rest(&self) -> &'a [u8] {
        // An escape at the very end leads past it.
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Returns the next token; `None` at the end, or at a `/` of unknown meaning.
    pub(super) fn next(&mut self, slash: Slash) -> Option<Token<'a>> {
        self.skip_blanks();
        let byte = self.peek(0)?;
        Some(match byte {
            b'(' | b'[' | b'{' => self.take(1, Token::Open(byte)),
            b')' | b']' | b'}' => self.take(1, Token::Close(byte)),
            b'"' | b'\'' => self.text(byte),
            b'`' => {
                self.at += 1;
                self.template()
            }
            b'/' => return self.slash(slash),
            b'#' => {
                let start = self.at;
                self.at += 1;
                Token::Private(self.word_from(start))
            }
            b'0'..=b'9' => self.number(),
            b'.' => match (self.peek(1), self.peek(2)) {
                (Some(b'0'..=b'9'), _) => self.number(),
                (Some(b'.'), Some(b'.')) => self.take(3, Token::Ellipsis),
                _ => self.take(1, Token::Dot),
            },
            b'?' if self.peek(1) == Some(b'.') && !self.peek(2).is_some_and(|byte| byte.is_ascii_digit()) => {
                self.take(2, Token::Dot)
            }
            b'=' if self.peek(1) == Some(b'>') => self.take(2, Token::Arrow),
            b'+' | b'-' if self.peek(1) == Some(byte) => self.take(2, Token::Step),
            b',' => self.take(1, Token::Comma),
            b';' => self.take(1, Token::Semicolon),
            b':' => self.take(1, Token::Colon),
            b'*' => self.take(1, Token::Star),
            byte if is_word(byte) => Token::Word(self.word_from(self.at)),
            _ => self.take(1, Token::Operator),
        })
    }

    /// Continues a template after the `}` of an expression in it.
    pub(super) fn template(&mut self) -> Token<'a> {
        while let Some(byte) = self.peek(0) {
            match byte {
                b'`' => return self.take(1, Token::Literal),
                b'$' if self.peek(1) == Some(b'{') => return self.take(2, Token::Template),
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        Token::Literal
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn take(&mut self, length: usize, token: Token<'a>) -> Token<'a> {
        self.at = (self.at + length).min(self.bytes.len());
        token
    }

    fn skip_blanks(&mut self) {
        self.is_new_line = self.at == 0;
        loop {
            let rest = self.rest();
            self.is_new_line |= is_line_end(rest);
            match rest {
                [b'\n' | b'\r' | b' ' | b'\t' | 0x0b | 0x0c, ..] => self.at += 1,
                [b'/', b'*', ..] => self.skip_comment(),
                [b'/', b'/', ..] | [b'<', b'!', b'-', b'-', ..] => self.skip_line(),
                [b'-', b'-', b'>', ..] if self.is_new_line => self.skip_line(),
                [b'#', b'!', ..] if self.at == 0 => self.skip_line(),
                _ => match blank(rest) {
                    0 => return,
                    length => self.at += length,
                },
            }
        }
    }

    fn skip_comment(&mut self) {
        let rest = self.rest();
        let end = rest[2..].windows(2).position(|pair| pair == b"*/");
        let length = end.map_or(rest.len(), |end| end + 4);
        self.is_new_line |= (2..length).any(|at| is_line_end(&rest[at..]));
        self.at += length;
    }

    fn skip_line(&mut self) {
        while self.at < self.bytes.len() && !is_line_end(self.rest()) {
            self.at += 1;
        }
    }

    fn text(&mut self, quote: u8) -> Token<'a> {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\\' => self.at += 2,
                byte if byte == quote => return self.take(1, Token::Literal),
                _ => self.at += 1,
            }
        }
        self.take(0, Token::Literal)
    }

    fn slash(&mut self, slash: Slash) -> Option<Token<'a>> {
        match slash {
            Slash::Divides => Some(self.take(1, Token::Operator)),
            Slash::BeginsPattern => Some(self.pattern()),
            Slash::Unknown => None,
        }
    }

    /// Reads a pattern and its flags. It ends at the end of its line at the latest.
    fn pattern(&mut self) -> Token<'a> {
        let mut is_in_class = false;
        self.at += 1;
        while self.at < self.bytes.len() && !is_line_end(self.rest()) {
            match self.bytes[self.at] {
                b'\\' => self.at += 1,
                b'[' => is_in_class = true,
                b']' => is_in_class = false,
                b'/' if !is_in_class => break,
                _ => {}
            }
            self.at += 1;
        }
        self.at = (self.at + 1).min(self.bytes.len());
        let _flags = self.word_from(self.at);
        Token::Literal
    }

    fn number(&mut self) -> Token<'a> {
        let start = self.at;
        while self.peek(0).is_some_and(|byte| byte == b'.' || byte.is_ascii_alphanumeric() || byte == b'_') {
            self.at += 1;
        }
        Token::Number(self.at - start)
    }

    fn word_from(&mut self, start: usize) -> &'a [u8] {
        while self.peek(0).is_some_and(is_word) && blank(self.rest()) == 0 {
            if self.rest().starts_with(b"\\u{") {
                self.at += self.rest().iter().position(|byte| *byte == b'}').unwrap_or(0);
            }
            self.at += 1;
        }
        &self.bytes[start..self.at]
    }
}

/// Returns whether a byte can be a part of a word. A letter beyond ASCII is one, and so is a part of an escape.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'\\' | 0x80..)
}

/// Returns the length of a blank beyond ASCII at the beginning: `U+00A0`, `U+1680`, `U+2000` to `U+200A`, `U+2028`, `U+2029`,
/// `U+202F`, `U+205F`, `U+3000` and `U+FEFF`.
fn blank(bytes: &[u8]) -> usize {
    match bytes {
        [0xc2, 0xa0, ..] => 2,
        [0xe1, 0x9a, 0x80, ..]
        | [0xe2, 0x80, 0x80..=0x8a | 0xa8 | 0xa9 | 0xaf, ..]
        | [0xe2, 0x81, 0x9f, ..]
        | [0xe3, 0x80, 0x80, ..]
        | [0xef, 0xbb, 0xbf, ..] => 3,
        _ => 0,
    }
}

fn is_line_end(bytes: &[u8]) -> bool {
    matches!(bytes, [b'\n' | b'\r', ..] | [0xe2, 0x80, 0xa8 | 0xa9, ..])
}

/// Returns the number of words in a text, whatever they are in.
pub(super) fn words(text: &[u8]) -> u64 {
    text.split(|byte| !is_word(*byte)).filter(|word| !word.is_empty()).count() as u64
}

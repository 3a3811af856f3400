//! An upper bound on the cost of compiling a program, computed from its source before the engine parses it.
//!
//! The engine's compiler never asks whether to go on, and it takes more than linear time: it looks for a name among all
//! others of its function and of the functions around it, one by one, and it reads ahead to the end of a bracket to learn
//! whether that was a pattern or the parameters of an arrow function. A program of 700 kB can keep it busy for half a minute.
//! So this file reads the text once beforehand, in time `n log n`, and adds up bounds of that work:
//!
//! ```text
//! each function      names declared in it, and names that it takes from outside,
//!                    times the words in it (functions in it included)
//! each bracket       its length, if the engine may read it ahead
//! each exit          the depth of the break, continue or return
//! each number        the square of its length: it may be a BigInt
//! ```
//!
//! The bound must hold for any text that the engine would accept, hostile ones included; so an ambiguous
//! construct counts as the more expensive one. A construct that may declare a name counts as doing so, but a name counts as not
//! taken from outside only if its declaration is certain. Braces that may or may not be a function's count as one, and their
//! declarations count outside as well. If even the lexing is ambiguous (a `/` that divides, or begins a pattern), each word of
//! the rest counts as looked up among all others. A text that is not a program pays more: the engine stops at its error.

mod frame;
mod lexer;

use std::collections::{BTreeMap, BTreeSet};

use self::frame::{Frame, Frames, ScopeKind};
use self::lexer::{Lexer, Slash, Token};

/// Bytes that are read ahead in one step.
const AHEAD_BYTES_PER_STEP: u64 = 2;
/// The number of digits, divided by this and squared, is the number of steps.
const DIGITS_PER_STEP: u64 = 96;
/// The engine reads ahead through no more open brackets than this.
const AHEAD_DEPTH_MAX: u64 = 256;
/// Names of a class beside those in the text: its own, its brand, its initializer. A `using` has no more.
const CLASS_NAMES: u64 = 4;

/// Returns the steps for compiling a program, and how many names it may declare.
pub(super) fn cost(text: &[u8]) -> CompileCost {
    let mut reader = Reader::new(text);
    while reader.read_token() {}
    reader.finish()
}

/// Returns the steps for passing so many names to a direct `eval`, and looking up so many words among them.
pub(super) fn eval_scope_cost(names: u64, words: u64) -> u64 {
    /// Passing one name takes as long as comparing so many.
    const COMPARED_PER_NAME: u64 = 16;
    frame::steps(names.saturating_mul(words.saturating_add(COMPARED_PER_NAME)), 0)
}

/// The cost of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CompileCost {
    /// Steps beside one step for each byte.
    pub(super) steps: u64,
    /// Names that the program may declare.
    pub(super) names: u64,
    /// Words that are looked up among names.
    pub(super) words: u64,
}

#[derive(Clone, Copy, Debug)]
struct Bracket {
    kind: Kind,
    /// Its offset in bytes.
    start: usize,
    /// The number of words before it.
    words: u64,
    /// Whether the engine may read ahead to its end.
    is_read_ahead: bool,
    /// Whether each word in it may be a declared name.
    is_pattern: bool,
    /// Whether another declared name follows a comma in it.
    declares: Declares,
    /// Whether `class` stands in it, and its braces are to come.
    is_class_near: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Parentheses(Head),
    Square,
    /// Certainly statements, with nothing that continues an expression before or after them.
    Block,
    /// Certainly an object literal or a pattern.
    Object,
    Class,
    /// Other braces.
    Braces,
    /// An expression in a template.
    Template,
}

/// The token before parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// `if`, `for` and others that a statement follows.
    Statement,
    Catch,
    /// `function`, with or without a name.
    Function,
    Other,
}

/// Which names the items of a comma-separated list declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Declares {
    Nothing,
    /// A declaration, or an expression on a line of its own.
    Perhaps,
    /// Names of the whole function.
    Variables,
    /// Names of a block.
    Constants,
}

/// The last token, as far as the next one depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PrevToken {
    Start,
    Declaring(Declares),
    /// `function`; whether a statement begins with it.
    Function(bool),
    FunctionName,
    Class,
    /// A keyword that parentheses and a statement follow.
    Head(Head),
    /// A keyword that a statement follows.
    BeforeStatement,
    /// A keyword that an operand follows.
    BeforeOperand,
    /// A keyword in some places, a name in others.
    PerhapsKeyword,
    /// A name in an object literal, before its colon.
    Key,
    Name(u32),
    Operand,
    Parentheses,
    /// The end of braces of this kind.
    End(Kind),
    Open,
    Comma,
    Semicolon,
    Colon,
    Dot,
    Operator,
}

/// Parentheses that have just ended, before it is known whether they held parameters.
#[derive(Debug)]
struct Parameters {
    head: Head,
    words: u64,
    names: u64,
    certain: Vec<u32>,
    used: BTreeSet<u32>,
}

#[derive(Debug)]
struct Reader<'a> {
    lexer: Lexer<'a>,
    ids: BTreeMap<&'a [u8], u32>,
    brackets: Vec<Bracket>,
    frames: Frames,
    /// For each open pair of parentheses, the words at places where a parameter might stand.
    parameters: Vec<Vec<u32>>,
    ended: Option<Parameters>,
    /// An arrow's parameters, before its body.
    arrow: Option<Parameters>,
    last: PrevToken,
    words: u64,
    names: u64,
    steps: u64,
    ahead: u64,
}

impl<'a> Reader<'a> {
    fn new(text: &'a [u8]) -> Self {
        let program = Bracket {
            kind: Kind::Braces,
            start: 0,
            words: 0,
            is_read_ahead: false,
            is_pattern: false,
            declares: Declares::Nothing,
            is_class_near: false,
        };
        Self {
            lexer: Lexer::new(text),
            ids: BTreeMap::new(),
            brackets: vec![program],
            frames: Frames::new(),
            parameters: vec![],
            ended: None,
            arrow: None,
            last: PrevToken::Start,
            words: 0,
            names: 0,
            steps: 0,
            ahead: 0,
        }
    }

    /// Reads a token; returns whether there was one.
    fn read_token(&mut self) -> bool {
        let Some(token) = self.lexer.next(self.slash()) else { return false };
        self.end_line(token);
        let is_body = token == Token::Open(b'{');
        if !is_body && token != Token::Arrow {
            self.return_parameters();
            if let Some(parameters) = self.arrow.take() {
                self.open_frame(ScopeKind::Expression, parameters);
            }
        }
        self.last = match token {
            Token::Word(word) => self.word(word),
            Token::Private(name) => self.private_name(name),
            Token::Number(length) => {
                let digits = length as u64 / DIGITS_PER_STEP;
                self.pay(digits.saturating_mul(digits));
                PrevToken::Operand
            }
            Token::Literal => PrevToken::Operand,
            Token::Template => self.open(Kind::Template, true),
            Token::Open(b'(') => self.open_parentheses(),
            Token::Open(b'[') => self.open(Kind::Square, true),
            Token::Open(_) => self.open_braces(),
            Token::Close(_) => self.close(),
            Token::Comma => {
                self.end_expressions();
                PrevToken::Comma
            }
            Token::Semicolon => {
                self.end_expressions();
                self.bracket().declares = Declares::Nothing;
                PrevToken::Semicolon
            }
            Token::Colon if self.last == PrevToken::Key => PrevToken::Operator,
            Token::Colon => PrevToken::Colon,
            Token::Dot => PrevToken::Dot,
            Token::Arrow => self.arrow(),
            Token::Step => PrevToken::Operand,
            // `function*`
            Token::Star if matches!(self.last, PrevToken::Function(_)) => self.last,
            Token::Ellipsis | Token::Star | Token::Operator => PrevToken::Operator,
        };
        true
    }

    /// Returns the meaning of a `/` at this place.
    fn slash(&self) -> Slash {
        match self.last {
            PrevToken::FunctionName
            | PrevToken::Name(_)
            | PrevToken::Operand
            | PrevToken::Dot
            | PrevToken::Key
            | PrevToken::End(Kind::Object) => Slash::Divides,
            PrevToken::Parentheses => match &self.ended {
                Some(Parameters { head: Head::Statement, .. }) => Slash::BeginsPattern,
                _ => Slash::Divides,
            },
            PrevToken::PerhapsKeyword | PrevToken::End(Kind::Braces | Kind::Class) => Slash::Unknown,
            _ => Slash::BeginsPattern,
        }
    }

    /// Handles the end of a line. A declaration may end with its line, unless it ends with a comma. And where nothing joins two
    /// operands, an expression has ended with the first.
    fn end_line(&mut self, next: Token<'_>) {
        if !self.lexer.is_new_line || self.last == PrevToken::Comma {
            return;
        }
        let bracket = self.bracket();
        if bracket.declares != Declares::Nothing {
            bracket.declares = Declares::Perhaps;
        }
        let is_operand = matches!(
            self.last,
            PrevToken::Name(_) | PrevToken::Operand | PrevToken::Parentheses | PrevToken::End(_)
        );
        let joins = [&b"in"[..], b"instanceof", b"of", b"as"];
        if is_operand && matches!(next, Token::Word(word) if !joins.contains(&word)) {
            self.end_expressions();
        }
    }

    fn word(&mut self, word: &'a [u8]) -> PrevToken {
        if self.last == PrevToken::Dot {
            return PrevToken::Operand;
        }
        if self.is_key() {
            return PrevToken::Key;
        }
        match word {
            b"var" => return self.declaration(Declares::Variables),
            b"const" => return self.declaration(Declares::Constants),
            b"function" => return PrevToken::Function(self.is_at_statement()),
            b"class" => {
                self.declare(CLASS_NAMES);
                self.bracket().is_class_near = true;
                return PrevToken::Class;
            }
            b"if" | b"for" | b"while" | b"switch" => return self.statement(PrevToken::Head(Head::Statement)),
            b"with" => {
                self.declare(1);
                return self.statement(PrevToken::Head(Head::Statement));
            }
            b"catch" => return PrevToken::Head(Head::Catch),
            b"break" | b"continue" | b"return" => {
                self.pay(self.brackets.len() as u64);
                return self.statement(PrevToken::BeforeOperand);
            }
            b"throw" => return self.statement(PrevToken::BeforeOperand),
            b"do" | b"try" => return self.statement(PrevToken::BeforeStatement),
            b"else" | b"finally" => return PrevToken::BeforeStatement,
            b"case" | b"extends" | b"typeof" | b"in" | b"instanceof" | b"new" | b"void" | b"delete" => {
                return PrevToken::BeforeOperand;
            }
            _ => {}
        }
        let id = self.use_word(word);
        match word {
            b"let" | b"using" if self.is_word_next() => {
                if word == b"using" {
                    self.declare(CLASS_NAMES);
                }
                self.end_expressions();
                PrevToken::Declaring(Declares::Constants)
            }
            b"let" => PrevToken::Declaring(Declares::Perhaps),
            b"await" if matches!(self.last, PrevToken::Head(_)) => self.last,
            b"static" | b"async" | b"await" | b"yield" | b"of" | b"get" | b"set" | b"using" | b"default" => {
                PrevToken::PerhapsKeyword
            }
            b"this" | b"super" | b"null" | b"true" | b"false" => PrevToken::Operand,
            _ => self.name(id),
        }
    }

    /// Handles a name that may be declared here, or used.
    fn name(&mut self, id: u32) -> PrevToken {
        let depth = self.brackets.len();
        let bracket = *self.bracket();
        let declares = match self.last {
            PrevToken::Declaring(declares) => {
                self.bracket().declares = declares;
                declares
            }
            PrevToken::Comma => bracket.declares,
            PrevToken::Function(is_statement) => {
                self.declare(1);
                if is_statement && self.frames.is_outermost(depth) {
                    self.frames.declared_for_certain(id);
                }
                return PrevToken::FunctionName;
            }
            _ => Declares::Nothing,
        };
        if declares != Declares::Nothing || bracket.is_pattern || self.last == PrevToken::Class {
            self.declare(1);
        }
        let is_certain = match declares {
            Declares::Variables => true,
            Declares::Constants => self.frames.is_outermost(depth),
            Declares::Nothing | Declares::Perhaps => false,
        };
        if is_certain {
            self.frames.declared_for_certain(id);
        }
        let is_parameter = matches!(bracket.kind, Kind::Parentheses(_))
            && matches!(self.last, PrevToken::Open | PrevToken::Comma);
        if let Some(parameters) = self.parameters.last_mut().filter(|_| is_parameter) {
            parameters.push(id);
        }
        PrevToken::Name(id)
    }

    fn private_name(&mut self, name: &'a [u8]) -> PrevToken {
        if self.last != PrevToken::Dot {
            self.declare(1);
        }
        self.use_word(name);
        PrevToken::Operand
    }

    fn use_word(&mut self, word: &'a [u8]) -> u32 {
        let next = self.ids.len() as u32;
        let id = *self.ids.entry(word).or_insert(next);
        self.words += 1;
        self.frames.used(id);
        id
    }

    fn declaration(&mut self, declares: Declares) -> PrevToken {
        self.statement(PrevToken::Declaring(declares))
    }

    /// Handles a word that only a statement begins with.
    fn statement(&mut self, last: PrevToken) -> PrevToken {
        self.end_expressions();
        last
    }

    fn declare(&mut self, names: u64) {
        self.names += names;
        self.frames.top().names += names;
    }

    /// Returns whether a colon follows the word in an object literal, so that it names nothing.
    fn is_key(&mut self) -> bool {
        self.bracket().kind == Kind::Object
            && matches!(self.last, PrevToken::Open | PrevToken::Comma)
            && self.lexer.rest().trim_ascii_start().starts_with(b":")
    }

    fn is_word_next(&self) -> bool {
        let next = self.lexer.rest().trim_ascii_start();
        next.first().is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$'))
            && ![&b"in"[..], b"instanceof", b"of"].iter().any(|word| next.starts_with(word))
    }

    /// Returns whether a statement begins after the last token, if the next one is a statement's keyword.
    fn is_at_statement(&mut self) -> bool {
        let is_new_line = self.lexer.is_new_line;
        let is_in_braces = matches!(self.bracket().kind, Kind::Block | Kind::Braces);
        match self.last {
            PrevToken::Start | PrevToken::Semicolon | PrevToken::End(_) => is_in_braces,
            PrevToken::Open => is_in_braces,
            PrevToken::Operand | PrevToken::Name(_) => is_in_braces && is_new_line,
            _ => false,
        }
    }

    fn open_parentheses(&mut self) -> PrevToken {
        let head = match self.last {
            PrevToken::Head(head) => head,
            PrevToken::Function(_) | PrevToken::FunctionName => Head::Function,
            _ => Head::Other,
        };
        self.parameters.push(vec![]);
        self.frames.open_set();
        self.open(Kind::Parentheses(head), true)
    }

    fn open_braces(&mut self) -> PrevToken {
        if let Some(parameters) = self.arrow.take() {
            return self.open_function(ScopeKind::Certain, parameters);
        }
        if let Some(parameters) = self.ended.take() {
            return self.open_after_parentheses(parameters);
        }
        let is_new_line = self.lexer.is_new_line;
        let last = self.last;
        let bracket = self.bracket();
        // After `extends` follows an object literal, and then the class.
        if bracket.is_class_near && last != PrevToken::BeforeOperand {
            bracket.is_class_near = false;
            return self.open_class();
        }
        let is_in_expression = matches!(bracket.kind, Kind::Parentheses(_) | Kind::Square | Kind::Template);
        match last {
            PrevToken::PerhapsKeyword => self.open_function(ScopeKind::Perhaps, Parameters::none(self.words)),
            PrevToken::Start | PrevToken::Semicolon | PrevToken::BeforeStatement | PrevToken::End(_) => {
                self.open(Kind::Block, false)
            }
            PrevToken::BeforeOperand if is_new_line => self.open(Kind::Braces, true),
            PrevToken::BeforeOperand | PrevToken::Comma | PrevToken::Operator | PrevToken::Declaring(_) => {
                self.open(Kind::Object, true)
            }
            PrevToken::Open if is_in_expression => self.open(Kind::Object, true),
            _ => self.open(Kind::Braces, true),
        }
    }

    fn open_after_parentheses(&mut self, parameters: Parameters) -> PrevToken {
        let is_method = matches!(self.bracket().kind, Kind::Object | Kind::Class);
        match parameters.head {
            Head::Statement | Head::Catch => {
                if parameters.head == Head::Catch {
                    self.declare(parameters.names);
                }
                self.frames.use_all(parameters.used);
                self.open(Kind::Block, false)
            }
            Head::Function => self.open_function(ScopeKind::Certain, parameters),
            Head::Other if std::mem::take(&mut self.bracket().is_class_near) => {
                self.frames.use_all(parameters.used);
                self.open_class()
            }
            Head::Other if is_method => self.open_function(ScopeKind::Certain, parameters),
            Head::Other => self.open_function(ScopeKind::Perhaps, parameters),
        }
    }

    fn open_function(&mut self, sort: ScopeKind, parameters: Parameters) -> PrevToken {
        let last = self.open(Kind::Braces, sort == ScopeKind::Perhaps);
        self.open_frame(sort, parameters);
        last
    }

    fn open_class(&mut self) -> PrevToken {
        let last = self.open(Kind::Class, true);
        self.open_frame(ScopeKind::Perhaps, Parameters::none(self.words));
        last
    }

    fn open_frame(&mut self, sort: ScopeKind, parameters: Parameters) {
        let Parameters { words, names, certain, used, .. } = parameters;
        self.names += names;
        self.frames.open(Frame::new(sort, self.brackets.len(), words, names), used);
        if sort != ScopeKind::Perhaps {
            certain.into_iter().for_each(|id| self.frames.declared_for_certain(id));
        }
    }

    fn open(&mut self, kind: Kind, is_read_ahead: bool) -> PrevToken {
        let outer = *self.bracket();
        let begins_pattern = match self.last {
            PrevToken::Declaring(declares) => {
                self.bracket().declares = declares;
                true
            }
            PrevToken::Comma => outer.declares != Declares::Nothing,
            _ => false,
        };
        self.brackets.push(Bracket {
            kind,
            start: self.lexer.position(),
            words: self.words,
            is_read_ahead,
            is_pattern: begins_pattern || (outer.is_pattern && kind != Kind::Braces),
            declares: Declares::Nothing,
            is_class_near: false,
        });
        PrevToken::Open
    }

    fn close(&mut self) -> PrevToken {
        self.end_expressions();
        if self.brackets.len() == 1 {
            return PrevToken::End(Kind::Braces);
        }
        self.end_frame();
        let Some(bracket) = self.brackets.pop() else { return PrevToken::Operand };
        if bracket.is_read_ahead {
            self.ahead += (self.lexer.position() - bracket.start) as u64;
        }
        match bracket.kind {
            Kind::Parentheses(head) => {
                let (words, names) = (bracket.words, self.words - bracket.words);
                let certain = self.parameters.pop().unwrap_or_default();
                let used = self.frames.close_set();
                self.ended = Some(Parameters { head, words, names, certain, used });
                PrevToken::Parentheses
            }
            Kind::Square => PrevToken::Operand,
            Kind::Template => match self.lexer.template() {
                Token::Template => {
                    self.last = PrevToken::Operand;
                    self.open(Kind::Template, true)
                }
                _ => PrevToken::Operand,
            },
            kind => PrevToken::End(kind),
        }
    }

    /// Gives the words of parentheses that held no parameters to the function around them.
    fn return_parameters(&mut self) {
        if let Some(parameters) = self.ended.take() {
            self.frames.use_all(parameters.used);
        }
    }

    fn arrow(&mut self) -> PrevToken {
        let single = match self.last {
            PrevToken::Name(id) => vec![id],
            _ => vec![],
        };
        self.arrow = Some(self.ended.take().unwrap_or_else(|| Parameters {
            names: 1,
            certain: single,
            ..Parameters::none(self.words)
        }));
        PrevToken::Operator
    }

    /// Ends the arrow functions whose expressions end here.
    fn end_expressions(&mut self) {
        while self.frames.top().is_expression_at(self.brackets.len()) {
            self.frames.close(self.words);
        }
    }

    fn end_frame(&mut self) {
        if self.frames.is_outermost(self.brackets.len()) {
            self.frames.close(self.words);
        }
    }

    fn bracket(&mut self) -> &mut Bracket {
        self.brackets.last_mut().expect("the program's own is never taken away")
    }

    fn pay(&mut self, steps: u64) {
        self.steps = self.steps.saturating_add(steps);
    }

    fn finish(mut self) -> CompileCost {
        self.return_parameters();
        self.count_rest();
        let end = self.lexer.position() as u64;
        let open: u64 =
            self.brackets.iter().skip(1).map(|bracket| end.saturating_sub(bracket.start as u64)).sum();
        self.pay(self.ahead.saturating_add(open) / AHEAD_BYTES_PER_STEP);
        let Self { frames, steps, names, words, .. } = self;
        CompileCost { steps: steps.saturating_add(frames.finish(words)), names, words }
    }

    /// Counts the unreadable rest: each word may be looked up among all, in as many functions as there may be.
    fn count_rest(&mut self) {
        let rest = self.lexer.rest();
        let count = |is_it: fn(u8) -> bool| rest.iter().filter(|byte| is_it(**byte)).count() as u64;
        let (words, opening) = (lexer::words(rest), count(|byte| matches!(byte, b'(' | b'[' | b'{' | b'>')));
        let (functions, depth) =
            (self.frames.len() + opening.min(AHEAD_DEPTH_MAX), opening.min(AHEAD_DEPTH_MAX));
        let all = self.words.saturating_add(self.names).saturating_add(words);
        self.pay(frame::steps(words.saturating_mul(all).saturating_mul(functions), 0));
        self.ahead = self.ahead.saturating_add((rest.len() as u64).saturating_mul(depth));
        self.words = self.words.saturating_add(words);
        self.names = self.names.saturating_add(words);
    }
}

impl Parameters {
    /// Returns no parameters, of a function that begins after so many words.
    fn none(words: u64) -> Self {
        Self { head: Head::Other, words, names: 0, certain: vec![], used: BTreeSet::new() }
    }
}

#[cfg(test)]
mod tests;

//! Which module uses which: every path of a crate's sources, led to the module that defines its last name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::tokens::{Token, tokens};

/// The names from the crate down to a module.
type Module = Vec<String>;

/// A crate to read.
#[derive(Debug)]
pub(crate) struct Crate<'a> {
    /// What others call it.
    pub(crate) name: &'a str,
    /// The file that its modules begin from.
    pub(crate) root: PathBuf,
}

/// One path that leads to another module.
#[derive(Debug)]
pub(crate) struct Use {
    pub(crate) from: Module,
    pub(crate) to: Module,
    /// The file, the line and the path.
    pub(crate) place: String,
}

/// What modules use.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    scopes: BTreeMap<Module, Scope>,
    uses: Vec<Use>,
}

/// What a module brings in from others.
#[derive(Debug, Default)]
struct Scope {
    /// The path behind each name that it imports.
    names: BTreeMap<String, Vec<String>>,
    paths: Vec<Written>,
}

/// A path as it stands in a file.
#[derive(Debug)]
struct Written {
    path: Vec<String>,
    place: String,
}

/// A file on the way through it.
struct Reader<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    file: &'a Path,
    /// Where the files of its modules are.
    directory: PathBuf,
}

impl Uses {
    /// Reads crates, file by file as their modules name them. Modules of tests are left out.
    pub(crate) fn read(crates: &[Crate<'_>], read: &dyn Fn(&Path) -> Option<String>) -> Self {
        let mut uses = Self::default();
        for Crate { name, root } in crates {
            let directory = root.parent().unwrap_or(Path::new("")).to_owned();
            uses.read_file(&vec![(*name).to_owned()], root, directory, read);
        }
        uses.uses = uses.resolved();
        uses
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Use> {
        self.uses.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.uses.len()
    }

    /// How many modules there are.
    pub(crate) fn modules(&self) -> usize {
        self.scopes.len()
    }

    fn read_file(
        &mut self,
        module: &Module,
        file: &Path,
        directory: PathBuf,
        read: &dyn Fn(&Path) -> Option<String>,
    ) {
        let text = read(file).unwrap_or_else(|| panic!("{module:?} is not in {}", file.display()));
        let mut reader = Reader { tokens: tokens(&text), at: 0, file, directory };
        self.read_module(module, &mut reader, read);
        assert!(reader.at > reader.tokens.len(), "the braces of {} were not understood", file.display());
    }

    /// Reads up to the end of the module: of the file, or the brace that closes it.
    fn read_module(
        &mut self,
        module: &Module,
        reader: &mut Reader<'_>,
        read: &dyn Fn(&Path) -> Option<String>,
    ) {
        self.scopes.entry(module.clone()).or_default();
        let mut depth = 0_usize;
        while let Some(token) = reader.next() {
            match token {
                "{" => depth += 1,
                "}" if depth == 0 => return,
                "}" => depth -= 1,
                "#" if reader.is_test() => reader.skip_item(),
                "mod" => {
                    let name = reader.next().expect("a module has a name").to_owned();
                    let directory = reader.directory.join(&name);
                    let inner = [module.as_slice(), &[name]].concat();
                    if reader.next() == Some("{") {
                        let outer = std::mem::replace(&mut reader.directory, directory);
                        self.read_module(&inner, reader, read);
                        reader.directory = outer;
                    } else {
                        self.read_file(&inner, &directory.with_extension("rs"), directory, read);
                    }
                }
                "use" => {
                    let place = reader.place();
                    let scope = self.scopes.entry(module.clone()).or_default();
                    reader.read_use(&[], &mut |path, name| scope.import(path, name, &place));
                }
                _ if reader.peek() == Some("::") => {
                    let place = reader.place();
                    let path = reader.read_path(token);
                    let scope = self.scopes.entry(module.clone()).or_default();
                    scope.mention(path, &place);
                }
                _ => {}
            }
        }
    }

    fn resolved(&self) -> Vec<Use> {
        let written = self.scopes.iter().flat_map(|(module, scope)| {
            let paths = scope.paths.iter();
            paths.filter_map(move |written| Some((module, written, self.resolve(module, &written.path, 0)?)))
        });
        let others = written.filter(|(from, _, to)| *from != to);
        others
            .map(|(from, Written { place, .. }, to)| Use { from: from.clone(), to, place: place.clone() })
            .collect()
    }

    /// Returns the module that defines what a path names, as seen from `module`: `None` for a foreign crate's.
    fn resolve(&self, module: &Module, path: &[String], depth: usize) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        let mut module = match first.as_str() {
            "crate" => module[..1].to_vec(),
            "self" => module.clone(),
            "super" => module[..module.len() - 1].to_vec(),
            name if self.scopes.contains_key([name.to_owned()].as_slice()) => vec![name.to_owned()],
            _ => return self.step(module, first, rest, depth),
        };
        for (at, name) in rest.iter().enumerate() {
            if name == "super" {
                module.pop();
                continue;
            }
            return self.step(&module, name, &rest[at + 1..], depth).or(Some(module));
        }
        Some(module)
    }

    /// Follows one name and what comes after it, from within `module`: to a module in it, or to what it imports.
    fn step(&self, module: &Module, name: &str, rest: &[String], depth: usize) -> Option<Module> {
        let inner = [module.as_slice(), &[name.to_owned()]].concat();
        if self.scopes.contains_key(&inner) {
            let Some((name, rest)) = rest.split_first() else { return Some(inner) };
            return self.step(&inner, name, rest, depth).or(Some(inner));
        }
        let path = self.scopes.get(module)?.names.get(name)?;
        // Names may lead in circles where a module and an item share one.
        (depth < 16).then(|| self.resolve(module, &[path, rest].concat(), depth + 1))?
    }
}

impl Scope {
    fn import(&mut self, path: Vec<String>, name: &str, place: &str) {
        if path.last().is_some_and(|last| last != name) || path.len() > 1 {
            self.names.insert(name.to_owned(), path.clone());
        }
        self.mention(path, place);
    }

    fn mention(&mut self, path: Vec<String>, place: &str) {
        self.paths.push(Written { place: format!("{place}: {}", path.join("::")), path });
    }
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).map(|token| token.text)
    }

    /// The place of the token before.
    fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.tokens[self.at - 1].line)
    }

    /// Whether the attribute that begins here is for tests alone.
    fn is_test(&self) -> bool {
        let texts = self.tokens[self.at..].iter().map(|token| token.text);
        let begin = texts.take(5).collect::<Vec<_>>();
        begin == ["[", "cfg", "(", "test", ")"]
            || begin == ["[", "cfg", "(", "all", "("] && self.is_all_for_tests()
    }

    fn is_all_for_tests(&self) -> bool {
        let texts = self.tokens[self.at..].iter().map(|token| token.text);
        texts.skip(5).take_while(|text| *text != "]").any(|text| text == "test")
    }

    /// Skips the rest of attributes and what they belong to: to its `;` or `,`, or to the brace that closes it.
    fn skip_item(&mut self) {
        while self.peek() == Some("[") || self.peek() == Some("#") {
            self.skip_to("]", "#");
        }
        // Commas separate arms, fields and variants, and stand between the angles of a function.
        let is_item = matches!(
            self.peek(),
            Some("async" | "const" | "enum" | "fn" | "impl" | "pub" | "struct" | "trait")
        );
        self.skip_to(";", if is_item { ";" } else { "," });
    }

    /// Skips what begins here, through one of the two ends or the brace that closes it.
    fn skip_to(&mut self, end: &str, other_end: &str) {
        let mut depth = 0_usize;
        while let Some(token) = self.next() {
            match token {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" if depth == 0 => {
                    self.at -= 1;
                    return;
                }
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            if depth == 0 && (token == "}" || token == end || token == other_end) {
                return;
            }
        }
    }

    /// Reads `::` and names for as long as they follow.
    fn read_path(&mut self, first: &str) -> Vec<String> {
        let mut path = vec![first.to_owned()];
        while self.peek() == Some("::") {
            let name = self.tokens.get(self.at + 1).map(|token| token.text);
            match name.filter(|name| name.starts_with(|first: char| first.is_alphabetic() || first == '_')) {
                Some(name) => path.push(name.to_owned()),
                None => break,
            }
            self.at += 2;
        }
        path
    }

    /// Reads the tree of a `use`: each path of it, with the name under which it is known from then on.
    fn read_use(&mut self, before: &[String], take: &mut dyn FnMut(Vec<String>, &str)) {
        let mut path = before.to_vec();
        while let Some(token) = self.next() {
            match token {
                "::" => {}
                "{" => {
                    while self.peek() != Some("}") {
                        self.read_use(&path, take);
                        if self.peek() == Some(",") {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "*" => return take(path, "*"),
                name => {
                    // `a::{self}` is `a`; at the beginning it is a path's first name.
                    if name != "self" || path.is_empty() {
                        path.push(name.to_owned());
                    }
                    match self.peek() {
                        Some("::") => {}
                        Some("as") => {
                            self.at += 1;
                            let name = self.next().expect("a name follows `as`");
                            return take(path, name);
                        }
                        _ => {
                            let name = path.last().expect("pushed above").clone();
                            return take(path, &name);
                        }
                    }
                }
            }
        }
    }
}

//! Editing a source file. Each change names the text that it expects; a file with another text ends the build.

/// The text of one file.
pub(crate) struct Text {
    name: &'static str,
    text: String,
}

impl Text {
    pub(crate) fn new(name: &'static str, text: String) -> Self {
        Self { name, text }
    }

    pub(crate) fn into_string(self) -> String {
        self.text
    }

    /// Replaces `old` by `new`; `old` must occur exactly `times` times.
    pub(crate) fn replace(&mut self, old: &str, new: &str, times: usize) {
        let found = self.text.matches(old).count();
        assert!(found == times, "{}: `{old}` occurs {found} times, not {times}: {ADVICE}", self.name);
        self.text = self.text.replace(old, new);
    }

    /// Replaces as [`Self::replace`] does, for one occurrence inside the body of `function`.
    pub(crate) fn replace_in(&mut self, function: &str, old: &str, new: &str) {
        let start = self.body(function);
        // A function ends with the first brace at the beginning of a line.
        let length = self.text[start..].find("\n}").unwrap_or_else(|| self.refuse(function, "has no end"));
        let body = &self.text[start..start + length];
        let found = body.matches(old).count();
        assert!(found == 1, "{}: `{old}` occurs {found} times in {function}, not once: {ADVICE}", self.name);
        let body = body.replace(old, new);
        self.text.replace_range(start..start + length, &body);
    }

    /// Inserts a line at the beginning of the body of `function`.
    pub(crate) fn begin(&mut self, function: &str, line: &str) {
        let start = self.body(function);
        self.text.insert_str(start, &format!("\n    {line}"));
    }

    /// Returns the offset of the body of `function`, after its brace.
    fn body(&self, function: &str) -> usize {
        let call = format!("{function}(");
        let is_whole =
            |at: usize| !self.text[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
        let names = self.text.match_indices(&call).map(|(at, _)| at).filter(|at| is_whole(*at));
        let bodies: Vec<usize> = names.filter_map(|at| self.brace_after(at + call.len())).collect();
        match bodies[..] {
            [body] => body,
            _ => self.refuse(function, "is not defined there exactly once"),
        }
    }

    /// Returns the end of the brace behind a list of parameters that begins at `start`; `None` if it is not a definition's.
    fn brace_after(&self, start: usize) -> Option<usize> {
        let mut open = 1;
        for (at, letter) in self.text[start..].char_indices() {
            match letter {
                '(' => open += 1,
                ')' => open -= 1,
                _ => continue,
            }
            if open == 0 {
                let brace = start + at + 1;
                return self.text[brace..].starts_with("\n{").then_some(brace + 2);
            }
        }
        None
    }

    fn refuse(&self, function: &str, why: &str) -> ! {
        panic!("{}: the function {function} {why}: {ADVICE}", self.name)
    }
}

const ADVICE: &str = "the source of rquickjs-sys is not the one that node/engine/build was written for";

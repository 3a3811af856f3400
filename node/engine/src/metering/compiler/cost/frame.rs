//! The functions that are open around a place in a program: [`Frames`].

use std::collections::BTreeSet;

/// Declared names that are compared in one step.
pub(super) const NAMES_PER_STEP: u64 = 24;
/// Names from outside that are compared in one step.
const OUTER_NAMES_PER_STEP: u64 = 48;
/// Names that the engine may give to a function by itself: `this`, `arguments` and the like.
const OWN_NAMES: u64 = 8;

/// One function.
#[derive(Debug)]
pub(super) struct Frame {
    sort: ScopeKind,
    /// The number of brackets open in its body.
    depth: usize,
    /// The number of words before it.
    words: u64,
    /// The number of names that it may declare.
    pub(super) names: u64,
    /// The names that it certainly declares.
    certain: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScopeKind {
    /// A function with braces.
    Certain,
    /// Braces that may be a function's, or a class, which the engine partly treats as one.
    Perhaps,
    /// An arrow function without braces.
    Expression,
}

/// All open functions, and for each, as for each pair of parentheses in it, the names used there.
#[derive(Debug)]
pub(super) struct Frames {
    open: Vec<Frame>,
    used: Vec<BTreeSet<u32>>,
    steps: u64,
}

impl Frame {
    pub(super) fn new(sort: ScopeKind, depth: usize, words: u64, names: u64) -> Self {
        Self { sort, depth, words, names: names + OWN_NAMES, certain: vec![] }
    }

    pub(super) fn is_expression_at(&self, depth: usize) -> bool {
        self.sort == ScopeKind::Expression && self.depth == depth
    }
}

impl Frames {
    /// Returns the frames of a program without functions.
    pub(super) fn new() -> Self {
        Self { open: vec![Frame::new(ScopeKind::Certain, 1, 0, 0)], used: vec![BTreeSet::new()], steps: 0 }
    }

    pub(super) fn len(&self) -> u64 {
        self.open.len() as u64
    }

    pub(super) fn top(&mut self) -> &mut Frame {
        self.open.last_mut().expect("the program is never closed before the end")
    }

    /// Returns whether a place with so many open brackets is in the braces of the innermost function, and in no others.
    pub(super) fn is_outermost(&self, depth: usize) -> bool {
        self.open.len() > 1 && self.open.last().is_some_and(|frame| frame.depth == depth)
    }

    pub(super) fn open(&mut self, frame: Frame, used: BTreeSet<u32>) {
        self.open.push(frame);
        self.used.push(used);
    }

    pub(super) fn declared_for_certain(&mut self, id: u32) {
        self.top().certain.push(id);
    }

    pub(super) fn used(&mut self, id: u32) {
        self.used.last_mut().expect("one for the program").insert(id);
    }

    /// Marks words as used that were read elsewhere.
    pub(super) fn use_all(&mut self, mut words: BTreeSet<u32>) {
        let used = self.used.last_mut().expect("one for the program");
        // The smaller into the larger, so that no word is moved more often than a logarithm.
        if words.len() > used.len() {
            std::mem::swap(used, &mut words);
        }
        used.extend(words);
    }

    pub(super) fn open_set(&mut self) {
        self.used.push(BTreeSet::new());
    }

    pub(super) fn close_set(&mut self) -> BTreeSet<u32> {
        if self.used.len() > 1 { self.used.pop().unwrap_or_default() } else { BTreeSet::new() }
    }

    /// Ends the innermost function, after so many words.
    pub(super) fn close(&mut self, words: u64) {
        let Some(frame) = self.open.pop() else { return };
        let mut used = self.used.pop().unwrap_or_default();
        if frame.sort != ScopeKind::Perhaps {
            frame.certain.iter().for_each(|id| {
                used.remove(id);
            });
        }
        let looked_up = words - frame.words;
        // A declaration is also compared with all others, to reject duplicates.
        let names = looked_up.saturating_add(frame.names).saturating_mul(frame.names);
        let outer = looked_up.saturating_mul(used.len() as u64);
        self.steps = self.steps.saturating_add(steps(names, outer));
        if let Some(around) = self.open.last_mut() {
            if frame.sort == ScopeKind::Perhaps {
                around.names += frame.names;
            }
            self.use_all(used);
        }
    }

    /// Ends all functions; returns the steps for looking up the words in them.
    pub(super) fn finish(mut self, words: u64) -> u64 {
        while !self.open.is_empty() {
            // Parentheses that were never closed.
            while self.used.len() > self.open.len() {
                let used = self.close_set();
                self.use_all(used);
            }
            self.close(words);
        }
        self.steps
    }
}

/// Returns the steps for so many comparisons with declared names and with names from outside.
pub(super) fn steps(names: u64, outer: u64) -> u64 {
    (names / NAMES_PER_STEP).saturating_add(outer / OUTER_NAMES_PER_STEP)
}

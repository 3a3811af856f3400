//! What a caller remembers of services between two runs: [`KnownLogs`].
//!
//! A file of lines in JSON, as ssh's `known_hosts`: which log a URL had, the newest head of each log that was verified, and the
//! last nonce of each key. It is changed under a lock and by renaming, so that a crash leaves the old file or the new one.
//! A line that is none makes the file unusable until a person has looked at it: nothing is forgotten for it.

mod file;
mod line;

use std::io;
use std::path::{Path, PathBuf};

use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::signed_head::SignedHead;

use line::{HeadLine, Line, NonceLine};

/// Lines of the file: more services than a person calls. Each has its bound of bytes from its URL.
const LINES_MAX: usize = 10_000;

/// The file that remembers logs. Any number of programs may use it at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownLogs {
    path: PathBuf,
}

/// Why the file of known logs cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KnownLogsError {
    /// The system refuses.
    #[error("cannot {what} {}: {source}", path.display())]
    System { what: &'static str, path: PathBuf, source: io::Error },
    /// Another program has held the lock for too long.
    #[error("another program holds {} and does not let it go", path.display())]
    Locked { path: PathBuf },
    /// A line is not one that this program writes.
    #[error("line {line} of {} cannot be read ({why}): correct it or remove it", path.display())]
    Line { path: PathBuf, line: usize, why: String },
    /// The file has reached its bound.
    #[error("{} is full: it has {LINES_MAX} lines, or as many bytes as it may: remove some", path.display())]
    Full { path: PathBuf },
}

/// What the file holds.
#[derive(Debug, Default)]
pub(super) struct Known {
    lines: Vec<Line>,
}

/// What became of a head that was to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// It is the newest one now.
    Newest,
    /// Another one stands there, which the caller has not compared with it.
    Other(SignedHead),
}

impl KnownLogs {
    /// Returns the file at `path`. It and its folder are made when there is something to remember.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the user's own file: `vms/known_logs` in `$XDG_STATE_HOME`, else in `~/.local/state`. `None` where the
    /// environment names neither.
    pub fn for_user() -> Option<Self> {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
        Some(Self::at(state.join("vms/known_logs")))
    }

    /// Returns where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file that holds the proof of a fork of `log`, if such a fork is known. The log is refused as long as the
    /// file stands there.
    pub fn fork_path(&self, log: &PublicKey) -> PathBuf {
        self.path.with_file_name(format!("fork-{log}.proof"))
    }

    /// Reads the file; one that does not exist is empty.
    pub(super) fn read(&self) -> Result<Known, KnownLogsError> {
        let text = file::read(&self.path)?;
        let mut lines = vec![];
        for (number, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
            let wrong = |why| KnownLogsError::Line { path: self.path.clone(), line: number + 1, why };
            lines.push(Line::read(text).map_err(wrong)?);
        }
        Ok(Known { lines })
    }

    /// Changes the file, which no other program changes meanwhile.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> Result<T, KnownLogsError> {
        let _lock = file::lock(&self.path)?;
        let mut known = self.read()?;
        let before = known.text();
        let changed = change(&mut known);
        let text = known.text();
        if known.lines.len() > LINES_MAX || text.len() > file::BYTES_MAX {
            return Err(KnownLogsError::Full { path: self.path.clone() });
        }
        if text != before {
            file::replace(&self.path, text.as_bytes())?;
        }
        Ok(changed)
    }

    /// Keeps the proof of a fork, unless one is kept already. Returns its file.
    pub(super) fn keep_fork(&self, log: &PublicKey, proof: &[u8]) -> Result<PathBuf, KnownLogsError> {
        let path = self.fork_path(log);
        let _lock = file::lock(&self.path)?;
        if !path.exists() {
            file::replace(&path, proof)?;
        }
        Ok(path)
    }

    /// Returns the kept proof of a fork.
    pub(super) fn fork(&self, log: &PublicKey) -> Result<Option<Vec<u8>>, KnownLogsError> {
        let path = self.fork_path(log);
        file::read_bytes(&path).map(|bytes| (!bytes.is_empty()).then_some(bytes))
    }
}

impl Known {
    /// Returns the log that the service of this name had.
    pub(super) fn log_of(&self, name: &str) -> Option<PublicKey> {
        self.heads().find(|line| line.url.as_deref() == Some(name)).map(|line| line.log)
    }

    /// Returns the newest head of a log, wherever it was seen.
    pub(super) fn head_of(&self, log: &PublicKey) -> Option<SignedHead> {
        let heads = self.heads().filter(|line| line.log == *log);
        heads.max_by_key(|line| line.length).and_then(HeadLine::head)
    }

    /// Returns the last nonce that a key has used in a log.
    pub(super) fn nonce_of(&self, key: &PublicKey, log: &PublicKey) -> Option<u64> {
        let of = |line: &&NonceLine| line.key == *key && line.log == *log;
        let nonces = self.lines.iter().filter_map(Line::nonce);
        nonces.filter(of).map(|line| line.nonce).max()
    }

    /// Remembers that the service of this name has the log of `head`; without a name, only the head.
    ///
    /// Of the heads that the file may have, `compared` are those that are known to be a part of `head`.
    pub(super) fn store(
        &mut self,
        name: Option<&str>,
        head: &SignedHead,
        compared: Option<&SignedHead>,
    ) -> Stored {
        let log = head.key();
        let newest = self.head_of(&log);
        let is_compared = newest.is_none_or(|newest| newest == *head || Some(&newest) == compared);
        let kept = newest.filter(|_| !is_compared).unwrap_or(*head);
        // The line that this one replaces: of the same URL, or without any, of the same log.
        let is_replaced =
            |line: &HeadLine| line.url.as_deref() == name && (name.is_some() || line.log == log);
        self.lines.retain(|line| !line.head().is_some_and(is_replaced));
        let mut is_there = false;
        for line in self.lines.iter_mut().filter_map(Line::head_mut).filter(|line| line.log == log) {
            *line = HeadLine::new(line.url.take(), &kept);
            is_there = true;
        }
        if name.is_some() || !is_there {
            self.lines.push(Line::Head(HeadLine::new(name.map(str::to_owned), &kept)));
        }
        if is_compared { Stored::Newest } else { Stored::Other(kept) }
    }

    /// Remembers a nonce, unless a greater one is known.
    pub(super) fn store_nonce(&mut self, key: PublicKey, log: PublicKey, nonce: u64) {
        let nonce = self.nonce_of(&key, &log).map_or(nonce, |known| known.max(nonce));
        self.lines.retain(|line| line.nonce().is_none_or(|line| line.key != key || line.log != log));
        self.lines.push(Line::Nonce(NonceLine { key, log, nonce }));
    }

    fn heads(&self) -> impl Iterator<Item = &HeadLine> {
        self.lines.iter().filter_map(Line::head)
    }

    fn text(&self) -> String {
        self.lines.iter().map(|line| line.write() + "\n").collect()
    }
}

#[cfg(test)]
mod tests;

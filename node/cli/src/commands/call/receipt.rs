//! The file for the receipt of a call: [`ReceiptFile`].

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;

/// A file that is there for one receipt. It is made before the call, so that no call is made whose receipt has no place, and
/// removed if there is none.
#[derive(Debug)]
pub(super) struct ReceiptFile {
    path: PathBuf,
    file: File,
    is_written: bool,
}

impl ReceiptFile {
    /// Makes the file.
    ///
    /// # Errors
    /// If it exists: a receipt is evidence, and is not written over.
    pub(super) fn create(path: PathBuf) -> anyhow::Result<Self> {
        let file = File::create_new(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path, file, is_written: false })
    }

    /// Writes the receipt to the disk.
    ///
    /// # Errors
    /// If the disk fails. The call was executed all the same.
    pub(super) fn write(mut self, receipt: &[u8]) -> anyhow::Result<()> {
        let written = self.file.write_all(receipt).and_then(|()| self.file.sync_all());
        self.is_written = written.is_ok();
        let what =
            || format!("the call was executed, but its receipt cannot be written to {}", self.path.display());
        written.with_context(what)
    }
}

impl Drop for ReceiptFile {
    fn drop(&mut self) {
        if !self.is_written {
            // An empty file is a nuisance, not a failure.
            let _either_way = fs::remove_file(&self.path);
        }
    }
}

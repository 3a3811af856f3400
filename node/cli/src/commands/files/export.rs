//! `vms files export`: writes an archive to a directory, and lists the files that the disk cannot hold.
//!
//! Start from [`export`]. Names and contents are untrusted, and a disk allows fewer names than an archive. So each file
//! succeeds or fails by itself, and nothing is written through links or over files that are already in the directory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Component, Path as FilePath, PathBuf};

use anyhow::{Context, bail};
use libvms::archive::{ArchiveEntry, FilesArchive, PublishedError};
use libvms::printable::Printable;
use libvms::storage::StorageError;
use libvms_hypercore::blocks::Length;
use libvms_hypercore::drive::Folder;
use serde_json::json;

use crate::exit::Exit;
use crate::output::Output;
use crate::progress;

/// Bytes of one file that are held in memory, at most.
pub(super) const CONTENT_BYTES_MAX: u64 = 1 << 30;

/// Copies all files of a version into the directory `to`, which must be empty or not exist.
///
/// # Errors
/// When the directory cannot be made or is not empty, or the version does not exist. A file that cannot be copied is
/// printed with the reason, and the exit code is [`Exit::CannotVerify`].
pub(super) fn export(
    archive: &FilesArchive,
    version: Length,
    to: &FilePath,
    output: &Output,
) -> anyhow::Result<Exit> {
    let entries = archive.list(&Folder::ROOT, true, version)?;
    make_empty(to)?;
    let bar = progress::spinner("exporting");
    let (mut files, mut bytes, mut left_out) = (0_u64, 0_u64, 0_u64);
    for entry in entries {
        match entry.map_err(Failure::unnamed).and_then(|entry| copy(archive, &entry, to)) {
            Ok(copied) => {
                (files, bytes) = (files + 1, bytes + copied);
                bar.set_position(files);
            }
            Err(failure) => {
                left_out += 1;
                bar.suspend(|| failure.print(output))?;
            }
        }
    }
    bar.finish_and_clear();
    output.line(
        || {
            let rest = if left_out > 0 { format!("; {left_out} left out") } else { String::new() };
            let to = Printable(&to.to_string_lossy()).to_string();
            format!("{files} files, {bytes} bytes, version {version}, in {to}{rest}")
        },
        || {
            json!({
                "files": files, "bytes": bytes, "version": version, "directory": to, "leftOut": left_out,
            })
        },
    )?;
    Ok(if left_out > 0 { Exit::CannotVerify } else { Exit::Done })
}

fn make_empty(directory: &FilePath) -> anyhow::Result<()> {
    let shown = directory.display();
    match fs::create_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{shown} is not a directory: choose a new one")
        }
        made => made.with_context(|| format!("cannot make {shown}"))?,
    }
    if fs::read_dir(directory).with_context(|| format!("cannot read {shown}"))?.next().is_some() {
        bail!("{shown} is not empty: choose a new directory");
    }
    Ok(())
}

/// A file that is left out.
struct Failure {
    /// Its path; `None` when the entry of the archive is malformed.
    path: Option<String>,
    why: String,
}

impl Failure {
    fn unnamed(error: PublishedError) -> Self {
        Self { path: None, why: error.to_string() }
    }

    fn print(&self, output: &Output) -> anyhow::Result<()> {
        if output.is_json() {
            let event = || json!({ "event": "left-out", "path": self.path, "why": self.why });
            return output.line(String::new, event);
        }
        let path = self.path.as_deref().unwrap_or("an entry");
        output.message(&format!("left out {}: {}", Printable(path), Printable(&self.why)));
        Ok(())
    }
}

/// Copies a file; returns the number of its bytes.
fn copy(archive: &FilesArchive, entry: &ArchiveEntry, to: &FilePath) -> Result<u64, Failure> {
    let path = entry.path.as_str();
    let failure = |why: String| Failure { path: Some(path.into()), why };
    let content = archive.content(entry, CONTENT_BYTES_MAX).map_err(|error| match error {
        PublishedError::Storage(StorageError::OutOfRange { block, .. }) => {
            failure(format!("block {block} of the contents is not here"))
        }
        error => failure(error.to_string()),
    })?;
    let content = content.ok_or_else(|| failure("it is a link".into()))?;
    write(to, path, &content).map_err(|error| failure(worded(&error)))?;
    Ok(content.len() as u64)
}

/// Returns the text of an error of the system, with its meaning for an export.
fn worded(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            "a file of this name exists already; this disk may treat two names as one".into()
        }
        io::ErrorKind::NotADirectory => "a part of its path exists already and is not a directory".into(),
        io::ErrorKind::InvalidInput => "a file name cannot contain a NUL character".into(),
        _ => error.to_string(),
    }
}

/// Writes one file below `to`, completely or not at all.
fn write(to: &FilePath, path: &str, content: &[u8]) -> io::Result<()> {
    let below = FilePath::new(path.trim_start_matches('/'));
    // A path of an archive consists of names only. This is checked again, because it decides where we write.
    if !below.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(io::Error::other("its path leads outside the directory"));
    }
    let mut made = vec![];
    let written = make_directories(to, below, &mut made).and_then(|directory| {
        let target = directory.join(below.file_name().unwrap_or_default());
        // Fails on an existing file and on a link.
        let mut file = File::create_new(&target)?;
        file.write_all(content).inspect_err(|_| {
            let _stays = fs::remove_file(&target);
        })
    });
    if written.is_err() {
        // Removes the directories that were made only for this file.
        for directory in made.iter().rev() {
            let _not_empty = fs::remove_dir(directory);
        }
    }
    written
}

/// Makes the directories above a file. An existing one must be a directory, not a link to one.
fn make_directories(to: &FilePath, below: &FilePath, made: &mut Vec<PathBuf>) -> io::Result<PathBuf> {
    let mut directory = to.to_owned();
    for part in below.parent().into_iter().flat_map(FilePath::components) {
        directory.push(part);
        match fs::create_dir(&directory) {
            Ok(()) => made.push(directory.clone()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !fs::symlink_metadata(&directory)?.is_dir() {
                    return Err(io::ErrorKind::NotADirectory.into());
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &FilePath) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("a directory");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_written_as_a_whole_or_not_at_all() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let to = root.path();
        write(to, "/a/b/c", b"x").expect("writable");
        assert_eq!(fs::read(to.join("a/b/c")).expect("there"), b"x");
        let long = "x".repeat(300);
        for (path, why) in [
            ("/a/b/c".to_owned(), "already"),
            ("/a/b".to_owned(), "already"),
            ("/a/b/c/d".to_owned(), "a directory"),
            ("/n\0ul".to_owned(), "NUL"),
            ("/new/n\0ul".to_owned(), "NUL"),
            (format!("/new/er/{long}"), "long"),
            (format!("/{long}/x"), "long"),
            ("/".to_owned() + &"long/".repeat(2_000) + "x", "long"),
            ("/../out".to_owned(), "outside"),
            ("/a/../../out".to_owned(), "outside"),
        ] {
            let error = write(to, &path, b"y").expect_err("it cannot be written");
            assert!(worded(&error).contains(why), "{path}: {}", worded(&error));
        }
        assert_eq!(names(to), ["a"], "nothing is left of what failed");
        assert_eq!(names(&to.join("a/b")), ["c"]);
        assert!(!root.path().with_file_name("out").exists());
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_written_through_a_link() {
        let (root, elsewhere) = (
            tempfile::tempdir().expect("a temporary directory"),
            tempfile::tempdir().expect("a temporary directory"),
        );
        let link = |target: PathBuf, name| {
            std::os::unix::fs::symlink(target, root.path().join(name)).expect("a link");
        };
        link(elsewhere.path().into(), "folder");
        link(elsewhere.path().join("file"), "file");
        link(elsewhere.path().join("none"), "dangling");
        for path in ["/folder/x", "/folder/a/b", "/file", "/dangling", "/dangling/x"] {
            write(root.path(), path, b"x").expect_err("a link is in the way");
        }
        assert!(names(elsewhere.path()).is_empty());
    }
}

//! `vms files`: the content of a files archive.

mod export;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use libvms::archive::{ArchiveEntry, FilesArchive};
use libvms::printable::Printable;
use libvms_hypercore::blocks::Length;
use libvms_hypercore::drive::{Folder, Path};
use serde_json::json;

use crate::copy::{self, PeerArguments, Wanted};
use crate::exit::Exit;
use crate::output::Output;
use crate::target::{directory, is_elsewhere};
use export::{CONTENT_BYTES_MAX, export};

/// List, print or export the files that a service has written
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the files in a folder
    #[command(
        after_help = "Examples:\n  vms files ls key-server.vms /keys\n  vms files ls key-server.vms --recursive --json\n  vms files ls key-server.vms --at 10          the state at version 10\n  vms files ls ws://127.0.0.1:5555/"
    )]
    Ls {
        #[command(flatten)]
        archive: ArchiveArguments,
        /// Folder to list
        #[arg(default_value = "/")]
        folder: String,
        /// Include all folders below
        #[arg(short, long)]
        recursive: bool,
    },
    /// Print the content of a file
    #[command(after_help = "Example:\n  vms files cat key-server.vms /keys/alice")]
    Cat {
        #[command(flatten)]
        archive: ArchiveArguments,
        /// File to print
        path: String,
    },
    /// Copy all files into a new directory
    ///
    /// Leaves out files that this disk cannot hold or no peer has, and lists each with the reason.
    #[command(
        after_help = "Example:\n  vms files export key-server.vms ./keys\n\nExit codes: 0 all files were copied, 3 some were left out"
    )]
    Export {
        #[command(flatten)]
        archive: ArchiveArguments,
        /// Directory to write to; must be empty or not exist yet
        to: PathBuf,
    },
}

#[derive(Debug, Args)]
struct ArchiveArguments {
    /// Data directory of a host, copy of a watcher or replicator (DIR/KEY), URL of a service (ws://HOST:PORT/PATH), or
    /// key of its log or archive
    #[arg(value_name = "DIR|URL|KEY")]
    target: String,
    #[command(flatten)]
    peers: PeerArguments,
    /// Version of the archive; default: the latest
    #[arg(long, value_name = "VERSION")]
    at: Option<Length>,
}

impl ArchiveArguments {
    /// Opens or copies the archive; returns it with the version to read.
    fn open(&self, wanted: Wanted) -> anyhow::Result<(FilesArchive, Length)> {
        if !is_elsewhere(&self.target) {
            copy::check_local(&self.target, &self.peers)?;
        }
        let archive = match is_elsewhere(&self.target) {
            true => copy::archive(&self.target, &self.peers, wanted)?,
            false => FilesArchive::open(directory(&self.target)?)?,
        };
        let version = self.at.unwrap_or_else(|| archive.version());
        Ok((archive, version))
    }
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    match arguments.command {
        Command::Ls { archive, folder, recursive } => list(&archive, &folder, recursive, output),
        Command::Cat { archive, path } => print(&archive, &path, output),
        Command::Export { archive, to } => {
            let (archive, version) = archive.open(Wanted::Contents)?;
            export(&archive, version, &to, output)
        }
    }
}

fn list(
    arguments: &ArchiveArguments,
    folder: &str,
    is_recursive: bool,
    output: &Output,
) -> anyhow::Result<Exit> {
    let (archive, version) = arguments.open(Wanted::Names)?;
    let folder = Folder::new(folder).with_context(|| format!("cannot list {folder}"))?;
    check_folder(&archive, &folder, version)?;
    if is_recursive {
        for entry in archive.list(&folder, true, version)? {
            line(&entry?, output)?;
        }
        return Ok(Exit::Done);
    }
    for name in archive.children(&folder, version)? {
        let name = name?;
        let path = Path::new(&format!("{}/{name}", folder.as_str()))?;
        match archive.entry(&path, version)? {
            Some(entry) => line(&entry, output)?,
            None => output.line(
                || format!("{:>12}  {}/", "", Printable(path.as_str())),
                || json!({ "path": path.as_str(), "folder": true }),
            )?,
        }
    }
    Ok(Exit::Done)
}

/// Checks that the folder exists: it has an entry, or is the root.
fn check_folder(archive: &FilesArchive, folder: &Folder, version: Length) -> anyhow::Result<()> {
    let Some(path) = folder.path() else { return Ok(()) };
    if archive.children(folder, version)?.next().transpose()?.is_some() {
        return Ok(());
    }
    match archive.entry(&path, version)? {
        Some(_) => bail!("{path} is a file, not a folder, at version {version}"),
        None => bail!("there is no folder {path} at version {version}"),
    }
}

fn line(entry: &ArchiveEntry, output: &Output) -> anyhow::Result<()> {
    let ArchiveEntry { path, size, version, .. } = entry;
    let size_text = size.map_or("link".into(), |size| size.to_string());
    output.line(
        || format!("{size_text:>12}  {}", Printable(path.as_str())),
        || json!({ "path": path.as_str(), "size": size, "version": version }),
    )
}

fn print(arguments: &ArchiveArguments, path: &str, output: &Output) -> anyhow::Result<Exit> {
    let (archive, version) = arguments.open(Wanted::Contents)?;
    let path = Path::new(path).with_context(|| format!("cannot read {path}"))?;
    let entry = archive.entry(&path, version)?;
    let content = entry.map(|entry| archive.content(&entry, CONTENT_BYTES_MAX)).transpose()?.flatten();
    let Some(content) = content else {
        if archive.children(&path.folder(), version)?.next().transpose()?.is_some() {
            bail!("{path} is a folder, not a file, at version {version}");
        }
        bail!("there is no file {path} at version {version}");
    };
    output.content(&content)?;
    Ok(Exit::Done)
}

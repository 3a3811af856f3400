//! `vms files`: what is in a files archive.

use std::fs;
use std::io::Write;
use std::path::{Path as FilePath, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use libvms::archive::{ArchiveEntry, FilesArchive};
use libvms::printable::Printable;
use libvms_protocol::drive::{Folder, Path};
use serde_json::json;

use super::copy::{self, PeerArguments, Wanted};
use super::output::Output;
use super::target::is_elsewhere;
use super::{Exit, progress};

/// Bytes of one file that we are willing to hold in memory.
const CONTENT_BYTES_MAX: u64 = 1 << 30;

/// Look at the files that a service has written
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the files in a folder
    #[command(
        after_help = "Examples:\n  vms files ls key-server.vms /keys\n  vms files ls key-server.vms --recursive --json\n  vms files ls key-server.vms --at 10          as it was at version 10\n  vms files ls ws://127.0.0.1:5555/"
    )]
    Ls {
        #[command(flatten)]
        archive: ArchiveArguments,
        /// The folder
        #[arg(default_value = "/")]
        folder: String,
        /// Everything below the folder too
        #[arg(short, long)]
        recursive: bool,
    },
    /// Print the content of a file
    #[command(after_help = "Example:\n  vms files cat key-server.vms /keys/alice")]
    Cat {
        #[command(flatten)]
        archive: ArchiveArguments,
        /// The file
        path: String,
    },
    /// Copy all files into a new directory
    #[command(after_help = "Example:\n  vms files export key-server.vms ./keys")]
    Export {
        #[command(flatten)]
        archive: ArchiveArguments,
        /// Where to; must not exist yet, or be empty
        to: PathBuf,
    },
}

#[derive(Debug, Args)]
struct ArchiveArguments {
    /// Data directory of a host, ws://HOST:PORT/PATH of a service, or the key of its log or archive
    #[arg(value_name = "DIR|URL|KEY")]
    target: String,
    #[command(flatten)]
    peers: PeerArguments,
    /// The archive as it was at this version
    #[arg(long, value_name = "VERSION")]
    at: Option<u64>,
}

impl ArchiveArguments {
    /// The archive, and the version to look at.
    fn open(&self, wanted: Wanted) -> anyhow::Result<(FilesArchive, u64)> {
        let archive = match is_elsewhere(&self.target) {
            true => copy::archive(&self.target, &self.peers, wanted)?,
            false => FilesArchive::open(FilePath::new(&self.target))?,
        };
        let version = self.at.unwrap_or_else(|| archive.version());
        Ok((archive, version))
    }
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    match arguments.command {
        Command::Ls { archive, folder, recursive } => list(&archive, &folder, recursive, output),
        Command::Cat { archive, path } => print(&archive, &path, output),
        Command::Export { archive, to } => export(&archive, &to, output),
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
    let Some(content) = content else { bail!("there is no file {path} at version {version}") };
    output.raw(&content)?;
    Ok(Exit::Done)
}

fn export(arguments: &ArchiveArguments, to: &FilePath, output: &Output) -> anyhow::Result<Exit> {
    let (archive, version) = arguments.open(Wanted::Contents)?;
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    if fs::read_dir(to).with_context(|| format!("cannot read {}", to.display()))?.next().is_some() {
        bail!("{} is not empty: choose a new directory", to.display());
    }
    let bar = progress::spinner("exporting");
    let (mut files, mut bytes) = (0_u64, 0_u64);
    for entry in archive.list(&Folder::ROOT, true, version)? {
        let entry = entry?;
        match archive.content(&entry, CONTENT_BYTES_MAX)? {
            Some(content) => {
                write(to, &entry.path, &content)?;
                (files, bytes) = (files + 1, bytes + content.len() as u64);
                bar.set_position(files);
            }
            None => output.message(&format!("left out {}: it is a link", Printable(entry.path.as_str()))),
        }
    }
    bar.finish_and_clear();
    output.line(
        || format!("{files} files, {bytes} bytes, version {version}, in {}", to.display()),
        || json!({ "files": files, "bytes": bytes, "version": version, "directory": to }),
    )?;
    Ok(Exit::Done)
}

/// Writes one file below `to`. A normalised path leads nowhere else.
fn write(to: &FilePath, path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let target = to.join(&path.as_str()[1..]);
    let cannot_write = || format!("cannot write {}", target.display());
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).with_context(cannot_write)?;
    }
    let mut file = fs::File::create_new(&target).with_context(cannot_write)?;
    file.write_all(content).with_context(cannot_write)
}

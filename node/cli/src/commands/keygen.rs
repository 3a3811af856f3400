//! `vms keygen`: a key pair for a caller.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use data_encoding::HEXLOWER;
use libvms_hypercore::identity::SecretKey;
use serde_json::json;

use crate::exit::Exit;
use crate::output::Output;

/// Make a key pair: write the secret key to a file and print the public key
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vms keygen bob.key")]
pub(super) struct Arguments {
    /// File for the secret key; must not exist yet
    file: PathBuf,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    let path = &arguments.file;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).context("cannot get random numbers for a key")?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let cannot_write = || format!("cannot write {}", path.display());
    let mut file = options.open(path).with_context(cannot_write)?;
    writeln!(file, "{}", HEXLOWER.encode(&seed)).and_then(|()| file.sync_all()).with_context(cannot_write)?;
    let key = SecretKey::from_seed(&seed).public_key();
    output.line(|| key.to_string(), || json!({ "publicKey": key.to_string(), "file": path }))?;
    Ok(Exit::Done)
}

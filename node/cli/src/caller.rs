//! Who calls a service, for the commands that do: a name, a key, or nobody.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use data_encoding::HEXLOWER_PERMISSIVE;
use libvms::rpc::{ClientOptions, KnownLogs};
use libvms_hypercore::identity::SecretKey;

use crate::error::advised;

/// The variable that names the file of the caller's key.
const KEY_VARIABLE: &str = "VMS_KEY";

/// Bytes of a file that may hold a key: the digits, and ends of lines.
const KEY_FILE_BYTES_MAX: u64 = 256;

/// Options for the caller.
#[derive(Debug, Args)]
pub(super) struct CallerArguments {
    /// Name of the caller; services with `--auth debug` accept any
    #[arg(long, value_name = "NAME", conflicts_with = "key")]
    user: Option<String>,
    /// File with the key of the caller, as `vms keygen` makes it: each call is signed, executed once, and its result proved
    /// by the log; default: the file that VMS_KEY names
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Accept that the service writes another log than it did before, and remember the new one
    #[arg(long)]
    accept_new_key: bool,
}

impl CallerArguments {
    /// Returns the options of a client.
    ///
    /// # Errors
    /// If the key cannot be read, or an option has no effect.
    pub(super) fn client_options(self) -> anyhow::Result<ClientOptions> {
        let Self { user, key, accept_new_key } = self;
        let variable = || std::env::var_os(KEY_VARIABLE).filter(|path: &OsString| !path.is_empty());
        let path = key.or_else(|| if user.is_none() { variable().map(PathBuf::from) } else { None });
        if accept_new_key && path.is_none() {
            bail!("--accept-new-key has no effect: only a caller with a --key compares the log of a service");
        }
        let key = path.map(|path| read_key(&path)).transpose()?;
        let known_logs = KnownLogs::for_user();
        if key.is_some() && known_logs.is_none() {
            return Err(advised(
                anyhow!("there is no place to remember which log a service writes"),
                "set HOME, or XDG_STATE_HOME, to a folder",
            ));
        }
        Ok(ClientOptions { user, key, known_logs, accept_new_key, ..ClientOptions::default() })
    }
}

/// Reads the file of a key. No error shows what stands in it.
fn read_key(path: &Path) -> anyhow::Result<SecretKey> {
    let mut text = vec![];
    let read = File::open(path).and_then(|file| file.take(KEY_FILE_BYTES_MAX).read_to_end(&mut text));
    read.with_context(|| format!("cannot read the key {}", path.display()))?;
    let seed = HEXLOWER_PERMISSIVE.decode(text.trim_ascii()).ok().and_then(|seed| seed.try_into().ok());
    let seed: [u8; 32] = seed.ok_or_else(|| {
        let what = format!("{} is not the file of a key: it must hold 64 hexadecimal digits", path.display());
        advised(anyhow!(what), "`vms keygen FILE` makes a key")
    })?;
    Ok(SecretKey::from_seed(&seed))
}

//! Reading and replacing the file, and its lock.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::KnownLogsError;

/// Bytes of the file: room for every line at a length that URLs have.
pub(super) const BYTES_MAX: usize = 16 << 20;

/// How long another program may hold the lock: it only reads and writes a file meanwhile.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the lock is tried.
const LOCK_POLL: Duration = Duration::from_millis(5);

/// Returns the text of the file; none if it does not exist.
pub(super) fn read(path: &Path) -> Result<String, KnownLogsError> {
    let bytes = read_bytes(path)?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        KnownLogsError::Line { path: path.into(), line, why: "it is not UTF-8 text".into() }
    })
}

/// Returns the content of the file; nothing if it does not exist.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, KnownLogsError> {
    let failed = failed("read", path);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = vec![];
    file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > BYTES_MAX { Err(KnownLogsError::Full { path: path.into() }) } else { Ok(bytes) }
}

/// Locks the file until the result is dropped. The lock is a file beside it, since the file itself is replaced.
pub(super) fn lock(path: &Path) -> Result<File, KnownLogsError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed("make", folder))?;
    }
    let path = beside(path, "lock");
    let file = private().truncate(false).open(&path).map_err(failed("open", &path))?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_TIMEOUT => thread::sleep(LOCK_POLL),
            Err(TryLockError::WouldBlock) => return Err(KnownLogsError::Locked { path }),
            Err(TryLockError::Error(error)) => return Err(failed("lock", &path)(error)),
        }
    }
}

/// Replaces the content of the file, under its lock. After a crash it is the old one or the new one.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), KnownLogsError> {
    let new = beside(path, "new");
    let write = || -> io::Result<()> {
        let mut file = private().truncate(true).open(&new)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(failed("write", &new))?;
    fs::rename(&new, path).map_err(failed("replace", path))
}

/// Which services somebody calls is nobody else's business.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

fn failed<'a>(what: &'static str, path: &'a Path) -> impl Fn(io::Error) -> KnownLogsError + Copy + 'a {
    move |source| KnownLogsError::System { what, path: path.into(), source }
}

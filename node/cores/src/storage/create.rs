//! Creating a core, and finding out whether there is one.
//!
//! A core exists from the moment its oplog does: [`create`] writes the oplog under another name and renames it when
//! everything is durable. A crash before that leaves nothing that counts.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use hypercore::{
    HypercoreBuilder, HypercoreError, PartialKeypair, SigningKey, Storage, StorageTraits, Store,
};
use libvms_hypercore::identity::SecretKey;
use random_access_storage::{BoxFuture, RandomAccess, RandomAccessError};

use super::directory::{create_directory, sync_directory};
use super::file::Medium;
use super::journal::{Files, now_or_never};
use super::oplog::{ENTRIES_START, Oplog, OplogError};
use super::{Durability, StorageError};

/// More than any oplog of ours has: the entries up to a flush, and the largest one behind them.
pub(super) const OPLOG_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The files beside the oplog.
const OTHER_FILES: [&str; 3] = ["data", "tree", "bitfield"];

/// Creates the files of a core without blocks.
pub(super) fn create(directory: &Path, key: &SecretKey, durability: Durability) -> Result<(), StorageError> {
    match find(directory) {
        Ok(_) => return Err(StorageError::Exists { path: directory.to_owned() }),
        Err(StorageError::NoCore { .. }) => {}
        Err(error) => return Err(error),
    }
    let header = header(directory, key)?;
    write_files(directory, &header, durability).map_err(StorageError::io(directory))
}

/// Reads a directory's oplog. Nobody else may be writing to it.
pub(super) fn find(directory: &Path) -> Result<Oplog, StorageError> {
    parse(directory, &read_whole(directory)?)
}

/// Reads a directory's oplog up to the first incomplete part, whatever lies behind.
pub(super) fn find_beginning(directory: &Path) -> Result<Oplog, StorageError> {
    parsed(directory, Oplog::parse_beginning(&read_whole(directory)?))
}

fn read_whole(directory: &Path) -> Result<Vec<u8>, StorageError> {
    match open_oplog(directory)? {
        Some(file) => read_oplog(directory, &file),
        None => Ok(vec![]),
    }
}

/// Reads a directory's oplog while another process may be appending.
///
/// An append in progress looks like an incomplete one, which is right: it is not acknowledged. A new header,
/// however, makes the entries obsolete that were read with the old one; then everything is read again.
pub(super) fn find_while_it_grows(directory: &Path) -> Result<Oplog, StorageError> {
    let Some(file) = open_oplog(directory)? else { return parse(directory, &[]) };
    let mut failures = 0;
    loop {
        let found = find_at_one_moment(directory, &file);
        match found {
            Some(Ok(oplog)) => return Ok(oplog),
            Some(Err(error)) if failures == READS_MAX => return Err(error),
            None if failures == READS_MAX => return Err(never_still(directory)),
            _ => failures += 1,
        }
        std::thread::yield_now();
    }
}

/// A header changes every few hundred appends: a reader that does not hit a moment between two changes in so many tries has
/// a file that does not work.
const READS_MAX: u32 = 1000;

/// Returns `None` when the headers changed meanwhile.
fn find_at_one_moment(directory: &Path, file: &File) -> Option<Result<Oplog, StorageError>> {
    let before = read_headers(file).ok()?;
    let bytes = match read_oplog(directory, file) {
        Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::UnexpectedEof => return None,
        Err(error) => return Some(Err(error)),
        Ok(bytes) => bytes,
    };
    let after = read_headers(file).ok()?;
    (before == after && bytes.starts_with(&after)).then(|| parse(directory, &bytes))
}

fn read_headers(file: &dyn Medium) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; file.length()?.min(ENTRIES_START) as usize];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

fn never_still(directory: &Path) -> StorageError {
    let source =
        io::Error::new(io::ErrorKind::WouldBlock, "its oplog cannot be read, or never stops changing");
    StorageError::Io { path: directory.to_owned(), source }
}

fn open_oplog(directory: &Path) -> Result<Option<File>, StorageError> {
    let path = directory.join("oplog");
    match File::open(&path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StorageError::Io { path, source }),
    }
}

fn parse(directory: &Path, oplog: &[u8]) -> Result<Oplog, StorageError> {
    parsed(directory, Oplog::parse(oplog))
}

fn parsed(directory: &Path, oplog: Result<Oplog, OplogError>) -> Result<Oplog, StorageError> {
    match oplog {
        Ok(oplog) => Ok(oplog),
        Err(OplogError::Unborn) if is_without_blocks(directory) => {
            Err(StorageError::NoCore { path: directory.to_owned() })
        }
        Err(OplogError::Unborn) => Err(StorageError::damaged(directory, "it has blocks, but no whole oplog")),
        Err(OplogError::Foreign(why)) => Err(StorageError::damaged(directory, why)),
    }
}

/// Opens the four files, for writing or only for reading.
pub(super) fn open_files(directory: &Path, is_writable: bool) -> Result<Files, StorageError> {
    let open = |name: &str| -> Result<Box<dyn Medium>, StorageError> {
        let path = directory.join(name);
        match File::options().read(true).write(is_writable).open(&path) {
            Ok(file) => Ok(Box::new(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StorageError::damaged(directory, format!("its file `{name}` is missing")))
            }
            Err(error) => Err(StorageError::Io { path, source: error }),
        }
    };
    Ok(Files {
        path: directory.to_owned(),
        data: open("data")?,
        tree: open("tree")?,
        bitfield: open("bitfield")?,
        oplog: open("oplog")?,
    })
}

/// Reads the whole oplog. Fails with [`io::ErrorKind::UnexpectedEof`] when it shrank meanwhile.
fn read_oplog(directory: &Path, file: &dyn Medium) -> Result<Vec<u8>, StorageError> {
    let length = file.length().map_err(StorageError::io(directory))?;
    if length > OPLOG_BYTES_MAX {
        return Err(StorageError::damaged(directory, format!("its oplog is {length} bytes long")));
    }
    let mut bytes = vec![0; length as usize];
    file.read_at(0, &mut bytes).map_err(StorageError::io(directory))?;
    Ok(bytes)
}

fn is_without_blocks(directory: &Path) -> bool {
    OTHER_FILES.iter().all(|name| fs::metadata(directory.join(name)).map_or(true, |data| data.len() == 0))
}

fn write_files(directory: &Path, header: &[u8], durability: Durability) -> io::Result<()> {
    create_directory(directory)?;
    let sync = |file: &File| match durability {
        Durability::Sync => file.sync_all(),
        Durability::Later | Durability::Relaxed => Ok(()),
    };
    for name in OTHER_FILES {
        sync(&File::create(directory.join(name))?)?;
    }
    let unborn = directory.join("oplog.new");
    // Only its owner may read it: the header holds the secret key.
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&unborn)?;
    file.write_all(header)?;
    sync(&file)?;
    fs::rename(&unborn, directory.join("oplog"))?;
    match durability {
        Durability::Sync => sync_directory(directory),
        Durability::Later | Durability::Relaxed => Ok(()),
    }
}

/// Returns the oplog of a core without blocks, as the crate writes it.
pub(super) fn header(directory: &Path, key: &SecretKey) -> Result<Vec<u8>, StorageError> {
    let secret = SigningKey::from_bytes(&key.seed());
    let key_pair = PartialKeypair { public: secret.verifying_key(), secret: Some(secret) };
    let oplog = Arc::new(Capture::default());
    let stores = Arc::clone(&oplog);
    let create = move |store| {
        let store: Arc<dyn StorageTraits> = match store {
            Store::Oplog => stores.clone(),
            _ => Arc::new(Capture::default()),
        };
        Box::pin(std::future::ready(Ok(store))) as BoxFuture<_>
    };
    let build = async {
        let storage = Storage::open(create, false).await?;
        HypercoreBuilder::new(storage).key_pair(key_pair).build().await
    };
    now_or_never(build).map_err(|error: HypercoreError| StorageError::hypercore(directory, error))?;
    let bytes = std::mem::take(&mut *oplog.0.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(bytes)
}

/// A store that is empty to the crate and keeps what the crate writes.
#[derive(Debug, Default)]
struct Capture(Mutex<Vec<u8>>);

impl Capture {
    fn resize(&self, length: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).resize(length as usize, 0);
    }
}

impl RandomAccess for Capture {
    fn write(&self, offset: u64, data: &[u8]) -> BoxFuture<Result<(), RandomAccessError>> {
        let end = offset as usize + data.len();
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset as usize..end].copy_from_slice(data);
        Box::pin(std::future::ready(Ok(())))
    }

    fn read(&self, _offset: u64, _length: u64) -> BoxFuture<Result<Vec<u8>, RandomAccessError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn del(&self, _offset: u64, _length: u64) -> BoxFuture<Result<(), RandomAccessError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn truncate(&self, length: u64) -> BoxFuture<Result<(), RandomAccessError>> {
        self.resize(length);
        Box::pin(std::future::ready(Ok(())))
    }

    fn len(&self) -> u64 {
        0
    }
}

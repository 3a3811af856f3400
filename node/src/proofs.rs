//! Proof files about a log: made from its blocks and nodes, kept on disk, and read.
//!
//! Start from [`from_finding`], which makes the file that convicts a host for anybody, and [`keep`], which puts it on disk. What a
//! file claims and how it is judged is in [`libvms_protocol::proof`].

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use libvms_cores::storage::{ReadCore, StorageError};
use libvms_hypercore::blocks::{BlockIndex, each};
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::tree::Node;
use libvms_protocol::audit::{Finding, Violation as Broken};
use libvms_protocol::entry::Entry;
use libvms_protocol::proof::violation::Class;
use libvms_protocol::proof::{History, Inclusion, PROOF_BYTES_MAX, Proof, ProofError, Verdict, Violation};
use thiserror::Error;
use tracing::warn;

/// The end of the names of proof files.
pub const SUFFIX: &str = "proof";

/// Files that may have one name, told apart by a number, before keeping another is refused.
const SAME_NAME_MAX: u32 = 1000;

/// Why a proof file cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadProofError {
    /// The file, or what stands in its place, cannot be read.
    #[error("cannot read it: {0}")]
    Io(#[from] io::Error),
    /// Its bytes are no proof.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

/// Makes the proof of a finding about `log`, under its latest signed head. `None` where no kind of proof exists for the
/// finding, where the log has no head, and where a part that the proof needs is not in this copy. A proof that is returned holds.
///
/// # Errors
/// When the log cannot be read.
pub fn from_finding(log: &dyn ReadCore, finding: &Finding) -> Result<Option<Proof>, StorageError> {
    let Finding { block, violation } = finding;
    let (Ok(class), Some(head)) = (violation.class().parse::<Class>(), log.signed_head()) else {
        return Ok(None);
    };
    let numbers = [Some(BlockIndex::FIRST), earlier(log, *block, violation)?, Some(*block)];
    let read = |number| Ok((number, log.block(number)?));
    let entries = numbers.into_iter().flatten().map(read).collect::<Result<Vec<_>, StorageError>>()?;
    let made = with_nodes(log, |node| Violation::make(&head, class, *block, entries, node))?;
    if made.is_none() {
        warn!(%block, class = %class, "no proof is made of a finding: a part of the tree is not in this copy");
    }
    let proof = made.map(Proof::Violation);
    Ok(proof.filter(|proof| proof.check_about(&log.key()) == Verdict::Holds))
}

/// Makes the proof that an entry stands in `log`, under its latest signed head: a receipt. `None` if the block or a part of the
/// proof is not in this copy, or if they are not those that the head binds.
///
/// # Errors
/// When the log cannot be read.
pub fn from_entry(log: &dyn ReadCore, block: BlockIndex) -> Result<Option<Proof>, StorageError> {
    let Some(head) = log.signed_head().filter(|_| log.length().has(block)) else { return Ok(None) };
    let entry = log.block(block)?;
    let made = with_nodes(log, |node| Inclusion::make(&head, block, entry, node))?;
    let proof = made.map(Proof::Inclusion);
    Ok(proof.filter(|proof| proof.check_about(&log.key()) == Verdict::Holds))
}

/// Returns the history of a log, to compare it with what a file shows. `None` for a log without a signed head.
pub fn history(log: &dyn ReadCore) -> Option<History<'_>> {
    let head = log.signed_head()?;
    Some(History::new(head, |index| log.node(index).ok().flatten()))
}

/// Returns the earlier block with which a violation compares its own.
fn earlier(
    log: &dyn ReadCore,
    block: BlockIndex,
    violation: &Broken,
) -> Result<Option<BlockIndex>, StorageError> {
    match violation {
        Broken::RepeatedNonce { block, .. } | Broken::RepeatedCall { block, .. } => Ok(Some(*block)),
        Broken::TimeWentBack { .. } => last_call(log, block),
        _ => Ok(None),
    }
}

/// Returns the last call before a block. The times of earlier calls ascend, or an earlier block would be the finding.
fn last_call(log: &dyn ReadCore, before: BlockIndex) -> Result<Option<BlockIndex>, StorageError> {
    for block in each(BlockIndex(1)..before).rev() {
        if let Ok(Entry::Call(_)) = Entry::decode(&log.block(block)?) {
            return Ok(Some(block));
        }
    }
    Ok(None)
}

/// Makes a proof from the nodes of a log.
fn with_nodes<T>(
    log: &dyn ReadCore,
    make: impl FnOnce(&mut dyn FnMut(u64) -> Option<Node>) -> Option<T>,
) -> Result<Option<T>, StorageError> {
    let mut failed = None;
    let made = make(&mut |index| match log.node(index) {
        Ok(node) => node,
        Err(error) => {
            failed = Some(error);
            None
        }
    });
    failed.map_or(Ok(made), Err)
}

/// Reads a proof file. At most [`PROOF_BYTES_MAX`] bytes and one more are read.
///
/// # Errors
/// [`ReadProofError`]
pub fn read(from: impl Read) -> Result<Proof, ReadProofError> {
    let mut bytes = vec![];
    from.take(PROOF_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Proof::decode(&bytes)?)
}

/// Returns the file `directory/name.proof`, if it holds a proof about `log` that holds.
pub fn find(directory: &Path, name: &str, log: &PublicKey) -> Option<PathBuf> {
    let path = numbered(directory, name, 1);
    let proof = read(File::open(&path).ok()?).ok()?;
    (proof.check_about(log) == Verdict::Holds).then_some(path)
}

/// Keeps a proof as `directory/name.proof`, or `name.2.proof` and so on where others have that name, and returns its path. A
/// file is there as a whole or not at all, and no other file is replaced. Where one of these files convicts the same key of the
/// same, nothing is written, and its path is returned.
///
/// # Errors
/// [`StorageError::Io`], of which a full disk is one.
pub fn keep(directory: &Path, name: &str, proof: &Proof) -> Result<PathBuf, StorageError> {
    for number in 1..=SAME_NAME_MAX {
        let path = numbered(directory, name, number);
        match path.symlink_metadata() {
            Ok(found) if found.is_file() && is_kept(&path, proof) => return Ok(path),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_new(&path, &proof.encode()).map_err(StorageError::io(&path))?;
                return Ok(path);
            }
            Err(error) => return Err(StorageError::io(&path)(error)),
        }
    }
    let path = numbered(directory, name, 1);
    Err(StorageError::io(&path)(io::ErrorKind::AlreadyExists.into()))
}

/// Writes a proof to a file that does not exist yet, as a whole or not at all.
///
/// # Errors
/// [`StorageError::Io`]; of the kind [`io::ErrorKind::AlreadyExists`] if something is there.
pub fn write(path: &Path, proof: &Proof) -> Result<(), StorageError> {
    if path.symlink_metadata().is_ok() {
        return Err(StorageError::io(path)(io::ErrorKind::AlreadyExists.into()));
    }
    write_new(path, &proof.encode()).map_err(StorageError::io(path))
}

fn numbered(directory: &Path, name: &str, number: u32) -> PathBuf {
    match number {
        1 => directory.join(format!("{name}.{SUFFIX}")),
        _ => directory.join(format!("{name}.{number}.{SUFFIX}")),
    }
}

fn is_kept(path: &Path, proof: &Proof) -> bool {
    let kept = File::open(path).ok().and_then(|file| read(file).ok());
    kept.is_some_and(|kept| is_same(&kept, proof))
}

/// Returns whether two proofs make the same claim, perhaps under two heads, and the kept one holds.
fn is_same(kept: &Proof, new: &Proof) -> bool {
    let is_claim = match (kept, new) {
        (Proof::Violation(kept), Proof::Violation(new)) => {
            (kept.block, &kept.class) == (new.block, &new.class)
        }
        (Proof::Equivocation(_), Proof::Equivocation(_)) => true,
        _ => return kept == new,
    };
    is_claim && new.log().is_some_and(|log| kept.check_about(&log) == Verdict::Holds)
}

/// Writes a new file, as a whole and durably.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let unfinished = path.with_file_name(name);
    let written = write_file(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        // A part of a file takes room on a disk that may be full.
        let _gone = fs::remove_file(&unfinished);
    }
    written
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use libvms_hypercore::identity::SecretKey;
    use libvms_hypercore::signed_head::SignedHead;
    use libvms_hypercore::tree::{Roots, TreeHash};
    use libvms_protocol::proof::Equivocation;

    use super::*;
    use libvms_hypercore::blocks::Length;

    fn receipt(entry: &[u8]) -> Proof {
        let mut roots = Roots::default();
        roots.append(entry);
        let head = SignedHead::sign(&SecretKey::from_seed(&[1; 32]), Length(1), roots.tree_hash());
        Proof::Inclusion(
            Inclusion::make(&head, BlockIndex(0), entry.into(), |_| None).expect("one block has no path"),
        )
    }

    fn equivocation(hash: u8) -> Proof {
        let key = SecretKey::from_seed(&[1; 32]);
        let [one, other] = [0, hash].map(|hash| SignedHead::sign(&key, Length(1), TreeHash([hash; 32])));
        Proof::Equivocation(Equivocation::between(&one, &other, vec![]).expect("they differ"))
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("a directory");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn no_file_is_replaced_and_nothing_unfinished_stays() {
        let place = tempfile::tempdir().expect("a temporary directory");
        fs::write(place.path().join("a.proof"), "a picture").expect("writable");
        fs::create_dir(place.path().join("a.2.proof")).expect("writable");
        #[cfg(unix)]
        std::os::unix::fs::symlink("nowhere", place.path().join("a.3.proof")).expect("writable");
        for entry in [b"one", b"two", b"one"] {
            let path = keep(place.path(), "a", &receipt(entry)).expect("a disk");
            let kept = read(File::open(path).expect("kept")).expect("a proof");
            assert_eq!(kept, receipt(entry));
        }
        assert_eq!(names(place.path()), ["a.2.proof", "a.3.proof", "a.4.proof", "a.5.proof", "a.proof"]);
        assert_eq!(fs::read_to_string(place.path().join("a.proof")).expect("readable"), "a picture");
    }

    #[test]
    fn a_claim_that_is_kept_and_holds_is_not_written_again() {
        let place = tempfile::tempdir().expect("a temporary directory");
        let first = keep(place.path(), "a", &equivocation(7)).expect("a disk");
        assert_eq!(keep(place.path(), "a", &equivocation(8)).expect("a disk"), first);
        let key = SecretKey::from_seed(&[1; 32]).public_key();
        assert_eq!(find(place.path(), "a", &key), Some(first.clone()));
        assert_eq!(find(place.path(), "a", &PublicKey([9; 32])), None, "it is about another key");
        // One that is damaged is kept as it is, for those who want to know.
        let mut bytes = fs::read(&first).expect("kept");
        let last = bytes.len() - 40;
        bytes[last] ^= 1;
        fs::write(&first, &bytes).expect("writable");
        assert_ne!(keep(place.path(), "a", &equivocation(7)).expect("a disk"), first);
        assert_eq!(fs::read(&first).expect("kept"), bytes);
        assert_eq!(find(place.path(), "a", &key), None);
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        let place = tempfile::tempdir().expect("a temporary directory");
        let error = keep(&place.path().join("none"), "a", &equivocation(7)).expect_err("no directory");
        assert!(error.to_string().contains("none/a.proof"), "{error}");
    }

    #[test]
    fn no_more_is_read_than_a_proof_may_have() {
        let error = read(io::repeat(0xa7)).expect_err("no proof");
        assert!(error.to_string().contains(&format!("{} bytes", PROOF_BYTES_MAX + 1)), "{error}");
        assert!(matches!(read(&b"text"[..]), Err(ReadProofError::Proof(ProofError::Malformed { .. }))));
    }
}

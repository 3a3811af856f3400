//! One audit of a log that peers have: copy it, execute it, compare the archive.

use std::path::Path;
use std::time::Duration;

use libvms_protocol::audit::ArchiveCore;
use libvms_protocol::identity::PublicKey;
use tokio::time::timeout;

use super::{Audit, AuditReport, Verdict, VerifyError};
use crate::host::{BLOBS, FILES, LOG};
use crate::net::{Held, Network};
use crate::replay::Settings;
use crate::storage::{Replica, SharedReplica, StorageError};

/// How long peers may give nothing before the audit makes do with what is there.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long the archive may be behind the log. An archive that comes late accuses nobody.
const ARCHIVE_PATIENCE: Duration = Duration::from_secs(5);

/// Copies the log `log` and its archive from the peers of `network` into `directory`, as long as they are now, and
/// audits them. At least `length` entries are waited for, and all that the signed head counts.
///
/// `progress` is told how many of how many entries have been executed. The length of the archive is not judged: a peer
/// may have a newer archive than log.
///
/// # Errors
/// [`VerifyError::Unreachable`] where nobody gives a complete log; or where the audit itself fails.
pub async fn verify_remote(
    network: &Network,
    directory: &Path,
    log: PublicKey,
    length: u64,
    settings: Settings,
    mut progress: impl FnMut(u64, u64) + Send + 'static,
) -> Result<AuditReport, VerifyError> {
    let hold = |name: &str, key: PublicKey| {
        let replica = SharedReplica::new(Replica::open(&directory.join(name), key)?);
        network.hold(Held::Copy(replica.clone()), None);
        Ok::<_, StorageError>(replica)
    };
    let log = hold(LOG, log)?;
    let length = complete(&log, length).await?;
    let copy = log.clone();
    let audit = blocking(move || {
        let mut audit = Audit::new(copy.key(), settings)?;
        audit.advance(&copy, length, &mut progress)?;
        Ok(audit)
    });
    let mut audit = audit.await?;
    let mut published = (None, None);
    if let (Verdict::Agrees, Some(init), Some(head)) = (audit.verdict(), audit.init(), audit.files()) {
        let (files, blobs) = (hold(FILES, init.files)?, hold(BLOBS, init.blobs)?);
        let both = async { tokio::join!(reach(&files, head.version), reach(&blobs, head.blobs)) };
        let _late = timeout(ARCHIVE_PATIENCE, both).await;
        published = (Some(files.length()), Some(blobs.length()));
        let copy = log.clone();
        audit = blocking(move || {
            audit.compare_archive(&copy, ArchiveCore::Files, &files)?;
            audit.compare_archive(&copy, ArchiveCore::Blobs, &blobs)?;
            Ok(audit)
        })
        .await?;
    }
    let checkpoint = log.checkpoint().ok_or(VerifyError::Unreachable { log: log.key() })?;
    Ok(AuditReport {
        log: log.key(),
        checkpoint,
        counts: audit.counts(),
        files: audit.files(),
        published,
        verdict: audit.into_verdict(),
    })
}

/// Waits until a log has all entries that its signed head counts, and at least `length`; gives how many these are.
async fn complete(log: &SharedReplica, length: u64) -> Result<u64, VerifyError> {
    let mut lengths = log.lengths();
    loop {
        let wanted = log.checkpoint().map_or(1, |head| head.length()).max(length).max(1);
        if log.length() >= wanted {
            return Ok(wanted);
        }
        // Each new block earns more patience: a long log takes its time.
        if timeout(PATIENCE, lengths.changed()).await.is_err() {
            return Err(VerifyError::Unreachable { log: log.key() });
        }
    }
}

async fn reach(core: &SharedReplica, length: u64) {
    let mut lengths = core.lengths();
    // An error says that the core is no longer held; then its length is what it is.
    let _reached = lengths.wait_for(|known| *known >= length).await.is_ok();
}

/// Runs what executes a script or reads much, which would hold up everything else.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VerifyError> + Send + 'static,
) -> Result<T, VerifyError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

//! One audit of a log from the network: copies the log, executes it, compares the archive.

use std::path::Path;
use std::time::Duration;

use libvms_cores::net::{CopyError, CoreEvent, Network};
use libvms_cores::storage::SharedReplica;
use libvms_cores::storage::layout::{BLOBS, FILES, LOG};
use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::replication::Evidence;
use libvms_protocol::audit::ArchiveCore;
use libvms_protocol::proof::{Equivocation, Proof};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Audit, AuditReport, Verdict, VerifyError, proof_of};
use crate::replay::AuditOptions;

/// How long the archive may be behind the log, or the log behind the archive. Late blocks are not a deviation.
const ARCHIVE_PATIENCE: Duration = Duration::from_secs(5);

/// Copies the log `log` and its archive from the peers of `network` into `directory`, at their current lengths, and
/// audits them. Waits for at least `length` entries, and for all that the signed head counts.
///
/// Calls `progress` with the number of executed entries and of all entries. When the archive is ahead of the log, waits
/// for more of the log: one peer may have a newer archive than log, and another peer that archive's log. What peers have
/// shown of another history by then convicts the host.
///
/// # Errors
/// [`CopyError::Unreachable`] when no peer provides a complete log; also when the audit itself fails.
pub async fn verify_remote(
    network: &Network,
    directory: &Path,
    log: PublicKey,
    length: Length,
    settings: AuditOptions,
    mut progress: impl FnMut(Length, Length) + Send + 'static,
) -> Result<AuditReport, VerifyError> {
    let mut shown = Shown { network, directory, events: vec![] };
    let log = shown.copy(LOG, log)?;
    let length = log.downloaded(length, |_, _| {}).await?;
    let copy = log.clone();
    let audit = blocking(move || {
        let mut audit = Audit::new(copy.key(), settings)?;
        audit.advance(&copy, length, &mut progress)?;
        Ok(audit)
    });
    let mut audit = audit.await?;
    let mut published = (None, None);
    if let (Verdict::Agrees, Some(init), Some(head)) = (audit.verdict(), audit.init(), audit.files()) {
        let files = shown.copy(FILES, init.files)?;
        let blobs = shown.copy(BLOBS, init.blobs)?;
        let both = async { tokio::join!(reach(&files, head.version), reach(&blobs, head.blobs)) };
        let _late = timeout(ARCHIVE_PATIENCE, both).await;
        audit = compare(audit, &log, [&files, &blobs]).await?;
        while is_ahead(&audit) && is_longer(&log, audit.verified()).await {
            audit = compare(audit, &log, [&files, &blobs]).await?;
        }
        published = (Some(files.length()), Some(blobs.length()));
    }
    let signed_head = log.signed_head().ok_or(CopyError::Unreachable {
        key: log.key(),
        known: Length(0),
        wanted: Length(1),
    })?;
    let (verdict, proof) = match (audit.conclude(), shown.conclusive()) {
        (Verdict::Agrees | Verdict::ArchiveAhead { .. }, Some((verdict, proof))) => (verdict, Some(proof)),
        (verdict, _) => {
            let proof = proof_of(&log, &verdict)?;
            (verdict, proof)
        }
    };
    Ok(AuditReport {
        log: log.key(),
        signed_head,
        entries: length,
        counts: audit.counts(),
        files: audit.files(),
        published,
        verdict,
        is_own: false,
        beyond: 0,
        proof,
    })
}

/// The copies of an audit, and what peers show of their cores.
struct Shown<'a> {
    network: &'a Network,
    directory: &'a Path,
    events: Vec<(&'static str, mpsc::UnboundedReceiver<CoreEvent>)>,
}

impl Shown<'_> {
    fn copy(&mut self, name: &'static str, key: PublicKey) -> Result<SharedReplica, VerifyError> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.events.push((name, receiver));
        Ok(self.network.copy_and_tell(&self.directory.join(name), key, Some(sender))?)
    }

    /// Returns the first evidence so far that convicts the host, as a verdict and as a file.
    fn conclusive(&mut self) -> Option<(Verdict, Proof)> {
        self.events.iter_mut().find_map(|(core, events)| {
            let events = std::iter::from_fn(|| events.try_recv().ok());
            let mut convicting = events.filter_map(|event| match event {
                CoreEvent::Evidence(evidence) => Some((Equivocation::from_evidence(&evidence)?, evidence)),
                _ => None,
            });
            let (proof, evidence) = convicting.next()?;
            let class =
                if matches!(*evidence, Evidence::ForkSigned { .. }) { "fork" } else { "equivocation" };
            Some((Verdict::Equivocates { core, class }, Proof::Equivocation(proof)))
        })
    }
}

/// Executes the new blocks of the log, and compares the new blocks of the archive.
async fn compare(
    mut audit: Audit,
    log: &SharedReplica,
    [files, blobs]: [&SharedReplica; 2],
) -> Result<Audit, VerifyError> {
    let (log, files, blobs) = (log.clone(), files.clone(), blobs.clone());
    blocking(move || {
        audit.advance(&log, log.length(), &mut |_, _| {})?;
        audit.compare_archive(&log, ArchiveCore::Files, &files)?;
        audit.compare_archive(&log, ArchiveCore::Blobs, &blobs)?;
        Ok(audit)
    })
    .await
}

fn is_ahead(audit: &Audit) -> bool {
    matches!(audit.conclude(), Verdict::ArchiveAhead { .. })
}

/// Waits until a log has more than `length` entries; returns `false` when no more arrive in time.
async fn is_longer(log: &SharedReplica, length: Length) -> bool {
    timeout(ARCHIVE_PATIENCE, reach(log, length + 1)).await.is_ok() && log.length() > length
}

async fn reach(core: &SharedReplica, length: Length) {
    let mut lengths = core.lengths();
    // An error means that the core is no longer held; then its length stays the same.
    let _reached = lengths.wait_for(|known| *known >= length).await.is_ok();
}

/// Runs blocking work, which executes a script or reads much, on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VerifyError> + Send + 'static,
) -> Result<T, VerifyError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

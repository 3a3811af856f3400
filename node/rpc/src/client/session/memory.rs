//! What a client remembers between two runs: the newest head, the last nonce, proofs of forks.

use std::time::{Duration, Instant};

use libvms_hypercore::identity::SecretKey;
use libvms_protocol::proof::{Equivocation, Proof, Verdict};
use tokio::sync::MutexGuard;

use super::Session;
use crate::client::error::{ClientError, Fork, TrustError};
use crate::client::known_logs::{Known, KnownLogs, KnownLogsError, Stored};
use crate::client::line::Line;

/// How often the newest head is remembered while calls are made.
const STORE_PERIOD: Duration = Duration::from_secs(1);

/// Programs that remember heads of the same log at the same time.
const STORE_TRIES: u32 = 10;

impl Session {
    /// Remembers the newest head and the last nonce, if that was not done a moment ago.
    pub(in crate::client) async fn store_sometimes(&self, line: &Line) -> Result<(), ClientError> {
        if self.options.known_logs.is_none() || self.lock().stored_at.elapsed() < STORE_PERIOD {
            return Ok(());
        }
        match self.storing.try_lock() {
            Ok(turn) => self.store_in_turn(line, turn).await,
            Err(_) => Ok(()),
        }
    }

    /// Remembers the newest head and the last nonce.
    pub(in crate::client) async fn store(&self, line: &Line) -> Result<(), ClientError> {
        self.store_in_turn(line, self.storing.lock().await).await
    }

    async fn store_in_turn(&self, line: &Line, _turn: MutexGuard<'_, ()>) -> Result<(), ClientError> {
        let Some(file) = &self.options.known_logs else { return Ok(()) };
        for _ in 0..STORE_TRIES {
            let (newest, stored, nonce) = {
                let state = self.lock();
                (state.newest, state.stored, state.nonces.last())
            };
            let (file, name, log) = (file.clone(), self.name.clone(), self.log);
            let key = self.key().map(SecretKey::public_key).filter(|_| nonce > 0);
            let change = move |known: &mut Known| {
                if let Some(key) = key {
                    known.store_nonce(key, log, nonce);
                }
                known.store(name.as_deref(), &newest, stored.as_ref())
            };
            let stored = blocking(move || file.change(change)).await?;
            self.lock().stored_at = Instant::now();
            match stored {
                Stored::Newest => {
                    self.lock().stored = Some(newest);
                    return Ok(());
                }
                // Another program has seen this one. It must belong to the same history.
                Stored::Other(head) => {
                    self.check_head(head, line).await?;
                    self.lock().stored = Some(head);
                }
            }
        }
        Ok(())
    }

    /// Keeps the proof of a fork. From now on no call is signed.
    pub(super) async fn distrust(&self, proof: Box<Equivocation>) -> TrustError {
        let mut fork = Fork { proof: *proof, path: None };
        if let Some(file) = self.options.known_logs.clone() {
            let (log, bytes) = (self.log, fork.proof_bytes());
            // What cannot be kept is still in the error.
            fork.path = blocking(move || file.keep_fork(&log, &bytes)).await.ok();
        }
        let why = TrustError::Fork(Box::new(fork));
        self.lock().distrust = Some(why.clone());
        why
    }

    /// Fails if a fork of the log was found in an earlier run.
    pub(super) async fn check_kept_fork(&self) -> Result<(), ClientError> {
        let Some(file) = self.options.known_logs.clone() else { return Ok(()) };
        let (log, path) = (self.log, file.fork_path(&self.log));
        let kept = blocking(move || file.fork(&log)).await?;
        match kept.map(|bytes| Proof::decode(&bytes)) {
            Some(Ok(proof @ Proof::Equivocation(_)))
                if proof.log() == Some(log) && proof.check() == Verdict::Holds =>
            {
                let Proof::Equivocation(proof) = proof else { return Ok(()) };
                Err(TrustError::Fork(Box::new(Fork { proof, path: Some(path) })).into())
            }
            // A file that proves nothing convicts nobody.
            _ => Ok(()),
        }
    }
}

pub(super) async fn read(file: Option<KnownLogs>) -> Result<Known, KnownLogsError> {
    match file {
        Some(file) => blocking(move || file.read()).await,
        None => Ok(Known::default()),
    }
}

/// Does what waits for a disk on a thread for that.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("work on a file does not panic")
}

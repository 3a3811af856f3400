//! Prevents a host from signing a second history: watches what peers prove about the host's own cores.
//!
//! A data directory that was restored from a backup, or copied and started twice, has less than the host has signed.
//! Each further signature then convicts its operator, for an honest mistake. So a host listens to its peers
//! ([`Guard`]): a head that its own key signed, and that is not part of the core here, stops the host. Nothing else does,
//! so that no stranger can stop it.

use libvms_cores::net::{CoreEvent, Network, SharedCore};
use libvms_cores::storage::layout::{BLOBS, FILES, LOG};
use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::replication::Evidence;
use thiserror::Error;
use tokio::sync::mpsc;

use super::Vm;

/// The listener for evidence against the cores of services.
#[derive(Debug)]
pub struct Guard {
    sender: mpsc::UnboundedSender<Contradiction>,
    contradictions: mpsc::UnboundedReceiver<Contradiction>,
}

/// A core's own key has signed blocks that the core does not hold.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "a peer shows {theirs} blocks of the {core} core {key} that its key has signed; {}",
    relation(*ours, *is_other)
)]
pub struct Contradiction {
    /// The key of the service's log.
    pub log: PublicKey,
    /// `log`, `files` or `blobs`.
    pub core: &'static str,
    /// The key of the core.
    pub key: PublicKey,
    /// Blocks of the core here.
    pub ours: Length,
    /// Blocks of the head signed elsewhere.
    pub theirs: Length,
    /// Whether the core here is not a prefix of the one signed elsewhere.
    pub is_other: bool,
}

fn relation(ours: Length, is_other: bool) -> String {
    match is_other {
        true => format!("the {ours} that are here are others"),
        false => format!("only {ours} of them are here"),
    }
}

impl Default for Guard {
    fn default() -> Self {
        let (sender, contradictions) = mpsc::unbounded_channel();
        Self { sender, contradictions }
    }
}

impl Guard {
    /// Serves the cores of a service, and listens for evidence from peers. Must be called within a Tokio runtime.
    pub fn hold(&self, network: &Network, vm: &Vm) {
        for (view, core) in vm.cores().into_iter().zip([LOG, FILES, BLOBS]) {
            let (events, receiver) = mpsc::unbounded_channel();
            let (log, key) = (vm.log_key(), view.key());
            let ours = view.clone();
            network.add_core(SharedCore::Writer(view), Some(events));
            let contradict = move |is_other, theirs| {
                let mut ours = ours.clone();
                ours.refresh();
                Contradiction { log, core, key, ours: ours.length(), theirs, is_other }
            };
            tokio::spawn(listen(receiver, self.sender.clone(), contradict));
        }
    }

    /// Waits until a peer proves that a core's own key has signed blocks that the core does not hold.
    pub async fn contradicted(&mut self) -> Contradiction {
        match self.contradictions.recv().await {
            Some(contradiction) => contradiction,
            // Unreachable: this type holds a sender itself.
            None => std::future::pending().await,
        }
    }
}

async fn listen(
    mut events: mpsc::UnboundedReceiver<CoreEvent>,
    contradictions: mpsc::UnboundedSender<Contradiction>,
    contradict: impl Fn(bool, Length) -> Contradiction,
) {
    while let Some(event) = events.recv().await {
        let CoreEvent::Evidence(evidence) = event else { continue };
        let contradiction = match *evidence {
            Evidence::LongerSigned { theirs, .. } => contradict(false, theirs.length()),
            Evidence::ForkSigned { theirs, .. } => contradict(true, theirs.length()),
            Evidence::Conflict { theirs, .. } => contradict(true, theirs.head().signed.length()),
            // Any stranger can show unsigned claims and old heads.
            Evidence::ForkClaimed { .. }
            | Evidence::ShrinkClaimed { .. }
            | Evidence::ShorterSigned { .. } => continue,
        };
        if contradictions.send(contradiction).is_err() {
            return;
        }
    }
}

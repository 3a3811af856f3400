//! The copies that `replicate` keeps, their progress and their events: [`Copying`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use libvms::net::{CoreEvent, Network};
use libvms::printable::Printable;
use libvms::storage::SharedReplica;
use libvms::stored::linked;
use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::identity::PublicKey;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::super::watch::teller::time;
use crate::exit::Exit;
use crate::output::Output;
use crate::seeking::News;

/// Events of cores, each with the key of its core.
type Events = mpsc::UnboundedReceiver<(PublicKey, CoreEvent)>;

/// All copies, and the directory and address that they are kept in and served on.
#[derive(Debug)]
pub(super) struct Copying {
    network: Arc<Network>,
    directory: PathBuf,
    /// The address on which the copies are served.
    address: SocketAddr,
    copies: BTreeMap<PublicKey, Copy>,
    events: mpsc::UnboundedSender<(PublicKey, CoreEvent)>,
}

/// One copy.
#[derive(Debug)]
struct Copy {
    /// Its name in text output.
    name: String,
    /// `None` when it cannot be kept.
    replica: Option<SharedReplica>,
    /// Blocks in the last message.
    told: u64,
    is_complete: bool,
    /// The cores that its first block names are copied as well.
    is_followed: bool,
    is_stalled: bool,
    has_failed: bool,
}

impl Copying {
    pub(super) fn new(network: Arc<Network>, directory: &Path, address: SocketAddr) -> (Self, Events) {
        let (events, receiver) = mpsc::unbounded_channel();
        let copies = BTreeMap::new();
        (Self { network, directory: directory.into(), address, copies, events }, receiver)
    }

    /// Starts the copy that a target names, and prints changes of targets.
    pub(super) fn take(&mut self, news: &News, output: &Output) {
        let News::Log { target, log } = news else {
            return say(output, || format!("{} {}", time(), Printable(&news.text())), || news.json());
        };
        if !self.hold(*log, target, output) {
            return;
        }
        let address = self.address;
        say(
            output,
            || format!("{} copying {target}, serving it on tcp://{address}", time()),
            || json!({ "event": "copying", "key": log.to_string(), "address": format!("tcp://{address}") }),
        )
    }

    /// Starts to copy a core. Returns `false` when it is copied already, or cannot be; other copies continue.
    fn hold(&mut self, key: PublicKey, name: &str, output: &Output) -> bool {
        if self.copies.contains_key(&key) {
            return false;
        }
        let held =
            self.network.copy_and_tell(&self.directory.join(key.to_string()), key, Some(self.listen_to(key)));
        let held = held.with_context(|| format!("cannot copy {name}"));
        let (replica, error) = match held {
            Ok(replica) => (Some(replica), None),
            Err(error) => (None, Some(error)),
        };
        self.copies.insert(key, Copy::of(name, replica));
        match error {
            None => true,
            Some(error) => {
                self.tell(key, &CoreEvent::Failed { why: format!("{error:#}") }, output);
                false
            }
        }
    }

    fn listen_to(&self, key: PublicKey) -> mpsc::UnboundedSender<CoreEvent> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let events = self.events.clone();
        tokio::spawn(async move {
            while let Some(event) = receiver.recv().await {
                // A closed channel means that the command is ending.
                let _ending = events.send((key, event));
            }
        });
        sender
    }

    /// Prints an event of a core.
    pub(super) fn tell(&mut self, key: PublicKey, event: &CoreEvent, output: &Output) {
        let Some(copy) = self.copies.get_mut(&key) else { return };
        let (word, text, why) = match event {
            CoreEvent::Evidence(evidence) => {
                let why = format!("{}; only a watcher keeps the proof", evidence.name());
                ("suspicion", "there is evidence against its writer", Some(why))
            }
            CoreEvent::Damaged { why } => ("damaged", "the copy is damaged", Some(why.clone())),
            CoreEvent::Stalled { why } => {
                copy.is_stalled = true;
                ("stalled", "the copy cannot be stored at present", Some(why.clone()))
            }
            CoreEvent::Resumed => {
                copy.is_stalled = false;
                ("resumed", "the copy continues", None)
            }
            CoreEvent::Failed { why } | CoreEvent::Foreign { why } => {
                copy.has_failed = true;
                ("failed", "the copy cannot be kept", Some(why.clone()))
            }
        };
        let name = &copy.name;
        say(
            output,
            || {
                format!(
                    "{} {name}: {text}{}",
                    time(),
                    why.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
                )
            },
            || json!({ "event": word, "key": key.to_string(), "why": why }),
        )
    }

    /// Starts to copy the cores that copies name, and prints which copies have become complete.
    pub(super) fn look(&mut self, output: &Output) {
        let found: Vec<(PublicKey, String)> = self.copies.values_mut().flat_map(Copy::follow).collect();
        for (key, name) in found {
            self.hold(key, &name, output);
        }
        for (key, copy) in &mut self.copies {
            let (here, known) = copy.lengths();
            if here > 0 && here == known && !std::mem::replace(&mut copy.is_complete, true) {
                copy.told = here;
                let name = &copy.name;
                say(
                    output,
                    || format!("{} {name}: complete, {here} blocks", time()),
                    || json!({ "event": "complete", "key": key.to_string(), "length": here }),
                );
            }
        }
    }

    /// Prints the progress of copies that are incomplete or have grown.
    pub(super) fn summarise(&mut self, output: &Output) {
        for (key, copy) in &mut self.copies {
            let (here, known) = copy.lengths();
            if here == known && here == copy.told {
                continue;
            }
            copy.is_complete = here == known;
            let new = here.saturating_sub(copy.told);
            copy.told = here;
            let name = &copy.name;
            say(
                output,
                || format!("{} {name}: {here} of {known} blocks, {new} of them new", time()),
                || json!({ "event": "progress", "key": key.to_string(), "length": here, "known": known }),
            );
        }
    }

    /// Returns whether all copies have failed.
    pub(super) fn is_over(&self) -> bool {
        !self.copies.is_empty() && self.copies.values().all(|copy| copy.has_failed)
    }

    /// Returns the exit code.
    pub(super) fn exit(&self) -> Exit {
        let is_incomplete = |copy: &Copy| copy.has_failed || copy.is_stalled;
        if self.copies.values().any(is_incomplete) { Exit::CannotVerify } else { Exit::Done }
    }
}

impl Copy {
    fn of(name: &str, replica: Option<SharedReplica>) -> Self {
        Self {
            name: name.into(),
            replica,
            told: 0,
            is_complete: false,
            is_followed: false,
            is_stalled: false,
            has_failed: false,
        }
    }

    /// Returns the number of blocks that are here, and of those that the signed head counts.
    fn lengths(&self) -> (u64, u64) {
        let Some(replica) = &self.replica else { return (0, 0) };
        let replica = replica.lock();
        let lost: u64 = replica.lost().iter().map(|range| range.end - range.start).sum();
        let known = replica.signed_head().map(|head| head.length()).unwrap_or_default();
        (replica.length().0 - lost, known.max(replica.length()).0)
    }

    /// Returns the cores that its first block names, once it is here: the archive of a log, the contents of an archive.
    fn follow(&mut self) -> Vec<(PublicKey, String)> {
        let Some(replica) =
            self.replica.as_ref().filter(|replica| !self.is_followed && !replica.length().is_empty())
        else {
            return vec![];
        };
        // A lost block is fetched again, and read then.
        let Ok(block) = replica.block(BlockIndex::FIRST) else { return vec![] };
        self.is_followed = true;
        let keys = linked(&block);
        let names: &[&str] = if keys.len() == 2 { &["archive", "contents"] } else { &["contents"] };
        keys.into_iter().zip(names).map(|(key, name)| (key, format!("{} ({name})", self.name))).collect()
    }
}

/// Prints a line. A closed stdout does not end a replicator.
fn say(output: &Output, text: impl FnOnce() -> String, json: impl FnOnce() -> Value) {
    let _closed = output.line(text, json);
}

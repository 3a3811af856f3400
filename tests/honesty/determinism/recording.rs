//! A service with fixed keys and a fixed clock: the same calls give the same log and archive, byte for byte.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use libvms::archive::{Archive, ArchiveError, ArchiveStore};
use libvms::engine::{Api, Sandbox};
use libvms::execution::{Execution, Script};
use libvms::storage::{Core, Durability};
use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::identity::SecretKey;
use libvms_protocol::audit::ArchiveCore;
use libvms_protocol::entry::{
    Auth, Call, CallEntry, Caller, Entry, Epoch, Fault, Format, Init, Limits, Outcome,
};
use libvms_protocol::value::Value;

use crate::support::engine;

/// 2026-03-01 00:00 UTC, when the first service is deployed.
const START: u64 = 1_772_323_200_000;
/// Milliseconds from call to call: odd, so that times are not all round.
const STEP: u64 = 1_037;

/// A service at work, and the log that it has written so far.
pub(super) struct Recording {
    init: Init,
    /// `None` only while the heap is being replaced.
    execution: Option<Execution<Blocks>>,
    archive: Blocks,
    entries: Vec<Vec<u8>>,
    at: u64,
    sandbox: Sandbox,
}

impl Recording {
    /// Deploys a script in a log of the format and calls its `init`, if it has one.
    pub(super) fn start(format: Format, code: String, limits: Limits, sandbox: Sandbox) -> Self {
        Self::start_as(Api::LATEST, format, code, limits, sandbox)
    }

    /// Does the same with a version of the engine.
    pub(super) fn start_as(api: Api, format: Format, code: String, limits: Limits, sandbox: Sandbox) -> Self {
        let limits = if format == Format::V1 { limits } else { limits.with_load() };
        let init = Init {
            v: format,
            code,
            module: false,
            title: "golden".into(),
            files: key(FILES).public_key(),
            blobs: key(BLOBS).public_key(),
            auth: Auth::Debug,
            at: START,
            engine: api.identity(),
            limits,
            oracles: vec![],
            effects: vec![],
        };
        let store = Blocks::default();
        let archive = Archive::create(store.clone(), &init.title, init.files, init.blobs).expect("in memory");
        let mut recording =
            Self { init: init.clone(), execution: None, archive: store, entries: vec![], at: START, sandbox };
        recording.push(Entry::Init(init));
        recording.load(0, archive);
        if recording.execution().has_init() {
            recording.execute(None, "init", vec![]);
        }
        recording
    }

    /// Calls a method a moment later. Gives the fuel that it took: it is not in the log, but decides where a call is
    /// stopped.
    pub(super) fn call(&mut self, user_id: Option<&str>, method: &str, args: Vec<Value>) -> u64 {
        self.at += STEP;
        self.execute(user_id, method, args)
    }

    /// A call that the host's clock has stopped: it is in the log, and has no effect.
    pub(super) fn kill(&mut self, method: &str) {
        self.at += STEP;
        let call = self.entry_of(None, method, vec![]);
        self.push(Entry::Call(CallEntry::new(call, Outcome::Fault(Fault::Killed))));
    }

    /// Throws the heap away.
    pub(super) fn new_epoch(&mut self) {
        let archive = self.execution.take().expect("at work").into_archive();
        let block = self.entries.len() as u64;
        self.push(Entry::Epoch(Epoch { files: archive.head() }));
        self.load(block, archive);
    }

    /// The log's entries so far.
    pub(super) fn entries(&self) -> &[Vec<u8>] {
        &self.entries
    }

    /// How often a call ended in which way.
    pub(super) fn kinds(&self) -> BTreeMap<String, u64> {
        let mut kinds = BTreeMap::new();
        for entry in &self.entries {
            let Entry::Call(entry) = Entry::decode(entry).expect("our own") else { continue };
            let kind = match entry.result.outcome().expect("our own") {
                Outcome::Returned { files: None, .. } => "returned".into(),
                Outcome::Returned { files: Some(_), .. } => "changed files".into(),
                Outcome::Threw(thrown) => thrown.name,
                Outcome::Fault(fault) => fault.name().into(),
            };
            *kinds.entry(kind).or_default() += 1;
        }
        kinds
    }

    /// Writes log and archive as a host does: a data directory that any auditor can read.
    pub(super) fn save(&self, directory: &Path) {
        let cores = self.archive.lock();
        for (name, blocks) in [(LOG, &self.entries), (FILES, &cores[0]), (BLOBS, &cores[1])] {
            let mut core =
                Core::create(&directory.join(name), key(name), Durability::Relaxed).expect("an empty place");
            core.append(blocks).expect("a working disk");
        }
    }

    fn execute(&mut self, user_id: Option<&str>, method: &str, args: Vec<Value>) -> u64 {
        let call = self.entry_of(user_id, method, args);
        let block = self.entries.len() as u64;
        self.execution().send(BlockIndex(block), &call).expect("the worker lives");
        let finished = self.execution().finish().expect("the worker lives");
        self.push(Entry::Call(finished.entry(call)));
        finished.fuel
    }

    fn entry_of(&self, user_id: Option<&str>, method: &str, args: Vec<Value>) -> Call {
        let caller = user_id.map_or(Caller::Anonymous, |name| Caller::Claimed(name.into()));
        Call::new(caller, method, args, self.at)
    }

    fn load(&mut self, block: u64, archive: Archive<Blocks>) {
        let Init { v: format, code, module, limits, engine: identity, oracles, effects, .. } = &self.init;
        let api = Api::of(identity).expect("a version that we have");
        let (format, module, limits, at) = (*format, *module, *limits, self.at);
        let script = Script { format, api, code, module, limits, oracles, effects, at };
        let log = key(LOG).public_key();
        let loaded = Execution::load(log, BlockIndex(block), script, archive, &engine(self.sandbox));
        self.execution = Some(loaded.unwrap_or_else(|error| panic!("{error}\n{}", self.init.code)));
    }

    fn execution(&mut self) -> &mut Execution<Blocks> {
        self.execution.as_mut().expect("at work")
    }

    fn push(&mut self, entry: Entry) {
        entry.check_format(self.init.v).expect("an entry of this format");
        self.entries.push(entry.encode().expect("within the limits"));
    }
}

const LOG: &str = "log";
const FILES: &str = "files";
const BLOBS: &str = "blobs";

/// The key of a core: its seed is its name.
fn key(core: &str) -> SecretKey {
    let mut seed = [0; 32];
    seed[..core.len()].copy_from_slice(core.as_bytes());
    SecretKey::from_seed(&seed)
}

/// The two cores of an archive, in memory. Clones share them.
#[derive(Clone, Debug, Default)]
struct Blocks(Arc<Mutex<[Vec<Vec<u8>>; 2]>>);

impl Blocks {
    fn lock(&self) -> MutexGuard<'_, [Vec<Vec<u8>>; 2]> {
        self.0.lock().expect("no panic")
    }
}

impl ArchiveStore for Blocks {
    fn block(&self, core: ArchiveCore, index: BlockIndex) -> Result<Vec<u8>, ArchiveError> {
        let found =
            usize::try_from(index.0).ok().and_then(|index| self.lock()[core as usize].get(index).cloned());
        found.ok_or(ArchiveError::Missing { core, block: index })
    }

    fn append(&mut self, core: ArchiveCore, blocks: Vec<Vec<u8>>) -> Result<(), ArchiveError> {
        self.lock()[core as usize].extend(blocks);
        Ok(())
    }
}

//! A service in its data directory: deploying a new one, and resuming an existing one.
//!
//! ```text
//! DIR/lock           the lock of the process that owns the directory
//! DIR/log/           the call log, a core
//! DIR/files/         the archive's db core
//! DIR/blobs/         the archive's blobs core
//! DIR/unfinished     exists while a deployment is in progress
//! ```
//!
//! A deployment is complete when its log has a block 0. Until then no promise was made, and the next attempt removes the
//! files that a crash has left beside the mark `unfinished`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libvms_cores::storage::layout::{BLOBS, FILES, LOG};
use libvms_cores::storage::{Core, DataDirectory, Durability, StorageError, Tail, TreeCheck};
use libvms_engine::EngineSettings;
use libvms_engine::message::{self, LoadFailure};
use libvms_hypercore::identity::SecretKey;
use libvms_protocol::entry::{Auth, Call, CallEntry, Entry, Format, Init, Limits, Outcome, Thrown};

use super::clock::now;
use super::error::{DeployError, ModuleMistake, OpenError, RunError};
use super::recovery;
use super::store::HostStore;
use crate::archive::{Archive, ArchiveError};
use crate::diagnostics::{Operator, ScriptStack};
use crate::execution::{Execution, ExecutionError, LoadError, Script};
use crate::replay::{AuditOptions, Replay, ReplayError};

/// The file that marks the cores beside it as ours to remove.
const UNFINISHED: &str = "unfinished";

/// A service to deploy.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The script's source text.
    pub code: String,
    /// The service's name for people.
    pub title: String,
    /// The limits of each call, and of loading, which has ten times a call's fuel unless set.
    pub limits: Limits,
}

/// The parts of a running VM.
pub(super) struct Ready {
    pub(super) lock: DataDirectory,
    pub(super) service: Service,
}

/// A loaded script with the log and the archive that it writes to.
pub(super) struct Service {
    pub(super) init: Init,
    pub(super) log: Core,
    pub(super) execution: Execution<HostStore>,
    pub(super) store: HostStore,
    pub(super) next_block: u64,
    pub(super) latest_at: u64,
}

pub(super) fn is_deployed(directory: &Path) -> Result<bool, OpenError> {
    let log = directory.join(LOG);
    if !exists(&log)? {
        return Ok(false);
    }
    // Deploying removes a log that was torn before its first entry, and cores beside the mark.
    let has_blocks = Core::has_blocks(&log).map_err(|error| damaged(directory, error))?;
    Ok(has_blocks && !exists(&directory.join(UNFINISHED))? || is_finished(&log)?)
}

/// Returns whether a log has a block 0, with or without the mark beside it.
fn is_finished(log: &Path) -> Result<bool, OpenError> {
    match Core::open_read_only(log) {
        Ok(core) => Ok(core.length() > 0),
        Err(StorageError::NoCore { .. } | StorageError::Damaged { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn deploy(
    directory: &Path,
    deployment: Deployment,
    durability: Durability,
    engine: &EngineSettings,
    operator: &Arc<Operator>,
) -> Result<Ready, DeployError> {
    let lock = DataDirectory::lock(directory)?;
    match deploy_alone(directory, deployment, durability, engine, operator) {
        Ok(service) => Ok(Ready { lock, service }),
        Err(error) => {
            lock.abandon();
            Err(error)
        }
    }
}

/// Deploys into a directory that only this process writes to. A failure leaves nothing behind.
fn deploy_alone(
    directory: &Path,
    deployment: Deployment,
    durability: Durability,
    engine: &EngineSettings,
    operator: &Arc<Operator>,
) -> Result<Service, DeployError> {
    if is_deployed(directory)? {
        return Err(OpenError::AlreadyDeployed { path: directory.into() }.into());
    }
    prepare(directory)?;
    let deployed = deploy_into(directory, deployment, durability, engine, operator);
    // The first error is the one that matters; files that cannot be removed stay marked, for the next attempt.
    if deployed.is_ok() || clear(directory).is_ok() {
        finish(directory)?;
    }
    deployed
}

fn deploy_into(
    directory: &Path,
    deployment: Deployment,
    durability: Durability,
    engine: &EngineSettings,
    operator: &Arc<Operator>,
) -> Result<Service, DeployError> {
    let create = |name| Ok::<_, DeployError>(Core::create(&directory.join(name), new_key()?, durability)?);
    let mut log = create(LOG)?;
    // Create the cores durably, then open them again for writing.
    create(FILES)?;
    create(BLOBS)?;
    let (files, blobs) = open_archive(directory, durability)?;
    let init = new_init(deployment, &files, &blobs);
    let mut entries = vec![Entry::Init(init.clone()).encode()?];
    let store = HostStore::new(files, blobs);
    let archive =
        Archive::create(store.clone(), &init.title, init.files, init.blobs).map_err(ExecutionError::from)?;
    let script = Script { format: init.v, code: &init.code, limits: init.limits, at: init.at };
    let file = &operator.diagnostics().file;
    let mut execution = Execution::load_for(log.key(), 0, script, archive, engine, Some(operator.clone()))
        .map_err(|error| not_loaded(error, &init.code, file))?;
    if execution.has_init() {
        entries.push(Entry::Call(call_init(&mut execution, &init, file)?).encode()?);
    }
    check_methods(&execution)?;
    log.append(&entries)?;
    store.publish_all()?;
    let next_block = log.length();
    Ok(Service { latest_at: init.at, init, log, execution, store, next_block })
}

fn new_init(deployment: Deployment, files: &Core, blobs: &Core) -> Init {
    Init {
        v: Format::LATEST,
        code: deployment.code,
        title: deployment.title,
        files: files.key(),
        blobs: blobs.key(),
        auth: Auth::Debug,
        at: now(),
        engine: libvms_engine::identity(),
        limits: deployment.limits.with_load(),
    }
}

/// Fails when callers could call nothing: that is a mistake in the script, which would show late otherwise.
fn check_methods(execution: &Execution<HostStore>) -> Result<(), DeployError> {
    if execution.methods().iter().any(|method| method != "init") {
        return Ok(());
    }
    let others = execution.others().iter().map(|(name, what)| format!("`{name}` is {what}"));
    let init = execution.has_init().then(|| "`init` is called by the host alone".to_owned());
    let found: Vec<String> = init.into_iter().chain(others).collect();
    let found = if found.is_empty() { "it exports nothing".into() } else { found.join(", ") };
    Err(DeployError::NoMethods { found })
}

/// Returns what a script expects of another module system, recognised by the line that failed.
fn module_mistake(failure: &LoadFailure, code: &str) -> Option<ModuleMistake> {
    let message::Outcome::Threw(thrown) = &failure.outcome else { return None };
    if thrown.name == "ReferenceError" {
        return thrown.message.contains("require").then_some(ModuleMistake::Import);
    }
    let line = failure.position.as_deref()?.split(':').nth(1)?.parse::<usize>().ok()?;
    let words = |word: char| !(word.is_alphanumeric() || "_$.".contains(word));
    // The engine may report the line after the one that failed.
    let lines = code.lines().skip(line.saturating_sub(2)).take(2);
    let near: Vec<&str> = lines.flat_map(|line| line.split(words)).collect();
    let has = |word: &str| near.contains(&word);
    match thrown.name.as_str() {
        "SyntaxError" if has("export") => Some(ModuleMistake::Export),
        "SyntaxError" if near.iter().any(|word| *word == "import" || word.starts_with("import.")) => {
            Some(ModuleMistake::Import)
        }
        "SyntaxError" if has("await") => Some(ModuleMistake::Await),
        _ => None,
    }
}

/// Converts a failure to load, with positions in the script's own file.
fn not_loaded(error: LoadError, code: &str, file: &str) -> DeployError {
    match error {
        LoadError::Execution(error) => error.into(),
        LoadError::Script(mut failure) => {
            let mistake = module_mistake(&failure, code);
            failure.position =
                failure.position.map(|position| position.replacen(libvms_engine::SCRIPT, file, 1).into());
            let stack = failure.stack.as_deref().and_then(ScriptStack::of_worker);
            let stack = stack.map(|stack| stack.named(file));
            DeployError::Script { why: LoadError::Script(failure).to_string(), stack, mistake }
        }
    }
}

/// Calls `init` as block 1 of the log, before callers can call: without a user and without arguments.
fn call_init(
    execution: &mut Execution<HostStore>,
    init: &Init,
    file: &str,
) -> Result<CallEntry, DeployError> {
    let method_name = "init".into();
    let call = Call { user_id: None, method_name, args: vec![], at: init.at, nonce: None, sig: None };
    execution.send(1, &call)?;
    let finished = execution.finish()?;
    match finished.outcome {
        outcome @ Outcome::Returned { .. } => Ok(CallEntry::new(call, outcome)),
        Outcome::Threw(thrown) => {
            let Thrown { name, message, .. } = super::limit::with_hint(&thrown, &init.limits);
            let place = finished.stack.as_ref().and_then(|stack| stack.place(file));
            let place = place.map(|place| format!(" (at {place})")).unwrap_or_default();
            let stack = finished.stack.map(|stack| stack.named(file));
            Err(DeployError::Init { why: format!("{name}: {message}{place}"), stack })
        }
        Outcome::Fault(fault) => {
            Err(DeployError::Init { why: super::limit::why(fault, &finished, &init.limits), stack: None })
        }
    }
}

pub(super) fn open(
    directory: &Path,
    durability: Durability,
    engine: &EngineSettings,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Ready, OpenError> {
    if !is_deployed(directory)? {
        return Err(OpenError::NotDeployed { path: directory.into() });
    }
    let lock = DataDirectory::lock(directory)?;
    finish(directory)?;
    let (mut log, tail) =
        Core::open_with_tail(&directory.join(LOG), durability).map_err(|error| damaged(directory, error))?;
    let (files, blobs) = open_archive(directory, durability).map_err(|error| damaged(directory, error))?;
    let store = HostStore::new(files, blobs);
    let (execution, init, latest_at, taken) =
        replay(directory, &log, tail.as_ref(), &store, engine, progress)?;
    for (name, core) in [(FILES, &store.files), (BLOBS, &store.blobs)] {
        if core.surplus() > 0 {
            return Err(OpenError::ArchiveAhead {
                path: directory.into(),
                core: name,
                surplus: core.surplus(),
            });
        }
    }
    if let Some(tail) = &tail {
        recovery::take_back(&mut log, tail, taken)?;
    }
    // A crash may have happened between a call's entry and its archive blocks: the replay has restored them.
    store.publish_all()?;
    let next_block = log.length();
    Ok(Ready { lock, service: Service { init, log, execution, store, next_block, latest_at } })
}

/// Rebuilds the script's state from the durable log, in a new worker: the old one is gone. All executed calls must be
/// durable and published.
pub(super) fn rebuild(
    directory: &Path,
    store: &HostStore,
    engine: &EngineSettings,
) -> Result<Execution<HostStore>, OpenError> {
    let log = Core::open_read_only(&directory.join(LOG))?;
    store.rewind();
    let (execution, ..) = replay(directory, &log, None, store, engine, &mut |_, _| {})?;
    Ok(execution)
}

/// Opens the two cores of the archive. The log can restore blocks that are not on disk, so no call waits for a sync.
fn open_archive(directory: &Path, durability: Durability) -> Result<(Core, Core), StorageError> {
    let durability = match durability {
        Durability::Sync | Durability::Later => Durability::Later,
        Durability::Relaxed => Durability::Relaxed,
    };
    let open = |name| Core::open_derived(&directory.join(name), durability);
    Ok((open(FILES)?, open(BLOBS)?))
}

/// Wraps errors that mean damage: a damaged service must not go on.
fn damaged(directory: &Path, error: StorageError) -> OpenError {
    match error {
        source @ StorageError::Damaged { .. } => OpenError::Damaged { path: directory.into(), source },
        error => error.into(),
    }
}

fn replay(
    directory: &Path,
    log: &Core,
    tail: Option<&Tail>,
    store: &HostStore,
    engine: &EngineSettings,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Execution<HostStore>, Init, u64, u64), OpenError> {
    let failed = |stop| match stop {
        ReplayError::Execution(ExecutionError::Archive(ArchiveError::Storage(error))) => {
            damaged(directory, error)
        }
        stop => OpenError::SelfCheck { path: directory.into(), stop },
    };
    // We granted these limits when we deployed.
    let most = u64::MAX;
    let limits_max = Limits { fuel: most, memory: most, stack: most, output: most, load: Some(most) };
    let mut replay =
        Replay::new(log.key(), store.clone(), AuditOptions { limits_max, engine: engine.clone() });
    let mut tree = TreeCheck::default();
    for (done, block) in (1..).zip(log.blocks(0..log.length())) {
        let block = block.and_then(|block| tree.push(log, &block).map(|()| block));
        replay.push(&block.map_err(|error| damaged(directory, error))?).map_err(failed)?;
        progress(done, log.length());
    }
    replay.settle().map_err(failed)?;
    let taken = tail.map_or(Ok(0), |tail| recovery::replay_tail(directory, tail, &mut replay))?;
    let not_deployed = || OpenError::NotDeployed { path: directory.into() };
    let init = replay.init().cloned().ok_or_else(not_deployed)?;
    for (name, ours, named) in
        [(FILES, store.files.key(), init.files), (BLOBS, store.blobs.key(), init.blobs)]
    {
        if ours != named {
            return Err(OpenError::ForeignCore { path: directory.into(), core: name });
        }
    }
    let latest_at = replay.latest_at();
    let execution = replay.into_execution().map_err(failed)?.ok_or_else(not_deployed)?;
    Ok((execution, init, latest_at, taken))
}

/// Prepares a directory for a deployment: removes the files of an unfinished one, and nothing else.
fn prepare(directory: &Path) -> Result<(), OpenError> {
    let mark = directory.join(UNFINISHED);
    if exists(&mark)? {
        clear(directory)?;
    }
    for name in [LOG, FILES, BLOBS] {
        let path = directory.join(name);
        if exists(&path)? {
            return Err(OpenError::InTheWay { path });
        }
    }
    fs::write(&mark, "").map_err(|source| OpenError::Directory { path: mark, source })
}

/// Removes the mark of an unfinished deployment.
fn finish(directory: &Path) -> Result<(), OpenError> {
    remove(directory.join(UNFINISHED), |path| fs::remove_file(path))
}

fn clear(directory: &Path) -> Result<(), OpenError> {
    [LOG, FILES, BLOBS]
        .into_iter()
        .try_for_each(|name| remove(directory.join(name), |path| fs::remove_dir_all(path)))
}

fn remove(path: PathBuf, remove: fn(&Path) -> io::Result<()>) -> Result<(), OpenError> {
    match remove(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(OpenError::Directory { path, source }),
        _ => Ok(()),
    }
}

fn exists(path: &Path) -> Result<bool, OpenError> {
    path.try_exists().map_err(|source| OpenError::Directory { path: path.into(), source })
}

fn new_key() -> Result<SecretKey, RunError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(RunError::Random)?;
    Ok(SecretKey::from_seed(&seed))
}

//! Deploying a script into a data directory, whose files [`open`](super::open) lists.
//!
//! A deployment is complete when its log has a block 0. Until then no promise was made, and the next attempt removes the
//! files that a crash has left beside the mark `unfinished`.

use std::fs;
use std::path::Path;

use libvms_cores::storage::layout::{BLOBS, FILES, LOG};
use libvms_cores::storage::{Core, DataDirectory};
use libvms_engine::Api;
use libvms_engine::message::{self, LoadFailure};
use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::identity::SecretKey;
use libvms_protocol::audit::callers::SignedCalls;
use libvms_protocol::entry::{Auth, Call, CallEntry, Caller, Entry, Format, Init, Limits, Outcome, Thrown};
use libvms_protocol::limits::CALL_AGE_DEFAULT;

use super::Means;
use super::clock::now;
use super::error::{DeployError, ModuleMistake, OpenError, RunError};
use super::open::{Ready, Service, UNFINISHED, exists, finish, is_deployed, open_archive, remove};
use super::store::HostStore;
use crate::archive::Archive;
use crate::diagnostics::ScriptStack;
use crate::execution::{Execution, ExecutionError, LoadError, Script};
use crate::source_map::SourceMap;

/// A service to deploy.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The script's source text.
    pub code: String,
    /// The service's name for people.
    pub title: String,
    /// How callers are authenticated. Where they sign, a call may be a minute old, unless the limits say otherwise.
    pub auth: Auth,
    /// The limits of each call, and of loading, which has ten times a call's fuel unless set.
    pub limits: Limits,
    /// How the script is read.
    pub form: Form,
    /// Names of the oracles that the script may ask, fixed in its log. Whether a host answers is another matter: see
    /// [`HostOptions::oracles`](super::HostOptions::oracles).
    pub oracles: Vec<String>,
    /// Names of the effects that the script may have, fixed in its log.
    pub effects: Vec<String>,
}

/// How a script is read, and what it may lack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Whether the script is an ES module, which stands in its log. `None` if that is to be found out: it is one if it is
    /// none that exports by `module.exports`, because it has `export`, `import` or an `await` outside of functions.
    pub module: Option<bool>,
    /// Whether a service may be deployed without a method that callers could call, for what its `init` does.
    pub may_lack_methods: bool,
}

impl Deployment {
    /// Returns a service whose callers give any name, with the default limits, from a script of either form.
    pub fn new(code: impl Into<String>, title: impl Into<String>) -> Self {
        let (code, title) = (code.into(), title.into());
        let (oracles, effects) = (vec![], vec![]);
        let (limits, form) = (Limits::default(), Form::default());
        Self { code, title, auth: Auth::Debug, limits, form, oracles, effects }
    }
}

pub(super) fn deploy(directory: &Path, deployment: Deployment, means: &Means) -> Result<Ready, DeployError> {
    let lock = DataDirectory::lock(directory)?;
    match deploy_alone(directory, deployment, means) {
        Ok(service) => Ok(Ready { lock, service }),
        Err(error) => {
            lock.abandon();
            Err(error)
        }
    }
}

/// Deploys into a directory that only this process writes to. A failure leaves nothing behind.
fn deploy_alone(directory: &Path, deployment: Deployment, means: &Means) -> Result<Service, DeployError> {
    if is_deployed(directory)? {
        return Err(OpenError::AlreadyDeployed { path: directory.into() }.into());
    }
    prepare(directory)?;
    let deployed = deploy_as_written(directory, &deployment, means);
    // The first error is the one that matters; files that cannot be removed stay marked, for the next attempt.
    if deployed.is_ok() || clear(directory).is_ok() {
        finish(directory)?;
    }
    deployed
}

/// Deploys as a script, and then as an ES module if the script can only be one.
fn deploy_as_written(
    directory: &Path,
    deployment: &Deployment,
    means: &Means,
) -> Result<Service, DeployError> {
    use ModuleMistake::{Await, Export, Import};
    let deploy = |module| deploy_into(directory, deployment.clone(), module, means);
    match deploy(deployment.form.module.unwrap_or(false)) {
        Err(DeployError::Script { mistake: Some(Await | Export | Import), .. })
            if deployment.form.module.is_none() =>
        {
            clear(directory)?;
            deploy(true)
        }
        deployed => deployed,
    }
}

fn deploy_into(
    directory: &Path,
    deployment: Deployment,
    module: bool,
    means: &Means,
) -> Result<Service, DeployError> {
    let Means { durability, engine, operator, oracles: runner } = means;
    let durability = *durability;
    let create = |name| Ok::<_, DeployError>(Core::create(&directory.join(name), new_key()?, durability)?);
    let mut log = create(LOG)?;
    // Create the cores durably, then open them again for writing.
    create(FILES)?;
    create(BLOBS)?;
    let (files, blobs) = open_archive(directory, durability)?;
    let form = deployment.form;
    let init = new_init(deployment, module, &files, &blobs);
    let mut entries = vec![Entry::Init(init.clone()).encode()?];
    let store = HostStore::new(files, blobs);
    let archive =
        Archive::create(store.clone(), &init.title, init.files, init.blobs).map_err(ExecutionError::from)?;
    let Init { v: format, code, limits, oracles, effects, at, .. } = &init;
    let (format, api, limits, at) = (*format, Api::LATEST, *limits, *at);
    let script = Script { format, api, code, module, limits, oracles, effects, at };
    let file = &operator.diagnostics().file;
    let mut execution =
        Execution::load_for(log.key(), BlockIndex::FIRST, script, archive, engine, Some(operator.clone()))
            .map_err(|error| not_loaded(error, &init.code, file))?;
    execution.connect(runner.clone());
    if execution.has_init() {
        entries.push(Entry::Call(call_init(&mut execution, &init, file)?).encode()?);
    }
    if !form.may_lack_methods {
        check_methods(&execution)?;
    }
    log.append(&entries)?;
    store.publish_all()?;
    let next_block = log.length().next_block();
    let mut signed = init.limits.call_age.map(SignedCalls::new);
    for entry in &entries {
        signed.iter_mut().for_each(|signed| signed.append(entry));
    }
    Ok(Service { latest_at: init.at, init, log, execution, store, next_block, signed })
}

fn new_init(deployment: Deployment, module: bool, files: &Core, blobs: &Core) -> Init {
    let call_age = match deployment.auth {
        Auth::Debug => None,
        Auth::Signed => deployment.limits.call_age.or(Some(CALL_AGE_DEFAULT)),
    };
    Init {
        v: Format::LATEST,
        code: deployment.code,
        module,
        title: deployment.title,
        files: files.key(),
        blobs: blobs.key(),
        auth: deployment.auth,
        at: now(),
        engine: libvms_engine::identity(),
        limits: Limits { call_age, ..deployment.limits.with_load() },
        oracles: sorted(deployment.oracles),
        effects: sorted(deployment.effects),
    }
}

/// Returns names as the log has them: ascending, each once.
fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
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
        let mistakes = [
            ("require is not", ModuleMistake::Require),
            ("could not load module", ModuleMistake::Import),
            ("exports is not", ModuleMistake::Mixed),
            ("module is not", ModuleMistake::Mixed),
        ];
        let found = mistakes.into_iter().find(|(words, _)| thrown.message.starts_with(words));
        return found.map(|(_, mistake)| mistake);
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
            let map = SourceMap::of(code);
            let position = failure.position.as_deref().and_then(|position| map.translate(position));
            failure.position =
                position.map(|(_, place)| place.replacen(libvms_engine::SCRIPT, file, 1).into());
            let stack = failure.stack.as_deref().and_then(|stack| ScriptStack::from_worker(stack, &map));
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
    let call = Call::new(Caller::Anonymous, "init", vec![], init.at);
    execution.send(BlockIndex(1), &call)?;
    let finished = execution.finish()?;
    match finished.outcome {
        Outcome::Returned { .. } => Ok(finished.entry(call)),
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

fn clear(directory: &Path) -> Result<(), OpenError> {
    [LOG, FILES, BLOBS]
        .into_iter()
        .try_for_each(|name| remove(directory.join(name), |path| fs::remove_dir_all(path)))
}

fn new_key() -> Result<SecretKey, RunError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(RunError::Random)?;
    Ok(SecretKey::from_seed(&seed))
}

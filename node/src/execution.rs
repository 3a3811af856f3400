//! Executing the calls of one log: a worker that runs the script, and the files that the script works on.
//!
//! Host and auditor use the same [`Execution`], so that only the log and the script determine the outcomes.
//! The driver [`send`](Execution::send)s calls with the block numbers they have in the log and
//! [`finish`](Execution::finish)es them in the same order. Several may be in flight; they run one after another.

mod world;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use libvms_engine::message::{self, Load, LoadFailure, Loaded, Report, Request};
use libvms_engine::{Api, EngineSettings, Worker, WorkerError};
use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::identity::PublicKey;
use libvms_protocol::audit::{Recorded, Violation};
use libvms_protocol::entry::call::is_own_code;
use libvms_protocol::entry::{
    self, Call, CallEntry, Effect, Fault, Format, Limits, OracleAnswer, Outcome, Thrown,
};
use libvms_protocol::limits::RESULT_BYTES_MAX;
use libvms_protocol::value::Value;
use thiserror::Error;

use world::{Names, Said, Source, World};

use crate::archive::{Archive, ArchiveError, ArchiveStore};
use crate::diagnostics::{self, Moment, Operator, ScriptStack};
use crate::oracle::{Asked, Runner};
use crate::source_map::SourceMap;

/// The calls that a driver should keep in flight: enough that the worker never waits for its driver.
pub const CALLS_IN_FLIGHT: usize = 64;

/// A loaded script with its files, and the calls in flight to it.
#[derive(Debug)]
pub struct Execution<S> {
    worker: Worker,
    log: PublicKey,
    format: Format,
    archive: Archive<S>,
    api: Api,
    names: Names,
    in_flight: VecDeque<InFlight>,
    loaded: Loaded,
    map: SourceMap,
    operator: Option<Arc<Operator>>,
    /// Who answers the script's questions; `None` where nobody does.
    oracles: Option<Arc<Runner>>,
}

/// A call that was sent and not finished yet.
#[derive(Debug)]
struct InFlight {
    block: BlockIndex,
    method: String,
    world: World,
}

/// A call that has ended.
#[derive(Debug)]
pub struct ExecutedCall {
    /// The block that the call has, or will have, in the log.
    pub block: BlockIndex,
    /// The call's outcome, in the log's form.
    pub outcome: Outcome,
    /// What the call asked oracles, with their answers. Empty in a replay, which compares them with the log itself.
    pub oracles: Vec<OracleAnswer>,
    /// What the call told the world.
    pub effects: Vec<Effect>,
    /// Fuel that the call used.
    pub fuel: u64,
    /// The use of its other limits.
    pub used: Used,
    /// The stack, if the call threw a value with one. Not in the log.
    pub stack: Option<ScriptStack>,
}

/// The use of a call's limits beside fuel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Bytes that the call wrote to files and returned.
    pub output: u64,
    /// Bytes of the result's JSON text.
    pub result: u64,
    /// How long the call ran, if its time limit ended it.
    pub time: Option<Duration>,
}

/// Why a script could not be loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The script itself is at fault.
    #[error("{}", text_of(.0))]
    Script(LoadFailure),
    /// The execution failed, without fault of the script.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
}

/// Why an execution cannot go on. Never the script's fault.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExecutionError {
    /// The worker is gone.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The archive cannot be read or written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// In a replay: the call asks or needs other answers than the log has.
    #[error("{0}")]
    Deviation(Violation),
    /// The worker sent a message that is invalid at this point.
    #[error("the worker answered {0} out of turn")]
    Protocol(&'static str),
}

impl ExecutionError {
    /// Returns whether only a defect of this program explains the error.
    pub fn is_bug(&self) -> bool {
        match self {
            Self::Worker(error) => error.is_bug(),
            Self::Archive(_) | Self::Deviation(_) => false,
            Self::Protocol(_) => true,
        }
    }
}

/// A script to execute, as a log's init describes it.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    /// The format of the log, which decides which outcomes it can hold.
    pub format: Format,
    /// The version of the engine for which the log was written.
    pub api: Api,
    /// Source text.
    pub code: &'a str,
    /// Whether it is an ES module.
    pub module: bool,
    /// The limits of each call.
    pub limits: Limits,
    /// Names of the oracles that it may ask.
    pub oracles: &'a [String],
    /// Names of the effects that it may have.
    pub effects: &'a [String],
    /// The time that the script sees while it loads, in milliseconds since 1970.
    pub at: u64,
}

impl ExecutedCall {
    /// Returns the log's entry of the call.
    pub fn entry(&self, call: Call) -> CallEntry {
        let (oracles, effects) = (self.oracles.clone(), self.effects.clone());
        CallEntry { oracles, effects, ..CallEntry::new(call, self.outcome.clone()) }
    }
}

impl<S: ArchiveStore> Execution<S> {
    /// Loads a script at `block` of `log`: block 0, or the block of an epoch.
    ///
    /// # Errors
    /// [`LoadError::Script`] when the script cannot be loaded.
    pub fn load(
        log: PublicKey,
        block: BlockIndex,
        script: Script<'_>,
        archive: Archive<S>,
        engine: &EngineSettings,
    ) -> Result<Self, LoadError> {
        Self::load_for(log, block, script, archive, engine, None)
    }

    /// Loads as [`Execution::load`] does, for a service: reports the script's diagnostics to its operator.
    pub(crate) fn load_for(
        log: PublicKey,
        block: BlockIndex,
        script: Script<'_>,
        archive: Archive<S>,
        engine: &EngineSettings,
        operator: Option<Arc<Operator>>,
    ) -> Result<Self, LoadError> {
        let worker = Worker::start_as(script.api, script.limits, engine).map_err(ExecutionError::from)?;
        let in_flight = VecDeque::new();
        let loaded = Loaded::default();
        let Script { format, api, .. } = script;
        let names = Names { oracles: script.oracles.into(), effects: script.effects.into() };
        let map = SourceMap::of(script.code);
        let oracles = None;
        let mut execution =
            Self { worker, log, format, archive, api, names, in_flight, loaded, map, operator, oracles };
        let seed = entry::seed(&log, block, script.at);
        let load = Load { code: script.code.into(), module: script.module, at: script.at, seed };
        execution.worker.send(Request::Load(load)).map_err(ExecutionError::from)?;
        match execution.next_report(Moment { block, method: None }, None)? {
            Report::Loaded(Ok(loaded)) => execution.loaded = loaded,
            Report::Loaded(Err(failure)) => return Err(LoadError::Script(failure)),
            _ => return Err(ExecutionError::Protocol("a call").into()),
        }
        Ok(execution)
    }

    /// Reports diagnostics to this operator from now on; before, they came from a replay and had been reported.
    pub(crate) fn tell(&mut self, operator: Arc<Operator>) {
        self.operator = Some(operator);
    }

    /// Has questions answered by these oracles from now on; before, nobody answered any.
    pub(crate) fn connect(&mut self, oracles: Option<Arc<Runner>>) {
        self.oracles = oracles;
    }

    /// Returns the exported functions, `init` among them if there is one.
    pub fn methods(&self) -> &[String] {
        &self.loaded.methods
    }

    /// Returns the names of the parameters of each exported function whose parameters are all plain names.
    pub fn parameters(&self) -> &BTreeMap<String, Vec<String>> {
        &self.loaded.parameters
    }

    /// Returns the first exports that are not methods, each with its kind.
    pub fn others(&self) -> &[(String, String)] {
        &self.loaded.others
    }

    /// Returns whether the script exports `init`.
    pub fn has_init(&self) -> bool {
        self.loaded.methods.iter().any(|method| method == "init")
    }

    /// Returns the archive as the finished calls have left it.
    pub fn archive(&self) -> &Archive<S> {
        &self.archive
    }

    /// Returns the archive, to keep it when the heap is discarded.
    pub fn into_archive(self) -> Archive<S> {
        self.archive
    }

    /// Returns the number of calls that were sent and not finished yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Sends a call to the worker. What it asks is asked.
    ///
    /// # Errors
    /// When the worker has ended.
    pub fn send(&mut self, block: BlockIndex, call: &Call) -> Result<(), ExecutionError> {
        self.send_with(block, call, Source::Live(Asked::new(self.oracles.clone())))
    }

    /// Sends a call of the log to the worker. What it asks is answered from the log.
    ///
    /// # Errors
    /// When the worker has ended.
    pub fn send_again(&mut self, block: BlockIndex, entry: &CallEntry) -> Result<(), ExecutionError> {
        self.send_with(block, &entry.call, Source::Recorded(Recorded::new(entry.oracles.clone())))
    }

    fn send_with(&mut self, block: BlockIndex, call: &Call, source: Source) -> Result<(), ExecutionError> {
        let request = message::Call {
            method: call.method_name.clone(),
            args: args_json(&call.args),
            user_id: call.user_id.clone(),
            at: call.at,
            seed: entry::seed(&self.log, block, call.at),
        };
        self.worker.send(Request::Call(request))?;
        let id = (self.api >= Api::V5).then(|| entry::call_id(&self.log, block, call));
        let method = call.method_name.clone();
        self.in_flight.push_back(InFlight { block, method, world: World::new(id, source) });
        Ok(())
    }

    /// Waits for the end of the oldest call in flight, and commits or discards the call's writes.
    ///
    /// # Errors
    /// When the worker has ended or the archive fails. The execution is then over.
    ///
    /// # Panics
    /// If no call is in flight.
    pub fn finish(&mut self) -> Result<ExecutedCall, ExecutionError> {
        let InFlight { block, method, mut world } =
            self.in_flight.pop_front().expect("the driver counts the calls that it sends");
        let moment = Moment { block, method: Some(&method) };
        let done = match self.next_report(moment, Some(&mut world))? {
            Report::Done(done) => done,
            _ => return Err(ExecutionError::Protocol("a deployment")),
        };
        let Said { oracles, effects } = world.end().map_err(ExecutionError::Deviation)?;
        let stack = done.stack.as_deref().and_then(|stack| ScriptStack::from_worker(stack, &self.map));
        let fuel = done.fuel;
        let used = Used { output: done.output, result: done.result, time: None };
        let outcome = match done.outcome {
            message::Outcome::Returned(json) => self.returned(json.as_deref())?,
            message::Outcome::Threw(thrown) => Outcome::Threw(thrown_from_worker(thrown)),
            message::Outcome::Fault(fault) => Outcome::Fault(logged(fault)),
        };
        let has_returned = matches!(outcome, Outcome::Returned { .. });
        let effects = if has_returned { effects } else { vec![] };
        if !has_returned {
            self.archive.discard();
        }
        match (&outcome, &self.operator) {
            // A deployment reports the failure of its init itself.
            (Outcome::Threw(thrown), Some(operator)) if method != "init" => {
                operator.threw(moment, thrown, stack.as_ref());
            }
            _ => {}
        }
        let outcome = outcome.in_format(self.format);
        Ok(ExecutedCall { block, outcome, oracles, effects, fuel, used, stack })
    }

    fn returned(&mut self, json: Option<&str>) -> Result<Outcome, ExecutionError> {
        // The worker refuses outcomes that the log cannot hold; one that slips through counts as the script's error.
        let refused = |why| Ok(Outcome::Threw(Thrown::new("RangeError", format!("the result is {why}"))));
        if let Some(json) = json.filter(|json| json.len() > RESULT_BYTES_MAX) {
            return refused(format!("too long: {} bytes of JSON text", json.len()));
        }
        match json.map(Value::from_json).transpose() {
            Ok(value) => {
                let files = self.archive.commit()?;
                Ok(Outcome::Returned { value, files })
            }
            Err(error) => refused(error.to_string()),
        }
    }

    /// Returns the next report that ends a request. Serves requests for files, world and console until then. A call has a world,
    /// a script that loads has none.
    fn next_report(
        &mut self,
        moment: Moment<'_>,
        mut world: Option<&mut World>,
    ) -> Result<Report, ExecutionError> {
        loop {
            match self.worker.receive()? {
                // A script must not write while it loads: no entry could account for the writes.
                Report::File(request) if moment.method.is_none() && request.is_write() => {
                    let message = "files cannot be changed while the script loads: do it in exports.init";
                    self.worker.answer(Err(message::Thrown::new("NotAllowedError", message)))?;
                }
                Report::File(request) => {
                    let reply = self.archive.answer(request)?;
                    self.worker.answer(reply)?;
                }
                Report::World(request) => {
                    let reply = match &mut world {
                        Some(world) => {
                            world.reply(request, &self.names).map_err(ExecutionError::Deviation)?
                        }
                        None => world::while_loading(&request),
                    };
                    self.worker.answer_world(reply)?;
                }
                Report::Console(line) => match &self.operator {
                    Some(operator) => operator.console(moment, &line),
                    None => diagnostics::replayed(moment, &line),
                },
                report => return Ok(report),
            }
        }
    }
}

/// Returns the arguments as the text of a JSON array: the same text at the host and in every replay.
fn args_json(args: &[Value]) -> String {
    serde_json::to_string(args).expect("values are JSON data")
}

/// Converts a thrown value to the log's form: data that nests too deeply is dropped. The worker enforces the other
/// bounds; they are checked again because a script may have taken over the worker.
fn thrown_from_worker(thrown: message::Thrown) -> Thrown {
    let message::Thrown { name, message, code, details } = thrown;
    let details = details.filter(|json| json.len() <= RESULT_BYTES_MAX);
    let details = details.and_then(|json| Value::from_json(&json).ok());
    Thrown { name, message, code: code.filter(|code| is_own_code(*code)), details }
}

fn text_of(failure: &LoadFailure) -> String {
    let what = match &failure.outcome {
        message::Outcome::Threw(thrown) => format!("{}: {}", thrown.name, thrown.message),
        message::Outcome::Fault(message::Fault::Fuel) => {
            "loading it took more steps than its limit `load`, ten times `fuel`; a new service gets more with `vms host --fuel`"
                .into()
        }
        message::Outcome::Fault(message::Fault::Output) => {
            "loading it wrote more than its limit `output`; a new service gets more with `vms host --output`".into()
        }
        message::Outcome::Returned(_) => "not loaded".into(),
    };
    match &failure.position {
        Some(position) => format!("{what} (at {position})"),
        None => what,
    }
}

/// Converts a fault to the log's form.
fn logged(fault: message::Fault) -> Fault {
    match fault {
        message::Fault::Fuel => Fault::Fuel,
        message::Fault::Output => Fault::Output,
    }
}

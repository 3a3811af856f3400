//! Executing the calls of one log: a worker that runs the script, and the files that it works on.
//!
//! Host and auditor use the same [`Execution`], so that nothing but the log and the script decides what comes out.
//! The caller [`send`](Execution::send)s calls with the block numbers they have in the log and
//! [`finish`](Execution::finish)es them in the same order. Several may be in flight; they run one after another.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use libvms_engine::message::{self, Load, LoadFailure, Loaded, Report, Request};
use libvms_engine::{EngineSettings, Worker, WorkerError};
use libvms_hypercore::identity::PublicKey;
use libvms_protocol::entry::call::is_own_code;
use libvms_protocol::entry::{self, Call, Fault, Format, Limits, Outcome, Thrown};
use libvms_protocol::limits::RESULT_BYTES_MAX;
use libvms_protocol::value::Value;
use thiserror::Error;

use crate::archive::{Archive, ArchiveError, ArchiveStore};
use crate::diagnostics::{self, Moment, Operator, ScriptStack};

/// How many calls a driver should keep in flight: enough that the worker never waits for its driver.
pub const CALLS_IN_FLIGHT: usize = 64;

/// A loaded script with its files, and the calls on their way to it.
#[derive(Debug)]
pub struct Execution<S> {
    worker: Worker,
    log: PublicKey,
    format: Format,
    archive: Archive<S>,
    in_flight: VecDeque<(u64, String)>,
    loaded: Loaded,
    operator: Option<Arc<Operator>>,
}

/// A call that is over.
#[derive(Debug)]
pub struct ExecutedCall {
    /// The block that the call has, or will have, in the log.
    pub block: u64,
    /// How it ended, as the log says it.
    pub outcome: Outcome,
    /// Fuel that it used.
    pub fuel: u64,
    /// What it used of its other limits.
    pub used: Used,
    /// Where it threw, if something with a stack was thrown. Not in the log.
    pub stack: Option<ScriptStack>,
}

/// What a call has used of its limits beside fuel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Bytes that it wrote to files and returned.
    pub output: u64,
    /// Bytes of its result's JSON text.
    pub result: u64,
    /// How long it was waited for, if the clock ended it.
    pub time: Option<Duration>,
}

/// Why a script is not running.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The script itself is at fault.
    #[error("{}", of_script(.0))]
    Script(LoadFailure),
    /// We are.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
}

/// Execution cannot go on. Never the script's fault.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExecutionError {
    /// The worker is gone.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The archive cannot be read or written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The worker said something that makes no sense here.
    #[error("the worker answered {0} out of turn")]
    Protocol(&'static str),
}

impl ExecutionError {
    /// Whether only a fault of this program explains it.
    pub fn is_bug(&self) -> bool {
        match self {
            Self::Worker(error) => error.is_bug(),
            Self::Archive(_) => false,
            Self::Protocol(_) => true,
        }
    }
}

/// A script to execute, as a log's init says it.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    /// The format of the log: which outcomes it has a place for.
    pub format: Format,
    /// Source text.
    pub code: &'a str,
    /// What each call may use.
    pub limits: Limits,
    /// The time that it sees while it loads, in milliseconds since 1970.
    pub at: u64,
}

impl<S: ArchiveStore> Execution<S> {
    /// Loads a script at `block` of `log`: block 0, or the block of an epoch.
    ///
    /// # Errors
    /// [`LoadError::Script`] where the script cannot be loaded.
    pub fn load(
        log: PublicKey,
        block: u64,
        script: Script<'_>,
        archive: Archive<S>,
        engine: &EngineSettings,
    ) -> Result<Self, LoadError> {
        Self::load_for(log, block, script, archive, engine, None)
    }

    /// As [`Execution::load`], for the operator of a service: what the script says is told as news.
    pub(crate) fn load_for(
        log: PublicKey,
        block: u64,
        script: Script<'_>,
        archive: Archive<S>,
        engine: &EngineSettings,
        operator: Option<Arc<Operator>>,
    ) -> Result<Self, LoadError> {
        let worker = Worker::start(script.limits, engine).map_err(ExecutionError::from)?;
        let in_flight = VecDeque::new();
        let loaded = Loaded::default();
        let format = script.format;
        let mut execution = Self { worker, log, format, archive, in_flight, loaded, operator };
        let seed = entry::seed(&log, block, script.at);
        let load = Load { code: script.code.into(), at: script.at, seed };
        execution.worker.send(Request::Load(load)).map_err(ExecutionError::from)?;
        match execution.next_report(Moment { block, method: None })? {
            Report::Loaded(Ok(loaded)) => execution.loaded = loaded,
            Report::Loaded(Err(failure)) => return Err(LoadError::Script(failure)),
            _ => return Err(ExecutionError::Protocol("a call").into()),
        }
        Ok(execution)
    }

    /// From now on, what the script says is news for this operator, and not said again by a replay.
    pub(crate) fn tell(&mut self, operator: Arc<Operator>) {
        self.operator = Some(operator);
    }

    /// The exported functions, `init` among them if there is one.
    pub fn methods(&self) -> &[String] {
        &self.loaded.methods
    }

    /// The names of the parameters of those exported functions of which all parameters are plain names.
    pub fn parameters(&self) -> &BTreeMap<String, Vec<String>> {
        &self.loaded.parameters
    }

    /// The first exports that are no methods, each with what it is.
    pub fn others(&self) -> &[(String, String)] {
        &self.loaded.others
    }

    /// Whether the script wants to be initialised.
    pub fn has_init(&self) -> bool {
        self.loaded.methods.iter().any(|method| method == "init")
    }

    /// The archive as the finished calls have left it.
    pub fn archive(&self) -> &Archive<S> {
        &self.archive
    }

    /// The archive, for taking it over when the heap is thrown away.
    pub fn into_archive(self) -> Archive<S> {
        self.archive
    }

    /// Calls that were sent and not finished yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Hands a call to the worker.
    ///
    /// # Errors
    /// Where the worker is gone.
    pub fn send(&mut self, block: u64, call: &Call) -> Result<(), ExecutionError> {
        let request = message::Call {
            method: call.method_name.clone(),
            args: args_json(&call.args),
            user_id: call.user_id.clone(),
            at: call.at,
            seed: entry::seed(&self.log, block, call.at),
        };
        self.worker.send(Request::Call(request))?;
        self.in_flight.push_back((block, call.method_name.clone()));
        Ok(())
    }

    /// Waits for the end of the oldest call in flight, and keeps or drops what it wrote.
    ///
    /// # Errors
    /// Where the worker is gone or the archive fails. The execution is then over.
    ///
    /// # Panics
    /// If no call is in flight.
    pub fn finish(&mut self) -> Result<ExecutedCall, ExecutionError> {
        let (block, method) = self.in_flight.pop_front().expect("the driver counts the calls that it sends");
        let moment = Moment { block, method: Some(&method) };
        let done = match self.next_report(moment)? {
            Report::Done(done) => done,
            _ => return Err(ExecutionError::Protocol("a deployment")),
        };
        let (fuel, stack) = (done.fuel, done.stack.as_deref().and_then(ScriptStack::of_worker));
        let used = Used { output: done.output, result: done.result, time: None };
        let outcome = match done.outcome {
            message::Outcome::Returned(json) => self.returned(json.as_deref())?,
            message::Outcome::Threw(thrown) => Outcome::Threw(of_worker(thrown)),
            message::Outcome::Fault(fault) => Outcome::Fault(logged(fault)),
        };
        if !matches!(outcome, Outcome::Returned { .. }) {
            self.archive.discard();
        }
        match (&outcome, &self.operator) {
            // A deployment whose init fails says so itself.
            (Outcome::Threw(thrown), Some(operator)) if method != "init" => {
                operator.threw(moment, thrown, stack.as_ref());
            }
            _ => {}
        }
        Ok(ExecutedCall { block, outcome: outcome.in_format(self.format), fuel, used, stack })
    }

    fn returned(&mut self, json: Option<&str>) -> Result<Outcome, ExecutionError> {
        match json.map(Value::from_json).transpose() {
            Ok(value) => {
                let files = self.archive.commit()?;
                Ok(Outcome::Returned { value, files })
            }
            // The worker refuses what the log cannot hold; should one slip through, it is the script's error.
            Err(error) => {
                let thrown = Thrown::new("RangeError", format!("the result is {error}"));
                Ok(Outcome::Threw(thrown))
            }
        }
    }

    /// The next report that ends a request. Files and console are served on the way.
    fn next_report(&mut self, moment: Moment<'_>) -> Result<Report, ExecutionError> {
        loop {
            match self.worker.receive()? {
                // What a script writes while it loads has no entry that could account for it.
                Report::File(request) if moment.method.is_none() && request.is_write() => {
                    let message = "files cannot be changed while the script loads: do it in exports.init";
                    self.worker.answer(Err(message::Thrown::new("NotAllowedError", message)))?;
                }
                Report::File(request) => {
                    let reply = self.archive.answer(request)?;
                    self.worker.answer(reply)?;
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

/// The arguments as the text of a JSON array: the same text at the host and in every replay.
fn args_json(args: &[Value]) -> String {
    serde_json::to_string(args).expect("values are JSON data")
}

/// What was thrown, as far as the log has a place for it: data that nests too deeply is none. The worker keeps the
/// other bounds; they are looked at again because a script may have taken it over.
fn of_worker(thrown: message::Thrown) -> Thrown {
    let message::Thrown { name, message, code, details } = thrown;
    let details = details.filter(|json| json.len() <= RESULT_BYTES_MAX);
    let details = details.and_then(|json| Value::from_json(&json).ok());
    Thrown { name, message, code: code.filter(|code| is_own_code(*code)), details }
}

fn of_script(failure: &LoadFailure) -> String {
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

/// A fault as the log says it.
fn logged(fault: message::Fault) -> Fault {
    match fault {
        message::Fault::Fuel => Fault::Fuel,
        message::Fault::Output => Fault::Output,
    }
}

//! The host role: one service, its queue of calls, its log and its archive.
//!
//! Start from [`Vm`]: [`Vm::deploy`] makes a new service in a data directory, [`Vm::open`] resumes one, and
//! [`Vm::call`] executes a call and answers when the call is durable. A service has two threads: the executor, which
//! owns the script and executes calls in the order of their arrival, and the committer, which makes them durable in
//! groups.
//!
//! ```text
//! callers -> queue -> executor (script, files, entry) -> committer (log, fdatasync, archive, answers)
//! ```

mod callers;
mod clock;
mod committer;
mod deploy;
mod error;
mod executor;
mod files;
mod guard;
mod limit;
mod open;
mod quarantine;
mod queued;
mod recovery;
mod service;
mod store;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use libvms_cores::storage::{CoreView, Durability};
use libvms_engine::EngineSettings;
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::{PublicKey, SecretKey, Signature};
use libvms_protocol::entry::call::arguments_bytes_min;
use libvms_protocol::entry::{Auth, Caller, Fault, Init, Thrown};
use libvms_protocol::limits;
use libvms_protocol::refusal::Reason;
use libvms_protocol::value::Value;
use libvms_rpc::CallOrigin;
use thiserror::Error;
use tokio::sync::{oneshot, watch};

use callers::checker::Checker;
use callers::quota::QuotaBook;
pub use callers::quota::{AnonymousCalls, Quotas};
pub use callers::refusal::Refused;
use callers::turns::{NotQueued, Turns};
use committer::ArchiveLengths;
pub use deploy::{Deployment, Form};
pub use error::{DeployError, ModuleMistake, OpenError, RunError};
use executor::{Beginning, Executor, Source};
use files::Shown;
pub use guard::{Contradiction, Guard};
use open::{Ready, Service};
use quarantine::Quarantine;
pub use queued::CALLS_WAITING_MAX;
use queued::{QueueRoom, QueuedCall, Reply};
use store::HostStore;

use crate::diagnostics::{Diagnostics, Operator};
use crate::execution::ExecutionError;
use crate::oracle::{Oracles, Runner};

/// Refusals signed in a second, at most.
const REFUSALS_SIGNED_PER_SECOND: u32 = 200;

/// A hosted service.
///
/// Dropping it finishes the running call and commits the executed calls in the background: use [`Vm::close`] to wait
/// for the end.
#[derive(Debug)]
pub struct Vm {
    init: Init,
    log: PublicKey,
    methods: Vec<String>,
    parameters: BTreeMap<String, Vec<String>>,
    cores: [CoreView; 3],
    /// The log; a clone of it sees what is durable then.
    log_view: Arc<CoreView>,
    store: HostStore,
    addresses: Mutex<Vec<String>>,
    shared: Arc<Shared>,
    turns: Arc<Turns>,
    /// Checks signatures before the queue; `None` where callers do not sign, or once the VM closes.
    checker: Mutex<Option<Arc<Checker>>>,
    /// The log's key, for refusals that callers can show to others.
    secret_key: Option<SecretKey>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// A call as it comes from a caller.
#[derive(Clone, Debug, Default)]
pub struct CallRequest {
    /// The caller; the signature of a key is not checked yet.
    pub caller: Caller,
    /// The exported function.
    pub method: String,
    /// The arguments of the function.
    pub args: Vec<Value>,
    /// Where the call comes from: callers take turns by address.
    pub origin: CallOrigin,
    /// Whether the answer comes with a proof that the call stands in the log.
    pub wants_receipt: bool,
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The outcome.
    pub result: Result<CallResponse, CallError>,
    /// The proof that the call stands in the log: a proof file of the kind `inclusion`. Only of calls that do, and only if the
    /// caller asked for it.
    pub receipt: Option<Vec<u8>>,
}

impl Answer {
    fn without_receipt(result: Result<CallResponse, CallError>) -> Self {
        Self { result, receipt: None }
    }
}

impl CallRequest {
    fn argument_bytes(&self) -> u64 {
        let bytes = self.args.iter().map(|arg| arg.to_json().len()).sum::<usize>() + self.method.len();
        bytes as u64
    }

    /// Returns whether another call, with this nonce and signature, has this one's nonce and is not the same call. A
    /// signature that was checked stands for all that the call says.
    fn is_other_with_same_nonce(&self, nonce: Option<u64>, sig: Option<Signature>) -> bool {
        self.caller.authorization().is_some_and(|by| Some(by.nonce) == nonce && Some(by.sig) != sig)
    }
}

/// A call that is durable in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallResponse {
    /// The block of the log that holds the call.
    pub block: BlockIndex,
    /// The logged result as JSON text, members sorted by name; `None` for `undefined`.
    pub json: Option<String>,
}

/// Why a call has no result.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum CallError {
    /// The script threw. The call is in the log.
    #[error("{}: {}", thrown.name, thrown.message)]
    Threw {
        /// The value that the script threw.
        thrown: Thrown,
        /// The script's frames of the stack, if callers may see them: see [`Diagnostics::show_stacks`].
        stack: Option<String>,
    },
    /// The call was stopped. It is in the log.
    #[error("the call was stopped: {why}")]
    Stopped {
        /// The fault, in the log's form.
        fault: Fault,
        /// The limit that the call exceeded, how much of it was used, and the option that changes it.
        why: String,
    },
    /// A defect of this program has ended the call. The call has no effect and is not in the log, which holds only outcomes
    /// of calls.
    #[error(
        "this host met a defect of its own program in the call, which has no effect and is not in the log"
    )]
    Defect,
    /// There is no such method, or callers may not use it. Nothing was executed.
    #[error("Method not found")]
    MethodNotFound,
    /// The log cannot hold the caller's arguments. Nothing was executed.
    #[error("{why}")]
    InvalidArguments {
        /// A description for people.
        why: String,
    },
    /// An earlier call of this method had to be killed, which delayed all callers: calls of it are refused for ten times as
    /// long as the delay. Nothing was executed.
    #[error("method `{}` is quarantined for {} s: an earlier call had to be killed", method, seconds(*remaining))]
    Quarantined {
        /// The method.
        method: String,
        /// The time until the method can be called again.
        remaining: Duration,
    },
    /// The call was not executed, for a reason that its caller can act on, or prove to be false.
    #[error("{}", .0.why)]
    Refused(Refused),
    /// [`CALLS_WAITING_MAX`] calls wait already. Nothing was executed.
    #[error("Too many active requests")]
    TooManyCalls,
    /// The service closed before the call's turn came. Nothing was executed.
    #[error("the service is closing")]
    Closing,
    /// The service has failed; the call may or may not be in the log.
    #[error("the service has failed: {why}")]
    Failed {
        /// A description of the failure.
        why: String,
    },
}

/// Why a service has stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// A description for people.
    pub why: String,
    /// Whether only a defect of this program explains the failure, and not the disk or the machine.
    pub is_bug: bool,
}

/// How a service is hosted; none of these options is in the log.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// Whether an answer waits until its call is durable against power failure.
    pub durability: Durability,
    /// How the host reports on the script.
    pub diagnostics: Diagnostics,
    /// Where the script runs.
    pub engine: EngineSettings,
    /// How much callers may add to the log.
    pub quotas: Quotas,
    /// Who answers what the script asks: see [`Deployment::oracles`].
    pub oracles: Oracles,
}

impl Default for HostOptions {
    /// Returns options that answer calls only once they are durable against power failure, and that run scripts in
    /// processes of their own.
    fn default() -> Self {
        Self {
            durability: Durability::Sync,
            diagnostics: Diagnostics::default(),
            engine: EngineSettings::default(),
            quotas: Quotas::default(),
            oracles: Oracles::default(),
        }
    }
}

/// What a service runs with, beside what is in its log.
struct Means {
    durability: Durability,
    engine: EngineSettings,
    operator: Arc<Operator>,
    oracles: Option<Arc<Runner>>,
}

/// The state that all threads of a VM share.
#[derive(Debug)]
struct Shared {
    closing: AtomicBool,
    room: Arc<QueueRoom>,
    quotas: Arc<QuotaBook>,
    log_length: AtomicU64,
    /// Lengths of the archive as answered calls have left it.
    acknowledged: Mutex<ArchiveLengths>,
    /// The time of the latest call, in milliseconds since 1970.
    latest_at: AtomicU64,
    failure: watch::Sender<Option<Failure>>,
    quarantine: Mutex<Quarantine>,
    /// Refusals signed since an instant.
    refusals_signed: Mutex<(Instant, u32)>,
}

impl Vm {
    /// Deploys a script into an empty or new data directory and calls its `init`.
    ///
    /// # Errors
    /// When the script does not load or its `init` fails (then nothing is left behind), the directory cannot be used,
    /// or scripts cannot be confined here (see [`EngineSettings`]); see [`DeployError`].
    pub fn deploy(
        directory: &Path,
        deployment: Deployment,
        options: HostOptions,
    ) -> Result<Self, DeployError> {
        options.engine.check().map_err(ExecutionError::from)?;
        let HostOptions { durability, diagnostics, engine, quotas, oracles } = options;
        let operator = Arc::new(Operator::new(diagnostics));
        let oracles = Runner::start(oracles).map_err(RunError::Thread)?;
        let means = Means { durability, engine, operator, oracles };
        let ready = deploy::deploy(directory, deployment, &means)?;
        Ok(Self::start(directory, ready, means, quotas)?)
    }

    /// Resumes the service of a data directory: replays its log, and checks each outcome.
    ///
    /// Calls `progress` with the number of replayed entries and of all entries.
    ///
    /// # Errors
    /// When the directory holds no service, is in use, its log and archive contradict each other, or scripts cannot
    /// be confined here (see [`EngineSettings`]); see [`OpenError`].
    pub fn open(
        directory: &Path,
        options: HostOptions,
        progress: &mut dyn FnMut(Length, Length),
    ) -> Result<Self, OpenError> {
        options.engine.check().map_err(ExecutionError::from)?;
        let HostOptions { durability, diagnostics, engine, quotas, oracles } = options;
        let ready = open::open(directory, durability, &engine, progress)?;
        let operator = Arc::new(Operator::new(diagnostics));
        let oracles = Runner::start(oracles).map_err(RunError::Thread)?;
        Ok(Self::start(directory, ready, Means { durability, engine, operator, oracles }, quotas)?)
    }

    /// Returns whether a data directory holds a deployed service.
    ///
    /// # Errors
    /// When the directory exists and cannot be read.
    pub fn is_deployed(directory: &Path) -> Result<bool, OpenError> {
        open::is_deployed(directory)
    }

    fn start(directory: &Path, ready: Ready, means: Means, quotas: Quotas) -> Result<Self, RunError> {
        let Ready { lock, service } = ready;
        let Service { init, log, execution, store, next_block, latest_at, signed } = service;
        let (key, secret_key) = (log.key(), log.secret_key());
        let methods = execution.methods().to_vec();
        let parameters = execution.parameters().clone();
        let cores = [log.follow(), store.files.follow(), store.blobs.follow()];
        let log_view = Arc::new(log.follow());
        let archive = ArchiveLengths { files: store.files.length(), blobs: store.blobs.length() };
        let shared = Arc::new(Shared::new(init.auth, quotas, log.length(), archive, latest_at));
        let turns = Arc::new(Turns::default());
        let shown = store.clone();
        let (commits, committer) =
            committer::start(log, store.clone(), shared.clone()).map_err(RunError::Thread)?;
        let is_signed = signed.is_some();
        let place = Beginning { next_block, latest_at, signed };
        let Means { engine, operator, oracles, .. } = means;
        let source = Source { directory: directory.into(), store, engine, operator, oracles };
        let checker =
            is_signed.then(|| Checker::start(key, turns.clone(), shared.quotas.clone())).transpose();
        let checker = checker.map_err(RunError::Thread)?.map(Arc::new);
        let executor = Executor::new(source, execution, shared.clone(), &init, place);
        let queue = turns.clone();
        let run = move || {
            executor.run(&queue, &commits);
            queue.clear();
            // The committer ends when the last sender is dropped; only then may another process own the directory.
            drop(commits);
            let _ended = committer.join();
            drop(lock);
        };
        let executor = thread::Builder::new().name("executor".into()).spawn(run).map_err(RunError::Thread)?;
        Ok(Self {
            init,
            log: key,
            methods,
            parameters,
            cores,
            log_view,
            store: shown,
            addresses: Mutex::default(),
            shared,
            turns,
            checker: Mutex::new(checker),
            secret_key,
            threads: Mutex::new(vec![executor]),
        })
    }

    /// Executes a call. Calls run one after another in the order in which this function is called; the future
    /// resolves when the call is durable. Dropping the future discards the answer; the call goes on.
    ///
    /// # Errors
    /// See [`CallError`], which also tells whether the call is in the log.
    pub fn call(
        &self,
        user_id: Option<String>,
        method: &str,
        args: Vec<Value>,
    ) -> impl Future<Output = Result<CallResponse, CallError>> + Send + use<> {
        let caller = user_id.map_or(Caller::Anonymous, Caller::Claimed);
        let answer =
            self.request(CallRequest { caller, method: method.into(), args, ..CallRequest::default() });
        async move { answer.await.result }
    }

    /// Executes a call of any kind of caller, as [`Vm::call`] does. The calls of one key are executed in the order of their
    /// nonces as far as they wait; one that repeats another gets that one's answer.
    pub fn request(&self, request: CallRequest) -> impl Future<Output = Answer> + Send + use<> {
        let admitted = self.admit(request);
        let shared = self.shared.clone();
        async move {
            match admitted {
                Ok(answer) => answer.await.unwrap_or_else(|_| Answer::without_receipt(Err(shared.end()))),
                Err(error) => Answer::without_receipt(Err(error)),
            }
        }
    }

    fn admit(&self, request: CallRequest) -> Result<oneshot::Receiver<Answer>, CallError> {
        let method = request.method.as_str();
        if method == "init" || !self.methods.iter().any(|known| known == method) {
            return Err(CallError::MethodNotFound);
        }
        check_caller(&request.caller, self.init.auth)?;
        check_arguments(&request.args)?;
        self.shared.check_quarantine(method)?;
        let permit = self.shared.room.take(request.origin.address).ok_or(match self.init.auth {
            Auth::Debug => CallError::TooManyCalls,
            Auth::Signed => CallError::Refused(Refused::new(Reason::Busy)),
        })?;
        // After the place: a call that finds none is sent again, and uses up no allowance.
        let argument_bytes = self.admit_by_quota(&request)?;
        let (sender, answer) = oneshot::channel();
        let reply = Reply::new(sender, permit, request.wants_receipt);
        let call = Box::new(QueuedCall { request, replies: [reply].into(), argument_bytes });
        let checker = self.checker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match (checker, self.init.auth) {
            (Some(checker), _) => checker.push(call),
            (None, Auth::Signed) => return Err(self.shared.end()),
            (None, Auth::Debug) => match self.turns.push(call) {
                Ok(()) => {}
                Err(NotQueued::Closed(_) | NotQueued::OtherCall(_)) => return Err(self.shared.end()),
            },
        }
        Ok(answer)
    }

    /// Admits a call by what its address may add to the log, and all who do not sign. Returns the bytes of its arguments, if
    /// they count.
    fn admit_by_quota(&self, request: &CallRequest) -> Result<u64, CallError> {
        let quotas = &self.shared.quotas;
        let argument_bytes = if quotas.counts_bytes() { request.argument_bytes() } else { 0 };
        if self.init.auth == Auth::Signed && request.caller == Caller::Anonymous {
            quotas.admit_anonymous(Instant::now()).map_err(CallError::Refused)?;
        }
        if let Some(address) = request.origin.address {
            quotas.admit_address(Instant::now(), address, argument_bytes).map_err(CallError::Refused)?;
        }
        Ok(argument_bytes)
    }

    /// Finishes the running call, commits it, and returns once everything is on disk. Waiting calls get
    /// [`CallError::Closing`].
    pub async fn close(&self) {
        let threads = self.stop();
        // Joining blocks for as long as the running call takes, which its fuel bounds.
        let _joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                let _ended = thread.join();
            }
        })
        .await;
    }

    fn stop(&self) -> Vec<JoinHandle<()>> {
        self.shared.closing.store(true, Ordering::Release);
        self.turns.close();
        self.checker.lock().unwrap_or_else(PoisonError::into_inner).take();
        std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the service sign nothing more: calls that are not durable yet fail with the reason `why`.
    pub fn stop_signing(&self, why: String) {
        self.shared.fail(why, false);
    }

    /// Waits until the service fails, and returns the reason. A service does not fail while its disk works.
    pub async fn failed(&self) -> Failure {
        let mut failure = self.shared.failure.subscribe();
        match failure.wait_for(Option::is_some).await {
            Ok(failure) => failure.clone().unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    }

    /// Returns the content of the log's block 0.
    pub fn init(&self) -> &Init {
        &self.init
    }

    /// Returns the key of the call log.
    pub fn log_key(&self) -> PublicKey {
        self.log
    }

    /// Returns the number of durable entries in the log.
    pub fn log_length(&self) -> Length {
        Length(self.shared.log_length.load(Ordering::Acquire))
    }

    /// Returns the log's time in microseconds since 1970.
    fn now_micros(&self) -> u64 {
        self.shared.now_micros()
    }

    /// Returns the files as answered calls have left them.
    fn shown(&self) -> Shown {
        let acknowledged = *self.shared.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        Shown::new(&self.store, acknowledged)
    }

    /// Returns the time of the latest call, in milliseconds since 1970: later than now when the clock was once ahead.
    pub fn latest_at(&self) -> u64 {
        self.shared.latest_at.load(Ordering::Acquire)
    }

    /// Returns the call log and the two cores of the files archive, for replication.
    pub fn cores(&self) -> [CoreView; 3] {
        self.cores.clone()
    }

    /// Sets the addresses that peers can copy these cores from, as `tcp://ADDRESS:PORT`: the result of `handshake` has them.
    pub fn set_addresses(&self, addresses: Vec<String>) {
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    fn addresses(&self) -> Vec<String> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the methods that callers may call, in the script's order.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.methods.iter().map(String::as_str).filter(|method| *method != "init")
    }
}

impl Vm {
    /// Returns the names of a method's parameters; `None` when they are not all plain names.
    pub fn parameters(&self, method: &str) -> Option<&[String]> {
        self.parameters.get(method).map(Vec::as_slice)
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn new(auth: Auth, quotas: Quotas, log_length: Length, archive: ArchiveLengths, latest_at: u64) -> Self {
        Self {
            closing: AtomicBool::new(false),
            room: Arc::new(QueueRoom::new(auth)),
            quotas: Arc::new(QuotaBook::new(quotas)),
            log_length: AtomicU64::new(log_length.0),
            acknowledged: Mutex::new(archive),
            latest_at: AtomicU64::new(latest_at),
            failure: watch::Sender::new(None),
            quarantine: Mutex::default(),
            refusals_signed: Mutex::new((Instant::now(), 0)),
        }
    }

    /// Returns the log's time in microseconds since 1970: the machine's clock, or the latest entry's time if that is later.
    fn now_micros(&self) -> u64 {
        clock::now().max(self.latest_at.load(Ordering::Acquire)).saturating_mul(1000)
    }

    /// Returns whether one more refusal may be signed in this second: signing is work that anybody could ask for.
    fn may_sign_refusal(&self) -> bool {
        let mut signed = self.refusals_signed.lock().unwrap_or_else(PoisonError::into_inner);
        if signed.0.elapsed() >= Duration::from_secs(1) {
            *signed = (Instant::now(), 0);
        }
        signed.1 += 1;
        signed.1 <= REFUSALS_SIGNED_PER_SECOND
    }

    /// Lets readers see the archive at these lengths.
    fn acknowledge(&self, archive: ArchiveLengths) {
        *self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner) = archive;
    }

    fn fail(&self, why: String, is_bug: bool) {
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert(Failure { why, is_bug });
            first
        });
    }

    /// Fails when the method is quarantined.
    fn check_quarantine(&self, method: &str) -> Result<(), CallError> {
        match self.quarantine().remaining(Instant::now(), method) {
            None => Ok(()),
            Some(remaining) => Err(CallError::Quarantined { method: method.into(), remaining }),
        }
    }

    fn quarantine(&self) -> MutexGuard<'_, Quarantine> {
        self.quarantine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the reason why a call was not answered.
    fn end(&self) -> CallError {
        match &*self.failure.borrow() {
            Some(failure) => CallError::Failed { why: failure.why.clone() },
            None => CallError::Closing,
        }
    }
}

/// Checks that the log can hold the caller of a call.
fn check_caller(caller: &Caller, auth: Auth) -> Result<(), CallError> {
    let why = match (caller, auth) {
        (Caller::Claimed(name), Auth::Debug) if name.len() > limits::USER_ID_BYTES_MAX => format!(
            "a caller's name of {} bytes is longer than the limit `caller`: {} bytes, which no option moves",
            name.len(),
            limits::USER_ID_BYTES_MAX
        ),
        (Caller::Key(_), Auth::Debug) => {
            "callers of this service do not sign: its authentication is `debug`".into()
        }
        (Caller::Claimed(_), Auth::Signed) => {
            "callers of this service sign; a name alone is not taken".into()
        }
        (Caller::Key(by), Auth::Signed) if by.numbers().any(|number| number > limits::NONCE_MAX) => {
            "a nonce is at most 2^53 - 1".into()
        }
        (Caller::Key(by), Auth::Signed) if by.seen.is_some_and(|seen| seen.length.0 > limits::NONCE_MAX) => {
            "a length is at most 2^53 - 1".into()
        }
        _ => return Ok(()),
    };
    Err(CallError::InvalidArguments { why })
}

/// Checks that the log can hold the arguments of a call. They may be longer than their caller's own text: names that it left out
/// became `null`.
fn check_arguments(args: &[Value]) -> Result<(), CallError> {
    let bytes = arguments_bytes_min(args);
    if bytes <= limits::ARGUMENTS_BYTES_MAX {
        return Ok(());
    }
    let why = format!(
        "the arguments are longer than the limit `arguments`: {bytes} of {} bytes of JSON text, which no option moves",
        limits::ARGUMENTS_BYTES_MAX
    );
    Err(CallError::InvalidArguments { why })
}

/// Returns the time in seconds, rounded up: a caller that retries then must not be too early.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + 1
}

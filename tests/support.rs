//! A host process to call, kill and audit.

mod process;
#[cfg(target_os = "linux")]
mod processes;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use libvms::engine::{EngineSettings, Sandbox};
use libvms::host::HostOptions;
use libvms::replay::AuditOptions;
use libvms::rpc::{ClientError, ClientOptions, RpcClient};
use libvms::storage::Durability;
use libvms_hypercore::identity::SecretKey;
use serde::Serialize;
use serde_json::{Value, json};
use tempfile::TempDir;

#[cfg(target_os = "linux")]
pub(crate) use process::children;
pub(crate) use process::{Process, signal};

/// The program under test.
pub(crate) const VMS: &str = env!("CARGO_BIN_EXE_vms");

/// The program under test, which talks to nobody that a test does not name.
pub(crate) fn program() -> Command {
    let mut command = Command::new(VMS);
    command
        .env("VMS_NO_SWARM", "1")
        .env_remove("VMS_BOOTSTRAP")
        .env_remove("VMS_SWARM_PORT")
        .env_remove("VMS_KEY");
    command
}

/// Runs `vms` to its end.
pub(crate) fn vms<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    Process::output(program().args(arguments)).expect("vms starts")
}

/// Where the library runs scripts, where a test uses it itself: the program under test has its workers.
pub(crate) fn engine(sandbox: Sandbox) -> EngineSettings {
    EngineSettings { sandbox, worker_program: Some(VMS.into()), ..EngineSettings::default() }
}

/// How the library hosts a service, where a test uses it itself.
pub(crate) fn hosting(durability: Durability) -> HostOptions {
    HostOptions { durability, engine: engine(Sandbox::Process), ..HostOptions::default() }
}

/// How the library audits, where a test uses it itself.
pub(crate) fn auditing() -> AuditOptions {
    AuditOptions { engine: engine(Sandbox::Process), ..AuditOptions::default() }
}

/// Text of a stream that must be UTF-8.
pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("vms prints UTF-8")
}

/// A number from the environment, for the long forms of tests.
pub(crate) fn variable(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

/// An example script of the repository.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

/// How long a test waits for a port that something else has taken.
pub(crate) const PORT_WAIT_MAX: Duration = Duration::from_secs(20);

fn is_port_taken(stderr: &str) -> bool {
    stderr.contains("Address already in use")
}

/// A port that no other test of this process gets, and that the system gives to nobody who asks for any port: it is below the
/// ports that Linux hands out.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id() % 10_000;
    loop {
        let tried = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        let port = u16::try_from(tried).expect("below 30,000");
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A temporary place with a script and its data directory.
pub(crate) struct TestService {
    directory: TempDir,
}

impl TestService {
    pub(crate) fn new(script: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(directory.path().join("script.js"), script).expect("a writable directory");
        Self { directory }
    }

    pub(crate) fn of_example(name: &str) -> Self {
        Self::new(&std::fs::read_to_string(example(name)).expect("an example"))
    }

    pub(crate) fn script(&self) -> PathBuf {
        self.directory.path().join("script.js")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Starts a host on a free port.
    pub(crate) fn host(&self) -> Host {
        self.host_with(&[])
    }

    pub(crate) fn host_with(&self, more: &[&str]) -> Host {
        Host::start(program().arg("host").arg(self.script()).arg("--dir").arg(self.data()).args(more))
    }

    /// Starts a host on the port for callers that it had before, waiting for it if need be: any other test may be given that
    /// port for a moment.
    pub(crate) fn host_at(&self, port: u16, more: &[&str]) -> Host {
        let begin = Instant::now();
        loop {
            let mut command = program();
            command.arg("host").arg(self.script()).arg("--dir").arg(self.data()).args(more);
            match Host::try_start_at(&mut command, port) {
                Ok(host) => return host,
                Err(stderr) if is_port_taken(&stderr) && begin.elapsed() < PORT_WAIT_MAX => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(stderr) => panic!("the host did not start: {stderr}"),
            }
        }
    }

    /// Audits the data directory: the exit code and what `--json` says.
    pub(crate) fn verify(&self) -> (i32, Value) {
        verify(&self.data())
    }

    /// The entries of the log, as `vms log --json` shows them.
    pub(crate) fn log(&self) -> Vec<Value> {
        let output = vms(["log".as_ref(), self.data().as_os_str(), "--json".as_ref()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }

    /// Asserts that an audit agrees, and that the published archive is complete.
    pub(crate) fn assert_agrees(&self) {
        let (code, report) = self.verify();
        assert_eq!((code, &report["verdict"]), (0, &json!("agrees")), "{report}");
        assert_eq!(report["publishedFiles"], report["filesVersion"], "{report}");
        assert_eq!(report["publishedBlobs"], report["filesBlobs"], "{report}");
    }
}

/// Audits a data directory: the exit code and what `--json` says. A proof file is not kept.
pub(crate) fn verify(directory: &Path) -> (i32, Value) {
    let proofs = tempfile::tempdir().expect("a temporary directory");
    verify_into(directory, proofs.path())
}

/// As [`verify`]; a proof file goes into `proofs`.
pub(crate) fn verify_into(directory: &Path, proofs: &Path) -> (i32, Value) {
    let arguments = ["verify".as_ref(), directory.as_os_str(), "--json".as_ref(), "--proof-dir".as_ref()];
    let output = vms(arguments.into_iter().chain([proofs.as_os_str()]));
    let report =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    (output.status.code().expect("an exit code"), report)
}

/// Judges a proof file as anybody can who has nothing else: the exit code and what `--json` says.
pub(crate) fn check_proof(file: &Path, log: &str) -> (i32, Value) {
    let alone = tempfile::tempdir().expect("a temporary directory");
    std::fs::copy(file, alone.path().join("it.proof")).expect("a proof file");
    let mut command = program();
    command.current_dir(alone.path()).args(["proof", "check", "it.proof", "--json", "--log", log]);
    let output = Process::output(&mut command).expect("vms starts");
    let verdict =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    (output.status.code().expect("an exit code"), verdict)
}

/// Judges proof files by one run of the program: for each what `--json` says.
pub(crate) fn check_proofs(files: &[Vec<u8>]) -> Vec<Value> {
    let place = tempfile::tempdir().expect("a temporary directory");
    let names: Vec<String> = (0..files.len()).map(|number| format!("{number}.proof")).collect();
    for (name, bytes) in names.iter().zip(files) {
        std::fs::write(place.path().join(name), bytes).expect("writable");
    }
    let mut command = program();
    command.current_dir(place.path()).args(["proof", "check", "--json"]).args(&names);
    let output = Process::output(&mut command).expect("vms starts");
    assert!(matches!(output.status.code(), Some(0..=3)), "{}", text(&output.stderr));
    let verdicts: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
    assert_eq!(verdicts.len(), files.len(), "{}", text(&output.stderr));
    verdicts
}

/// Asserts that a proof file holds, and is about a log.
pub(crate) fn assert_proof_holds(file: &Path, log: &str, kind: &str) -> Value {
    let (code, verdict) = check_proof(file, log);
    assert_eq!((code, &verdict["verdict"]), (0, &json!("holds")), "{verdict}");
    assert_eq!((&verdict["log"], &verdict["kind"]), (&json!(log), &json!(kind)), "{verdict}");
    verdict
}

/// A running `vms host`. Dropping it kills it.
pub(crate) struct Host {
    process: Process,
    /// What it has said when it was ready, one object for each service.
    pub(crate) announced: Vec<Value>,
}

impl Host {
    /// Starts a host and waits until it serves as many services as there are `.js` files among its arguments.
    pub(crate) fn start(command: &mut Command) -> Self {
        match Self::try_start(command) {
            Ok(host) => host,
            Err(stderr) => panic!("the host did not start: {stderr}"),
        }
    }

    /// As [`Host::start`]; gives what the host said on stderr if it ended instead.
    pub(crate) fn try_start(command: &mut Command) -> Result<Self, String> {
        Self::try_start_at(command, 0)
    }

    /// As [`Host::try_start`], on a port for callers that was chosen; 0 takes a free one.
    pub(crate) fn try_start_at(command: &mut Command, port: u16) -> Result<Self, String> {
        let services =
            command.get_args().filter(|argument| argument.to_string_lossy().ends_with(".js")).count();
        command.args(["--port", &port.to_string(), "--json"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::start(command).expect("vms starts");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let announced: Vec<Value> = lines
            .take(services.max(1))
            .map_while(Result::ok)
            .map(|line| serde_json::from_str(&line).expect("a JSON line"))
            .collect();
        if announced.len() < services.max(1) {
            let mut stderr = String::new();
            process.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("UTF-8");
            process.wait().expect("it has ended");
            return Err(stderr);
        }
        Ok(Self { process, announced })
    }

    pub(crate) fn url(&self) -> &str {
        self.announced[0]["url"].as_str().expect("a URL")
    }

    /// Its port for callers.
    pub(crate) fn port(&self) -> u16 {
        let url = self.url().trim_start_matches("ws://");
        let address: std::net::SocketAddr =
            url.split('/').next().and_then(|address| address.parse().ok()).expect("an address");
        address.port()
    }

    /// Where peers copy from it.
    pub(crate) fn peer_address(&self) -> std::net::SocketAddr {
        let address = self.announced[0]["addresses"][0].as_str().expect("an address");
        address.trim_start_matches("tcp://").parse().expect("an address")
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.url(), None).await
    }

    pub(crate) async fn client_of(&self, user: &str) -> Client {
        Client::connect(self.url(), Some(user)).await
    }

    /// SIGKILL, at once.
    pub(crate) fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        self.process.end_by("TERM")
    }

    /// The id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.process.id(), name);
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.try_wait().expect("it was started").is_none()
    }

    /// Waits for the end: the exit code, and what was said on stderr.
    pub(crate) fn wait_with_stderr(mut self) -> (Option<i32>, String) {
        let mut stderr = String::new();
        self.process.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("UTF-8");
        (self.process.wait().expect("it ends").code(), stderr)
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        self.process.wait().expect("it ends")
    }
}

/// A connection to a service, for JSON values.
pub(crate) struct Client {
    rpc: RpcClient,
}

impl Client {
    pub(crate) async fn connect(url: &str, user: Option<&str>) -> Self {
        Self::connect_with(url, ClientOptions { user: user.map(str::to_owned), ..ClientOptions::default() })
            .await
    }

    /// A caller who signs.
    pub(crate) async fn signing(url: &str, key: SecretKey) -> Self {
        Self::connect_with(url, ClientOptions { key: Some(key), ..ClientOptions::default() }).await
    }

    async fn connect_with(url: &str, options: ClientOptions) -> Self {
        Self { rpc: RpcClient::connect(url, options).await.expect("the host listens") }
    }

    /// The result of a call that must succeed.
    pub(crate) async fn call(&self, method: &str, args: impl Serialize) -> Value {
        self.try_call(method, args).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    pub(crate) async fn try_call(&self, method: &str, args: impl Serialize) -> Result<Value, ClientError> {
        let result = self.rpc.call(method, &args).await?;
        Ok(result.map_or(Value::Null, |raw| serde_json::from_str(raw.get()).expect("JSON")))
    }

    /// Name and message of the error of a call that must fail.
    pub(crate) async fn error(&self, method: &str, args: impl Serialize) -> (String, String) {
        match self.try_call(method, args).await {
            Err(ClientError::Rpc(error)) => (error.message, error.data.unwrap_or_default()),
            Err(other) => panic!("{method}: {other}"),
            Ok(value) => panic!("{method} returned {value}"),
        }
    }

    pub(crate) async fn handshake(&self) -> Value {
        Value::Object(self.rpc.handshake().await.expect("an answer"))
    }
}

/// Resident memory of a process, in bytes: the field `name` of its status.
#[cfg(target_os = "linux")]
pub(crate) fn memory(process: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with(name)).expect("a field");
    let kilobytes = line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
    1024 * kilobytes.expect("a number")
}

/// Processor time that a process has taken.
#[cfg(target_os = "linux")]
pub(crate) fn processor_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    // A tick is a hundredth of a second on every Linux.
    Duration::from_millis(10 * ticks)
}

/// Runs a future on a runtime of its own.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

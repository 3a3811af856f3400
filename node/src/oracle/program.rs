//! A program as an oracle: the question on its stdin, the answer on its stdout.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use libvms_protocol::limits::ANSWER_BYTES_MAX;
use libvms_protocol::value::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::time::timeout;
use tracing::{info, warn};

use super::{Failure, Oracle, Question};

/// Bytes of JSON text that an answer may have: six for each of its bytes in DAG-CBOR.
const OUTPUT_BYTES_MAX: usize = 6 * ANSWER_BYTES_MAX;
/// Bytes of stderr that go into our log for each run.
const STDERR_BYTES_MAX: usize = 64 * 1024;
/// How long what a program wrote before its end is waited for, where a process that it has left behind keeps its stdout open.
const AFTER_END: Duration = Duration::from_millis(500);

/// Runs a program for each question: without a shell, with the arguments as a JSON array on stdin and the answer as JSON on
/// stdout, until its end. An exit code other than 0 is a failure. Its stderr goes into the host's log.
///
/// It has a process group of its own, which is killed when the program has ended, or when nobody waits for it any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    path: String,
    args: Vec<String>,
}

/// Why a program gave no output.
#[derive(Debug)]
pub(crate) enum ProgramError {
    /// It could not be started, or its pipes failed.
    Io(io::Error),
    /// It wrote too much.
    TooLarge,
    /// It ended with a failure.
    Ended(ExitStatus),
}

impl Program {
    /// Returns a program and its arguments, separated by spaces; there are no quotes. A text that is the path of a file as it
    /// stands has no arguments.
    ///
    /// # Errors
    /// If there is no word.
    pub fn parse(command: &str) -> Result<Self, &'static str> {
        if std::path::Path::new(command).is_file() {
            return Ok(Self { path: command.into(), args: vec![] });
        }
        let mut words = command.split_ascii_whitespace().map(str::to_owned);
        let path = words.next().ok_or("no program")?;
        Ok(Self { path, args: words.collect() })
    }

    /// Runs it to its end; `name` says in the log what for. Returns its stdout, of at most `bytes_max` bytes.
    pub(crate) async fn run(
        &self,
        name: &str,
        input: &str,
        bytes_max: usize,
    ) -> Result<Vec<u8>, ProgramError> {
        let mut command = Command::new(&self.path);
        command.args(&self.args).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        command.process_group(0);
        let child = command.spawn().map_err(ProgramError::Io)?;
        let mut output = vec![];
        let status = converse(child, name, input, &mut output, bytes_max).await?;
        if status.success() { Ok(output) } else { Err(ProgramError::Ended(status)) }
    }
}

/// Talks to a program until its end.
async fn converse(
    mut child: Child,
    name: &str,
    input: &str,
    output: &mut Vec<u8>,
    bytes_max: usize,
) -> Result<ExitStatus, ProgramError> {
    let mut group = Group::of(&child);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let read = read_bounded(stdout, output, bytes_max);
    let talk = async {
        let rest = async {
            tokio::join!(write_all(stdin, input), log(stderr, name));
            Ok(())
        };
        // At once if it writes too much, whatever else it does.
        tokio::try_join!(read, rest).map(|_| ())
    };
    tokio::pin!(talk);
    let ended = tokio::select! {
        read = &mut talk => {
            read?;
            child.wait().await
        }
        ended = child.wait() => {
            group.kill();
            // Whoever left the group may keep the pipe open.
            if let Ok(read) = timeout(AFTER_END, &mut talk).await {
                read?;
            }
            ended
        }
    };
    group.kill();
    ended.map_err(ProgramError::Io)
}

impl Oracle for Program {
    fn answer(&self, question: Question) -> BoxFuture<'static, Result<Value, Failure>> {
        let program = self.clone();
        async move {
            let output = program.run(&question.name, &question.args, OUTPUT_BYTES_MAX).await?;
            let text = String::from_utf8(output)
                .map_err(|_| Failure::Failed("the program's output is not UTF-8".into()))?;
            Value::from_json(text.trim())
                .map_err(|error| Failure::Failed(format!("the program's output is {error}")))
        }
        .boxed()
    }
}

impl From<ProgramError> for Failure {
    fn from(error: ProgramError) -> Self {
        match error {
            ProgramError::TooLarge => Self::TooLarge("the program writes too much".into()),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl std::fmt::Display for ProgramError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(formatter, "the program does not run: {error}"),
            Self::TooLarge => formatter.write_str("the program writes too much"),
            Self::Ended(status) => write!(formatter, "the program ended with {status}"),
        }
    }
}

/// The process group of a program. Dropping it kills all that is in it.
struct Group(Option<u32>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id())
    }

    fn kill(&mut self) {
        #[cfg(unix)]
        if let Some(pid) =
            self.0.take().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?))
        {
            let _may_be_empty = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
        #[cfg(not(unix))]
        self.0.take();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads to the end, or to the bound.
async fn read_bounded(
    pipe: Option<impl AsyncRead + Unpin>,
    output: &mut Vec<u8>,
    bytes_max: usize,
) -> Result<(), ProgramError> {
    let Some(pipe) = pipe else { return Ok(()) };
    let mut bounded = pipe.take(bytes_max as u64 + 1);
    bounded.read_to_end(output).await.map_err(ProgramError::Io)?;
    if output.len() > bytes_max { Err(ProgramError::TooLarge) } else { Ok(()) }
}

async fn write_all(stdin: Option<ChildStdin>, input: &str) {
    if let Some(mut stdin) = stdin {
        // A program need not read its question.
        let _closed = stdin.write_all(input.as_bytes()).await;
    }
}

/// Writes what a program says into our log, and drops the rest.
async fn log(stderr: Option<ChildStderr>, name: &str) {
    let Some(mut stderr) = stderr else { return };
    let mut said = vec![];
    let _closed = (&mut stderr).take(STDERR_BYTES_MAX as u64).read_to_end(&mut said).await;
    for line in String::from_utf8_lossy(&said).lines() {
        info!(program = name, line, "says");
    }
    let dropped = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await.unwrap_or_default();
    if dropped > 0 {
        warn!(program = name, bytes = dropped, "says more than is logged");
    }
}

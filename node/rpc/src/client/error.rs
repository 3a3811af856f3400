//! Why a connection failed, or a call has no result: [`ClientError`].

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::signed_head::SignedHead;
use libvms_protocol::limits::ARGUMENTS_BYTES_MAX;
use libvms_protocol::proof::{Equivocation, Proof};
use libvms_protocol::refusal::{Reason, Refusal};
use tokio_tungstenite::tungstenite;

use super::known_logs::KnownLogsError;
use crate::error::RpcError;
use crate::url::UrlError;

/// Why a call has no result, or a connection failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The service answered with an error. An error of the script reads `NAME: MESSAGE`. To a client with a key it is the
    /// error that the log holds.
    #[error("{}", worded(.0))]
    Rpc(RpcError),
    /// Not the URL of a service.
    #[error("{url} is not the URL of a service: {why}")]
    Url { url: String, why: UrlError },
    /// Nothing listens at the address, or the host cannot be reached.
    #[error("cannot connect to {address}: {source}")]
    Connect { address: String, source: io::Error },
    /// A server answers at the URL, but not as a WebSocket.
    #[error("{url} answers, but not as a WebSocket: {source}")]
    Upgrade { url: String, source: Box<tungstenite::Error> },
    /// The server answers over HTTP, with its reason to refuse the WebSocket.
    #[error("{url} refuses the connection ({status}): {why}")]
    Refused { url: String, status: u16, why: String },
    /// The service is still starting, or the server has no room for another connection.
    #[error("{url} is not ready: {why}")]
    NotYet { url: String, why: String, retry_after: Duration },
    #[error("{url} did not answer within {} seconds", after.as_secs_f64())]
    ConnectTimeout { url: String, after: Duration },
    /// The arguments cannot be written as JSON, or not be signed.
    #[error("the arguments cannot be written as JSON: {0}")]
    Arguments(serde_json::Error),
    /// The arguments are longer than a log can hold. Nothing was signed.
    #[error(
        "the arguments have {bytes} bytes of JSON text, and those of a call at most {ARGUMENTS_BYTES_MAX}"
    )]
    ArgumentsTooLong { bytes: usize },
    /// The server, or the network to it, is gone.
    #[error("the connection was lost: {why}")]
    Lost { why: String },
    /// The server sent a message that is not an answer.
    #[error("the server does not speak JSON-RPC 2.0: {why}")]
    Garbage { why: String },
    /// [`RpcClient::close`](super::RpcClient::close) was called.
    #[error("the connection is closed")]
    Closed,
    /// The service does not write the log that it should, or shows another history of it than before.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The host has not executed a signed call, and says why.
    #[error(transparent)]
    CallRefused(#[from] Box<CallRefusal>),
    /// The answer to a signed call comes without a proof that the log holds the call. The call may have been executed.
    #[error("the answer is not proved by a receipt, so the call may or may not have been executed: {why}")]
    Unproved { why: String },
    /// The log's time is further ahead of this machine's clock than a client signs, unless an entry has shown that time.
    #[error(
        "the clock here says {own_millis} ms since 1970, the service's log {log_millis} ms, and no entry of the log \
         shows such a time: one of the two clocks is wrong, and nothing was signed"
    )]
    Clock { own_millis: u64, log_millis: u64 },
    /// The file of known logs cannot be used.
    #[error(transparent)]
    KnownLogs(#[from] KnownLogsError),
    /// A receipt is asked of a client that has no key.
    #[error("only a client with a key gets its answers proved")]
    NoKey,
}

/// Why a client does not believe a service that it speaks for a log.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The service does not describe its log, so that nothing can be compared or signed.
    #[error("{url} does not describe its log as a service for callers with keys does: {why}")]
    NoLog { url: String, why: String },
    /// The callers of the service do not sign: it believes whatever name they claim.
    #[error(
        "{url} believes any name (`auth: \"debug\"`), so a signature would prove nothing there: call it without a key"
    )]
    NotSigned { url: String },
    /// The service writes another log than the one that was named, or that it had before.
    #[error("{}", other_log(url, expected, found, known.as_ref()))]
    OtherLog {
        url: String,
        expected: PublicKey,
        found: PublicKey,
        /// The file that says so; `None` where the caller named the log.
        known: Option<PathBuf>,
    },
    /// The service shows a head that is shorter than one it has signed before, or does not show how the log has grown since.
    /// It may be a copy that lags behind: no proof of anything.
    #[error(
        "{url} is stale: it shows its log at length {shown}, and not that this goes on from length {known}, which its \
         key has signed before"
    )]
    Stale { url: String, known: Length, shown: Length },
    /// The log's key has signed two histories. Nothing of it can be believed any more.
    #[error(transparent)]
    Fork(#[from] Box<Fork>),
}

/// Two histories of one log, both signed.
#[derive(Clone, Debug)]
pub struct Fork {
    /// The proof, for anybody else.
    pub proof: Equivocation,
    /// The file that holds the proof, where the client keeps such files.
    pub path: Option<PathBuf>,
}

/// A signed call that the host has not executed, as it says.
///
/// The host has the call, and may still execute it for as long as the log takes calls of that age. Who makes the same call
/// again within this time may have it executed twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRefusal {
    /// The reason; `None` if this version does not know it.
    pub reason: Option<Reason>,
    /// The reason as the host spells it, and what it adds for people.
    pub why: String,
    /// The log's time by which the call was judged, in microseconds since 1970.
    pub now: Option<u64>,
    /// The block of the call that stands in its way.
    pub block: Option<BlockIndex>,
    /// When the call may be made again.
    pub retry_after: Option<Duration>,
    /// The refusal with the log's signature, where the host has signed it.
    pub signed: Option<Refusal>,
}

impl Fork {
    /// Returns the log of which there are two histories.
    pub fn log(&self) -> Option<PublicKey> {
        self.proof.heads.first().map(|head| head.log)
    }

    /// Returns the bytes of the proof file.
    pub fn proof_bytes(&self) -> Vec<u8> {
        Proof::Equivocation(self.proof.clone()).encode()
    }
}

impl fmt::Display for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the log has forked: ")?;
        f.write_str(&Proof::Equivocation(self.proof.clone()).claim())?;
        match &self.path {
            Some(path) => write!(f, " The proof is in {}", path.display()),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fork {}

impl fmt::Display for CallRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the host has not executed the call: {}", self.why)
    }
}

impl std::error::Error for CallRefusal {}

impl TrustError {
    /// Returns the error of a head that does not follow from the one that is known.
    pub(super) fn stale(url: &str, known: &SignedHead, shown: &SignedHead) -> Self {
        Self::Stale { url: url.into(), known: known.length(), shown: shown.length() }
    }
}

fn worded(error: &RpcError) -> String {
    match &error.data {
        Some(data) => format!("{}: {data}", error.message),
        None => error.message.clone(),
    }
}

fn other_log(url: &str, expected: &PublicKey, found: &PublicKey, known: Option<&PathBuf>) -> String {
    match known {
        Some(path) => format!(
            "{url} writes log {found} now; until now it was log {expected}, as {} has it. Somebody else may answer \
             there",
            path.display()
        ),
        None => format!("{url} writes log {found}, not log {expected}"),
    }
}

//! Oracles: code of the host's world whose answers a script gets, and a log keeps.
//!
//! A host has [`Oracles`] by name ([`HostOptions::oracles`](crate::host::HostOptions::oracles)). An [`Oracle`] of one's own is a
//! function of a question to the future of its answer. Whoever checks the log does not ask again, and so trusts the host
//! with what was answered.

mod fetch;
mod http;
mod program;
mod questions;
mod random;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use libvms_protocol::entry::{OracleCode, OracleError};
use libvms_protocol::value::Value;

pub use fetch::{Fetch, NoCertificates, UrlPrefix};
pub use program::Program;
pub(crate) use questions::{Asked, Runner};
pub use random::RandomBytes;

/// Answers the questions of scripts.
pub trait Oracle: Send + Sync + 'static {
    /// Answers one question. The future runs beside those of other questions; it is dropped when its time is over, or when the
    /// call ends without needing the answer.
    fn answer(&self, question: Question) -> BoxFuture<'static, Result<Value, Failure>>;
}

/// A question as an oracle gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The name by which the script knows the oracle.
    pub name: String,
    /// The script's arguments: the text of a JSON array, of at most 6 MiB.
    pub args: String,
}

/// Why an oracle does not answer. The script, and whoever reads the log, sees the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The oracle does not answer such questions.
    Refused(String),
    /// The answer would be too large.
    TooLarge(String),
    /// There is no answer in time.
    Timeout(String),
    /// Anything else.
    Failed(String),
}

/// The oracles of a host by their names, and how long it waits for them.
#[derive(Clone, Default)]
pub struct Oracles {
    by_name: BTreeMap<String, Arc<dyn Oracle>>,
    limits: OracleLimits,
}

/// How long a host waits for oracles. Not in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OracleLimits {
    /// For the answer to one question.
    pub question: Duration,
    /// For all answers of one call, from its first question on.
    pub call: Duration,
    /// Questions of a call that are worked on at once, 1 at least; others wait.
    pub at_once: usize,
}

impl Question {
    /// Returns the arguments.
    pub fn values(&self) -> Vec<Value> {
        match Value::from_json(&self.args) {
            Ok(Value::Array(args)) => args,
            // A host asks no other.
            _ => vec![],
        }
    }
}

impl Oracles {
    /// Adds an oracle, in place of one of the same name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, oracle: impl Oracle) -> Self {
        self.by_name.insert(name.into(), Arc::new(oracle));
        self
    }

    /// Replaces the default limits.
    #[must_use]
    pub fn within(self, limits: OracleLimits) -> Self {
        Self { limits, ..self }
    }

    /// Returns the names, ascending.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    fn get(&self, name: &str) -> Option<&Arc<dyn Oracle>> {
        self.by_name.get(name)
    }
}

impl Default for OracleLimits {
    /// Returns 10 seconds for a question, 30 seconds for a call, and 8 at once.
    fn default() -> Self {
        Self { question: Duration::from_secs(10), call: Duration::from_secs(30), at_once: 8 }
    }
}

impl fmt::Debug for Oracles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.names().collect();
        formatter.debug_struct("Oracles").field("names", &names).field("limits", &self.limits).finish()
    }
}

impl<F> Oracle for F
where
    F: Fn(Question) -> BoxFuture<'static, Result<Value, Failure>> + Send + Sync + 'static,
{
    fn answer(&self, question: Question) -> BoxFuture<'static, Result<Value, Failure>> {
        self(question)
    }
}

impl From<Failure> for OracleError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(why) => Self::new(OracleCode::Refused, &why),
            Failure::TooLarge(why) => Self::new(OracleCode::TooLarge, &why),
            Failure::Timeout(why) => Self::new(OracleCode::Timeout, &why),
            Failure::Failed(why) => Self::new(OracleCode::Failed, &why),
        }
    }
}

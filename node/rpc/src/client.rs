//! The client: a WebSocket (RFC 6455) to one service, shared by any number of calls.
//!
//! Start from [`RpcClient::connect`]. One task, the `link`, owns the socket.

mod compare;
mod error;
mod finite;
mod greeting;
mod intention;
pub mod known_logs;
mod line;
mod link;
mod nonces;
mod options;
mod outage;
mod receipt;
mod refusal;
mod reply;
mod session;
mod signing;
mod socket;
mod wire;
mod write_queue;

use std::fmt;
use std::sync::Arc;

use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::signed_head::SignedHead;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::task::AbortHandle;

use super::escape::with_user;
use super::url::ServiceUrl;
pub use error::{CallRefusal, ClientError, Fork, TrustError};
use line::Line;
use link::Link;
pub use options::ClientOptions;
use session::Session;
pub use signing::ProvedAnswer;

/// A connection to one service.
///
/// Any number of calls may be in flight at once; they reach the service in the order in which they were begun.
/// Dropping the client cuts the connection; [`close`](Self::close) performs the closing handshake.
///
/// ```no_run
/// # use libvms_rpc::{ClientError, ClientOptions, RpcClient};
/// # async fn example() -> Result<(), ClientError> {
/// let client = RpcClient::connect("ws://127.0.0.1:5555/", ClientOptions::default()).await?;
/// let sum = client.call("add", &[1, 2]).await?;
/// client.close().await;
/// # Ok(())
/// # }
/// ```
pub struct RpcClient {
    url: String,
    line: Line,
    /// What is known of the log; `None` for a client that has neither a key nor a log to compare.
    session: Option<Arc<Session>>,
    task: AbortHandle,
}

impl RpcClient {
    /// Connects to the service at `url`, `ws://HOST:PORT/PATH`, after which `#KEY` may stand: the key of the log that the
    /// service must write.
    ///
    /// A user is added to the URL's query, before the parameters already there.
    ///
    /// # Errors
    ///
    /// Fails when `url` is not the URL of a service, or when no WebSocket server answers there in time. While the service
    /// is starting, connecting is retried for `start_timeout`. For a client with a key or a log also when the service does
    /// not show that its log is the right one, and goes on from what is known of it.
    pub async fn connect(url: &str, options: ClientOptions) -> Result<Self, ClientError> {
        let wrong = |why| ClientError::Url { url: url.into(), why };
        let mut place: ServiceUrl = url.parse().map_err(wrong)?;
        if let Some(user) = &options.user {
            let query = with_user(place.query(), user);
            place = place.with_query(Some(query));
        }
        let mut socket = socket::connect(url, &place, &options).await?;
        let session = match options.key.is_some() || options.log.is_some() || place.log().is_some() {
            true => Some(Session::begin(url, &place, &options, &mut socket).await?),
            false => None,
        };
        // The calls of others may not be repeated: nothing tells the first from the second.
        let reopen = session.as_ref().filter(|_| options.key.is_some()).map(Session::reopener);
        let (line, commands, end) = Line::new();
        let link = Link::new(socket, reopen, commands, end, &options);
        let task = tokio::spawn(link.run()).abort_handle();
        let client = Self { url: url.into(), line, session, task };
        client.remember().await?;
        Ok(client)
    }

    /// Calls `method` and waits for its result, for as long as the connection holds: a busy service queues calls.
    ///
    /// `args` is a value that serde writes as an array: a slice, a tuple, a `Vec`. The result is the JSON text of the
    /// server, `null` included; it is `None` only when the server's answer has no result at all. For a client with a key the
    /// result is that of the log's entry, as in [`call_proved`](Self::call_proved).
    ///
    /// Dropping the future discards the answer; the call goes on.
    ///
    /// # Errors
    ///
    /// [`ClientError::Rpc`] is the service's own answer, [`ClientError::CallRefused`] that the host has not executed a signed
    /// call. After any other error it is unknown whether the call was made.
    pub async fn call<A>(&self, method: &str, args: &A) -> Result<Option<Box<RawValue>>, ClientError>
    where
        A: Serialize + ?Sized,
    {
        match &self.session {
            Some(session) if session.key().is_some() => {
                self.call_proved(method, args).await?.outcome.map_err(ClientError::Rpc)
            }
            _ => self.line.request(method, args).await?.into_outcome().map_err(ClientError::Rpc),
        }
    }

    /// Signs a call of `method`, and waits for its answer with the proof that the log holds the call. It is executed once,
    /// even if connections are lost meanwhile.
    ///
    /// The arguments are signed as serde writes them in JSON.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoKey`] for a client without a key. [`ClientError::Arguments`] where a number is infinite or NaN, which
    /// JSON would have as `null`: nothing is signed. As [`call`](Self::call), but an error of the script is an answer.
    pub async fn call_proved<A>(&self, method: &str, args: &A) -> Result<ProvedAnswer, ClientError>
    where
        A: Serialize + ?Sized,
    {
        let session = self.session.as_ref().ok_or(ClientError::NoKey)?;
        finite::check(args).map_err(|error| ClientError::Arguments(serde::ser::Error::custom(error)))?;
        let args = serde_json::to_string(args).map_err(ClientError::Arguments)?;
        signing::call(session, &self.line, method, signing::arguments(&args)?).await
    }

    /// Returns the log of the service, for a client that compares it.
    pub fn log(&self) -> Option<PublicKey> {
        self.session.as_ref().map(|session| session.log())
    }

    /// Returns the newest head of the log that the client has verified, for a client that compares it.
    pub fn head(&self) -> Option<SignedHead> {
        self.session.as_ref().map(|session| session.newest())
    }

    /// Writes the newest head and the last nonce to the file of known logs, as [`close`](Self::close) does, and calls do once a
    /// second.
    ///
    /// # Errors
    ///
    /// [`ClientError::KnownLogs`] if the file cannot be used. [`ClientError::Trust`] if another program has seen a head of
    /// the log there that does not belong to the same history.
    pub async fn remember(&self) -> Result<(), ClientError> {
        match &self.session {
            Some(session) => session.store(&self.line).await,
            None => Ok(()),
        }
    }

    /// Returns the service's description of itself: its `methods` and where its log is.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call); a result that is not an object is [`ClientError::Garbage`].
    pub async fn handshake(&self) -> Result<serde_json::Map<String, serde_json::Value>, ClientError> {
        let reply = self.line.request("handshake", &[(); 0]).await?;
        let result = reply.into_outcome().map_err(ClientError::Rpc)?;
        let text = result.as_deref().map_or("null", RawValue::get);
        serde_json::from_str(text)
            .map_err(|error| ClientError::Garbage { why: format!("no handshake: {error}") })
    }

    /// Performs the closing handshake and ends the connection. Calls in flight fail with [`ClientError::Closed`].
    pub async fn close(&self) {
        if self.line.ended().is_none() {
            // Who has to know whether it is remembered asks before.
            let _either_way = self.remember().await;
        }
        self.line.close().await;
    }
}

impl Drop for RpcClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for RpcClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RpcClient")
            .field("url", &self.url)
            .field("end", &self.line.ended())
            .finish_non_exhaustive()
    }
}

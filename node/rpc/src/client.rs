//! The client: a WebSocket (RFC 6455) to one service, shared by any number of calls.
//!
//! Start from [`RpcClient::connect`]. One task, the `link`, owns the socket.

mod link;
mod write_queue;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::http::header::RETRY_AFTER;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::RpcError;
use super::escape::with_user;
use super::progress::Progress;
use super::url::{ServiceUrl, UrlError};
use super::write_timeout::WriteTimeout;
use link::{Command, Link, LinkEnd};

/// Requests are gathered up to this size before they are written.
const WRITE_BUFFER_BYTES: usize = 64 << 10;

/// The buffer is allocated per connection. Most answers are far smaller.
const READ_BUFFER_BYTES: usize = 8 << 10;

/// Characters shown of a server's reason to refuse a connection.
const WHY_CHARS_MAX: usize = 500;

/// The longest wait before a server that is starting is asked again.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Calls queued for the link; further callers wait in [`RpcClient::call`].
const COMMANDS_MAX: usize = 64;

/// The caller's name, and the bounds of time and memory for a server.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The caller's name, for services that accept it without proof.
    pub user: Option<String>,
    /// How long connecting may take, until the WebSocket handshake is complete.
    pub connect_timeout: Duration,
    /// How long connecting is retried while the server answers that its service is starting (503 with `Retry-After`).
    pub start_timeout: Duration,
    /// Bytes of one message of the server. A longer message ends the connection.
    pub message_bytes_max: usize,
    /// A server that was silent for this long is pinged; a server that leaves three such pings unanswered counts as lost.
    pub ping_interval: Duration,
    /// How long the server may read nothing while data for it waits.
    pub write_timeout: Duration,
    /// How long [`RpcClient::close`] waits for the server's close frame.
    pub close_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            user: None,
            connect_timeout: Duration::from_secs(10),
            // A restart replays the log. The caller should learn of one that takes longer.
            start_timeout: Duration::from_secs(30),
            // Far above the longest answer of a LibVMS server.
            message_bytes_max: 16 << 20,
            ping_interval: Duration::from_secs(30),
            // A server stops reading while enough of our calls are in flight.
            write_timeout: Duration::from_secs(600),
            close_timeout: Duration::from_secs(1),
        }
    }
}

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
    next_id: AtomicU64,
    commands: mpsc::Sender<Command>,
    end: Arc<OnceLock<LinkEnd>>,
    task: AbortHandle,
}

impl RpcClient {
    /// Connects to the service at `url`, `ws://HOST:PORT/PATH`.
    ///
    /// A user is added to the URL's query, before the parameters already there.
    ///
    /// # Errors
    ///
    /// Fails when `url` is not the URL of a service, or when no WebSocket server answers there in time. While the service
    /// is starting, connecting is retried for `start_timeout`.
    pub async fn connect(url: &str, options: ClientOptions) -> Result<Self, ClientError> {
        let wrong = |why| ClientError::Url { url: url.into(), why };
        let mut place: ServiceUrl = url.parse().map_err(wrong)?;
        if let Some(user) = &options.user {
            let query = with_user(place.query(), user);
            place = place.with_query(Some(query));
        }
        let socket = connect(url, &place, &options).await?;
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let end = Arc::new(OnceLock::new());
        let task = tokio::spawn(Link::new(socket, receiver, end.clone(), &options).run()).abort_handle();
        Ok(Self { url: url.into(), next_id: AtomicU64::new(1), commands, end, task })
    }

    /// Calls `method` and waits for its result, for as long as the connection holds: a busy service queues calls.
    ///
    /// `args` is a value that serde writes as an array: a slice, a tuple, a `Vec`. The result is the JSON text of the
    /// server, `null` included; it is `None` only when the server's answer has no result at all.
    ///
    /// Dropping the future discards the answer; the call goes on.
    ///
    /// # Errors
    ///
    /// [`ClientError::Rpc`] is the service's own answer. After any other error it is unknown whether the call was made.
    pub async fn call<A>(&self, method: &str, args: &A) -> Result<Option<Box<RawValue>>, ClientError>
    where
        A: Serialize + ?Sized,
    {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let request = Request { jsonrpc: "2.0", id, method, params: args };
        let text = serde_json::to_string(&request).map_err(ClientError::Arguments)?;
        let (answer, answered) = oneshot::channel();
        if self.commands.send(Command::Call { id, text, answer }).await.is_err() {
            return Err(self.end());
        }
        answered.await.unwrap_or_else(|_| Err(self.end()))
    }

    /// Returns the service's description of itself: its `methods` and where its log is.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call); a result that is not an object is [`ClientError::Garbage`].
    pub async fn handshake(&self) -> Result<serde_json::Map<String, serde_json::Value>, ClientError> {
        let result = self.call("handshake", &[(); 0]).await?;
        let text = result.as_deref().map_or("null", RawValue::get);
        serde_json::from_str(text)
            .map_err(|error| ClientError::Garbage { why: format!("no handshake: {error}") })
    }

    /// Performs the closing handshake and ends the connection. Calls in flight fail with [`ClientError::Closed`].
    pub async fn close(&self) {
        // When sending fails, the link has already ended.
        let _either_way = self.commands.send(Command::Close).await;
        self.commands.closed().await;
    }

    fn end(&self) -> ClientError {
        match self.end.get() {
            Some(LinkEnd::Lost { why }) => ClientError::Lost { why: why.clone() },
            Some(LinkEnd::Garbage { why }) => ClientError::Garbage { why: why.clone() },
            Some(LinkEnd::Closed) | None => ClientError::Closed,
        }
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
            .field("end", &self.end.get())
            .finish_non_exhaustive()
    }
}

/// Why a call has no result, or a connection failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The service answered with an error. An error of the script reads `NAME: MESSAGE`.
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
    /// The arguments cannot be written as JSON.
    #[error("the arguments cannot be written as JSON: {0}")]
    Arguments(serde_json::Error),
    /// The server, or the network to it, is gone.
    #[error("the connection was lost: {why}")]
    Lost { why: String },
    /// The server sent a message that is not an answer.
    #[error("the server does not speak JSON-RPC 2.0: {why}")]
    Garbage { why: String },
    /// [`RpcClient::close`] was called.
    #[error("the connection is closed")]
    Closed,
}

fn worded(error: &RpcError) -> String {
    match &error.data {
        Some(data) => format!("{}: {data}", error.message),
        None => error.message.clone(),
    }
}

#[derive(Serialize)]
struct Request<'a, A: ?Sized> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    params: &'a A,
}

/// Connects; retries while the server answers that its service is starting.
async fn connect(
    url: &str,
    place: &ServiceUrl,
    options: &ClientOptions,
) -> Result<link::Socket, ClientError> {
    let begun = Instant::now();
    loop {
        let connecting = tokio::time::timeout(options.connect_timeout, open(url, place, options));
        let timeout = |_| ClientError::ConnectTimeout { url: url.into(), after: options.connect_timeout };
        let error = match connecting.await.map_err(timeout)? {
            Err(error @ ClientError::NotYet { .. }) => error,
            opened => return opened,
        };
        let left = options.start_timeout.saturating_sub(begun.elapsed());
        match error {
            ClientError::NotYet { retry_after, .. } if !left.is_zero() => {
                // The service may be ready sooner than it estimated.
                tokio::time::sleep(retry_after.min(left).min(RETRY_MAX)).await;
            }
            error => return Err(error),
        }
    }
}

async fn open(url: &str, place: &ServiceUrl, options: &ClientOptions) -> Result<link::Socket, ClientError> {
    let stream = dial(place).await?;
    // A failure shows with the first write or read.
    let _either_way = stream.set_nodelay(true);
    let stream = WriteTimeout::new(stream, options.write_timeout, Arc::new(Progress::new()));
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(Some(options.message_bytes_max))
        .max_frame_size(Some(options.message_bytes_max));
    let opened = tokio_tungstenite::client_async_with_config(place.to_string(), stream, Some(config)).await;
    let (socket, _) = opened.map_err(|error| refused(url, error))?;
    Ok(socket)
}

fn refused(url: &str, error: tungstenite::Error) -> ClientError {
    let tungstenite::Error::Http(answer) = &error else {
        return ClientError::Upgrade { url: url.into(), source: Box::new(error) };
    };
    let text = answer.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let why: String = text.trim().chars().take(WHY_CHARS_MAX).collect();
    let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    match (answer.status(), retry_after) {
        (StatusCode::SERVICE_UNAVAILABLE, Some(seconds)) => {
            ClientError::NotYet { url: url.into(), why, retry_after: Duration::from_secs(seconds) }
        }
        (status, _) if !why.is_empty() => {
            ClientError::Refused { url: url.into(), status: status.as_u16(), why }
        }
        _ => ClientError::Upgrade { url: url.into(), source: Box::new(error) },
    }
}

async fn dial(place: &ServiceUrl) -> Result<TcpStream, ClientError> {
    let (host, port) = (place.host(), place.port());
    let failed = |source| ClientError::Connect { address: format!("{host}:{port}"), source };
    TcpStream::connect((host.as_str(), port)).await.map_err(failed)
}

//! What a client is asked for: [`ClientOptions`].

use std::time::Duration;

use libvms_hypercore::identity::{PublicKey, SecretKey};

use super::known_logs::KnownLogs;

/// Who calls, whom the client believes, and the bounds of time and memory for a server.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The caller's name, for services that accept it without proof.
    pub user: Option<String>,
    /// The caller's key, for services whose callers sign. With it each call is signed, executed at most once, and its result
    /// is that of the log's entry, which the answer must prove.
    pub key: Option<SecretKey>,
    /// The log that the service must write; the same as a key after `#` in its URL. Without it, and with `key`, any log is
    /// accepted that `known_logs` does not contradict.
    pub log: Option<PublicKey>,
    /// The file that remembers which log each URL had, the newest head of each, and the last nonces. `None` remembers
    /// nothing beyond the client's own life. A client with neither `key` nor `log` does not use the file.
    pub known_logs: Option<KnownLogs>,
    /// Accepts, and remembers from now on, another log at a URL than `known_logs` has.
    pub accept_new_key: bool,
    /// How long a signed call is sent again while the service cannot be reached, closes, fails or is busy, or while the call's time
    /// has not come there. Zero sends each once.
    pub retry_timeout: Duration,
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
    /// How long [`RpcClient::close`](super::RpcClient::close) waits for the server's close frame.
    pub close_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            user: None,
            key: None,
            log: None,
            known_logs: None,
            accept_new_key: false,
            // As long as a signed call is good where a service does not say otherwise.
            retry_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            // A restart replays the log. The caller should learn of one that takes longer.
            start_timeout: Duration::from_secs(30),
            // Above the longest answer of a LibVMS server: 4 MiB, and the receipt of the largest entry.
            message_bytes_max: 16 << 20,
            ping_interval: Duration::from_secs(30),
            // A server stops reading while enough of our calls are in flight.
            write_timeout: Duration::from_secs(600),
            close_timeout: Duration::from_secs(1),
        }
    }
}

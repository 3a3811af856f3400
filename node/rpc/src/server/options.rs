//! The bounds of an [`RpcServer`](super::RpcServer) for its callers, each with its reason.

use std::net::IpAddr;
use std::time::Duration;

use libvms_hypercore::limits::BLOCK_BYTES_MAX;

/// Which callers an [`RpcServer`](super::RpcServer) admits, and how much of its resources they may use.
///
/// ```
/// # use libvms_rpc::RpcOptions;
/// let options = RpcOptions { allow_origin: vec!["https://example.com".into()], ..RpcOptions::default() };
/// assert_eq!(options.connections_max, 1_024);
/// ```
#[derive(Clone, Debug)]
pub struct RpcOptions {
    /// Origins of web pages that may call, such as `https://example.com`; `*` is every page. An origin that no page can
    /// have makes [`RpcServer::bind`](super::RpcServer::bind) fail: see [`AllowedOrigin`](super::AllowedOrigin).
    ///
    /// Programs other than browsers send no origin and need no entry. The host of each entry is also accepted in `Host`
    /// by a server that listens on a loopback address, as it does behind a reverse proxy.
    pub allow_origin: Vec<String>,
    /// Addresses of trusted reverse proxies: `X-Forwarded-For` or `Forwarded` in their requests names the caller.
    /// These headers are ignored on all other connections.
    pub trust_proxy: Vec<IpAddr>,
    /// Connections in total, WebSocket and HTTP. One more takes the place of a connection of the address that has most: of
    /// the oldest that has sent no request, or of an idle one. When there is none, the new one is answered with 503.
    pub connections_max: usize,
    /// Bytes that all callers together can make the server hold besides 64 KiB for each connection: half-read messages,
    /// calls in flight, unread answers. One address may use a quarter of them.
    pub callers_bytes_max: usize,
    /// Calls of one connection that may be in flight. At this number its socket is no longer read, so that the caller
    /// waits. One batch may exceed the number by its own length.
    pub calls_in_flight_max: usize,
    /// Bytes of one connection's messages whose calls are in flight. At this number its socket is no longer read
    /// either; one message of the largest size may exceed it.
    pub bytes_in_flight_max: usize,
    /// Bytes of one message of a caller. A longer one closes a WebSocket with 1009 and is answered with 413 over HTTP.
    pub message_bytes_max: usize,
    /// Bytes of the arguments of one call, as JSON text. More are answered with "Invalid params".
    pub arguments_bytes_max: usize,
    /// Requests in one batch. More are answered with "Invalid Request".
    pub batch_requests_max: usize,
    /// Bytes of one answer without its receipt, a batch's answers counted together. A result that does not fit is replaced by
    /// an error.
    pub answer_bytes_max: usize,
    /// Bytes of one answer's receipt, those of a batch counted together. One that does not fit is left out.
    pub receipt_bytes_max: usize,
    /// Bytes of answers that may wait for a caller to read them. The server begins only as many calls as would fit if their
    /// answers were as long as recent long ones. The backlog may stay full no longer than `write_timeout`.
    pub backlog_bytes_max: usize,
    /// How long a connection may take to send the head of a request, counted from its start or its last answer.
    pub header_timeout: Duration,
    /// How long the body of a POST, or a message of a WebSocket once it has begun, may take to arrive; and a second more
    /// for each 16 KiB of it.
    pub body_timeout: Duration,
    /// How long a caller may read nothing at all while bytes for it wait, and how much longer than a second for each 16 KiB
    /// it may take to read them. Exceeding either ends the connection.
    pub write_timeout: Duration,
    /// How long a message may wait for room in `callers_bytes_max`. A longer wait closes a WebSocket with 1013 and is
    /// answered with 503 over HTTP.
    pub room_timeout: Duration,
    /// A WebSocket that was silent for this long is pinged; a WebSocket that leaves three such pings unanswered is ended.
    pub ping_interval: Duration,
    /// How long the closing handshake may take before the connection is cut.
    pub close_timeout: Duration,
    /// How long `shutdown` waits for calls in flight, and for callers to read their answers.
    pub shutdown_timeout: Duration,
}

impl Default for RpcOptions {
    fn default() -> Self {
        Self {
            allow_origin: vec![],
            trust_proxy: vec![],
            connections_max: 1_024,
            // Together with the 64 MiB of that many connections, less than the memory of a small machine. A quarter holds
            // several of the largest messages and answers.
            callers_bytes_max: 128 << 20,
            // Enough to keep a script busy over a slow link; few enough that one caller cannot fill the host's queue.
            calls_in_flight_max: 128,
            bytes_in_flight_max: 4 << 20,
            message_bytes_max: 4 << 20,
            arguments_bytes_max: libvms_protocol::limits::ARGUMENTS_BYTES_MAX,
            batch_requests_max: 100,
            answer_bytes_max: 4 << 20,
            // The receipt of the largest entry: an answer that its caller cannot prove is none.
            receipt_bytes_max: RECEIPT_BYTES_MAX,
            // Several of the largest results of a LibVMS service, and one with the largest receipt.
            backlog_bytes_max: 16 << 20,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(20),
            room_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(30),
            close_timeout: Duration::from_secs(1),
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}

/// Bytes of the receipt of the largest entry: four characters for three bytes, of the block and of a path and a head, which
/// have less than 64 KiB.
const RECEIPT_BYTES_MAX: usize = (BLOCK_BYTES_MAX + (64 << 10)) / 3 * 4 + 4;

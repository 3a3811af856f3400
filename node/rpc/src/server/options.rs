//! How much a caller may ask of an [`RpcServer`](super::RpcServer): every bound, each with its reason.

use std::net::IpAddr;
use std::time::Duration;

/// Who may call an [`RpcServer`](super::RpcServer), and how much of it one caller may use.
///
/// ```
/// # use libvms_rpc::RpcOptions;
/// let options = RpcOptions { allow_origin: vec!["https://example.com".into()], ..RpcOptions::default() };
/// assert_eq!(options.connections_max, 1_024);
/// ```
#[derive(Clone, Debug)]
pub struct RpcOptions {
    /// Origins of web pages that may call, such as `https://example.com`; `*` is every page. What no page can have for an
    /// origin makes [`RpcServer::bind`](super::RpcServer::bind) fail: see [`AllowedOrigin`](super::AllowedOrigin).
    ///
    /// Programs other than browsers send no origin and need no entry. The host of each entry is also a name under
    /// which a server that listens on a loopback address may be reached, as it is behind a reverse proxy.
    pub allow_origin: Vec<String>,
    /// Addresses of reverse proxies: for whom a connection from one of them speaks, stands in the `X-Forwarded-For` or
    /// `Forwarded` of its requests. Nobody else is believed.
    pub trust_proxy: Vec<IpAddr>,
    /// Connections in all, WebSocket and HTTP. One more takes the place of the oldest that has said nothing, or of an
    /// idle one, of the address that has most; where there is none, it is answered with 503.
    pub connections_max: usize,
    /// Bytes that all callers together can make the server hold besides 64 KiB for each connection: messages half
    /// read, calls on their way, answers unread. One address has a quarter of it.
    pub callers_bytes_max: usize,
    /// Calls of one connection that may wait for their answer. At this number its socket is no longer read, so
    /// that it is the caller who waits. A batch that was begun may exceed it by its own length.
    pub calls_in_flight_max: usize,
    /// Bytes of the messages of one connection whose answers are on their way. At this number its socket is no longer
    /// read either; one more message of the largest size may exceed it.
    pub bytes_in_flight_max: usize,
    /// Bytes of one message of a caller. More closes a WebSocket with 1009 and is answered with 413 over HTTP.
    pub message_bytes_max: usize,
    /// Bytes of the arguments of one call, as JSON text. More is answered with "Invalid params".
    pub arguments_bytes_max: usize,
    /// Requests in one batch. More is answered with "Invalid Request".
    pub batch_requests_max: usize,
    /// Bytes of one answer, a batch's answers counted together. A result that does not fit is replaced by an error.
    pub answer_bytes_max: usize,
    /// Bytes of answers that should wait for a caller to read them. No more calls are begun than have room in it if their
    /// answers are as long as the longest of late, and it may stay full no longer than `write_timeout`.
    pub backlog_bytes_max: usize,
    /// How long a connection may take to send the head of a request, from its start or the last answer on.
    pub header_timeout: Duration,
    /// How long the body of a POST, or a message of a WebSocket once it has begun, may take; and a second more for
    /// each 16 KiB of it.
    pub body_timeout: Duration,
    /// How long a caller may read nothing at all while we have something for it, and how much longer than a second for
    /// each 16 KiB it may take to read it. Longer ends the connection.
    pub write_timeout: Duration,
    /// How long a message may wait for room in `callers_bytes_max`. Longer closes a WebSocket with 1013 and is answered
    /// with 503 over HTTP.
    pub room_timeout: Duration,
    /// A WebSocket that was silent for this long is pinged; one that leaves three
    /// such pings unanswered is ended.
    pub ping_interval: Duration,
    /// How long a closed connection may take to take notice before it is cut.
    pub close_timeout: Duration,
    /// How long `shutdown` waits for calls in flight and for callers to read their answers.
    pub shutdown_timeout: Duration,
}

impl Default for RpcOptions {
    fn default() -> Self {
        Self {
            allow_origin: vec![],
            trust_proxy: vec![],
            connections_max: 1_024,
            // With the 64 MiB that so many connections have for themselves, less than a small machine has. A quarter is
            // several of the largest messages and answers.
            callers_bytes_max: 128 << 20,
            // Enough to keep a script busy over a slow link; few enough that one caller cannot fill the host's queue.
            calls_in_flight_max: 128,
            bytes_in_flight_max: 4 << 20,
            message_bytes_max: 4 << 20,
            arguments_bytes_max: libvms_protocol::limits::ARGUMENTS_BYTES_MAX,
            batch_requests_max: 100,
            answer_bytes_max: 4 << 20,
            // Several of the largest results of a LibVMS service.
            backlog_bytes_max: 8 << 20,
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

//! The limits and timeouts of a network: [`NetworkOptions`].

use std::time::Duration;

/// How many peers may connect, how much is buffered for them, and how long they may take.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// Connections that others may open, in total. More are closed at once. The default is half of the open files that most
    /// systems allow a process, which leaves some for callers and storage. Connections that we open ourselves come on top.
    pub connections_max: usize,
    /// The same for one address (an IPv6 /64, the least that one customer has).
    pub connections_per_address_max: usize,
    /// Bytes that all connections together may buffer for peers that send or read slowly. Above it, a connection that
    /// needs more than a little is disconnected. So is one whose address has a quarter of it.
    pub buffered_bytes_max: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// A peer that sends no whole message for so long, nor 64 KiB of one, counts as gone. JavaScript peers send a keep-alive
    /// every 5 s.
    pub idle_timeout: Duration,
    /// Interval of the keep-alives that we send.
    pub keep_alive_interval: Duration,
    /// A peer that reads neither everything pending for it nor 64 KiB of it for so long is disconnected.
    pub write_timeout: Duration,
    /// A peer that owes answers and sends nothing for so long loses its requests to others.
    pub request_timeout: Duration,
    /// The first delay before reconnecting to a chosen peer; it doubles up to a minute.
    pub reconnect_delay: Duration,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            connections_max: 512,
            connections_per_address_max: 64,
            buffered_bytes_max: 256 << 20,
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            keep_alive_interval: Duration::from_secs(5),
            write_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(10),
            reconnect_delay: Duration::from_millis(250),
        }
    }
}

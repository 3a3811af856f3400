//! What a network allows its peers.

use std::time::Duration;

/// How many a network lets in, how much it keeps for them, and how long it waits for them.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// Connections that others may open, in all. More are closed at once. Half of the open files that most systems
    /// allow a process, so that callers and storage find some too. Those that we open ourselves come on top.
    pub connections_max: usize,
    /// The same from one address (of IPv6: from one /64, which is what one customer has at least).
    pub connections_per_address_max: usize,
    /// Bytes that all connections together may keep in memory for peers that send or read slowly. Above it, whoever
    /// needs more than a little is disconnected, and so is whoever has a quarter of it at one address.
    pub buffered_bytes_max: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// A peer that has sent no whole message for so long, nor 64 KiB of one, is gone: JavaScript peers give a sign of
    /// life every 5 s.
    pub idle_timeout: Duration,
    /// How often we give a sign of life.
    pub keep_alive_interval: Duration,
    /// How long a peer may take neither all that waits for it nor 64 KiB of it.
    pub write_timeout: Duration,
    /// A peer that owes answers and sends nothing for so long loses its requests to others.
    pub request_timeout: Duration,
    /// How long to wait before a peer that was asked for is connected to again, at first; it doubles up to a minute.
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

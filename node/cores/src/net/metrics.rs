//! The counters of a network: [`Metrics`], read with [`Network::metrics`](super::Network::metrics).

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Counters since the network was created, and two gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Open connections (gauge).
    pub connections: u64,
    /// Bytes buffered for slow peers (gauge).
    pub buffered_bytes: u64,
    /// Connections that others opened.
    pub accepted: u64,
    /// Connections that others opened and that were refused because a limit was reached.
    pub refused: u64,
    /// Connections that we opened.
    pub opened: u64,
    /// Ended connections, by reason.
    pub closed: Closed,
    /// Bytes read from sockets.
    pub bytes_in: u64,
    /// Bytes written to sockets.
    pub bytes_out: u64,
    /// Verified blocks received.
    pub blocks_in: u64,
    /// Blocks sent.
    pub blocks_out: u64,
    /// Requests of peers that were answered with data.
    pub requests_served: u64,
    /// Requests of peers that were refused, because the data is missing here or cannot exist.
    pub requests_refused: u64,
    /// Answers that did not verify, or that nobody had requested. Each has cost its sender the connection.
    pub proofs_refused: u64,
}

/// Ended connections, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Closed {
    /// Closed by either side, in order.
    pub ended: u64,
    /// The socket failed: most often because the peer is gone.
    pub socket: u64,
    /// The handshake took too long, or the peer closed the connection during it.
    pub handshake: u64,
    /// The peer sent nothing for too long.
    pub idle: u64,
    /// The peer did not read.
    pub stalled: u64,
    /// The peer's buffered bytes exceeded its share while the node's exceeded the limit.
    pub crowded: u64,
    /// The peer sent bytes that are not of the protocol, or not authentic.
    pub malformed: u64,
    /// The peer broke the replication protocol: false proofs, endless requests.
    pub faulty: u64,
}

/// One counter of [`Metrics`], incremented by many tasks.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        // No reader depends on the order of these.
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters that a network's tasks increment.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) accepted: Counter,
    pub(super) refused: Counter,
    pub(super) opened: Counter,
    pub(super) closed: [Counter; Reason::COUNT],
    pub(super) bytes_in: Counter,
    pub(super) bytes_out: Counter,
    pub(super) blocks_in: Counter,
    pub(super) blocks_out: Counter,
    pub(super) requests_served: Counter,
    pub(super) requests_refused: Counter,
    pub(super) proofs_refused: Counter,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Ended,
    Socket,
    Handshake,
    Idle,
    Stalled,
    QuotaExceeded,
    Malformed,
    Faulty,
}

impl Reason {
    const COUNT: usize = 8;

    /// Returns the name of the reason's field in [`Closed`].
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Socket => "socket",
            Self::Handshake => "handshake",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::QuotaExceeded => "crowded",
            Self::Malformed => "malformed",
            Self::Faulty => "faulty",
        }
    }
}

impl Counters {
    pub(super) fn closed(&self, reason: Reason) {
        self.closed[reason as usize].add(1);
    }

    pub(super) fn snapshot(&self, connections: usize, buffered_bytes: usize) -> Metrics {
        let of = |reason: Reason| self.closed[reason as usize].get();
        let closed = Closed {
            ended: of(Reason::Ended),
            socket: of(Reason::Socket),
            handshake: of(Reason::Handshake),
            idle: of(Reason::Idle),
            stalled: of(Reason::Stalled),
            crowded: of(Reason::QuotaExceeded),
            malformed: of(Reason::Malformed),
            faulty: of(Reason::Faulty),
        };
        Metrics {
            connections: connections as u64,
            buffered_bytes: buffered_bytes as u64,
            accepted: self.accepted.get(),
            refused: self.refused.get(),
            opened: self.opened.get(),
            closed,
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            blocks_in: self.blocks_in.get(),
            blocks_out: self.blocks_out.get(),
            requests_served: self.requests_served.get(),
            requests_refused: self.requests_refused.get(),
            proofs_refused: self.proofs_refused.get(),
        }
    }
}

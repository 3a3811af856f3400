//! The distributed hash table under Hyperswarm, wire-compatible with npm dht-rpc 6 over UDP.
//!
//! Every reachable node has an id, the hash of its [`Address`], and keeps the addresses of others (Kademlia). A query
//! asks nodes ever closer to a target, by the distance of their ids, until it knows the closest; those store the
//! records of the target. [`message`] is the format of the datagrams, [`Node`] the machine. The commands and records
//! are those of the layer above, [`hyperdht`](crate::hyperdht).
//!
//! Everything is IPv4: the wire has no room for more.

pub mod address;
pub mod anti_amplification;
mod congestion_window;
pub mod incoming;
pub(crate) mod ip_quota;
pub mod message;
pub(crate) mod nat_sampler;
pub mod node;
pub(crate) mod query;
pub(crate) mod rate_limit;
pub(crate) mod requests;
mod table;
pub(crate) mod token;

pub use address::{Address, Distance, NodeId, Target};
pub use anti_amplification::AnswerLimits;
pub use incoming::{Incoming, Reply, ReplyHandle, Socket};
pub use message::{Command, ErrorCode, Message, MessageError, Request, Response, Token};
pub use nat_sampler::{Observed, Sampler};
pub use node::{
    Action, Commit, Config, Forward, ForwardError, Mode, Node, NodeStatus, QueryError, QueryId, QueryOutcome,
    RequestError, RequestId, RequestSpec,
};
pub use query::{Answer, QuerySpec};
pub use requests::RetryPolicy;

/// Number of nodes in a row of the table, in an answer, and at the end of a query (Kademlia's k).
pub const CLOSEST_MAX: usize = 20;

//! The network in which Hyperswarm peers find each other, wire-compatible with npm hyperdht 6 and dht-rpc 6 over UDP.
//!
//! The lower layer is a distributed hash table. Every reachable node has an id, the hash of its [`Address`], and keeps the
//! addresses of others. A query asks nodes ever closer to a target, by the distance of their ids, until it knows the
//! closest; those keep what belongs to the target. [`message`] is the format of the datagrams, [`Node`] the machine.
//!
//! The upper layer connects peers that know each other's public keys. Nodes keep signed [`announce`]ments of peers
//! ([`storage`]) and pass messages on between them ([`router`]); a [`listener`] that an [`announcer`] makes known and a
//! [`dialer`] shake hands ([`noise`]), and a [`puncher`] on either side opens firewalls. Start from
//! [`hyperdht::HyperDht`], which joins all of it.
//!
//! Everything is IPv4: the wire has no room for more.

pub mod address;
pub mod allowance;
pub mod announce;
pub mod announcer;
mod barrage;
pub mod command;
mod crowd;
pub mod dialer;
pub mod envelope;
pub mod holepunch;
pub mod hyperdht;
pub mod incoming;
mod known_relays;
pub mod listener;
pub mod message;
pub mod mutable;
pub mod namespaces;
mod nat;
pub mod node;
pub mod noise;
pub mod payload;
pub mod puncher;
mod query;
mod rate;
pub mod record;
mod requests;
pub mod router;
mod sampler;
pub mod secret;
pub mod storage;
mod table;
mod token;
mod window;

pub use address::{Address, Distance, NodeId, Target};
pub use allowance::AnswerLimits;
pub use incoming::{Incoming, Reply, ReplyHandle, Socket};
pub use message::{Command, ErrorCode, Message, MessageError, Request, Response, Token};
pub use node::{
    Action, Commit, Forward, ForwardError, Mode, Node, QueryError, QueryId, QueryOutcome, RequestError,
    RequestId, RequestSpec, Settings, Standing,
};
pub use query::{Answer, QuerySpec};
pub use requests::Patience;
pub use sampler::{Observed, Sampler};

/// How many nodes a row of the table holds, an answer names, and a query ends with (Kademlia's k).
pub const CLOSEST_MAX: usize = 20;

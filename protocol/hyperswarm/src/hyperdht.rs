//! Connections between peers that know each other's public keys, wire-compatible with npm hyperdht 6.
//!
//! Nodes of the table ([`dht_rpc`](crate::dht_rpc)) store signed announcements of peers ([`announce`],
//! [`record_store`]) and relay messages between peers ([`router`]). A [`server`], announced by an [`announcer`], and a
//! [`client`] shake hands ([`noise_ik`](libvms_hypercore::secret_stream::noise_ik)), and a [`holepunch::puncher`] on either side opens firewalls. Start from
//! [`node::HyperDht`], which combines all of these.

pub mod announce;
pub mod announcer;
pub mod client;
pub mod command;
pub mod envelope;
pub mod handshake_payload;
pub mod holepunch;
mod known_relays;
pub mod mutable;
pub mod namespaces;
pub mod node;
pub mod record;
pub mod record_store;
pub mod router;
pub mod server;

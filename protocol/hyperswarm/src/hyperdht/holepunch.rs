//! UDP hole punching (RFC 5128, section 3.3) between two peers: the messages through relays ([`payload`]), the
//! classification of a firewall (`nat`), the ports that are probed (`probe_plan`), and the machine for one attempt
//! ([`puncher`]).

mod nat;
pub mod payload;
mod probe_plan;
pub mod puncher;

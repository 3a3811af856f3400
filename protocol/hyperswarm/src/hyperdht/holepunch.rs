//! How two peers open their firewalls for each other: what they tell each other through relays ([`payload`]), what a
//! firewall does to ports (`nat`), which ports are probed (`probe_plan`), and the machine that does it ([`puncher`]).

mod nat;
pub mod payload;
mod probe_plan;
pub mod puncher;

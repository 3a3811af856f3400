//! Peers that mean harm, over real sockets: each ends its own connection at most, and nothing else.
//!
//! `peer` is a peer that can be made to do anything; `siege` a host under attack and what must hold whatever is done to
//! it: callers are answered, an honest peer gets everything, the process ends in order and has not panicked.
//! `garbage`, `floods`, `places` and `waits` attack hosts; `liars` and `cuts` attack those that copy.

mod cuts;
mod floods;
mod garbage;
mod liars;
mod peer;
mod places;
mod siege;
mod waits;

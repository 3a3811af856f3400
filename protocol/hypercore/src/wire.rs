//! What Hypercore peers say to each other inside an encrypted stream, byte for byte as the JavaScript packages do.
//!
//! A stream carries frames ([`frame`]); after decryption each is a frame of the multiplexer ([`mux`]), which runs many
//! channels over one stream; a channel named `hypercore/alpha` carries the messages of one core ([`message`]), once
//! each side has shown that it knows the core's key ([`capability`]). Start from [`Session`], which puts them together.
//! Nothing here knows what is in a core: see `replication` for who asks whom for what.

pub mod capability;
pub mod frame;
pub mod message;
pub mod mux;
pub mod session;

pub use capability::{HandshakeHash, Role};
pub use frame::FrameDecoder;
pub use message::Message;
pub use mux::Mux;
pub use session::{Session, SessionEvent};

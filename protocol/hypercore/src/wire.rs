//! The wire protocol of Hypercore peers inside an encrypted stream, byte for byte as the JavaScript packages speak it.
//!
//! Each message of the stream ([`secret_stream`](crate::secret_stream)) is a frame of the multiplexer ([`mux`]), which runs
//! many channels over one stream; a channel named `hypercore/alpha` carries the messages of one core ([`message`]), once
//! each side has proved that it knows the core's key ([`capability`]). Start from [`Session`], which combines them.
//! These modules do not know the contents of a core: `replication` decides which peer to ask for which block.

pub mod capability;
pub mod message;
pub mod mux;
pub mod session;

pub use crate::secret_stream::{HandshakeHash, Role};
pub use message::Message;
pub use mux::Mux;
pub use session::{Session, SessionEvent};

//! [`ConnectionError`]: why a connection ended early.

use std::io;
use std::time::Duration;

use libvms_hypercore::replication::PeerFault;
use libvms_hypercore::secret_stream::SecretError;
use libvms_hypercore::wire::session::SessionError;
use thiserror::Error;

use crate::net::admission::QuotaExceeded;
use crate::net::metrics::Reason;
use crate::net::outbound::LinkEnd;

#[derive(Debug, Error)]
pub(in crate::net) enum ConnectionError {
    #[error("the socket failed: {0}")]
    Socket(#[from] io::Error),
    #[error("the system returned no random numbers: {0}")]
    Random(getrandom::Error),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("the peer broke the replication protocol: {0}")]
    Fault(#[from] PeerFault),
    #[error("the handshake was not complete within {0:?}")]
    HandshakeTimeout(Duration),
    #[error("the peer sent no whole message, nor 64 KiB of one, for {0:?}")]
    Idle(Duration),
    #[error("the peer closed the connection during the handshake")]
    Refused,
    #[error("the peer read less than 64 KiB in {0:?}")]
    Stalled(Duration),
    #[error(transparent)]
    QuotaExceeded(#[from] QuotaExceeded),
    #[error("our copy was reopened: the connection restarts to ask again which blocks the peer has")]
    Anew,
}

impl From<LinkEnd> for ConnectionError {
    fn from(end: LinkEnd) -> Self {
        match end {
            LinkEnd::Fault(why) => why.into(),
            LinkEnd::Anew => Self::Anew,
        }
    }
}

impl ConnectionError {
    pub(in crate::net) fn reason(&self) -> Reason {
        match self {
            Self::Socket(_) | Self::Random(_) => Reason::Socket,
            Self::Secret(_) | Self::Session(_) => Reason::Malformed,
            Self::Fault(_) => Reason::Faulty,
            Self::HandshakeTimeout(_) | Self::Refused => Reason::Handshake,
            Self::Idle(_) => Reason::Idle,
            Self::Stalled(_) => Reason::Stalled,
            Self::QuotaExceeded(_) => Reason::QuotaExceeded,
            Self::Anew => Reason::Ended,
        }
    }

    /// Returns whether the peer did something that no honest peer does.
    pub(in crate::net) fn is_misbehaviour(&self) -> bool {
        matches!(self.reason(), Reason::Malformed | Reason::Faulty)
    }

    /// Returns whether a new connection to the same peer is likely to end the same way.
    pub(in crate::net) fn is_lasting(&self) -> bool {
        !matches!(self.reason(), Reason::Ended | Reason::Socket | Reason::Idle | Reason::Stalled)
    }
}

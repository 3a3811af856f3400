//! Why a connection ended, other than in order.

use std::io;
use std::time::Duration;

use libvms_hypercore::replication::PeerFault;
use libvms_hypercore::wire::session::SessionError;
use thiserror::Error;

use crate::net::admission::QuotaExceeded;
use crate::net::metrics::Reason;
use crate::net::outbound::LinkEnd;
use crate::net::secret_stream::SecretError;

#[derive(Debug, Error)]
pub(in crate::net) enum ConnectionError {
    #[error("the socket failed: {0}")]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("the peer broke the rules: {0}")]
    Fault(#[from] PeerFault),
    #[error("no handshake within {0:?}")]
    HandshakeTimeout(Duration),
    #[error("no sign of life for {0:?}")]
    Idle(Duration),
    #[error("the other side hung up before the handshake was over")]
    Refused,
    #[error("next to nothing was taken of what was written for {0:?}")]
    Stalled(Duration),
    #[error(transparent)]
    QuotaExceeded(#[from] QuotaExceeded),
    #[error("a copy was opened anew: what its peers have is asked again")]
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
            Self::Socket(_) => Reason::Socket,
            Self::Secret(_) | Self::Session(_) => Reason::Malformed,
            Self::Fault(_) => Reason::Faulty,
            Self::HandshakeTimeout(_) | Self::Refused => Reason::Handshake,
            Self::Idle(_) => Reason::Idle,
            Self::Stalled(_) => Reason::Stalled,
            Self::QuotaExceeded(_) => Reason::QuotaExceeded,
            Self::Anew => Reason::Ended,
        }
    }

    /// Whether the peer did what no honest one does.
    pub(in crate::net) fn is_misbehaviour(&self) -> bool {
        matches!(self.reason(), Reason::Malformed | Reason::Faulty)
    }

    /// Whether a new connection to the same peer is likely to end the same way.
    pub(in crate::net) fn is_lasting(&self) -> bool {
        !matches!(self.reason(), Reason::Ended | Reason::Socket | Reason::Idle | Reason::Stalled)
    }
}

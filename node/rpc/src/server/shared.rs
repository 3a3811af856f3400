//! The state that the server shares with its connections.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::RpcOptions;
use super::admission::Admission;
use super::mounts::Mounts;
use super::origin::Gate;

/// The server's state, shared by all connections.
pub(super) struct Shared {
    pub(super) options: Arc<RpcOptions>,
    pub(super) gate: Gate,
    pub(super) admission: Arc<Admission>,
    pub(super) mounts: Mounts,
    pub(super) stopping: CancellationToken,
}

//! What the server and its connections have in common.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::RpcOptions;
use super::mounts::Mounts;
use super::origin::Gate;
use super::places::Places;

/// What every connection knows of its server.
pub(super) struct Shared {
    pub(super) options: Arc<RpcOptions>,
    pub(super) gate: Gate,
    pub(super) places: Arc<Places>,
    pub(super) mounts: Mounts,
    pub(super) stopping: CancellationToken,
}

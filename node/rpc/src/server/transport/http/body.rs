//! The body of a POST: bounded, its memory reserved before it is read, and abandoned when it does not arrive in time.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Incoming};

use crate::server::RpcOptions;
use crate::server::admission::{Charge, ConnectionPermit, QuotaExceeded};
use crate::write_timeout::PACE;

/// Bytes reserved at a time when the length of the body is unknown.
const STEP_BYTES: usize = 64 << 10;

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("a request has at most {bytes_max} bytes")]
    TooLong { bytes_max: usize },
    #[error("the request's body is broken")]
    Broken,
    #[error("the request's body took too long")]
    TooSlow,
    #[error(transparent)]
    QuotaExceeded(#[from] QuotaExceeded),
}

impl BodyError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::QuotaExceeded(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Reads a body into one piece: each piece of the HTTP library would keep a whole buffer alive.
pub(super) async fn read(
    mut body: Incoming,
    options: &RpcOptions,
    permit: &ConnectionPermit,
) -> Result<(Vec<u8>, Charge), BodyError> {
    let bytes_max = options.message_bytes_max;
    let declared = body.size_hint().exact().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if declared.is_some_and(|bytes| bytes > bytes_max) {
        return Err(BodyError::TooLong { bytes_max });
    }
    let mut reserved = declared.unwrap_or(0);
    let mut charge = permit.reserve(reserved).await?;
    let mut bytes = Vec::with_capacity(reserved);
    let mut waited = Duration::ZERO;
    loop {
        let begun = Instant::now();
        let left = (options.body_timeout + PACE.time_for(bytes.len())).saturating_sub(waited);
        let frame = tokio::time::timeout(left, body.frame()).await.map_err(|_| BodyError::TooSlow)?;
        waited += begun.elapsed();
        let Some(frame) = frame else { return Ok((bytes, charge)) };
        // Trailers are read and ignored.
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        if bytes.len() + data.len() > bytes_max {
            return Err(BodyError::TooLong { bytes_max });
        }
        if bytes.len() + data.len() > reserved {
            let more = data.len().max(STEP_BYTES).max(reserved / 2);
            charge.join(permit.reserve(more).await?);
            reserved += more;
            bytes.reserve_exact(reserved - bytes.len());
        }
        bytes.extend_from_slice(&data);
    }
}

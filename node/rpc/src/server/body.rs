//! The body of a POST: bounded, reserved before it is read, and given up when it does not come.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Incoming};

use super::RpcOptions;
use super::places::{Charge, ConnectionPermit, Crowded};
use crate::write_timeout::PACE;

/// What is reserved at a time where nobody has said how long the body is.
const STEP_BYTES: usize = 64 << 10;

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("a request has at most {bytes_max} bytes")]
    TooLong { bytes_max: usize },
    #[error("the request's body is broken")]
    Broken,
    #[error("the request's body took too long")]
    TooSlow,
    #[error(transparent)]
    Crowded(#[from] Crowded),
}

impl BodyError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Crowded(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Reads a body into one piece, whatever pieces it comes in: each of them would keep a whole buffer of the library.
pub(super) async fn read(
    mut body: Incoming,
    options: &RpcOptions,
    place: &ConnectionPermit,
) -> Result<(Vec<u8>, Charge), BodyError> {
    let bytes_max = options.message_bytes_max;
    let declared = body.size_hint().exact().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if declared.is_some_and(|bytes| bytes > bytes_max) {
        return Err(BodyError::TooLong { bytes_max });
    }
    let mut reserved = declared.unwrap_or(0);
    let mut charge = place.reserve(reserved).await?;
    let mut bytes = Vec::with_capacity(reserved);
    let mut waited = Duration::ZERO;
    loop {
        let begun = Instant::now();
        let left = (options.body_timeout + PACE.time_for(bytes.len())).saturating_sub(waited);
        let frame = tokio::time::timeout(left, body.frame()).await.map_err(|_| BodyError::TooSlow)?;
        waited += begun.elapsed();
        let Some(frame) = frame else { return Ok((bytes, charge)) };
        // Trailers are read and mean nothing.
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        if bytes.len() + data.len() > bytes_max {
            return Err(BodyError::TooLong { bytes_max });
        }
        if bytes.len() + data.len() > reserved {
            let more = data.len().max(STEP_BYTES).max(reserved / 2);
            charge.join(place.reserve(more).await?);
            reserved += more;
            bytes.reserve_exact(reserved - bytes.len());
        }
        bytes.extend_from_slice(&data);
    }
}

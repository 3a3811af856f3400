//! Opening the WebSocket (RFC 6455) of a service.
//!
//! Start from [`connect`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::http::header::RETRY_AFTER;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::error::ClientError;
use super::options::ClientOptions;
use crate::progress::Progress;
use crate::url::ServiceUrl;
use crate::write_timeout::WriteTimeout;

/// Requests are gathered up to this size before they are written.
pub(super) const WRITE_BUFFER_BYTES: usize = 64 << 10;

/// The buffer is allocated per connection. Most answers are far smaller.
const READ_BUFFER_BYTES: usize = 8 << 10;

/// Characters shown of a server's reason to refuse a connection.
const WHY_CHARS_MAX: usize = 500;

/// The longest wait before a server that is starting is asked again.
const RETRY_MAX: Duration = Duration::from_secs(2);

pub(super) type Socket = WebSocketStream<WriteTimeout<TcpStream>>;

/// Connects; retries while the server answers that its service is starting.
pub(super) async fn connect(
    url: &str,
    place: &ServiceUrl,
    options: &ClientOptions,
) -> Result<Socket, ClientError> {
    let begun = Instant::now();
    loop {
        let connecting = tokio::time::timeout(options.connect_timeout, open(url, place, options));
        let timeout = |_| ClientError::ConnectTimeout { url: url.into(), after: options.connect_timeout };
        let error = match connecting.await.map_err(timeout)? {
            Err(error @ ClientError::NotYet { .. }) => error,
            opened => return opened,
        };
        let left = options.start_timeout.saturating_sub(begun.elapsed());
        match error {
            ClientError::NotYet { retry_after, .. } if !left.is_zero() => {
                // The service may be ready sooner than it estimated.
                tokio::time::sleep(retry_after.min(left).min(RETRY_MAX)).await;
            }
            error => return Err(error),
        }
    }
}

async fn open(url: &str, place: &ServiceUrl, options: &ClientOptions) -> Result<Socket, ClientError> {
    let stream = dial(place).await?;
    // A failure shows with the first write or read.
    let _either_way = stream.set_nodelay(true);
    let stream = WriteTimeout::new(stream, options.write_timeout, Arc::new(Progress::new()));
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(Some(options.message_bytes_max))
        .max_frame_size(Some(options.message_bytes_max));
    let opened = tokio_tungstenite::client_async_with_config(place.to_string(), stream, Some(config)).await;
    let (socket, _) = opened.map_err(|error| refused(url, error))?;
    Ok(socket)
}

fn refused(url: &str, error: tungstenite::Error) -> ClientError {
    let tungstenite::Error::Http(answer) = &error else {
        return ClientError::Upgrade { url: url.into(), source: Box::new(error) };
    };
    let text = answer.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let why: String = text.trim().chars().take(WHY_CHARS_MAX).collect();
    let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    match (answer.status(), retry_after) {
        (StatusCode::SERVICE_UNAVAILABLE, Some(seconds)) => {
            ClientError::NotYet { url: url.into(), why, retry_after: Duration::from_secs(seconds) }
        }
        (status, _) if !why.is_empty() => {
            ClientError::Refused { url: url.into(), status: status.as_u16(), why }
        }
        _ => ClientError::Upgrade { url: url.into(), source: Box::new(error) },
    }
}

async fn dial(place: &ServiceUrl) -> Result<TcpStream, ClientError> {
    let (host, port) = (place.host(), place.port());
    let failed = |source| ClientError::Connect { address: format!("{host}:{port}"), source };
    TcpStream::connect((host.as_str(), port)).await.map_err(failed)
}

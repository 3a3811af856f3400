//! Lingering close (nginx): ends a connection so that the peer can still read the last bytes sent.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Shuts down our side of `socket`, then waits for the peer to end its own, for at most `timeout`.
///
/// When a socket is dropped with unread bytes, the system resets the connection and discards the bytes that the peer has
/// not read yet.
pub(super) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut S, timeout: Duration) {
    let _ignored = tokio::time::timeout(timeout, async {
        socket.shutdown().await?;
        let mut ignored = [0; 4 << 10];
        while socket.read(&mut ignored).await? > 0 {}
        std::io::Result::Ok(())
    })
    .await;
}

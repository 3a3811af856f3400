//! The end of a connection, such that the peer still reads what was sent last.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Ends our side of `socket`, then waits for the peer to end its own, for at most `timeout`.
///
/// A socket that is dropped with unread bytes makes the system throw away what the peer has not read yet.
pub(super) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut S, timeout: Duration) {
    let _either_way = tokio::time::timeout(timeout, async {
        socket.shutdown().await?;
        let mut ignored = [0; 4 << 10];
        while socket.read(&mut ignored).await? > 0 {}
        std::io::Result::Ok(())
    })
    .await;
}

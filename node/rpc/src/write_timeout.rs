//! A socket that fails when its peer reads nothing, or too slowly.
//!
//! Start from [`WriteTimeout`]. HTTP answers and WebSockets are both written through this type.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::progress::Progress;

/// The lowest speed at which a peer may send or read while we hold bytes for it, beyond the time that every peer has.
pub(super) const PACE: Pace = Pace { bytes_per_second: 16 << 10 };

/// A speed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    bytes_per_second: usize,
}

impl Pace {
    /// Returns how long `bytes` may take.
    pub(super) fn time_for(self, bytes: usize) -> Duration {
        Duration::from_secs((bytes / self.bytes_per_second) as u64)
    }
}

/// A socket whose writes fail with `TimedOut` when the peer has read no byte for `timeout`, and when writing has been
/// slower than [`PACE`] for longer than that.
#[derive(Debug)]
pub(super) struct WriteTimeout<S> {
    socket: S,
    timeout: Duration,
    progress: Arc<Progress>,
    /// Set from the first write that had to wait until all is written: most writes never wait, and need no timer.
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    written: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> WriteTimeout<S> {
    pub(super) fn new(socket: S, timeout: Duration, progress: Arc<Progress>) -> Self {
        Self { socket, timeout, progress, waiting: None }
    }

    #[cfg_attr(not(feature = "server"), allow(dead_code, reason = "only the server asks"))]
    pub(super) fn get_ref(&self) -> &S {
        &self.socket
    }

    fn watch(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.progress.moved(bytes);
            if let Some(waiting) = &mut self.waiting {
                waiting.written += bytes;
                waiting.timer = None;
            }
        }
        if written.is_ready() {
            return written;
        }
        let begin = || Waiting { since: Instant::now(), written: 0, timer: None };
        let waiting = self.waiting.get_or_insert_with(begin);
        let allowed = self.timeout + PACE.time_for(waiting.written);
        let left = allowed.saturating_sub(waiting.since.elapsed()).min(self.timeout);
        let timer = waiting.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(left)));
        timer.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        self.progress.moved(buffer.filled().len() - before);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.watch(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        self.watch(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The caller flushes once it has nothing more to write.
        if self.waiting.take().is_some() {
            self.progress.step();
        }
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

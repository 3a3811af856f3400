//! The body of an answer: bytes in memory, or a file that is read as fast as the caller reads the answer.

use std::fmt;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http_body_util::Full;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::task::JoinHandle;

use super::File;

/// The body of an answer.
pub(crate) enum Body {
    Whole(Full<Bytes>),
    File(Part),
}

/// A part of a file. One piece of it is in memory at a time: the next piece is read once this one is sent.
pub(crate) struct Part {
    file: Arc<dyn File>,
    left: Range<u64>,
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl Body {
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self::Whole(Full::new(bytes))
    }

    pub(super) fn of(file: Arc<dyn File>, part: Range<u64>) -> Self {
        Self::File(Part { file, left: part, reading: None })
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::Whole(Full::default())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Body").field("bytes", &self.size_hint().exact()).finish_non_exhaustive()
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Pin::new(bytes).poll_frame(cx).map_err(|never| match never {}),
            Self::File(part) => {
                part.poll(cx).map(|piece| piece.transpose().map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_end_stream(),
            Self::File(part) => part.left.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => bytes.size_hint(),
            Self::File(part) => SizeHint::with_exact(part.left.end.saturating_sub(part.left.start)),
        }
    }
}

impl Part {
    /// Reads the next piece; `None` at the end. An error ends the connection: the head has already promised the bytes.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if self.left.is_empty() {
            return Poll::Ready(Ok(None));
        }
        let reading = self.reading.get_or_insert_with(|| {
            let (file, at) = (self.file.clone(), self.left.start);
            tokio::task::spawn_blocking(move || file.read(at))
        });
        let read = ready!(Pin::new(reading).poll(cx)).map_err(io::Error::other);
        self.reading = None;
        let mut bytes = match read.flatten() {
            Ok(bytes) if bytes.is_empty() => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(%error, "a file cannot be read to its end");
                return Poll::Ready(Err(error));
            }
        };
        let wanted = usize::try_from(self.left.end - self.left.start).unwrap_or(usize::MAX);
        bytes.truncate(wanted);
        self.left.start += bytes.len() as u64;
        Poll::Ready(Ok(Some(Bytes::from(bytes))))
    }
}

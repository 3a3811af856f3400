//! The frames queued for a caller's WebSocket: counted to the byte, and freed once written.
//!
//! Start from [`Outgoing`]. Many short messages are written together; a long one is never copied.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use crate::server::admission::{Charge, ConnectionPermit};

/// Messages up to this many bytes are gathered in chunks of this size.
const CHUNK_BYTES: usize = 16 << 10;
/// Chunks passed to the system in one vectored write.
const CHUNKS_PER_WRITE: usize = 16;

/// The writing half of a caller's WebSocket.
pub(super) struct Outgoing {
    chunks: VecDeque<Vec<u8>>,
    /// Bytes of the first chunk that are already written.
    written: usize,
    bytes: usize,
    is_flushed: bool,
    charge: Charge,
}

impl Outgoing {
    pub(super) fn new(permit: &ConnectionPermit) -> Self {
        Self { chunks: VecDeque::new(), written: 0, bytes: 0, is_flushed: true, charge: permit.hold(0) }
    }

    pub(super) fn text(&mut self, text: String) {
        self.header(OpCode::Data(Data::Text), text.len());
        if text.len() <= CHUNK_BYTES {
            return self.append(text.as_bytes());
        }
        self.bytes += text.len();
        self.chunks.push_back(text.into_bytes());
    }

    pub(super) fn ping(&mut self) {
        self.header(OpCode::Control(Control::Ping), 0);
    }

    pub(super) fn pong(&mut self, payload: &[u8]) {
        self.header(OpCode::Control(Control::Pong), payload.len());
        self.append(payload);
    }

    pub(super) fn close(&mut self, code: Option<CloseCode>, reason: &str) {
        let code = code.map(|code| u16::from(code).to_be_bytes());
        let code = code.as_ref().map_or(&[][..], |code| code);
        self.header(OpCode::Control(Control::Close), code.len() + reason.len());
        self.append(code);
        self.append(reason.as_bytes());
    }

    fn header(&mut self, opcode: OpCode, bytes: usize) {
        let header = FrameHeader { is_final: true, opcode, ..FrameHeader::default() };
        let mut text = Vec::with_capacity(16);
        header.format(bytes as u64, &mut text).expect("a Vec takes everything");
        self.append(&text);
        self.is_flushed = false;
    }

    fn append(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        match self.chunks.back_mut().filter(|chunk| chunk.len() + bytes.len() <= CHUNK_BYTES) {
            Some(chunk) => chunk.extend_from_slice(bytes),
            None => self.chunks.push_back(bytes.to_vec()),
        }
    }

    /// Returns the bytes queued.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns whether the operating system has taken everything.
    pub(super) fn is_flushed(&self) -> bool {
        self.is_flushed
    }

    /// Charges the queued bytes, and `more` that will be queued.
    pub(super) fn account(&mut self, more: usize) {
        self.charge.resize(self.bytes + more);
    }

    /// Writes as much as the socket takes. Ready once everything is flushed.
    pub(super) fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        socket: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_flushed {
            return Poll::Ready(Ok(()));
        }
        while self.bytes > 0 {
            let written = ready!(self.poll_write(socket, cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.remove(written);
        }
        ready!(Pin::new(socket).poll_flush(cx))?;
        self.is_flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_write<S: AsyncWrite + Unpin>(
        &self,
        socket: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); CHUNKS_PER_WRITE];
        let mut skipped = self.written;
        let chunks = self.chunks.iter().map(|chunk| {
            let rest = &chunk[skipped..];
            skipped = 0;
            rest
        });
        let count = slices.iter_mut().zip(chunks).map(|(slice, rest)| *slice = IoSlice::new(rest)).count();
        Pin::new(socket).poll_write_vectored(cx, &slices[..count])
    }

    fn remove(&mut self, written: usize) {
        self.bytes -= written;
        self.written += written;
        while let Some(first) = self.chunks.front().map(Vec::len).filter(|first| *first <= self.written) {
            self.written -= first;
            self.chunks.pop_front();
        }
    }
}

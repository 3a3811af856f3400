//! Reading messages from a caller's WebSocket (RFC 6455), in no more memory than was reserved for them.
//!
//! Start from [`Frames::poll_next`]. The length in a header is bounded and reserved before a byte of the payload is read,
//! and the memory of a message is freed with the message. The buffers of a library, in contrast, stay as large as the
//! largest message that passed through them, for as long as the connection lasts.

use std::io::Cursor;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use crate::server::admission::{Charge, ConnectionPermit, QuotaExceeded};
use crate::write_timeout::PACE;

/// The buffer is allocated per connection. Most requests are far smaller.
const BUFFER_BYTES: usize = 8 << 10;
/// The most bytes of a control frame's payload (RFC 6455, section 5.5).
const CONTROL_BYTES_MAX: usize = 125;

/// A message or control frame from a caller.
#[derive(Debug)]
pub(super) enum Received {
    /// A message, and the memory reserved for it.
    Text(String, Charge),
    Binary,
    Ping(Vec<u8>),
    Pong,
    /// The caller closes the connection; with the code to send back, if there is one.
    Close(Option<CloseCode>),
}

/// Why no more messages can be read.
#[derive(Debug)]
pub(super) enum Broken {
    /// The connection is gone.
    Lost,
    Protocol,
    TooLong,
    NotText,
    TooSlow,
    /// There is no room for the message.
    QuotaExceeded,
}

/// The reading half of a caller's WebSocket.
pub(super) struct Frames {
    buffer: Box<[u8]>,
    /// The first byte of `buffer` that is not parsed yet.
    start: usize,
    end: usize,
    frame: Option<Frame>,
    /// The incomplete message, if there is one.
    message: Option<Message>,
    control: Vec<u8>,
    reserving: Option<BoxFuture<'static, Result<Charge, QuotaExceeded>>>,
    message_bytes_max: usize,
    message_timeout: MessageTimeout,
}

/// A frame whose header was read.
#[derive(Clone, Copy)]
struct Frame {
    opcode: OpCode,
    is_final: bool,
    mask: [u8; 4],
    left: usize,
    done: usize,
    /// Whether memory is reserved for its payload.
    is_reserved: bool,
}

struct Message {
    is_text: bool,
    bytes: Vec<u8>,
    charges: Option<Charge>,
}

impl Frames {
    /// Returns a reader that starts with `read`, the bytes received behind the upgrade request.
    pub(super) fn new(read: &[u8], message_bytes_max: usize, timeout: Duration) -> Self {
        let mut buffer = vec![0; BUFFER_BYTES.max(read.len())].into_boxed_slice();
        buffer[..read.len()].copy_from_slice(read);
        Self {
            buffer,
            start: 0,
            end: read.len(),
            frame: None,
            message: None,
            control: vec![],
            reserving: None,
            message_bytes_max,
            message_timeout: MessageTimeout::new(timeout),
        }
    }

    /// Returns the next message. Fails when a caller does not complete a message in time.
    pub(super) fn poll_next<S: AsyncRead + Unpin>(
        &mut self,
        socket: &mut S,
        permit: &ConnectionPermit,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Received, Broken>> {
        loop {
            if let Some(received) = ready!(self.poll_buffered(permit, cx))? {
                self.message_timeout.reset();
                return Poll::Ready(Ok(received));
            }
            ready!(self.poll_fill(socket, cx))?;
        }
    }

    /// Frees an incomplete message: nothing more will be read.
    pub(super) fn give_up(&mut self) {
        (self.frame, self.message, self.reserving) = (None, None, None);
    }

    /// Stops the clock of an incomplete message: the server has paused reading, not the caller sending.
    pub(super) fn pause(&mut self) {
        self.message_timeout.pause();
    }

    /// Parses the buffered bytes; ready with `None` when more bytes are needed.
    fn poll_buffered(
        &mut self,
        permit: &ConnectionPermit,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Received>, Broken>> {
        loop {
            let Some(frame) = self.frame else {
                if !self.read_header()? {
                    return Poll::Ready(Ok(None));
                }
                continue;
            };
            if !frame.is_reserved {
                ready!(self.poll_reserve(frame, permit, cx))?;
                continue;
            }
            let received = self.read_payload(frame)?;
            if received.is_some() || self.frame.is_some() {
                return Poll::Ready(Ok(received));
            }
        }
    }

    /// Parses a header; returns `false` when the buffer does not hold all of the header.
    fn read_header(&mut self) -> Result<bool, Broken> {
        let mut cursor = Cursor::new(&self.buffer[self.start..self.end]);
        let Some((header, bytes)) = FrameHeader::parse(&mut cursor).map_err(|_| Broken::Protocol)? else {
            return Ok(false);
        };
        self.start += usize::try_from(cursor.position()).unwrap_or(0);
        let mask = header.mask.ok_or(Broken::Protocol)?;
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Broken::Protocol);
        }
        let left = usize::try_from(bytes).map_err(|_| Broken::TooLong)?;
        let FrameHeader { opcode, is_final, .. } = header;
        let is_reserved = self.check(opcode, is_final, left)?;
        self.frame = Some(Frame { opcode, is_final, mask, left, done: 0, is_reserved });
        Ok(true)
    }

    /// Checks that a frame is valid at this point; returns whether its payload needs no reservation.
    fn check(&mut self, opcode: OpCode, is_final: bool, bytes: usize) -> Result<bool, Broken> {
        match (opcode, &self.message) {
            (OpCode::Control(Control::Close | Control::Ping | Control::Pong), _) => {
                self.control.clear();
                let is_short = bytes <= CONTROL_BYTES_MAX && is_final;
                if is_short { Ok(true) } else { Err(Broken::Protocol) }
            }
            (OpCode::Data(Data::Text | Data::Binary), None) if bytes > self.message_bytes_max => {
                Err(Broken::TooLong)
            }
            (OpCode::Data(Data::Text | Data::Binary), None) => Ok(false),
            (OpCode::Data(Data::Continue), Some(message)) => {
                let is_within = bytes <= self.message_bytes_max - message.bytes.len();
                if is_within { Ok(false) } else { Err(Broken::TooLong) }
            }
            _ => Err(Broken::Protocol),
        }
    }

    fn poll_reserve(
        &mut self,
        frame: Frame,
        permit: &ConnectionPermit,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        let charge = match &mut self.reserving {
            Some(reserving) => ready!(reserving.as_mut().poll(cx)),
            None => match permit.try_reserve(frame.left) {
                Some(charge) => Ok(charge),
                None => {
                    self.message_timeout.pause();
                    self.reserving = Some(Box::pin(permit.reserve(frame.left)));
                    return self.poll_reserve(frame, permit, cx);
                }
            },
        };
        self.reserving = None;
        self.begin(frame, charge.map_err(|_| Broken::QuotaExceeded)?);
        Poll::Ready(Ok(()))
    }

    fn begin(&mut self, frame: Frame, charge: Charge) {
        let is_text = frame.opcode == OpCode::Data(Data::Text);
        let message = self.message.get_or_insert(Message { is_text, bytes: vec![], charges: None });
        match message.bytes.is_empty() {
            // Most messages are one frame: a buffer that grows by doubling would exceed the reservation.
            true => message.bytes.reserve_exact(frame.left),
            false => message.bytes.reserve(frame.left),
        }
        match &mut message.charges {
            Some(charges) => charges.join(charge),
            none => *none = Some(charge),
        }
        self.frame = Some(Frame { is_reserved: true, ..frame });
    }

    /// Takes the buffered part of the frame's payload; returns the message or control frame that it completes.
    fn read_payload(&mut self, mut frame: Frame) -> Result<Option<Received>, Broken> {
        let bytes = frame.left.min(self.end - self.start);
        let payload = &mut self.buffer[self.start..self.start + bytes];
        unmask(payload, frame.mask, frame.done);
        match (&frame.opcode, &mut self.message) {
            (OpCode::Data(_), Some(message)) => message.bytes.extend_from_slice(payload),
            _ => self.control.extend_from_slice(payload),
        }
        self.start += bytes;
        frame.done += bytes;
        frame.left -= bytes;
        self.message_timeout.received(bytes);
        self.frame = (frame.left > 0).then_some(frame);
        if frame.left > 0 { Ok(None) } else { self.finish(frame) }
    }

    fn finish(&mut self, frame: Frame) -> Result<Option<Received>, Broken> {
        let control = match frame.opcode {
            OpCode::Data(_) => {
                let complete = self.message.take_if(|_| frame.is_final);
                return complete.map(Message::finish).transpose();
            }
            OpCode::Control(control) => control,
        };
        match control {
            Control::Close => close_code(&self.control).map(|code| Some(Received::Close(code))),
            Control::Ping => Ok(Some(Received::Ping(std::mem::take(&mut self.control)))),
            _ => Ok(Some(Received::Pong)),
        }
    }

    fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        socket: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let mut room = ReadBuf::new(&mut self.buffer[self.end..]);
        match Pin::new(socket).poll_read(cx, &mut room) {
            Poll::Ready(Ok(())) if !room.filled().is_empty() => {
                self.end += room.filled().len();
                self.message_timeout.pause();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(_) => Poll::Ready(Err(Broken::Lost)),
            // Between messages a caller may be silent for any time.
            Poll::Pending if self.message.is_none() && self.frame.is_none() && self.end == 0 => Poll::Pending,
            Poll::Pending => self.message_timeout.poll(cx).map(|()| Err(Broken::TooSlow)),
        }
    }
}

impl Message {
    fn finish(self) -> Result<Received, Broken> {
        let Some(charge) = self.charges.filter(|_| self.is_text) else { return Ok(Received::Binary) };
        let text = String::from_utf8(self.bytes).map_err(|_| Broken::NotText)?;
        Ok(Received::Text(text, charge))
    }
}

/// Unmasks, a word at a time, a part of a payload that begins `done` bytes behind the payload's beginning.
fn unmask(part: &mut [u8], mut mask: [u8; 4], done: usize) {
    mask.rotate_left(done % 4);
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = part.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

fn close_code(payload: &[u8]) -> Result<Option<CloseCode>, Broken> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(None) } else { Err(Broken::Protocol) };
    };
    let code = CloseCode::from(u16::from_be_bytes(*code));
    match std::str::from_utf8(reason) {
        Err(_) => Err(Broken::NotText),
        Ok(_) if code.is_allowed() => Ok(Some(code)),
        Ok(_) => Err(Broken::Protocol),
    }
}

/// The time limit of a message: `timeout`, and more the more bytes of it have arrived.
struct MessageTimeout {
    timeout: Duration,
    received: usize,
    /// How long the server waited for the caller before the current wait, which began at `since`.
    waited: Duration,
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl MessageTimeout {
    fn new(timeout: Duration) -> Self {
        Self { timeout, received: 0, waited: Duration::ZERO, since: None, timer: None }
    }

    fn received(&mut self, bytes: usize) {
        self.received += bytes;
    }

    fn pause(&mut self) {
        self.waited += self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        self.timer = None;
    }

    fn reset(&mut self) {
        (self.received, self.waited, self.since, self.timer) = (0, Duration::ZERO, None, None);
    }

    /// Ready when the time limit is exceeded.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.since.get_or_insert_with(Instant::now);
        let left = (self.timeout + PACE.time_for(self.received)).saturating_sub(self.waited);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(left)));
        timer.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_comes_off_wherever_a_part_begins() {
        let mask = [1, 2, 4, 8];
        let masked: Vec<u8> = (0..50).map(|place| b'x' ^ mask[place % 4]).collect();
        for cut in 0..masked.len() {
            let (mut first, mut second) = (masked[..cut].to_vec(), masked[cut..].to_vec());
            unmask(&mut first, mask, 0);
            unmask(&mut second, mask, cut);
            assert_eq!([first, second].concat(), [b'x'; 50]);
        }
    }
}

//! Messages as bytes on the socket between a driver and its worker process.
//!
//! A frame is a length (four bytes, little-endian) and that many bytes of DAG-CBOR. One read or write
//! can carry many frames. A claimed length allocates nothing: the buffer grows with the bytes received.

use libvms_protocol::entry::Limits;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::identity::Api;
use super::message::{FileReply, Report, Request, WorldReply};

/// Exit code of a worker started with arguments that no host of this version passes.
pub(super) const EXIT_USAGE: i32 = 2;
/// Exit code after a panic: a defect of ours (`EX_SOFTWARE` of sysexits.h).
pub(super) const EXIT_PANICKED: i32 = 70;

/// Bytes of a frame's length prefix.
const LENGTH_BYTES: usize = 4;
/// Bytes requested from the socket in one read.
const READ_BYTES: usize = 64 * 1024;
/// More than a message has beside its texts, such as the names of fields.
const ENVELOPE_BYTES: u64 = 1 << 20;

/// A message of the driver.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToWorker {
    /// The first frame.
    Start(Api, Limits),
    Request(Request),
    Reply(FileReply),
    World(WorldReply),
    #[cfg(all(debug_assertions, feature = "test-support"))]
    EscapeAttempt(EscapeAttempt),
}

/// A message of the worker. Hostile, once it has seen a script.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromWorker {
    /// The first frame: the lockdown is complete except for these parts, which the system lacks.
    Ready {
        missing: Vec<Guard>,
    },
    Report(Report),
}

/// A part of the lockdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Guard {
    /// Descriptors that a careless library left open are closed.
    Descriptors,
    /// Bounds on memory, files and processes.
    Limits,
    /// Other processes of the same user cannot read the worker's memory.
    HiddenMemory,
    /// No files and no network.
    Landlock,
    /// No system calls except those that computing needs.
    Seccomp,
}

impl Guard {
    /// Returns the system's missing feature, for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Descriptors => "close_range (Linux 5.9)",
            Self::Limits => "resource limits",
            Self::HiddenMemory => "PR_SET_DUMPABLE",
            Self::Landlock => "landlock (Linux 5.13, enabled in the kernel)",
            Self::Seccomp => "seccomp filters",
        }
    }
}

/// An attack that native code might try after breaking out of the engine: a test makes a worker try it and expects
/// the worker's end. No program has it that is built without the feature `test-support`.
#[cfg(all(debug_assertions, feature = "test-support"))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EscapeAttempt {
    /// Does nothing; succeeds.
    Nothing,
    /// Reads a file.
    OpenFile,
    /// Creates a file.
    CreateFile,
    /// Creates a socket.
    Socket,
    /// Starts a process.
    Fork,
    /// Executes another program.
    Execute,
    /// Sends a signal to a process.
    Signal(i32),
    /// Attaches to a process as its debugger.
    Trace(i32),
    /// Reads the memory of a process.
    ReadMemory(i32),
    /// Maps memory that is executable.
    ExecutableMemory,
    /// Writes bytes to the driver as they are.
    Say(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Panics in our own code.
    Panic,
    /// Uses memory until there is no more.
    ExhaustMemory,
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameError {
    /// Longer than any message can be.
    TooLong,
    /// Not a message.
    Malformed,
}

/// Returns the longest frame that a worker with such limits sends: all text and all bytes of a message come from its heap.
pub(super) fn frame_bytes_max(limits: &Limits) -> usize {
    let bytes = limits.memory.saturating_add(ENVELOPE_BYTES).min(u64::from(u32::MAX));
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Appends a message to a buffer.
///
/// # Errors
/// When it is longer than four gigabytes.
pub(super) fn encode(message: &impl Serialize, buffer: &mut Vec<u8>) -> Result<(), FrameError> {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; LENGTH_BYTES]);
    serde_ipld_dagcbor::to_writer(&mut *buffer, message).map_err(|_| FrameError::Malformed)?;
    let length = u32::try_from(buffer.len() - start - LENGTH_BYTES).map_err(|_| FrameError::TooLong)?;
    buffer[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// Received bytes, and the frames in them.
#[derive(Debug)]
pub(super) struct Frames {
    buffer: Vec<u8>,
    /// The start of the next frame.
    start: usize,
    /// The end of the received bytes.
    end: usize,
    frame_bytes_max: usize,
}

impl Frames {
    pub(super) fn new(frame_bytes_max: usize) -> Self {
        Self { buffer: vec![], start: 0, end: 0, frame_bytes_max }
    }

    /// Sets another limit for the following frames.
    pub(super) fn set_frame_bytes_max(&mut self, bytes: usize) {
        self.frame_bytes_max = bytes;
    }

    /// Decodes the next message; `None` if it is incomplete.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let waiting = &self.buffer[self.start..self.end];
        let Some((length, rest)) = waiting.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| FrameError::TooLong)?;
        if length > self.frame_bytes_max {
            return Err(FrameError::TooLong);
        }
        let Some(frame) = rest.get(..length) else { return Ok(None) };
        let message = serde_ipld_dagcbor::from_slice(frame).map_err(|_| FrameError::Malformed)?;
        self.start += LENGTH_BYTES + length;
        Ok(Some(message))
    }

    /// Adds the bytes of one read; 0 at the end of the stream.
    pub(super) fn fill(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> std::io::Result<usize>,
    ) -> std::io::Result<usize> {
        self.make_room();
        let count = read(&mut self.buffer[self.end..])?;
        self.end += count;
        Ok(count)
    }

    /// Moves the unread rest to the front; releases the capacity that a large frame has taken.
    fn make_room(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        // Twice the received bytes, so that a frame of any length is copied a bounded number of times.
        let length = self.end.saturating_mul(2).max(READ_BYTES);
        if self.buffer.len() < length || self.buffer.len() > length.saturating_mul(4) {
            self.buffer.resize(length, 0);
            self.buffer.shrink_to(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Console;

    fn line(text: &str) -> FromWorker {
        FromWorker::Report(Report::Console(Console { level: "log".into(), text: text.into() }))
    }

    /// Adds bytes in pieces, and counts the messages on the way.
    fn count(frames: &mut Frames, bytes: &[u8], piece: usize) -> Result<usize, FrameError> {
        let mut messages = 0;
        for mut piece in bytes.chunks(piece) {
            while !piece.is_empty() {
                frames.fill(|buffer| std::io::Read::read(&mut piece, buffer)).expect("memory can be read");
                while frames.next::<FromWorker>()?.is_some() {
                    messages += 1;
                }
            }
        }
        Ok(messages)
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut() {
        let mut bytes = vec![];
        for length in [0, 1, 1000, 200_000, 3] {
            encode(&line(&"x".repeat(length)), &mut bytes).expect("short");
        }
        for piece in [1, 7, 4096, bytes.len()] {
            assert_eq!(count(&mut Frames::new(1 << 20), &bytes, piece), Ok(5));
        }
    }

    #[test]
    fn a_frame_may_have_the_most_and_not_one_byte_more() {
        let mut bytes = vec![];
        encode(&line("text"), &mut bytes).expect("short");
        let length = bytes.len() - LENGTH_BYTES;
        assert_eq!(count(&mut Frames::new(length), &bytes, 64), Ok(1));
        assert_eq!(count(&mut Frames::new(length - 1), &bytes, 64), Err(FrameError::TooLong));
        assert_eq!(count(&mut Frames::new(1 << 20), &[0xff; 4], 4), Err(FrameError::TooLong));
    }

    #[test]
    fn undecodable_messages_are_refused() {
        for body in [
            &b""[..],
            b"\xff",
            b"\xa1\x66Report\x01",
            b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x5a\x7f\xff\xff\xff",
        ] {
            let mut bytes = u32::try_from(body.len()).expect("short").to_le_bytes().to_vec();
            bytes.extend_from_slice(body);
            assert_eq!(count(&mut Frames::new(1 << 20), &bytes, 64), Err(FrameError::Malformed), "{body:x?}");
        }
    }
}

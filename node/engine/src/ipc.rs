//! Messages as bytes on the socket between a driver and its worker process.
//!
//! A frame is a length (four bytes, little-endian) and that many bytes of DAG-CBOR. Many frames come with one read
//! and go with one write. Nothing is allocated for a length that was only claimed: the buffer grows with what comes.

use libvms_protocol::entry::Limits;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::message::{FileReply, Report, Request};

/// A worker's exit code: started with arguments that no host of this version gives.
pub(super) const EXIT_USAGE: i32 = 2;
/// A panic: a defect of ours (`EX_SOFTWARE` of sysexits.h).
pub(super) const EXIT_PANICKED: i32 = 70;

/// Bytes of the length in front of a frame.
const LENGTH_BYTES: usize = 4;
/// Bytes that are asked of the socket at a time.
const READ_BYTES: usize = 64 * 1024;
/// More than the names of fields and what else surrounds the texts of a message.
const ENVELOPE_BYTES: u64 = 1 << 20;

/// What a driver says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToWorker {
    /// The first frame.
    Start(Limits),
    Request(Request),
    Reply(FileReply),
    #[cfg(debug_assertions)]
    EscapeAttempt(EscapeAttempt),
}

/// What a worker says. Hostile, once it has seen a script.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromWorker {
    /// The first frame: the lock is closed but for these parts, which the system does not have.
    Ready {
        missing: Vec<Guard>,
    },
    Report(Report),
}

/// A part of the lock.
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
    /// No system calls but those that computing needs.
    Seccomp,
}

impl Guard {
    /// What the system does not have, for people.
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

/// One thing to try that native code might try which has broken out of the engine. In debug builds only: a test asks a
/// worker to do it and expects the worker's end.
#[cfg(debug_assertions)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EscapeAttempt {
    /// Nothing; comes through.
    Nothing,
    /// Reads a file.
    OpenFile,
    /// Makes a file.
    CreateFile,
    /// Makes a socket.
    Socket,
    /// Starts a process.
    Fork,
    /// Becomes another program.
    Execute,
    /// Sends a signal to a process.
    Signal(i32),
    /// Becomes the debugger of a process.
    Trace(i32),
    /// Reads the memory of a process.
    ReadMemory(i32),
    /// Makes memory that holds code.
    ExecutableMemory,
    /// Writes bytes to the driver as they are.
    Say(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Fails in our own code.
    Panic,
    /// Uses memory until there is no more.
    ExhaustMemory,
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameError {
    /// Longer than any message can be.
    TooLong,
    /// Not a message.
    Malformed,
}

/// The longest frame that a worker with such limits sends: all text and all bytes of a message come out of its heap.
pub(super) fn frame_bytes_max(limits: &Limits) -> usize {
    let bytes = limits.memory.saturating_add(ENVELOPE_BYTES).min(u64::from(u32::MAX));
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Appends a message to a buffer.
///
/// # Errors
/// Where it is longer than four gigabytes.
pub(super) fn encode(message: &impl Serialize, buffer: &mut Vec<u8>) -> Result<(), FrameError> {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; LENGTH_BYTES]);
    serde_ipld_dagcbor::to_writer(&mut *buffer, message).map_err(|_| FrameError::Malformed)?;
    let length = u32::try_from(buffer.len() - start - LENGTH_BYTES).map_err(|_| FrameError::TooLong)?;
    buffer[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// Bytes that have come, and the frames in them.
#[derive(Debug)]
pub(super) struct Frames {
    buffer: Vec<u8>,
    /// Where the next frame starts.
    start: usize,
    /// Where the bytes end that have come.
    end: usize,
    frame_bytes_max: usize,
}

impl Frames {
    pub(super) fn new(frame_bytes_max: usize) -> Self {
        Self { buffer: vec![], start: 0, end: 0, frame_bytes_max }
    }

    /// Sets another bound for the frames to come.
    pub(super) fn set_frame_bytes_max(&mut self, bytes: usize) {
        self.frame_bytes_max = bytes;
    }

    /// Decodes the next message; `None` if it has not come to its end.
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

    /// Takes in what one read gives; 0 at the end.
    pub(super) fn fill(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> std::io::Result<usize>,
    ) -> std::io::Result<usize> {
        self.make_room();
        let count = read(&mut self.buffer[self.end..])?;
        self.end += count;
        Ok(count)
    }

    /// Moves what is left of the last read to the front; gives back what a large frame has taken.
    fn make_room(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        // Twice what has come, so that a frame of any length is copied a bounded number of times.
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

    /// Takes in bytes in pieces, and counts the messages on the way.
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
    fn what_is_no_message_is_refused() {
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

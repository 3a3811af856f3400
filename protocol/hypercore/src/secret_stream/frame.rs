//! Frames of the byte stream (npm secret-stream): three bytes of length, little-endian, then that many bytes.
//!
//! Start from [`FrameDecoder`], which takes a stream in any pieces. The content of a frame is encrypted, and this
//! module does not read it.

use thiserror::Error;

/// Bytes of the length in front of a frame.
pub const FRAME_PREFIX_BYTES: usize = 3;

/// Bytes of the longest frame that the format can express.
pub const FRAME_BYTES_MAX: usize = 0xff_ffff;

/// Bytes that encryption adds to a message: a tag and an authentication code.
pub const ENCRYPTION_BYTES: usize = 17;

/// Bytes of the longest message that fits into a frame.
pub const PLAINTEXT_BYTES_MAX: usize = FRAME_BYTES_MAX - ENCRYPTION_BYTES;

/// Capacity that a decoder keeps for the next frames. A long frame must not make it large for the rest of its life.
const KEPT_BYTES: usize = 256 * 1024;

/// A frame is longer than the maximum.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a frame has {length} bytes, the maximum is {maximum}")]
pub struct FrameTooLong {
    /// Bytes of the frame.
    pub length: usize,
    /// Bytes that are allowed.
    pub maximum: usize,
}

/// Returns the bytes of a frame with its length in front.
///
/// # Errors
/// If `body` is longer than [`FRAME_BYTES_MAX`].
pub fn encode_frame(body: &[u8]) -> Result<Vec<u8>, FrameTooLong> {
    let mut frame = vec![];
    put_frame(body, &mut frame)?;
    Ok(frame)
}

/// Appends the bytes of a frame, with its length in front, to `bytes`.
///
/// # Errors
/// As [`encode_frame`].
pub fn put_frame(body: &[u8], bytes: &mut Vec<u8>) -> Result<(), FrameTooLong> {
    check_length(body.len(), FRAME_BYTES_MAX)?;
    bytes.reserve(FRAME_PREFIX_BYTES + body.len());
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes()[..FRAME_PREFIX_BYTES]);
    bytes.extend_from_slice(body);
    Ok(())
}

/// Splits a stream of bytes into frames.
///
/// Push bytes with [`FrameDecoder::push`], then take frames until there are none. The decoder holds the bytes that were
/// pushed and not yet taken, and never allocates for bytes that were only announced.
#[derive(Clone, Debug)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were taken. They are dropped all at once, so that many small frames cost no copying each.
    taken: usize,
    /// Length of the next frame, once it was read: a long frame then begins at the start of the buffer when it is
    /// complete.
    length: Option<usize>,
    maximum: usize,
}

impl Default for FrameDecoder {
    fn default() -> Self {
        Self::new(FRAME_BYTES_MAX)
    }
}

impl FrameDecoder {
    /// Creates a decoder at the start of a stream whose frames have at most `maximum` bytes.
    pub fn new(maximum: usize) -> Self {
        Self { buffer: vec![], taken: 0, length: None, maximum }
    }

    /// Appends the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        if self.buffer.len() + bytes.len() <= KEPT_BYTES {
            self.buffer.shrink_to(KEPT_BYTES);
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes the next frame, without its length, if it is complete.
    ///
    /// # Errors
    /// If a frame is announced to be longer than the maximum. The stream cannot be read any further.
    pub fn take_frame(&mut self) -> Result<Option<&[u8]>, FrameTooLong> {
        let Some(length) = self.take_length()? else { return Ok(None) };
        let start = self.taken;
        let frame = self.buffer.get(start..start + length);
        if frame.is_some() {
            self.taken = start + length;
            self.length = None;
        }
        Ok(frame)
    }

    fn take_length(&mut self) -> Result<Option<usize>, FrameTooLong> {
        if self.length.is_none()
            && let Some(prefix) = self.buffer[self.taken..].first_chunk::<FRAME_PREFIX_BYTES>()
        {
            let length = u32::from_le_bytes([prefix[0], prefix[1], prefix[2], 0]) as usize;
            check_length(length, self.maximum)?;
            self.length = Some(length);
            self.taken += FRAME_PREFIX_BYTES;
        }
        Ok(self.length)
    }

    /// As [`FrameDecoder::take_frame`], but returns an owned buffer. A long frame is not copied: two copies would be
    /// large.
    ///
    /// # Errors
    /// As [`FrameDecoder::take_frame`].
    pub fn take_owned_frame(&mut self) -> Result<Option<Vec<u8>>, FrameTooLong> {
        let length = match self.take_frame()? {
            None => return Ok(None),
            Some(short) if short.len() <= KEPT_BYTES => return Ok(Some(short.to_vec())),
            Some(long) => long.len(),
        };
        let rest = self.buffer.split_off(self.taken);
        let mut frame = std::mem::replace(&mut self.buffer, rest);
        frame.drain(..self.taken - length);
        self.taken = 0;
        Ok(Some(frame))
    }

    /// Changes the maximum length of frames from now on.
    pub fn set_maximum(&mut self, maximum: usize) {
        self.maximum = maximum;
    }

    /// Returns the number of bytes that were pushed and not yet taken.
    pub fn buffered_bytes(&self) -> usize {
        let prefix = self.length.map_or(0, |_| FRAME_PREFIX_BYTES);
        prefix + self.buffer.len() - self.taken
    }

    /// Returns the number of bytes of memory in use: at most twice the longest frame and one push.
    pub fn memory_bytes(&self) -> usize {
        self.buffer.capacity()
    }
}

fn check_length(length: usize, maximum: usize) -> Result<(), FrameTooLong> {
    if length > maximum { Err(FrameTooLong { length, maximum }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_however_the_stream_is_cut() {
        let frames: [&[u8]; 4] = [b"one", b"", b"three and a bit more", &[7; 300]];
        let stream: Vec<u8> = frames.iter().flat_map(|frame| encode_frame(frame).expect("short")).collect();
        for piece in [1, 2, 3, 5, 100, stream.len()] {
            let mut decoder = FrameDecoder::default();
            let mut found = vec![];
            for bytes in stream.chunks(piece) {
                decoder.push(bytes);
                while let Some(frame) = decoder.take_frame().expect("short frames") {
                    found.push(frame.to_vec());
                }
            }
            assert_eq!(found, frames, "pieces of {piece}");
            assert_eq!(decoder.buffered_bytes(), 0);
        }
    }

    #[test]
    fn a_frame_above_the_maximum_is_refused_before_it_is_there() {
        let mut decoder = FrameDecoder::new(4);
        decoder.push(&[4, 0, 0, 1, 2, 3, 4, 5, 0, 0]);
        assert_eq!(decoder.take_frame(), Ok(Some(&[1, 2, 3, 4][..])));
        assert_eq!(decoder.take_frame(), Err(FrameTooLong { length: 5, maximum: 4 }));
    }

    #[test]
    fn a_long_frame_takes_no_room_once_it_is_taken() {
        let mut decoder = FrameDecoder::default();
        let frame = encode_frame(&vec![7; 9_000_000]).expect("short enough");
        for is_owned in [false, true] {
            decoder.push(&[1, 0, 0, 4]);
            frame.chunks(65_536).for_each(|bytes| decoder.push(bytes));
            assert_eq!(decoder.take_owned_frame(), Ok(Some(vec![4])));
            match is_owned {
                true => assert!(
                    decoder.take_owned_frame().expect("a frame").is_some_and(|long| long == frame[3..])
                ),
                false => {
                    assert!(decoder.take_frame().expect("a frame").is_some_and(|long| *long == frame[3..]))
                }
            }
            decoder.push(&[1, 0, 0, 5]);
            assert!(decoder.memory_bytes() <= KEPT_BYTES);
            assert_eq!(decoder.take_frame(), Ok(Some(&[5][..])));
        }
    }

    /// One more byte is refused.
    #[test]
    fn the_longest_frame_is_that_of_three_length_bytes() {
        let longest = encode_frame(&vec![0; FRAME_BYTES_MAX]).expect("fits");
        assert_eq!(&longest[..3], [0xff; 3]);
        assert!(encode_frame(&vec![0; FRAME_BYTES_MAX + 1]).is_err());
    }
}

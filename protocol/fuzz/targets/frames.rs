//! A byte stream, in pieces of any size, is split into frames; no more is buffered than has arrived.
#![no_main]

use libfuzzer_sys::fuzz_target;
use libvms_hypercore::secret_stream::FrameDecoder;

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = FrameDecoder::new(1000);
    let mut held = 0;
    let mut rest = bytes;
    while let [size, more @ ..] = rest {
        let (piece, behind) = more.split_at(more.len().min(usize::from(*size)));
        rest = behind;
        decoder.push(piece);
        held += piece.len();
        loop {
            match decoder.take_frame() {
                Ok(Some(frame)) => held -= 3 + frame.len(),
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert_eq!(decoder.buffered_bytes(), held);
    }
});

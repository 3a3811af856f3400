//! A stream that begins with its own handshake: Noise XX, then a secret stream, in frames with 3-byte lengths.
//!
//! Handshake and encryption are those of the crate `hypercore_handshake`. Only its part without I/O is used: its own
//! stream panics when a socket fails.

use std::fmt;

use hypercore_handshake::state_machine::hc_specific::generate_keypair;
use hypercore_handshake::{Cipher, CipherEvent, HandshakePattern};
use libvms_hypercore::secret_stream::frame::{FrameDecoder, encode_frame};
use libvms_hypercore::secret_stream::stream_id;
use libvms_hypercore::wire::{HandshakeHash, Role};

use super::SecretError;

/// Lengths of the frames that a responder receives before the first message: two Noise messages, and the encryption's
/// header. None has a payload, and `hypercore_handshake` panics on some other lengths.
const RESPONDER_RECEIVES: [usize; 3] = [32, 64, HEADER_BYTES];
/// The same for the initiator.
const INITIATOR_RECEIVES: [usize; 2] = [96, HEADER_BYTES];
/// A stream id, and the 24 bytes that begin the encryption.
const HEADER_BYTES: usize = 56;

/// Limit of the bytes that a stranger can make us keep before the handshake is complete.
pub(super) const HANDSHAKE_BYTES_MAX: usize = 1024;

/// One side of an encrypted stream. Received bytes go in with [`Shaken::receive`]; messages come out of
/// [`Shaken::poll_message`], and bytes to write out of [`Shaken::transmit`].
pub(super) struct Shaken {
    role: Role,
    cipher: Cipher,
    frames: FrameDecoder,
    /// The number of handshake frames received.
    shaken: usize,
    is_established: bool,
    waiting: Vec<Vec<u8>>,
}

impl Shaken {
    /// Returns a stream for a connection that we opened (`Role::Initiator`) or accepted.
    ///
    /// # Errors
    /// When the system returns no random numbers.
    pub(super) fn new(role: Role) -> Result<Self, SecretError> {
        let pattern = HandshakePattern::XX;
        let cipher = match role {
            Role::Initiator => Cipher::new_dht_init_with_pattern(None, pattern, None, &[])?,
            Role::Responder => {
                Cipher::resp_from_private_with_pattern(None, &generate_keypair()?, pattern, &[])?
            }
        };
        Ok(Self {
            role,
            cipher,
            frames: FrameDecoder::default(),
            shaken: 0,
            is_established: false,
            waiting: vec![],
        })
    }

    /// Returns the role of this side.
    pub(super) fn role(&self) -> Role {
        self.role
    }

    /// Returns whether the handshake is complete.
    pub(super) fn is_established(&self) -> bool {
        self.is_established
    }

    /// Returns the handshake's hash, which only the two sides of this stream know, once the handshake is complete.
    pub(super) fn handshake_hash(&self) -> Option<HandshakeHash> {
        self.cipher.handshake_hash().and_then(|hash| hash.try_into().ok()).map(HandshakeHash)
    }

    /// Takes bytes from the socket, in pieces of any size.
    ///
    /// # Errors
    /// When the bytes do not belong to this stream.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<(), SecretError> {
        self.frames.push(bytes);
        while !self.is_established {
            let Some(frame) = self.frames.take_owned_frame()? else { break };
            self.check_handshake(&frame)?;
            self.cipher.receive_next(frame);
            self.pump()?;
            if self.cipher.ready() {
                self.establish();
            }
        }
        if !self.is_established && self.frames.buffered_bytes() > HANDSHAKE_BYTES_MAX {
            return Err(SecretError::LongHandshake);
        }
        Ok(())
    }

    /// Returns the next message; an empty one is a keep-alive.
    ///
    /// # Errors
    /// When the message is not authentic.
    pub(super) fn poll_message(&mut self) -> Result<Option<Vec<u8>>, SecretError> {
        loop {
            match self.cipher.next_decrypted_message()? {
                Some(CipherEvent::Message(message)) => return Ok(Some(message)),
                // Payloads are empty in this protocol, and nobody would check their content.
                Some(CipherEvent::HandshakePayload(_)) => {}
                Some(CipherEvent::ErrStuff(error)) => return Err(error.into()),
                None if self.is_established => match self.frames.take_owned_frame()? {
                    Some(frame) => self.cipher.receive_next(frame),
                    None => return Ok(None),
                },
                None => return Ok(None),
            }
        }
    }

    /// Returns the bytes of memory used for incomplete messages.
    pub(super) fn memory_bytes(&self) -> usize {
        self.frames.memory_bytes()
    }

    /// Sends a message, after the handshake if that is not complete.
    pub(super) fn send(&mut self, message: Vec<u8>) {
        // The cipher would treat an early message as a payload of the handshake, which is not encrypted in every message.
        if self.is_established { self.cipher.queue_msg(message) } else { self.waiting.push(message) }
    }

    /// Appends the bytes to write to the socket to `bytes`; nothing if there are none.
    ///
    /// # Errors
    /// When the stream is over.
    pub(super) fn transmit(&mut self, bytes: &mut Vec<u8>) -> Result<(), SecretError> {
        while let Some(message) = self.cipher.get_next_sendable_message()? {
            bytes.extend_from_slice(&encode_frame(&message)?);
        }
        Ok(())
    }

    /// Checks the lengths, and the stream id in the last frame, which the cipher relies on without a check.
    fn check_handshake(&mut self, frame: &[u8]) -> Result<(), SecretError> {
        let lengths: &[usize] = match self.role {
            Role::Initiator => &INITIATOR_RECEIVES,
            Role::Responder => &RESPONDER_RECEIVES,
        };
        let expected = lengths.get(self.shaken).copied().unwrap_or(HEADER_BYTES);
        if frame.len() != expected {
            return Err(SecretError::HandshakeFrame { length: frame.len(), expected });
        }
        self.shaken += 1;
        match self.handshake_hash() {
            Some(hash) if !frame.starts_with(&stream_id(self.role.other(), &hash)) => {
                Err(SecretError::OtherStream)
            }
            _ => Ok(()),
        }
    }

    /// Lets the cipher work, without taking out its events.
    fn pump(&mut self) -> Result<(), SecretError> {
        if let Some(event) = self.cipher.next_decrypted_message()? {
            debug_assert!(
                matches!(event, CipherEvent::HandshakePayload(_)),
                "no message before the handshake is over"
            );
        }
        Ok(())
    }

    /// Marks the handshake as complete: long frames are accepted, and pending messages can go.
    fn establish(&mut self) {
        self.is_established = true;
        for message in std::mem::take(&mut self.waiting) {
            self.cipher.queue_msg(message);
        }
    }
}

impl fmt::Debug for Shaken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Shaken");
        debug.field("role", &self.role).field("is_established", &self.is_established).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn transmit(stream: &mut Shaken) -> Vec<Vec<u8>> {
        let (mut bytes, mut decoder, mut frames) = (vec![], FrameDecoder::default(), vec![]);
        stream.transmit(&mut bytes).expect("our own bytes");
        decoder.push(&bytes);
        while let Some(frame) = decoder.take_frame().expect("short") {
            frames.push(frame.to_vec());
        }
        frames
    }

    /// Performs the handshake with a stream of this role; `change` may alter each frame that it receives, by its number.
    fn shake(role: Role, mut change: impl FnMut(usize, &mut Vec<u8>)) -> Result<Shaken, SecretError> {
        let (mut victim, mut other) = (Shaken::new(role)?, Shaken::new(role.other())?);
        let mut received = 0;
        for _ in 0..4 {
            for frame in transmit(&mut victim) {
                // The victim's frames are right; the remote may have been confused by the altered frames it never sent.
                other.receive(&encode_frame(&frame)?)?;
            }
            for mut frame in transmit(&mut other) {
                change(received, &mut frame);
                received += 1;
                victim.receive(&encode_frame(&frame)?)?;
                while victim.poll_message()?.is_some() {}
            }
        }
        Ok(victim)
    }

    #[test]
    fn an_honest_handshake_succeeds_on_both_sides() {
        for role in [Role::Initiator, Role::Responder] {
            assert!(shake(role, |_, _| {}).expect("honest").is_established());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        #[test]
        fn any_other_frame_in_a_handshake_is_an_error(
            is_initiator in any::<bool>(),
            step in 0..3_usize,
            frame in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..130),
                prop::sample::select(vec![32_usize, 56, 64, 96, 1000, 5000]).prop_map(|length| vec![9; length]),
            ],
        ) {
            let (role, step) = if is_initiator { (Role::Initiator, step % 2) } else { (Role::Responder, step) };
            let mut was_changed = false;
            let shaken = shake(role, |number, original| {
                if number == step && *original != frame {
                    was_changed = true;
                    original.clone_from(&frame);
                }
            });
            // The first message is a point that nobody has signed: the error shows at the next one.
            prop_assert!(was_changed && !shaken.is_ok_and(|stream| stream.is_established()));
        }

        #[test]
        fn a_changed_bit_in_a_handshake_is_an_error(
            is_initiator in any::<bool>(), step in 0..3_usize, bit in 0..448_usize,
        ) {
            let (role, step) = if is_initiator { (Role::Initiator, step % 2) } else { (Role::Responder, step) };
            let shaken = shake(role, |number, frame| {
                if number == step {
                    let bit = bit % (8 * frame.len());
                    frame[bit / 8] ^= 1 << (bit % 8);
                }
            });
            // The last 24 bytes of the header are a nonce: the first message shows that it is wrong.
            let is_nonce = |stream: &Shaken| stream.is_established() && bit % 448 >= 8 * 32;
            prop_assert!(shaken.is_err() || shaken.as_ref().is_ok_and(|stream| !stream.is_established() || is_nonce(stream)));
        }
    }
}

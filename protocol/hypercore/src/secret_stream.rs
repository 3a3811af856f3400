//! The encrypted stream between two peers, compatible with npm `@hyperswarm/secret-stream`: [`SecretStream`].
//!
//! ```text
//! frame     u24 length | body                     see `frame`
//! stream    handshake of Noise XX                 see `noise_xx`; none if one of Noise IK took place in the DHT
//!           | header | messages                   see `cipher`
//! ```
//!
//! Over TCP a stream begins with a handshake of its own, Noise XX ([`SecretStream::new`]). Peers that met through the
//! DHT completed one there, Noise IK ([`noise_ik`]), and their stream begins with its keys ([`SecretStream::from_keys`]).
//! After that all streams are alike.

mod cipher;
mod error;
pub mod frame;
mod keys;
mod noise;
pub mod noise_ik;
pub mod noise_xx;

pub use cipher::{HEADER_BYTES, NONCE_BYTES};
pub use error::SecretError;
pub use frame::FrameDecoder;
pub use keys::{HandshakeHash, Role, StreamKeys, stream_id};
pub use noise::NoiseError;

use self::cipher::Cipher;
use self::frame::{FRAME_BYTES_MAX, PLAINTEXT_BYTES_MAX, put_frame};
use crate::identity::SecretKey;

/// Random bytes that a stream with a handshake of its own needs: the seed of the key that this side proves in it, the
/// seed of the key for this handshake alone, and the nonce of the cipher.
pub const RANDOM_BYTES: usize = 32 + 32 + NONCE_BYTES;

/// One side of an encrypted stream.
///
/// Received bytes go in with [`SecretStream::receive`]; then messages come out of [`SecretStream::poll_message`], and
/// bytes to write out of [`SecretStream::transmit`]. After an error the stream is over: it must be dropped.
///
/// ```
/// use libvms_hypercore::secret_stream::{RANDOM_BYTES, Role, SecretStream};
///
/// let mut client = SecretStream::new(Role::Initiator, &[1; RANDOM_BYTES]); // Not random enough.
/// let mut server = SecretStream::new(Role::Responder, &[2; RANDOM_BYTES]);
/// client.send(b"hello".to_vec());
/// for _ in 0..3 {
///     let (mut to_server, mut to_client) = (vec![], vec![]);
///     client.transmit(&mut to_server);
///     server.receive(&to_server)?;
///     server.transmit(&mut to_client);
///     client.receive(&to_client)?;
/// }
/// assert_eq!(server.poll_message()?, Some(b"hello".to_vec()));
/// # Ok::<(), libvms_hypercore::secret_stream::SecretError>(())
/// ```
pub struct SecretStream {
    role: Role,
    stage: Stage,
    /// The nonce of the cipher, which starts with it after the handshake.
    nonce: [u8; NONCE_BYTES],
    frames: FrameDecoder,
    /// Frames of the handshake to write, and the header.
    opening: Vec<u8>,
    /// Messages to send once the stream is established.
    waiting: Vec<Vec<u8>>,
}

/// The frame that is expected next.
enum Stage {
    /// The first message of Noise XX.
    First(Box<noise_xx::Responder>),
    /// The second message of Noise XX.
    Second(Box<noise_xx::Initiator>),
    /// The third message of Noise XX.
    Third(Box<noise_xx::AnsweredResponder>),
    /// The header if the cipher is not open, then messages.
    Keyed(Box<Cipher>),
}

impl SecretStream {
    /// Creates a stream for a connection that we opened (`Role::Initiator`) or accepted. It begins with a handshake, in
    /// which this side proves a key that is nobody else's, and that nobody knows.
    ///
    /// `random` must be fresh.
    pub fn new(role: Role, random: &[u8; RANDOM_BYTES]) -> Self {
        let seed = |start| random[start..].first_chunk().expect("the array has two seeds");
        let (local, ephemeral_seed) = (SecretKey::from_seed(seed(0)), seed(32));
        let nonce = *random.last_chunk().expect("the array ends in a nonce");
        let (stage, first) = match role {
            Role::Initiator => {
                let (noise, first) = noise_xx::Initiator::begin(local, ephemeral_seed);
                (Stage::Second(Box::new(noise)), Some(first))
            }
            Role::Responder => {
                (Stage::First(Box::new(noise_xx::Responder::new(local, ephemeral_seed))), None)
            }
        };
        let mut stream = Self::from_stage(role, stage, nonce);
        first.into_iter().for_each(|first| stream.put(&first));
        stream
    }

    /// Creates a stream with the keys of a completed handshake. Its first bytes are the header, which is all that may be
    /// sent to a remote that has proved nothing. It is established once the remote's header has arrived.
    ///
    /// `nonce` must be fresh random bytes.
    pub fn from_keys(keys: StreamKeys, nonce: [u8; NONCE_BYTES]) -> Self {
        let (cipher, header) = Cipher::start(keys, nonce);
        let role = cipher.keys().role;
        let mut stream = Self::from_stage(role, Stage::Keyed(Box::new(cipher)), nonce);
        stream.put(&header);
        stream
    }

    fn from_stage(role: Role, stage: Stage, nonce: [u8; NONCE_BYTES]) -> Self {
        // Until the stream is established, no more than the next frame may be kept of a stranger.
        let frames = FrameDecoder::new(stage.frame_bytes_max());
        Self { role, stage, nonce, frames, opening: vec![], waiting: vec![] }
    }

    /// Returns the role of this side.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Returns whether the handshake is complete, and the remote's header has arrived: then the remote has proved that it
    /// can read our messages.
    pub fn is_established(&self) -> bool {
        self.stage.is_established()
    }

    /// Returns the hash of the handshake, once it is complete on this side. It is not secret.
    pub fn handshake_hash(&self) -> Option<HandshakeHash> {
        match &self.stage {
            Stage::Keyed(cipher) => Some(cipher.keys().hash),
            Stage::First(_) | Stage::Second(_) | Stage::Third(_) => None,
        }
    }

    /// Takes bytes from the socket, in pieces of any size.
    ///
    /// # Errors
    /// When the bytes do not belong to this stream.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), SecretError> {
        self.frames.push(bytes);
        while !self.is_established() {
            let Some(frame) = self.frames.take_owned_frame()? else { break };
            self.advance(&frame)?;
        }
        Ok(())
    }

    /// Takes the next frame of the handshake, or the header.
    fn advance(&mut self, frame: &[u8]) -> Result<(), SecretError> {
        match &mut self.stage {
            Stage::First(noise) => {
                let (noise, second) = noise.answer(frame)?;
                self.stage = Stage::Third(Box::new(noise));
                self.put(&second);
            }
            Stage::Second(noise) => {
                let (third, keys) = noise.finish(frame)?;
                self.put(&third);
                self.start(keys);
            }
            Stage::Third(noise) => {
                let keys = noise.finish(frame)?;
                self.start(keys);
            }
            Stage::Keyed(cipher) => cipher.open(frame)?,
        }
        self.frames.set_maximum(self.stage.frame_bytes_max());
        Ok(())
    }

    /// Starts the cipher after the handshake.
    fn start(&mut self, keys: StreamKeys) {
        let (cipher, header) = Cipher::start(keys, self.nonce);
        self.stage = Stage::Keyed(Box::new(cipher));
        self.put(&header);
    }

    fn put(&mut self, frame: &[u8]) {
        put_frame(frame, &mut self.opening).expect("frames of the handshake are short");
    }

    /// Returns the next message; an empty one is a keep-alive.
    ///
    /// # Errors
    /// When the message is not authentic.
    pub fn poll_message(&mut self) -> Result<Option<Vec<u8>>, SecretError> {
        match &mut self.stage {
            Stage::Keyed(cipher) => cipher.next_message(&mut self.frames),
            Stage::First(_) | Stage::Second(_) | Stage::Third(_) => Ok(None),
        }
    }

    /// Returns the bytes of memory used for incomplete messages.
    pub fn memory_bytes(&self) -> usize {
        self.frames.memory_bytes()
    }

    /// Sends a message, after the handshake if that is not complete. An empty one is a keep-alive.
    ///
    /// # Panics
    /// If it has more than [`PLAINTEXT_BYTES_MAX`] bytes.
    pub fn send(&mut self, message: Vec<u8>) {
        assert!(message.len() <= PLAINTEXT_BYTES_MAX, "the sender bounds its messages");
        self.waiting.push(message);
    }

    /// Appends the bytes to write to the socket to `bytes`; nothing if there are none.
    pub fn transmit(&mut self, bytes: &mut Vec<u8>) {
        bytes.append(&mut self.opening);
        if let Stage::Keyed(cipher) = &mut self.stage
            && cipher.is_open()
        {
            for mut message in self.waiting.drain(..) {
                cipher.encrypt(&mut message);
                put_frame(&message, bytes).expect("the message has been measured");
            }
        }
    }
}

impl Stage {
    fn is_established(&self) -> bool {
        matches!(self, Self::Keyed(cipher) if cipher.is_open())
    }

    /// Returns the bytes of the longest frame that may come next.
    fn frame_bytes_max(&self) -> usize {
        match self {
            Self::First(_) => noise_xx::FIRST_BYTES,
            Self::Second(_) => noise_xx::SECOND_BYTES,
            Self::Third(_) => noise_xx::THIRD_BYTES,
            Self::Keyed(cipher) if cipher.is_open() => FRAME_BYTES_MAX,
            Self::Keyed(_) => HEADER_BYTES,
        }
    }
}

impl std::fmt::Debug for SecretStream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = formatter.debug_struct("SecretStream");
        debug
            .field("role", &self.role)
            .field("is_established", &self.is_established())
            .finish_non_exhaustive()
    }
}

//! The encrypted stream and its handshakes against the reference's bytes, and against peers that break them.

mod noise_ik;
mod noise_xx;
mod streams;

/// Keys with which the secret would be known to everybody, and bytes that are no key.
const WEAK_KEYS: [[u8; 32]; 5] = [[0; 32], IDENTITY, OTHER_IDENTITY, ORDER_EIGHT, [0xff; 32]];

const IDENTITY: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
};

/// y = 1 + p: the identity, in a second encoding.
const OTHER_IDENTITY: [u8; 32] = {
    let mut bytes = [0xff; 32];
    (bytes[0], bytes[31]) = (0xee, 0x7f);
    bytes
};

const ORDER_EIGHT: [u8; 32] = [
    0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
    0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
];

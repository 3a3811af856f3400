//! `fixtures/callers/signatures.json`: the edges of the one predicate for signatures, at which verifiers differ (Chalkias and
//! others, "Taming the many EdDSAs"). Made here, with the points of a library; `fixtures/callers/check.py` judges them by its own.

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT as BASE, EIGHT_TORSION};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use data_encoding::HEXLOWER;
use libvms_hypercore::identity::{PublicKey, SecretKey, Signature};
use serde_json::json;
use sha2::{Digest, Sha512};

use crate::vector::fixtures;

/// The order of the group, in 32 bytes.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// A key, a message and a signature of it, whatever they are worth.
struct Case {
    name: String,
    why: &'static str,
    key: [u8; 32],
    message: Vec<u8>,
    sig: [u8; 64],
    holds: bool,
}

struct Cases(Vec<Case>);

impl Cases {
    fn add(&mut self, name: &str, why: &'static str, holds: bool, parts: ([u8; 32], &[u8], [u8; 64])) {
        let (key, message, sig) = parts;
        self.0.push(Case { name: name.into(), why, key, message: message.into(), sig, holds });
    }
}

fn joined(r: &[u8; 32], s: &[u8; 32]) -> [u8; 64] {
    let mut sig = [0; 64];
    sig[..32].copy_from_slice(r);
    sig[32..].copy_from_slice(s);
    sig
}

fn halves(sig: &[u8; 64]) -> ([u8; 32], [u8; 32]) {
    let (r, s) = sig.split_at(32);
    (r.try_into().expect("32 bytes"), s.try_into().expect("32 bytes"))
}

fn challenge(r: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new().chain_update(r).chain_update(key).chain_update(message);
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

/// Adds the order of the group so often to S.
fn plus_orders(s: [u8; 32], often: u16) -> [u8; 32] {
    let (mut carry, mut sum) = (0, [0; 32]);
    for ((out, one), order) in sum.iter_mut().zip(s).zip(ORDER) {
        let total = u16::from(one) + often * u16::from(order) + carry;
        (*out, carry) = ((total & 0xff) as u8, total >> 8);
    }
    assert_eq!(carry, 0, "it has 32 bytes");
    sum
}

/// A secret scalar, and another point of the key beside its multiple of the base.
struct OddKey {
    secret: Scalar,
    torsion: EdwardsPoint,
}

impl OddKey {
    fn public(&self) -> [u8; 32] {
        (BASE * self.secret + self.torsion).compress().0
    }

    /// Signs with R = r·B + `shift`. Whoever multiplies by the cofactor takes it; the exact equation holds only where `shift`
    /// is what the key's own odd part makes of it.
    fn sign(&self, message: &[u8], r: u64, shift: &EdwardsPoint) -> [u8; 64] {
        let r_scalar = Scalar::from(r);
        let point = (BASE * r_scalar + shift).compress().0;
        let k = challenge(&point, &self.public(), message);
        joined(&point, &(r_scalar + k * self.secret).to_bytes())
    }

    /// Returns whether the exact equation holds for a signature made with this shift.
    fn is_exact(&self, message: &[u8], r: u64, shift: &EdwardsPoint) -> bool {
        let point = (BASE * Scalar::from(r) + shift).compress().0;
        let k = challenge(&point, &self.public(), message);
        -(self.torsion * k) == *shift
    }

    /// Returns a signature for which the exact equation holds, or does not, by choosing r.
    fn sign_exactly(&self, message: &[u8], shift: &EdwardsPoint, is_exact: bool) -> [u8; 64] {
        let r = (1..).find(|r| self.is_exact(message, *r, shift) == is_exact).expect("one in eight");
        self.sign(message, r, shift)
    }
}

/// All encodings of points of small order: the eight, and those that a lenient reader reduces to them.
fn small_encodings() -> Vec<(String, [u8; 32], EdwardsPoint)> {
    let mut encodings = vec![];
    for (number, point) in EIGHT_TORSION.iter().enumerate() {
        encodings.push((format!("small-{number}"), point.compress().0, *point));
    }
    let with_sign = |mut bytes: [u8; 32]| {
        bytes[31] |= 0x80;
        bytes
    };
    let mut prime = [0xff; 32];
    (prime[0], prime[31]) = (0xed, 0x7f);
    let plus_one = |mut bytes: [u8; 32]| {
        bytes[0] += 1;
        bytes
    };
    let odd = [
        ("identity-with-sign", with_sign(EIGHT_TORSION[0].compress().0), EIGHT_TORSION[0]),
        ("order-2-with-sign", with_sign(EIGHT_TORSION[4].compress().0), EIGHT_TORSION[4]),
        ("identity-plus-p", plus_one(prime), EIGHT_TORSION[0]),
        ("identity-plus-p-with-sign", with_sign(plus_one(prime)), EIGHT_TORSION[0]),
        ("zero-plus-p", prime, EIGHT_TORSION[2]),
        ("zero-plus-p-with-sign", with_sign(prime), EIGHT_TORSION[6]),
    ];
    encodings.extend(odd.map(|(name, bytes, point)| (name.to_owned(), bytes, point)));
    encodings
}

fn ordinary(cases: &mut Cases) {
    let key = SecretKey::from_seed(&[0x71; 32]);
    let public = key.public_key().0;
    for (name, message) in [("ordinary", &b"message"[..]), ("of-nothing", b""), ("of-zeros", &[0; 200])] {
        cases.add(name, "", true, (public, message, key.sign(message).0));
    }
    let message = b"message";
    let good = key.sign(message).0;
    cases.add("of-another-message", "", false, (public, b"massage", good));
    let other = SecretKey::from_seed(&[0x45; 32]).public_key().0;
    cases.add("of-another-key", "", false, (other, message, good));
    for at in [0, 31, 32, 63] {
        let mut sig = good;
        sig[at] ^= 1;
        cases.add(&format!("bit-{at}"), "", false, (public, message, sig));
    }
    let (r, s) = halves(&good);
    for often in [1, 2, 7, 13] {
        let sig = joined(&r, &plus_orders(s, often));
        let why = "S is not below the order of the group";
        cases.add(&format!("s-plus-{often}-orders"), why, false, (public, message, sig));
    }
    for (name, bit) in [("s-with-bit-253", 0x20), ("s-with-bit-255", 0x80)] {
        let mut sig = good;
        sig[63] |= bit;
        cases.add(name, "a high bit of S", false, (public, message, sig));
    }
    let mut sig = good;
    sig[31] ^= 0x80;
    cases.add("r-of-other-sign", "", false, (public, message, sig));
    let negated = (-Scalar::from_bytes_mod_order(s)).to_bytes();
    cases.add("s-negated", "", false, (public, message, joined(&r, &negated)));
    cases.add("zeros", "", false, (public, message, [0; 64]));
    for (name, why, bytes) in not_points() {
        cases.add(&format!("key-{name}"), why, false, (bytes, message, good));
        cases.add(&format!("r-{name}"), why, false, (public, message, joined(&bytes, &s)));
    }
}

fn not_points() -> [(&'static str, &'static str, [u8; 32]); 3] {
    let mut two = [0; 32];
    two[0] = 2;
    let mut beyond = [0xff; 32];
    beyond[0] = 0xf0;
    let mut largest = [0xff; 32];
    largest[31] = 0x7f;
    [
        ("no-point", "no x belongs to y = 2", two),
        ("y-plus-p", "y = 3 and the prime, with the sign: not canonical", beyond),
        ("y-largest", "y = 2^255 - 1: not canonical", largest),
    ]
}

/// For a key of small order everybody can sign.
fn small_keys(cases: &mut Cases) {
    for (name, key, point) in small_encodings() {
        let message = b"everybody";
        let fits = |r: &u64| {
            let encoded = (BASE * Scalar::from(*r)).compress().0;
            let k = challenge(&encoded, &key, message);
            point * k == EIGHT_TORSION[0]
        };
        let r = (1..).find(fits).expect("one in eight");
        let sig = joined(&(BASE * Scalar::from(r)).compress().0, &Scalar::from(r).to_bytes());
        let why = "the key is of small order: R = S*B holds as it stands";
        cases.add(&format!("key-{name}"), why, false, (key, message, sig));
    }
}

/// R of small order: S = k·a, and the key's odd part gives R.
fn small_rs(cases: &mut Cases) {
    let secret = Scalar::from_bytes_mod_order([0x55; 32]);
    for (name, r, point) in small_encodings() {
        let key =
            OddKey { secret, torsion: if point == EIGHT_TORSION[0] { point } else { EIGHT_TORSION[1] } };
        let public = key.public();
        let message = |number: u32| format!("message {number}").into_bytes();
        let fits = |number: &u32| {
            let k = challenge(&r, &public, &message(*number));
            -(key.torsion * k) == point
        };
        let number = (0..).find(fits).expect("one in eight");
        let message = message(number);
        let s = challenge(&r, &public, &message) * secret;
        let why = "R is of small order: the equation holds as it stands";
        cases.add(&format!("r-{name}"), why, false, (public, &message, joined(&r, &s.to_bytes())));
    }
}

fn mixed(cases: &mut Cases) {
    let (secret, message) = (Scalar::from_bytes_mod_order([0x66; 32]), b"message");
    let plain = OddKey { secret, torsion: EIGHT_TORSION[0] };
    let by_hand = plain.sign(message, 12345, &EIGHT_TORSION[0]);
    cases.add(
        "r-made-by-hand",
        "what the ones below are made with",
        true,
        (plain.public(), message, by_hand),
    );
    for (order, torsion) in [(8, EIGHT_TORSION[1]), (4, EIGHT_TORSION[2]), (2, EIGHT_TORSION[4])] {
        let cofactor = "right only where both sides are multiplied by the cofactor";
        let sig = plain.sign(message, 12345, &torsion);
        cases.add(&format!("r-of-mixed-order-{order}"), cofactor, false, (plain.public(), message, sig));
        let key = OddKey { secret, torsion };
        let exact = "the key is of mixed order, and not of small order; the equation holds as it stands";
        let sig = key.sign_exactly(message, &EIGHT_TORSION[0], true);
        cases.add(&format!("key-of-mixed-order-{order}"), exact, true, (key.public(), message, sig));
        let sig = key.sign_exactly(message, &EIGHT_TORSION[0], false);
        cases.add(
            &format!("key-of-mixed-order-{order}-loose"),
            cofactor,
            false,
            (key.public(), message, sig),
        );
        let both = "key and R are of mixed order, and the equation holds as it stands";
        let sig = key.sign_exactly(message, &torsion, true);
        cases.add(&format!("both-of-mixed-order-{order}"), both, true, (key.public(), message, sig));
        let sig = key.sign_exactly(message, &torsion, false);
        cases.add(
            &format!("both-of-mixed-order-{order}-loose"),
            cofactor,
            false,
            (key.public(), message, sig),
        );
    }
}

fn make() -> Cases {
    let mut cases = Cases(vec![]);
    ordinary(&mut cases);
    small_keys(&mut cases);
    small_rs(&mut cases);
    mixed(&mut cases);
    cases
}

fn text(cases: &Cases) -> String {
    let hex = |bytes: &[u8]| HEXLOWER.encode(bytes);
    let line = |case: &Case| {
        let Case { name, why, key, message, sig, holds } = case;
        let (key, message, sig) = (hex(key), hex(message), hex(sig));
        json!({ "name": name, "why": why, "key": key, "message": message, "sig": sig, "holds": holds })
            .to_string()
    };
    let lines: Vec<String> = cases.0.iter().map(line).collect();
    let about = json!("Edges of the predicate for signatures (protocol/FORMAT.md, \"signed call\").");
    format!("{{\"about\":{about},\"cases\":[\n{}\n]}}\n", lines.join(",\n"))
}

#[test]
fn every_edge_of_the_predicate_is_judged_as_it_is_meant() {
    let cases = make();
    for Case { name, why, key, message, sig, holds } in &cases.0 {
        let found = PublicKey(*key).verifies(message, &Signature(*sig));
        assert_eq!(found, *holds, "{name}: {why}");
    }
    let holding = cases.0.iter().filter(|case| case.holds).count();
    assert_eq!((cases.0.len(), holding), (68, 10));
}

#[test]
fn the_edges_of_the_predicate_are_those_of_the_fixture() {
    let path = fixtures().join("callers/signatures.json");
    let made = text(&make());
    if std::env::var_os("VMS_REGENERATE").is_some() {
        std::fs::write(&path, &made).expect("a writable file");
    }
    assert_eq!(std::fs::read_to_string(&path).expect("a fixture"), made);
}

//! Values that anybody may store at a persistent node, mutable and immutable ones.

use libvms_hypercore::encoding::{Reader, Writer};
use libvms_hypercore::hash::blake2b;
use libvms_hypercore::identity::SecretKey;
use libvms_hypercore::time::Instant;
use libvms_hyperswarm::dht_rpc::{Command, ErrorCode, NodeId, Reply, Target, Token};
use libvms_hyperswarm::hyperdht::mutable::{MutableItem, MutablePut, VALUE_BYTES_MAX};
use libvms_hyperswarm::hyperdht::record::peer_target;
use libvms_hyperswarm::hyperdht::record_store::{Asked, Now, Storage};

use super::codecs::address;

const NODE: NodeId = NodeId([7; 32]);
const TOKEN: Token = Token([8; 32]);
const HOUR: u64 = 3_600_000;

/// A node, and the requests to it.
struct World {
    storage: Storage,
    hours: u64,
    host: String,
}

impl World {
    fn new() -> Self {
        Self { storage: Storage::new([1; 32]), hours: 0, host: "1.2.3.4:1000".into() }
    }

    fn ask_with(
        &mut self,
        token: Option<&Token>,
        command: Command,
        target: &Target,
        value: Option<&[u8]>,
    ) -> Option<Reply> {
        let asked = Asked { from: address(&self.host), command, target: Some(target), token, value };
        let now = self.hours * HOUR;
        self.storage.answer(Now { steady: Instant::from_millis(now), unix_ms: now }, Some(&NODE), &asked)
    }

    fn ask(&mut self, command: Command, target: &Target, value: &[u8]) -> Option<Reply> {
        self.ask_with(Some(&TOKEN), command, target, Some(value))
    }

    /// Returns whether a value was stored under its hash.
    fn put(&mut self, value: &[u8]) -> bool {
        is_stored(&self.ask(Command::IMMUTABLE_PUT, &hash(value), value))
    }

    fn get(&mut self, target: &Target) -> Option<Vec<u8>> {
        let reply = self.ask_with(None, Command::IMMUTABLE_GET, target, None).expect("an answer");
        assert!(reply.with_token && reply.with_closer && reply.error.is_none());
        reply.value
    }

    fn put_mutable(&mut self, put: &MutablePut) -> Option<Reply> {
        self.ask(Command::MUTABLE_PUT, &peer_target(&put.public_key), &put.encode())
    }

    fn get_mutable(&mut self, key: &SecretKey, sequence: u64) -> Option<MutableItem> {
        let mut asked = Writer::default();
        asked.uint(sequence);
        let target = peer_target(&key.public_key());
        let reply =
            self.ask_with(None, Command::MUTABLE_GET, &target, Some(&asked.finish())).expect("an answer");
        reply.value.map(|value| MutableItem::decode(&mut Reader::new(&value)).expect("an item"))
    }
}

fn hash(value: &[u8]) -> Target {
    Target(blake2b(&[value]))
}

fn is_stored(reply: &Option<Reply>) -> bool {
    *reply == Some(Reply::found(None))
}

#[test]
fn a_value_is_kept_under_its_hash_alone() {
    let mut world = World::new();
    for value in [&b"hello"[..], b"", &[0xff; VALUE_BYTES_MAX]] {
        assert!(world.put(value));
        assert_eq!(world.get(&hash(value)), Some(value.to_vec()));
    }
    assert_eq!(world.ask(Command::IMMUTABLE_PUT, &hash(b"another"), b"value"), None);
    assert_eq!(world.get(&hash(b"another")), None);
    assert!(!world.put(&[0xff; VALUE_BYTES_MAX + 1]), "longer than an answer can be");
    assert_eq!(world.storage.value_count(), 3);
}

#[test]
fn a_put_without_a_token_stores_nothing() {
    let mut world = World::new();
    let put = MutablePut::sign(&SecretKey::from_seed(&[1; 32]), 1, b"value".to_vec());
    assert_eq!(world.ask_with(None, Command::IMMUTABLE_PUT, &hash(b"value"), Some(b"value")), None);
    let target = peer_target(&put.public_key);
    assert_eq!(world.ask_with(None, Command::MUTABLE_PUT, &target, Some(&put.encode())), None);
    assert_eq!(world.storage.value_count(), 0);
}

#[test]
fn a_mutable_value_is_replaced_by_its_owner_alone() {
    let mut world = World::new();
    let (key, stranger) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
    let first = MutablePut::sign(&key, 3, b"first".to_vec());
    assert!(is_stored(&world.put_mutable(&first)));
    let forged =
        MutablePut { public_key: key.public_key(), ..MutablePut::sign(&stranger, 4, b"mine".to_vec()) };
    assert_eq!(world.put_mutable(&forged), None);
    let own = MutablePut::sign(&stranger, 4, b"mine".to_vec());
    assert_eq!(world.ask(Command::MUTABLE_PUT, &peer_target(&key.public_key()), &own.encode()), None);
    let mut changed = first.clone();
    changed.item.value = b"other".to_vec();
    assert_eq!(world.put_mutable(&changed), None, "the value is signed");
    changed = first.clone();
    changed.item.sequence = 9;
    assert_eq!(world.put_mutable(&changed), None, "the number is signed");
    assert_eq!(world.get_mutable(&key, 0), Some(first.item));
    let second = MutablePut::sign(&key, 4, b"second".to_vec());
    assert!(is_stored(&world.put_mutable(&second)));
    assert_eq!(world.get_mutable(&key, 4), Some(second.item));
    assert_eq!(world.get_mutable(&key, 5), None);
}

#[test]
fn sequence_numbers_of_a_mutable_value_never_go_back() {
    let mut world = World::new();
    let key = SecretKey::from_seed(&[1; 32]);
    let mut error = |sequence, value: &[u8]| {
        let reply = world.put_mutable(&MutablePut::sign(&key, sequence, value.to_vec())).expect("an answer");
        reply.error
    };
    // The greatest that JavaScript can count to.
    let greatest = (1 << 53) - 1;
    assert_eq!(error(greatest - 1, b"a"), None);
    assert_eq!(error(greatest - 1, b"a"), None, "again");
    assert_eq!(error(greatest - 1, b"b"), Some(ErrorCode::SEQUENCE_REUSED));
    assert_eq!(error(0, b"a"), Some(ErrorCode::SEQUENCE_TOO_LOW));
    assert_eq!(error(greatest, b""), None);
}

#[test]
fn broken_requests_for_values_have_no_answer() {
    let mut world = World::new();
    let put = MutablePut::sign(&SecretKey::from_seed(&[1; 32]), 1, vec![7; 40]);
    let (target, whole) = (peer_target(&put.public_key), put.encode());
    for end in 0..whole.len() {
        assert_eq!(world.ask(Command::MUTABLE_PUT, &target, &whole[..end]), None, "{end}");
    }
    assert_eq!(world.ask_with(None, Command::MUTABLE_GET, &target, None), None);
    assert_eq!(world.ask(Command::MUTABLE_GET, &target, &[0xfd, 1]), None, "half a number");
    let long = MutablePut::sign(&SecretKey::from_seed(&[1; 32]), 1, vec![7; VALUE_BYTES_MAX + 1]);
    assert_eq!(world.put_mutable(&long), None);
    assert_eq!(world.storage.value_count(), 0);
}

#[test]
fn values_expire_unless_they_are_put_again() {
    let mut world = World::new();
    assert!(world.put(b"forgotten") && world.put(b"renewed"));
    for hours in [20, 40, 60] {
        world.hours = hours;
        assert!(world.put(b"renewed"));
    }
    assert_eq!(world.get(&hash(b"forgotten")).as_deref(), Some(&b"forgotten"[..]), "for 32 hours at least");
    world.hours = 65;
    assert_eq!(world.get(&hash(b"forgotten")), None);
    assert_eq!(world.get(&hash(b"renewed")).as_deref(), Some(&b"renewed"[..]));
    world.hours = 1_000;
    assert_eq!(world.get(&hash(b"renewed")), None);
    assert_eq!(world.storage.value_count(), 0);
}

#[test]
fn a_host_that_floods_a_node_with_values_fills_its_share() {
    let mut world = World::new();
    let stored = (0..2_000_u32).filter(|number| world.put(&number.to_le_bytes())).count();
    assert_eq!(stored, 512);
    assert!(world.put(&0_u32.to_le_bytes()), "it renews what it has");
    let key = SecretKey::from_seed(&[1; 32]);
    assert_eq!(
        world.put_mutable(&MutablePut::sign(&key, 1, vec![1])),
        None,
        "its share is one for both kinds"
    );
    world.host = "4.3.2.1:1000".into();
    assert!(world.put(b"somebody else's"));
    assert!(is_stored(&world.put_mutable(&MutablePut::sign(&key, 1, vec![1]))));
    assert_eq!(world.storage.value_count(), 514);
}

#[test]
fn many_hosts_fill_a_bounded_part_of_the_memory() {
    let mut world = World::new();
    for number in 0..40_000_u32 {
        let [_, a, b, _] = number.to_be_bytes();
        world.host = format!("1.2.{a}.{b}:1000");
        assert!(world.put(&number.to_le_bytes()));
        assert!(world.storage.value_count() <= 16_384);
    }
    assert!(world.get(&hash(&39_999_u32.to_le_bytes())).is_some());
    assert!(world.get(&hash(&0_u32.to_le_bytes())).is_none());
}

//! A host's log in memory, honest or not, and callers.

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::{Node, Roots};
use libvms_protocol::entry::{
    Auth, Authorization, Call, CallEntry, Caller, Engine, Entry, Format, Init, Intention, Limits, Outcome,
    Seen,
};
use libvms_protocol::value::Value;

/// Milliseconds that a call may be old.
pub(crate) const CALL_AGE: u64 = 60_000;

/// When the log begins, in milliseconds since 1970.
pub(crate) const START: u64 = 1_700_000_000_000;

/// A log with all its nodes.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) key: SecretKey,
    pub(crate) blocks: Vec<Vec<u8>>,
    nodes: Vec<Option<Node>>,
    /// The roots at each length.
    roots: Vec<Roots>,
}

impl Log {
    /// Creates a log without blocks.
    pub(crate) fn empty() -> Self {
        let key = SecretKey::from_seed(&[0x44; 32]);
        Self { key, blocks: vec![], nodes: vec![], roots: vec![Roots::default()] }
    }

    /// Creates the log of a service whose callers sign.
    pub(crate) fn signed() -> Self {
        Self::of(Auth::Signed)
    }

    pub(crate) fn of(auth: Auth) -> Self {
        let mut log = Self::empty();
        log.push_entry(&Entry::Init(init(auth)));
        log
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    /// Appends any bytes, and returns the number of the block.
    pub(crate) fn push(&mut self, block: Vec<u8>) -> u64 {
        let number = self.blocks.len() as u64;
        let mut roots = self.roots.last().expect("at least that of length 0").clone();
        let nodes = &mut self.nodes;
        roots.append_with(Node::leaf(BlockIndex(number), &block), |node| {
            let at = node.index as usize;
            nodes.resize(nodes.len().max(at + 1), None);
            nodes[at] = Some(*node);
        });
        self.roots.push(roots);
        self.blocks.push(block);
        number
    }

    pub(crate) fn push_entry(&mut self, entry: &Entry) -> u64 {
        self.push(entry.encode().expect("within the limits"))
    }

    /// Appends a signed call of `f` that was executed at `at`.
    pub(crate) fn push_call(&mut self, at: u64, by: Authorization) -> u64 {
        self.push_entry(&call_entry(Call::new(Caller::Key(Box::new(by)), "f", args(), at)))
    }

    /// Appends blocks without a meaning of their own.
    pub(crate) fn fill(&mut self, blocks: u64) {
        for _ in 0..blocks {
            self.push_call_of("bystander");
        }
    }

    /// Appends a call that nobody signs.
    pub(crate) fn push_call_of(&mut self, method: &str) -> u64 {
        self.push_entry(&call_entry(Call::new(Caller::Anonymous, method, vec![], START)))
    }

    pub(crate) fn length(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// Returns the signed head of a length.
    pub(crate) fn head_at(&self, length: u64) -> SignedHead {
        SignedHead::sign(&self.key, Length(length), self.roots[length as usize].tree_hash())
    }

    pub(crate) fn head(&self) -> SignedHead {
        self.head_at(self.length())
    }

    pub(crate) fn seen_at(&self, length: u64) -> Seen {
        Seen { length: Length(length), hash: self.roots[length as usize].tree_hash() }
    }

    pub(crate) fn node(&self, index: u64) -> Option<Node> {
        *self.nodes.get(usize::try_from(index).ok()?)?
    }

    pub(crate) fn block(&self, number: u64) -> (BlockIndex, Vec<u8>) {
        (BlockIndex(number), self.blocks[number as usize].clone())
    }
}

pub(crate) fn init(auth: Auth) -> Init {
    let (name, version, build) = ("quickjs-ng".into(), "0.16.2".into(), String::new());
    let call_age = (auth == Auth::Signed).then_some(CALL_AGE);
    Init {
        v: Format::V2,
        code: "exports.f = () => 1".into(),
        module: false,
        title: "one".into(),
        files: PublicKey([0x11; 32]),
        blobs: PublicKey([0x22; 32]),
        auth,
        at: START,
        engine: Engine { name, version, build, api: 1 },
        limits: Limits { call_age, ..Limits::default().with_load() },
        oracles: vec![],
        effects: vec![],
    }
}

pub(crate) fn call_entry(call: Call) -> Entry {
    Entry::Call(CallEntry::new(call, Outcome::Returned { value: None, files: None }))
}

pub(crate) fn args() -> Vec<Value> {
    vec![Value::Integer(1), Value::Float(0.5)]
}

/// Returns a caller's signature of a call of `f`.
pub(crate) fn sign(
    log: &Log,
    caller: u8,
    nonce: u64,
    seen: Option<Seen>,
    instead: Option<&[u64]>,
) -> Authorization {
    let args = args();
    let intention = Intention { method: "f", args: &args, nonce, seen: seen.as_ref(), instead };
    intention.sign(&SecretKey::from_seed(&[caller; 32]), &log.public_key())
}

/// Returns the first nonce of a millisecond after the start.
pub(crate) fn nonce_at(after: u64) -> u64 {
    1000 * (START + after)
}

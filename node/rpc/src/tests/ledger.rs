//! A host in memory whose callers sign: it keeps the rules of such logs, and breaks those that a test wants it to.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use futures::future::BoxFuture;
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::{Node, Roots, TreeHash};
use libvms_protocol::audit::Violation;
use libvms_protocol::audit::callers::SignedCalls;
use libvms_protocol::entry::{
    Auth, Call, CallEntry, Caller, Engine, Entry, Format, Init, Limits, Outcome, Thrown,
};
use libvms_protocol::proof::path::Cover;
use libvms_protocol::proof::{Inclusion, Proof};
use libvms_protocol::refusal::{Reason, Refusal};
use libvms_protocol::value::Value as Data;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::{HandshakeRequest, RpcAnswer, RpcCall, RpcError, Service};

/// How old a call may be, in milliseconds.
pub(super) const CALL_AGE: u64 = 60_000;

/// A host of one log. Its methods count calls: `increment` returns the call's block, `throw` fails, `echo` returns its
/// arguments, `nothing` returns nothing.
pub(super) struct Ledger {
    key: SecretKey,
    state: Mutex<State>,
}

/// A history of a log.
#[derive(Clone)]
pub(super) struct History {
    blocks: Vec<Vec<u8>>,
    roots: Roots,
    nodes: Vec<Option<Node>>,
    signed: SignedCalls,
    at: u64,
    /// When the latest entry was appended.
    since: Instant,
    takes_any_head: bool,
}

struct State {
    history: History,
    /// How far the host's clock is ahead, in milliseconds.
    ahead: i64,
    handshake: HandshakeTrick,
    /// What becomes of the next calls, in order.
    tricks: Vec<Trick>,
    /// Calls that came.
    calls: u64,
    handshakes: u64,
}

type Changed = Arc<dyn Fn(&mut Map<String, Value>) + Send + Sync>;
type HandshakeTrick = Option<Changed>;

type ChangedAnswer = Arc<dyn Fn(&History, RpcAnswer) -> RpcAnswer + Send + Sync>;

/// What a host does with a call instead of executing it and telling so.
#[derive(Clone)]
pub(super) enum Trick {
    /// Executes it, and says something else.
    Answer(ChangedAnswer),
    /// Does not execute it, and says this.
    Instead(Arc<dyn Fn(&History) -> RpcAnswer + Send + Sync>),
    /// Refuses it.
    Refuse(Reason, Value),
    /// Executes it, and is otherwise honest.
    None,
}

impl History {
    /// A log that holds its deployment at `at`, in milliseconds since 1970.
    fn new(at: u64) -> Self {
        let engine = Engine { name: "test".into(), version: "1".into(), build: String::new(), api: 1 };
        let init = Init {
            v: Format::LATEST,
            code: "exports.increment = () => 1".into(),
            module: false,
            title: "A ledger".into(),
            files: PublicKey([1; 32]),
            blobs: PublicKey([2; 32]),
            auth: Auth::Signed,
            at,
            engine,
            limits: Limits { call_age: Some(CALL_AGE), ..Limits::default() }.with_load(),
            oracles: vec![],
            effects: vec![],
        };
        let mut history = Self {
            blocks: vec![],
            roots: Roots::default(),
            nodes: vec![],
            signed: SignedCalls::new(CALL_AGE),
            at,
            since: Instant::now(),
            takes_any_head: false,
        };
        history.append(&Entry::Init(init));
        history
    }

    /// Appends an entry, and returns its block.
    pub(super) fn append(&mut self, entry: &Entry) -> BlockIndex {
        let block = self.length().next_block();
        let bytes = entry.encode().expect("an entry");
        if let Entry::Call(CallEntry { call, .. }) = entry {
            self.at = self.at.max(call.at);
            if let Some(by) = call.authorization() {
                self.signed.record(block, call.at, &by);
            }
        }
        self.since = Instant::now();
        self.signed.append(&bytes);
        let Self { roots, nodes, .. } = self;
        roots.append_with(Node::leaf(block, &bytes), |node| {
            nodes.resize(nodes.len().max(node.index as usize + 1), None);
            nodes[node.index as usize] = Some(*node);
        });
        self.blocks.push(bytes);
        block
    }

    /// Appends a call that nobody has signed.
    pub(super) fn append_other(&mut self) {
        let call = Call::new(Caller::Anonymous, "other", vec![], self.at);
        self.append(&Entry::Call(CallEntry::new(call, Outcome::Returned { value: None, files: None })));
    }

    /// Has nothing later than this, in milliseconds since 1970.
    pub(super) fn set_at(&mut self, at: u64) {
        self.at = at;
    }

    /// Takes any head that a caller has seen, as a host that has forked must.
    pub(super) fn forget_heads(&mut self) {
        self.takes_any_head = true;
    }

    pub(super) fn length(&self) -> Length {
        Length(self.blocks.len() as u64)
    }

    pub(super) fn hash(&self) -> TreeHash {
        self.roots.tree_hash()
    }

    fn head(&self, key: &SecretKey) -> SignedHead {
        SignedHead::sign(key, self.length(), self.hash())
    }

    /// The receipt of a block.
    pub(super) fn receipt(&self, key: &SecretKey, block: BlockIndex) -> String {
        let entry = self.blocks[block.0 as usize].clone();
        let receipt = Inclusion::make(&self.head(key), block, entry, |index| self.nodes[index as usize]);
        BASE64URL_NOPAD.encode(&Proof::Inclusion(receipt.expect("a block")).encode())
    }

    fn head_json(&self, key: &SecretKey) -> Value {
        let head = self.head(key);
        let (hash, sig) = (head.tree_hash().to_string(), HEXLOWER.encode(&head.signature().0));
        json!({ "length": head.length(), "hash": hash, "sig": sig })
    }

    fn nodes_json(&self, from: u64) -> Value {
        let cover = Cover::new(self.length(), [], Some(Length(from)));
        let nodes = cover.and_then(|cover| cover.nodes(|index| self.nodes[index as usize]));
        let node =
            |node: &Node| json!({ "index": node.index, "hash": node.hash.to_string(), "size": node.size });
        nodes.map_or(Value::Null, |nodes| nodes.iter().map(node).collect())
    }

    /// The calls of callers in the log.
    pub(super) fn calls(&self) -> Vec<CallEntry> {
        let entries = self.blocks.iter().map(|block| Entry::decode(block).expect("an entry"));
        entries.filter_map(|entry| if let Entry::Call(call) = entry { Some(call) } else { None }).collect()
    }
}

pub(super) fn now_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

impl Ledger {
    pub(super) fn new(seed: u8) -> Arc<Self> {
        let state = State {
            history: History::new(now_millis() - 1000),
            ahead: 0,
            handshake: None,
            tricks: vec![],
            calls: 0,
            handshakes: 0,
        };
        Arc::new(Self { key: SecretKey::from_seed(&[seed; 32]), state: Mutex::new(state) })
    }

    pub(super) fn log(&self) -> PublicKey {
        self.key.public_key()
    }

    pub(super) fn key(&self) -> &SecretKey {
        &self.key
    }

    pub(super) fn history(&self) -> History {
        self.lock().history.clone()
    }

    /// Shows another history from now on.
    pub(super) fn show(&self, history: History) {
        self.lock().history = history;
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut History)) {
        change(&mut self.lock().history);
    }

    pub(super) fn set_ahead(&self, millis: i64) {
        self.lock().ahead = millis;
    }

    pub(super) fn next_calls(&self, tricks: impl IntoIterator<Item = Trick>) {
        self.lock().tricks = tricks.into_iter().collect();
    }

    /// Changes what each handshake says.
    pub(super) fn change_handshakes(&self, change: impl Fn(&mut Map<String, Value>) + Send + Sync + 'static) {
        self.lock().handshake = Some(Arc::new(change));
    }

    pub(super) fn calls_seen(&self) -> u64 {
        self.lock().calls
    }

    pub(super) fn handshakes_seen(&self) -> u64 {
        self.lock().handshakes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    fn answer(&self, call: RpcCall) -> RpcAnswer {
        let mut state = self.lock();
        state.calls += 1;
        let trick = if state.tricks.is_empty() { Trick::None } else { state.tricks.remove(0) };
        let args = match Data::from_json(call.args.get()).expect("JSON") {
            Data::Array(args) => args,
            other => panic!("no arguments: {other:?}"),
        };
        match trick {
            Trick::None => self.execute(&mut state, call.caller, call.method, args),
            Trick::Answer(change) => {
                let answer = self.execute(&mut state, call.caller, call.method, args);
                change(&state.history, answer)
            }
            Trick::Instead(answer) => answer(&state.history),
            Trick::Refuse(reason, more) => {
                self.refuse(&state, &call.caller, &call.method, &args, reason, more)
            }
        }
    }

    fn execute(&self, state: &mut State, caller: Caller, method: String, args: Vec<Data>) -> RpcAnswer {
        let at = state.now();
        if let Caller::Key(by) = &caller {
            if !by.verifies(&self.log(), &method, &args) {
                return self.refuse(state, &caller, &method, &args, Reason::BadSignature, json!({}));
            }
            if let Some(block) = state.history.signed.find(by) {
                return self.logged(&state.history, block);
            }
            let checked = state.history.signed.check(state.history.length().next_block(), at, by);
            let is_taken = |violation: &Violation| {
                state.history.takes_any_head && matches!(violation, Violation::UnknownHead { .. })
            };
            if let Some(violation) = checked.err().filter(|violation| !is_taken(violation)) {
                let reason = reason(&violation, at);
                return self.refuse(state, &caller, &method, &args, reason, json!({}));
            }
        }
        let value = match method.as_str() {
            "increment" => Some(Data::Integer(state.history.length().0 as i64)),
            "echo" => Some(Data::Array(args.clone())),
            _ => None,
        };
        let outcome = match method.as_str() {
            "throw" => Outcome::Threw(Thrown::new("TypeError", "no luck")),
            _ => Outcome::Returned { value, files: None },
        };
        let entry = Entry::Call(CallEntry::new(Call::new(caller, method, args, at), outcome));
        let block = state.history.append(&entry);
        self.logged(&state.history, block)
    }

    fn logged(&self, history: &History, block: BlockIndex) -> RpcAnswer {
        let Ok(Entry::Call(entry)) = Entry::decode(&history.blocks[block.0 as usize]) else {
            panic!("a call")
        };
        let outcome = match entry.result.outcome().expect("known") {
            Outcome::Returned { value, .. } => {
                Ok(value.map(|value| RawValue::from_string(value.to_json()).expect("JSON")))
            }
            Outcome::Threw(thrown) => Err(RpcError::from_script(thrown.name, thrown.message)),
            Outcome::Fault(fault) => panic!("{fault:?}"),
        };
        RpcAnswer { outcome, receipt: Some(history.receipt(&self.key, block)) }
    }

    fn refuse(
        &self,
        state: &State,
        caller: &Caller,
        method: &str,
        args: &[Data],
        reason: Reason,
        more: Value,
    ) -> RpcAnswer {
        let mut members = json!({ "reason": reason.name(), "now": 1000 * state.now() });
        if let Some(by) = caller.authorization() {
            let call = by.call_hash(&self.log(), method, args);
            let refusal = Refusal::sign(&self.key, &call, reason, 1000 * state.now(), None);
            members["sig"] = json!(HEXLOWER.encode(&refusal.sig.0));
            if let Some(seen) = by.seen {
                members["head"] = state.history.head_json(&self.key);
                members["nodes"] = state.history.nodes_json(seen.length.0);
            }
        }
        let Value::Object(mut members) = members else { unreachable!("it is an object") };
        members.extend(more.as_object().expect("an object").clone());
        Err(RpcError::refused("as the test wants it".into(), members)).into()
    }
}

impl State {
    fn now(&self) -> u64 {
        let clock = now_millis().checked_add_signed(self.ahead).expect("a time");
        let History { at, since, .. } = &self.history;
        // At half the pace, while the clock stands behind.
        if clock >= *at { clock } else { at + (since.elapsed().as_millis() as u64 / 2).min(1000) }
    }
}

fn reason(violation: &Violation, at: u64) -> Reason {
    match violation {
        Violation::RepeatedNonce { .. } | Violation::RepeatedCall { .. } => Reason::RepeatedNonce,
        Violation::StaleCall { nonce, .. } if nonce / 1000 > at => Reason::Early,
        Violation::StaleCall { .. } => Reason::StaleCall,
        Violation::StaleInstead { .. } => Reason::StaleInstead,
        Violation::UnknownHead { is_old: true, .. } => Reason::OldHead,
        Violation::UnknownHead { .. } => Reason::UnknownHead,
        other => panic!("{other}"),
    }
}

impl Service for Ledger {
    fn handshake(&self, asked: HandshakeRequest) -> Map<String, Value> {
        let mut state = self.lock();
        state.handshakes += 1;
        let history = &state.history;
        let mut members = json!({
            "methods": ["increment"],
            "log": self.log().to_string(),
            "auth": "signed",
            "now": 1000 * state.now(),
            "head": history.head_json(&self.key),
            "limits": { "callAge": CALL_AGE },
        });
        if let Some(length) = asked.consistency {
            members["consistency"] = json!({ "length": length, "nodes": history.nodes_json(length.0) });
        }
        if asked.latest {
            members["latest"] = json!(history.receipt(&self.key, BlockIndex(history.length() - Length(1))));
        }
        let Value::Object(mut members) = members else { unreachable!("it is an object") };
        if let Some(change) = &state.handshake {
            change(&mut members);
        }
        members
    }

    fn accepts_names(&self) -> bool {
        false
    }

    fn call(&self, call: RpcCall) -> BoxFuture<'static, RpcAnswer> {
        Box::pin(std::future::ready(self.answer(call)))
    }
}

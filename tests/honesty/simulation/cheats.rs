//! What a cheating host does in the simulation. It executes calls of which nobody hears, and changes what they have
//! left before it shows it: so nothing but the change can give it away.

use libvms::audit::Verdict;
use libvms::watch::Event;
use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::random::Dice;
use libvms_hypercore::tree::TreeHash;
use libvms_protocol::audit::Finding;
use libvms_protocol::entry::{Call, CallEntry, Caller, Entry, Fault, Outcome, Seen, Thrown};
use libvms_protocol::limits::CALL_AGE_DEFAULT;
use libvms_protocol::value::Value;

use super::signers::sign_again;
use super::world::{HOST, World};

/// A way to cheat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cheat {
    WrongResult,
    WrongError,
    WrongFiles,
    FalseFault,
    DroppedCall,
    InsertedCall,
    TimeBack,
    Garbage,
    AlteredContent,
    AlteredName,
    ArchiveInsideCall,
    SecondHistory,
    ForgedCall,
    ForeignCall,
    RepeatedCall,
    RepeatedIntention,
    DelayedCall,
    UnknownHead,
    StaleInstead,
}

/// What every watcher must say about it.
#[derive(Debug)]
pub(super) enum Expected {
    Finding { block: u64, class: &'static str },
    Evidence { class: &'static str },
}

/// What only a log can show whose callers sign.
const OF_SIGNED: [Cheat; 7] = [
    Cheat::ForgedCall,
    Cheat::ForeignCall,
    Cheat::RepeatedCall,
    Cheat::RepeatedIntention,
    Cheat::DelayedCall,
    Cheat::UnknownHead,
    Cheat::StaleInstead,
];

const ALL: [Cheat; 12] = [
    Cheat::WrongResult,
    Cheat::WrongError,
    Cheat::WrongFiles,
    Cheat::FalseFault,
    Cheat::DroppedCall,
    Cheat::InsertedCall,
    Cheat::TimeBack,
    Cheat::Garbage,
    Cheat::AlteredContent,
    Cheat::AlteredName,
    Cheat::ArchiveInsideCall,
    Cheat::SecondHistory,
];

impl Cheat {
    pub(super) fn of_dice(dice: &mut Dice, is_signed: bool) -> Self {
        let (any, of_signed) = (dice.pick(&ALL), dice.pick(&OF_SIGNED));
        match (is_signed && dice.one_in(2), any) {
            (true, _) => of_signed,
            // A copy of a call that somebody signed shows first as a call that is repeated.
            (false, Self::InsertedCall) if is_signed => Self::RepeatedCall,
            (false, any) => any,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::WrongResult => "cheat: wrong result",
            Self::WrongError => "cheat: wrong error",
            Self::WrongFiles => "cheat: wrong files",
            Self::FalseFault => "cheat: false fault",
            Self::DroppedCall => "cheat: dropped call",
            Self::InsertedCall => "cheat: inserted call",
            Self::TimeBack => "cheat: time back",
            Self::Garbage => "cheat: garbage",
            Self::AlteredContent => "cheat: altered content",
            Self::AlteredName => "cheat: altered name",
            Self::ArchiveInsideCall => "cheat: archive signed in the midst of a call",
            Self::SecondHistory => "cheat: second history",
            Self::ForgedCall => "cheat: forged call",
            Self::ForeignCall => "cheat: call of another log",
            Self::RepeatedCall => "cheat: repeated call",
            Self::RepeatedIntention => "cheat: one intention under two nonces",
            Self::DelayedCall => "cheat: delayed call",
            Self::UnknownHead => "cheat: call behind another history",
            Self::StaleInstead => "cheat: call that replaces one too old",
        }
    }

    /// Whether everybody must have seen before what is changed: only then do two histories meet everywhere.
    pub(super) fn needs_witnesses(self) -> bool {
        matches!(self, Self::SecondHistory)
    }

    /// Cheats. The four calls are `inc`, `fail`, `save` and `inc`, from block `base` on.
    pub(super) fn commit(self, world: &mut World) -> Expected {
        world.start(HOST);
        let base = world.host.views()[0].length().0;
        let first = usize::try_from(base).expect("a short log");
        if let Self::SecondHistory = self {
            world.stop(HOST);
            world.host.rewrite("log", |blocks| {
                let last = blocks.len() - 1;
                blocks[last] = b"another history".to_vec();
            });
            world.start_cheating();
            return Expected::Evidence { class: "equivocation" };
        }
        let text = |text: &str| vec![Value::Text(text.into())];
        for (method, args) in [("inc", vec![]), ("fail", vec![]), ("save", text("cheat")), ("inc", vec![])] {
            world.host.call(method, args);
        }
        let log = world.host.views()[0].key();
        world.stop(HOST);
        let core = match self {
            Self::AlteredContent => "blobs",
            Self::AlteredName | Self::ArchiveInsideCall => "files",
            _ => "log",
        };
        world.host.rewrite(core, |blocks| match self {
            Self::AlteredContent | Self::AlteredName => {
                let last = blocks.len() - 1;
                blocks[last].push(b'!');
            }
            // `save` writes two files, and its entry passes over the length between them.
            Self::ArchiveInsideCall => drop(blocks.pop()),
            Self::DroppedCall => drop(blocks.remove(first)),
            Self::InsertedCall | Self::RepeatedCall => blocks.insert(first, blocks[first].clone()),
            Self::Garbage => blocks[first + 1] = b"garbage".to_vec(),
            _ => {
                let at = first + self.offset();
                let first_nonce = nonce_of(&blocks[first]);
                blocks[at] = self.altered(&blocks[at], &log, first_nonce);
            }
        });
        world.start_cheating();
        let class = match self {
            // The caller of the next one had seen it.
            Self::DroppedCall if world.host.is_signed() => "unknown-head",
            _ => self.class(),
        };
        Expected::Finding { block: base + self.offset() as u64, class }
    }

    /// The first bad block, counted from the first call.
    fn offset(self) -> usize {
        match self {
            Self::WrongResult | Self::FalseFault | Self::DroppedCall | Self::SecondHistory => 0,
            Self::ForgedCall => 0,
            Self::WrongError | Self::Garbage | Self::InsertedCall | Self::RepeatedCall => 1,
            Self::ForeignCall | Self::UnknownHead => 1,
            Self::WrongFiles | Self::AlteredContent | Self::AlteredName | Self::ArchiveInsideCall => 2,
            Self::TimeBack | Self::RepeatedIntention | Self::DelayedCall | Self::StaleInstead => 3,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::WrongResult | Self::InsertedCall => "wrong-result",
            // Without the first call the second one fails with another number.
            Self::WrongError | Self::DroppedCall => "wrong-error",
            Self::WrongFiles => "wrong-files",
            Self::FalseFault => "false-fault",
            Self::TimeBack => "time-went-back",
            Self::Garbage => "malformed-entry",
            Self::AlteredContent | Self::AlteredName => "archive-differs",
            Self::ArchiveInsideCall => "archive-longer",
            Self::SecondHistory => "equivocation",
            Self::ForgedCall | Self::ForeignCall => "bad-signature",
            Self::RepeatedCall => "repeated-nonce",
            Self::RepeatedIntention => "repeated-call",
            Self::DelayedCall => "stale-call",
            Self::UnknownHead => "unknown-head",
            Self::StaleInstead => "stale-instead",
        }
    }

    fn altered(self, block: &[u8], log: &PublicKey, first_nonce: Option<u64>) -> Vec<u8> {
        let Ok(Entry::Call(mut entry)) = Entry::decode(block) else { panic!("a call") };
        let mut outcome = entry.result.outcome().expect("an honest entry");
        match (self, &mut outcome) {
            (Self::WrongResult, Outcome::Returned { value, .. }) => *value = Some(Value::Integer(-1)),
            (Self::WrongError, Outcome::Threw(Thrown { message, .. })) => message.push('!'),
            (Self::WrongFiles, Outcome::Returned { files: Some(files), .. }) => {
                files.head.hash = TreeHash([0; 32])
            }
            (Self::FalseFault, outcome) => *outcome = Outcome::Fault(Fault::Fuel),
            (Self::TimeBack, _) => entry.call.at = 5,
            (Self::DelayedCall, _) => entry.call.at += 2 * CALL_AGE_DEFAULT,
            (_, _) if OF_SIGNED.contains(&self) => self.sign_falsely(&mut entry.call, log, first_nonce),
            (cheat, outcome) => panic!("{cheat:?} does not fit {outcome:?}"),
        }
        Entry::Call(CallEntry::new(entry.call, outcome)).encode().expect("within the limits")
    }
}

impl Cheat {
    /// Puts another statement of its caller in the place of a call's: the caller has signed it, but not for this.
    fn sign_falsely(self, call: &mut Call, log: &PublicKey, first_nonce: Option<u64>) {
        let nonce = call.nonce.expect("a signed call");
        let again = |log: &PublicKey, seen: Option<&Seen>, instead: Option<&[u64]>| {
            sign_again(log, (&call.method_name, &call.args), nonce, seen, instead)
        };
        let by = match self {
            Self::ForgedCall => {
                let mut by = again(log, None, None);
                by.sig.0[0] ^= 1;
                by
            }
            Self::ForeignCall => again(&PublicKey([7; 32]), None, None),
            Self::UnknownHead => again(log, Some(&Seen { length: Length(1), hash: TreeHash([0; 32]) }), None),
            Self::RepeatedIntention => again(log, None, Some(&[first_nonce.expect("a signed call")])),
            Self::StaleInstead => again(log, None, Some(&[nonce - 3_000 * CALL_AGE_DEFAULT])),
            cheat => panic!("{cheat:?} signs nothing"),
        };
        let (method, args) = (call.method_name.clone(), call.args.clone());
        *call = Call::new(Caller::Key(Box::new(by)), &method, args, call.at);
    }
}

fn nonce_of(block: &[u8]) -> Option<u64> {
    match Entry::decode(block) {
        Ok(Entry::Call(entry)) => entry.call.nonce,
        _ => None,
    }
}

impl Expected {
    pub(super) fn is_in(&self, event: &Event) -> bool {
        match (self, event) {
            (
                Self::Finding { block, class },
                Event::Ended { verdict: Verdict::Diverges(Finding { block: found, violation }), .. },
            ) => found.0 == *block && violation.class() == *class,
            (Self::Evidence { class }, Event::Evidence { offence, is_signed: true, .. }) => {
                offence.as_str() == *class
            }
            _ => false,
        }
    }
}

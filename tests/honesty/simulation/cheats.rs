//! What a cheating host does in the simulation. It executes calls of which nobody hears, and changes what they have
//! left before it shows it: so nothing but the change can give it away.

use libvms::audit::Verdict;
use libvms::watch::Event;
use libvms_hypercore::random::Dice;
use libvms_hypercore::tree::TreeHash;
use libvms_protocol::audit::Finding;
use libvms_protocol::entry::{CallEntry, Entry, Fault, Outcome, Thrown};
use libvms_protocol::value::Value;

use super::world::{HOST, World};

/// A way to cheat.
#[derive(Clone, Copy, Debug)]
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
}

/// What every watcher must say about it.
#[derive(Debug)]
pub(super) enum Expected {
    Finding { block: u64, class: &'static str },
    Evidence { class: &'static str },
}

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
    pub(super) fn of_dice(dice: &mut Dice) -> Self {
        dice.pick(&ALL)
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
        }
    }

    /// Whether everybody must have seen before what is changed: only then do two histories meet everywhere.
    pub(super) fn needs_witnesses(self) -> bool {
        matches!(self, Self::SecondHistory)
    }

    /// Cheats. The four calls are `inc`, `fail`, `save` and `inc`, from block `base` on.
    pub(super) fn commit(self, world: &mut World) -> Expected {
        world.start(HOST);
        let base = world.host.views()[0].length();
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
            Self::InsertedCall => blocks.insert(first, blocks[first].clone()),
            Self::Garbage => blocks[first + 1] = b"garbage".to_vec(),
            _ => {
                let at = first + self.offset();
                blocks[at] = self.altered(&blocks[at]);
            }
        });
        world.start_cheating();
        Expected::Finding { block: base + self.offset() as u64, class: self.class() }
    }

    /// The first bad block, counted from the first call.
    fn offset(self) -> usize {
        match self {
            Self::WrongResult | Self::FalseFault | Self::DroppedCall | Self::SecondHistory => 0,
            Self::WrongError | Self::Garbage | Self::InsertedCall => 1,
            Self::WrongFiles | Self::AlteredContent | Self::AlteredName | Self::ArchiveInsideCall => 2,
            Self::TimeBack => 3,
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
        }
    }

    fn altered(self, block: &[u8]) -> Vec<u8> {
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
            (cheat, outcome) => panic!("{cheat:?} does not fit {outcome:?}"),
        }
        Entry::Call(CallEntry::new(entry.call, outcome)).encode().expect("within the limits")
    }
}

impl Expected {
    pub(super) fn is_in(&self, event: &Event) -> bool {
        match (self, event) {
            (
                Self::Finding { block, class },
                Event::Ended { verdict: Verdict::Diverges(Finding { block: found, violation }), .. },
            ) => found == block && violation.class() == *class,
            (Self::Evidence { class }, Event::Evidence { offence, is_signed: true, .. }) => {
                offence.as_str() == *class
            }
            _ => false,
        }
    }
}

//! A host in the simulation: a real [`Vm`] on a real directory, which crashes when the dice say so.
//!
//! A crash leaves what a process leaves that ends at any moment of [`Vm::call`]: the log's last append whole, torn or
//! missing, and the archive behind the log by what the last call wrote. What of a call had not been shown to a peer by
//! then may be lost; all else is on disk.

use std::cell::RefCell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use libvms::Vm;
use libvms::host::{CallError, CallRequest, Deployment};
use libvms::storage::{Core, CoreView, Durability};
use libvms_hypercore::blocks::{BlockIndex, each};
use libvms_hypercore::random::Dice;
use libvms_protocol::entry::{Auth, Caller, Entry};
use libvms_protocol::value::Value;

use super::signers::Signers;
use crate::honesty::tamper::rewrite;
use crate::honesty::violations::copy;
use crate::support::hosting;

const SCRIPT: &str = "let n = 0
exports.inc = (by = 1) => n += by
exports.fail = () => { throw new Error('no ' + n) }
exports.save = async (name) => {
    await System.files.writeFile('/' + name, String(n))
    await System.files.writeFile('/last', name)
    return ++n
}
exports.remove = async () => { await System.files.unlink('/last'); return n }";

/// Names of a host's cores, in the order in which [`Vm::cores`] gives them.
pub(super) const CORES: [&str; 3] = ["log", "files", "blobs"];

pub(super) struct Host {
    directory: PathBuf,
    state: State,
    runtime: tokio::runtime::Runtime,
    /// Those who call, where callers sign.
    signers: Option<RefCell<Signers>>,
}

enum State {
    Down,
    Honest(Box<Vm>),
    /// It shows what was rewritten, and executes nothing any more.
    Cheating(Box<[Core; 3]>),
}

impl Host {
    pub(super) fn deploy(directory: PathBuf, auth: Auth) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let deployment = Deployment { auth, ..Deployment::new(SCRIPT, "simulated") };
        let vm =
            Vm::deploy(&directory, deployment, hosting(Durability::Relaxed)).expect("an empty directory");
        let signers = (auth == Auth::Signed).then(|| RefCell::new(Signers::new(vm.log_key())));
        Self { directory, state: State::Honest(Box::new(vm)), runtime, signers }
    }

    /// Whether callers sign.
    pub(super) fn is_signed(&self) -> bool {
        self.signers.is_some()
    }

    pub(super) fn is_up(&self) -> bool {
        !matches!(self.state, State::Down)
    }

    /// Starts again after a crash: the log is replayed, and the archive brought up to it.
    pub(super) fn restart(&mut self) {
        let vm = Vm::open(&self.directory, hosting(Durability::Relaxed), &mut |_, _| {})
            .expect("what a crash leaves");
        self.state = State::Honest(Box::new(vm));
        self.repeat_unanswered();
    }

    /// Sends the call again whose answer was lost in a crash. It is executed once, whatever was left of it.
    fn repeat_unanswered(&self) {
        let unanswered = self.signers.as_ref().and_then(|signers| signers.borrow_mut().unanswered.take());
        let (Some(request), State::Honest(vm)) = (unanswered, &self.state) else { return };
        let answer = self.runtime.block_on(vm.request(request.clone()));
        assert!(!matches!(answer.result, Err(CallError::Refused(_))), "{answer:?}");
        let [log, ..] = vm.cores();
        let nonce = request.caller.authorization().map(|by| by.nonce);
        let is_it = |block: &BlockIndex| match Entry::decode(&log.block(*block).expect("durable")) {
            Ok(Entry::Call(entry)) => entry.call.nonce == nonce,
            _ => false,
        };
        assert_eq!(each(log.length().blocks()).filter(is_it).count(), 1, "{request:?}");
        Self::wait_for_archive(vm);
    }

    /// Starts again after its cores were rewritten, and shows them as they are.
    pub(super) fn cheat(&mut self) {
        let open = |name| Core::open(&self.directory.join(name), Durability::Relaxed).expect("a core");
        self.state = State::Cheating(Box::new(CORES.map(open)));
    }

    /// The cores as they are now.
    pub(super) fn views(&self) -> [CoreView; 3] {
        match &self.state {
            State::Honest(vm) => vm.cores(),
            State::Cheating(cores) => cores.each_ref().map(Core::follow),
            State::Down => panic!("the host is down"),
        }
    }

    /// Executes a call of the dice's choice, until it is durable and published.
    pub(super) fn call_any(&self, dice: &mut Dice) {
        // Drawn in any world, so that the dice fall alike.
        let signer = dice.index(Signers::COUNT);
        match dice.below(6) {
            0 => self.call_of(signer, "fail", vec![]),
            1 | 2 => self.call_of(signer, "save", vec![Value::Text(format!("f{}", dice.below(5)))]),
            3 => self.call_of(signer, "remove", vec![]),
            by => self.call_of(signer, "inc", vec![Value::Integer(by as i64)]),
        }
    }

    /// Executes a call: where callers sign, of the first of them.
    pub(super) fn call(&self, method: &str, args: Vec<Value>) {
        self.call_of(0, method, args);
    }

    fn call_of(&self, signer: usize, method: &str, args: Vec<Value>) {
        let State::Honest(vm) = &self.state else { panic!("only an honest host calls") };
        let caller = match &self.signers {
            Some(signers) => signers.borrow_mut().sign(signer, method, &args),
            None => Caller::Anonymous,
        };
        let request = CallRequest { caller, method: method.into(), args, ..CallRequest::default() };
        let answer = self.runtime.block_on(vm.request(request.clone()));
        // Scripts may throw; nobody is refused.
        assert!(!matches!(answer.result, Err(CallError::Refused(_))), "{answer:?}");
        if let Some(signers) = &self.signers {
            signers.borrow_mut().take_answer(request, &vm.cores()[0]);
        }
        Self::wait_for_archive(vm);
    }

    /// The archive is published a moment after the answer.
    fn wait_for_archive(vm: &Vm) {
        let [log, ..] = vm.cores();
        let files_of = |block| match Entry::decode(&log.block(block).expect("durable")) {
            Ok(Entry::Call(entry)) => entry.result.files().copied(),
            _ => None,
        };
        let Some(change) = each(log.length().blocks()).rev().find_map(files_of) else { return };
        while {
            let [_, files, blobs] = vm.cores();
            files.length() < change.head.version || blobs.length() < change.head.blobs
        } {
            std::thread::yield_now();
        }
    }

    /// Ends in order.
    pub(super) fn close(&mut self) {
        if let State::Honest(vm) = std::mem::replace(&mut self.state, State::Down) {
            self.runtime.block_on(vm.close());
        }
    }

    /// Ends in the midst of a call that no peer has heard of. Tells how far the call had come.
    pub(super) fn crash(&mut self, dice: &mut Dice) -> &'static str {
        let before = tempfile::tempdir().expect("a temporary directory");
        CORES.iter().for_each(|core| copy(&self.directory.join(core), &before.path().join(core)));
        let seen = self.signers.as_ref().map(|signers| signers.borrow().seen());
        self.call_any(dice);
        if let (Some(signers), Some(seen)) = (&self.signers, seen) {
            signers.borrow_mut().lose_answer(seen);
        }
        self.close();
        let lose = |core: &str| {
            let place = self.directory.join(core);
            fs::remove_dir_all(&place).expect("ours");
            copy(&before.path().join(core), &place);
        };
        match dice.below(4) {
            0 => "host crashed after everything was written",
            1 => {
                lose("files");
                "host crashed before the names were written"
            }
            2 => {
                ["files", "blobs"].into_iter().for_each(lose);
                "host crashed before the archive was written"
            }
            _ => {
                ["files", "blobs"].into_iter().for_each(lose);
                tear(&self.directory.join("log/oplog"), &before.path().join("log/oplog"), dice);
                "host crashed while the log was written"
            }
        }
    }

    /// Ends, and changes a core of what it has left, signed by its own key, as only a host can.
    pub(super) fn rewrite(&mut self, core: &str, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
        self.close();
        rewrite(&self.directory.join(core), change);
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }
}

/// Cuts off what was written last, in part or as a whole.
fn tear(file: &Path, before: &Path, dice: &mut Dice) {
    let length = |path: &Path| fs::metadata(path).expect("a file").len();
    let (whole, before) = (length(file), length(before));
    // Blocks are appended to the data before; without an entry of the oplog they count for nothing.
    let torn = before + dice.below(whole.saturating_sub(before).max(1));
    File::options().write(true).open(file).and_then(|file| file.set_len(torn)).expect("a disk");
}

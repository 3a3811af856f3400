//! `vms log`: the entries of a call log.

use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use data_encoding::HEXLOWER;
use libvms::call_log::{CallLog, CallLogError};
use libvms::printable::{Printable, PrintableJson};
use libvms_hypercore::blocks::BlockIndex;
use libvms_protocol::entry::{
    Call, CallEntry, Effect, Entry, Epoch, FilesChange, FilesHead, Init, OracleAnswer, OracleError, Outcome,
    Thrown, Upgrade,
};
use serde_json::{Value, json};

use crate::copy::{self, PeerArguments};
use crate::exit::Exit;
use crate::output::Output;
use crate::target::{directory, is_elsewhere};

/// Show the entries of a call log
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vms log counter.vms\n  vms log counter.vms --from 100 --to 200\n  vms log counter.vms --last 5 --json\n  vms log counter.vms --full | less\n  vms log ws://127.0.0.1:5555/\n  vms log hyper://KEY --peer 127.0.0.1:4444"
)]
pub(super) struct Arguments {
    /// Data directory of a host, copy of a watcher or replicator (DIR/KEY), URL of a service (ws://HOST:PORT/PATH), or
    /// key of a log
    #[arg(value_name = "DIR|URL|KEY")]
    target: String,
    #[command(flatten)]
    peers: PeerArguments,
    /// First block to show
    #[arg(long, value_name = "BLOCK", default_value_t = BlockIndex::FIRST)]
    from: BlockIndex,
    /// First block not to show
    #[arg(long, value_name = "BLOCK", default_value_t = BlockIndex(u64::MAX), hide_default_value = true)]
    to: BlockIndex,
    /// Show only the last COUNT entries
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["from", "to"])]
    last: Option<u64>,
    /// Show long values in full, as --json always does
    #[arg(long)]
    full: bool,
}

/// Characters of a value, name or message that are shown, at most.
const SHOWN_CHARACTERS_MAX: usize = 160;

/// Arguments of a call that are shown, at most.
const SHOWN_ARGUMENTS_MAX: usize = 20;

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    let Arguments { target, peers, from, to, last, full } = arguments;
    let style = Style { is_full: full };
    if !is_elsewhere(&target) {
        copy::check_local(&target, &peers)?;
    }
    let log = match is_elsewhere(&target) {
        true => copy::log(&target, &peers)?,
        false => CallLog::open(directory(&target)?)?,
    };
    let from = last.map_or(from, |last| log.length().saturating_sub(last).next_block());
    for entry in log.entries(from..to) {
        match entry {
            Ok((block, entry)) => output.line(|| style.entry(block, &entry), || as_json(block, &entry))?,
            // The entries after a bad one are still worth seeing.
            Err(CallLogError::Entry { block, source }) => output.line(
                || format!("#{block} unreadable: {}", Printable(&source.to_string())),
                || json!({ "block": block, "error": source.to_string() }),
            )?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Exit::Done)
}

/// Returns an entry as text, with long values cut, and as JSON.
pub(super) fn shown(block: BlockIndex, entry: &Entry) -> (String, Value) {
    (Style { is_full: false }.entry(block, entry), as_json(block, entry))
}

/// How entries are shown as text.
#[derive(Clone, Copy)]
struct Style {
    is_full: bool,
}

impl Style {
    fn entry(self, block: BlockIndex, entry: &Entry) -> String {
        match entry {
            Entry::Init(init) => format!(
                "#{block} {} init \"{}\" on {} {}, {} bytes of code",
                time(init.at),
                self.text(&init.title),
                self.text(&init.engine.name),
                self.text(&init.engine.version),
                init.code.len()
            ),
            Entry::Call(CallEntry { call, oracles, effects, result }) => {
                let outcome = match result.outcome() {
                    Ok(outcome) => self.outcome(&outcome),
                    Err(error) => self.text(&error.to_string()),
                };
                format!(
                    "#{block} {} {}{} -> {outcome}{}{}",
                    time(call.at),
                    self.caller(call),
                    self.invocation(call),
                    count(oracles.len(), "question"),
                    count(effects.len(), "effect")
                )
            }
            Entry::Epoch(Epoch { files }) => format!("#{block} epoch, files version {}", files.version),
            Entry::Upgrade(Upgrade { code, .. }) => format!("#{block} upgrade, {} bytes of code", code.len()),
        }
    }

    fn caller(self, call: &Call) -> String {
        call.user_id.as_ref().map(|id| format!("{} ", self.text(id))).unwrap_or_default()
    }

    fn invocation(self, call: &Call) -> String {
        let shown_max = if self.is_full { usize::MAX } else { SHOWN_ARGUMENTS_MAX };
        let mut args: Vec<String> = call.args.iter().take(shown_max).map(|arg| self.value(arg)).collect();
        if call.args.len() > shown_max {
            args.push(format!("… ({} arguments)", call.args.len()));
        }
        format!("{}({})", self.text(&call.method_name), args.join(", "))
    }

    fn outcome(self, outcome: &Outcome) -> String {
        match outcome {
            Outcome::Returned { value, files } => {
                let value = value.as_ref().map_or("undefined".into(), |value| self.value(value));
                let files = files.map(|files| format!(" [files version {}]", files.head.version));
                value + &files.unwrap_or_default()
            }
            Outcome::Threw(Thrown { name, message, code, details }) => {
                let code = code.map(|code| format!(" [code {code}]")).unwrap_or_default();
                let details = details.as_ref().map(|details| format!(" [data {}]", self.value(details)));
                let details = details.unwrap_or_default();
                format!("threw {}: {}{code}{details}", self.text(name), self.text(message))
            }
            Outcome::Fault(fault) => format!("stopped: {}", fault.name()),
        }
    }

    fn value(self, value: &libvms_protocol::value::Value) -> String {
        let json = value.to_json();
        let (shown, rest) = self.cut(&json);
        format!("{}{rest}", PrintableJson(shown))
    }

    fn text(self, text: &str) -> String {
        let (shown, rest) = self.cut(text);
        format!("{}{rest}", Printable(shown))
    }

    /// Returns the beginning of a long text, and a note of its length when it is cut.
    fn cut(self, text: &str) -> (&str, String) {
        match text.char_indices().nth(SHOWN_CHARACTERS_MAX) {
            Some((at, _)) if !self.is_full => (&text[..at], format!("… ({} bytes)", text.len())),
            _ => (text, String::new()),
        }
    }
}

/// Returns a note of how many there are, if any.
fn count(number: usize, what: &str) -> String {
    match number {
        0 => String::new(),
        1 => format!(" [1 {what}]"),
        _ => format!(" [{number} {what}s]"),
    }
}

fn time(at: u64) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_millis(at)) {
        // The formatter takes years up to 9999.
        Some(time) if at < 253_402_300_800_000 => humantime::format_rfc3339_millis(time).to_string(),
        _ => format!("{at} ms"),
    }
}

fn as_json(block: BlockIndex, entry: &Entry) -> Value {
    match entry {
        Entry::Init(init) => init_json(block, init),
        Entry::Call(CallEntry { call, oracles, effects, result }) => {
            let mut object = json!({
                "block": block, "type": "call", "at": call.at, "userId": call.user_id,
                "methodName": call.method_name, "args": call.args,
            });
            add_signature(&mut object, call);
            add_world(&mut object, oracles, effects);
            object["result"] = result
                .outcome()
                .map_or_else(|error| json!({ "error": error.to_string() }), |outcome| outcome_json(&outcome));
            object
        }
        Entry::Epoch(Epoch { files }) => {
            json!({ "block": block, "type": "epoch", "files": files_json(files) })
        }
        Entry::Upgrade(upgrade) => json!({ "block": block, "type": "upgrade", "code": upgrade.code }),
    }
}

/// Adds what the call asked and told the world.
fn add_world(object: &mut Value, oracles: &[OracleAnswer], effects: &[Effect]) {
    let answer = |OracleAnswer { ask, answer }: &OracleAnswer| {
        let ask = HEXLOWER.encode(&ask.0);
        match answer {
            Ok(value) => json!({ "ask": ask, "res": value }),
            Err(OracleError { name, message, code }) => {
                json!({ "ask": ask, "err": { "name": name, "message": message, "code": code.name() } })
            }
        }
    };
    if !oracles.is_empty() {
        object["oracles"] = oracles.iter().map(answer).collect();
    }
    let effect = |Effect { name, args }: &Effect| json!({ "name": name, "args": args });
    if !effects.is_empty() {
        object["effects"] = effects.iter().map(effect).collect();
    }
}

/// Adds what a caller has signed beside the call.
fn add_signature(object: &mut Value, call: &Call) {
    if let Some(nonce) = call.nonce {
        object["nonce"] = json!(nonce);
    }
    if let Some(seen) = &call.seen {
        object["seen"] = json!({ "length": seen.length, "hash": seen.hash.to_string() });
    }
    if let Some(instead) = &call.instead {
        object["instead"] = json!(instead);
    }
    if let Some(sig) = &call.sig {
        object["sig"] = json!(HEXLOWER.encode(&sig.0));
    }
}

fn init_json(block: BlockIndex, init: &Init) -> Value {
    let limits = &init.limits;
    let mut object = json!({
        "block": block, "type": "init", "v": init.v.version(), "at": init.at, "title": init.title, "code": init.code,
        "files": init.files.to_string(), "blobs": init.blobs.to_string(), "auth": init.auth,
        "engine": {
            "name": init.engine.name, "version": init.engine.version, "build": init.engine.build,
            "api": init.engine.api,
        },
        "limits": {
            "fuel": limits.fuel, "memory": limits.memory, "stack": limits.stack, "output": limits.output,
        },
    });
    if let Some(load) = limits.load {
        object["limits"]["load"] = json!(load);
    }
    if init.module {
        object["module"] = json!(true);
    }
    for (member, names) in [("oracles", &init.oracles), ("effects", &init.effects)] {
        if !names.is_empty() {
            object[member] = json!(names);
        }
    }
    if let Some(call_age) = limits.call_age {
        object["limits"]["callAge"] = json!(call_age);
    }
    object
}

fn outcome_json(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Returned { value, files } => {
            let mut object = json!({});
            if let Some(value) = value {
                object["res"] = json!(value);
            }
            if let Some(files) = files {
                object["files"] = change_json(files);
            }
            object
        }
        Outcome::Threw(thrown) => {
            let mut err = json!({ "name": thrown.name, "message": thrown.message });
            if let Some(code) = thrown.code {
                err["code"] = json!(code);
            }
            if let Some(details) = &thrown.details {
                err["details"] = json!(details);
            }
            json!({ "err": err })
        }
        Outcome::Fault(fault) => json!({ "fault": fault.name() }),
    }
}

fn change_json(change: &FilesChange) -> Value {
    let mut object = files_json(&change.head);
    if let Some(from) = &change.from {
        object["from"] = json!({ "version": from.version, "blobs": from.blobs });
    }
    object
}

fn files_json(files: &FilesHead) -> Value {
    json!({
        "version": files.version, "hash": files.hash.to_string(),
        "blobs": files.blobs, "blobsHash": files.blobs_hash.to_string(),
    })
}

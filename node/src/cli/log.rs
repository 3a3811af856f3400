//! `vms log`: what a call log says.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use libvms::call_log::{CallLog, CallLogError};
use libvms::printable::{Printable, PrintableJson};
use libvms_protocol::entry::{
    Call, CallEntry, Entry, Epoch, FilesChange, FilesHead, Init, Outcome, Thrown, Upgrade,
};
use serde_json::{Value, json};

use super::Exit;
use super::copy::{self, PeerArguments};
use super::output::Output;
use super::target::is_elsewhere;

/// Show the entries of a call log
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vms log counter.vms\n  vms log counter.vms --from 100 --to 200\n  vms log counter.vms --last 5 --json\n  vms log ws://127.0.0.1:5555/\n  vms log hyper://KEY --peer 127.0.0.1:4444"
)]
pub(super) struct Arguments {
    /// Data directory of a host, ws://HOST:PORT/PATH of a service, or the key of a log
    #[arg(value_name = "DIR|URL|KEY")]
    target: String,
    #[command(flatten)]
    peers: PeerArguments,
    /// First block to show
    #[arg(long, value_name = "BLOCK", default_value_t = 0)]
    from: u64,
    /// First block not to show
    #[arg(long, value_name = "BLOCK", default_value_t = u64::MAX, hide_default_value = true)]
    to: u64,
    /// Show the last so many entries only
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["from", "to"])]
    last: Option<u64>,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    let Arguments { target, peers, from, to, last } = arguments;
    let log = match is_elsewhere(&target) {
        true => copy::log(&target, &peers)?,
        false => CallLog::open(Path::new(&target))?,
    };
    let from = last.map_or(from, |last| log.length().saturating_sub(last));
    for entry in log.entries(from..to) {
        match entry {
            Ok((block, entry)) => output.line(|| text(block, &entry), || as_json(block, &entry))?,
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

fn text(block: u64, entry: &Entry) -> String {
    match entry {
        Entry::Init(init) => format!(
            "#{block} {} init \"{}\" on {} {}, {} bytes of code",
            time(init.at),
            Printable(&init.title),
            Printable(&init.engine.name),
            Printable(&init.engine.version),
            init.code.len()
        ),
        Entry::Call(CallEntry { call, result, .. }) => {
            let outcome = result.outcome().map_or_else(
                |error| Printable(&error.to_string()).to_string(),
                |outcome| outcome_text(&outcome),
            );
            format!("#{block} {} {}{} -> {outcome}", time(call.at), caller(call), invocation(call))
        }
        Entry::Epoch(Epoch { files }) => format!("#{block} epoch, files version {}", files.version),
        Entry::Upgrade(Upgrade { code, .. }) => format!("#{block} upgrade, {} bytes of code", code.len()),
    }
}

fn caller(call: &Call) -> String {
    // A name that was given with a call may hold anything, terminal codes too.
    call.user_id.as_ref().map(|id| format!("{} ", Printable(id))).unwrap_or_default()
}

fn invocation(call: &Call) -> String {
    let args: Vec<String> = call.args.iter().map(json_text).collect();
    format!("{}({})", Printable(&call.method_name), args.join(", "))
}

fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Returned { value, files } => {
            let value = value.as_ref().map_or("undefined".into(), json_text);
            let files = files.map(|files| format!(" [files version {}]", files.head.version));
            value + &files.unwrap_or_default()
        }
        Outcome::Threw(thrown) => {
            let Thrown { name, message, code, details } = thrown;
            let code = code.map(|code| format!(" [code {code}]")).unwrap_or_default();
            let details = details.as_ref().map(|details| format!(" [data {}]", json_text(details)));
            let details = details.unwrap_or_default();
            format!("threw {}: {}{code}{details}", Printable(name), Printable(message))
        }
        Outcome::Fault(fault) => format!("stopped: {}", fault.name()),
    }
}

fn json_text(value: &libvms_protocol::value::Value) -> String {
    PrintableJson(&value.to_json()).to_string()
}

fn time(at: u64) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_millis(at)) {
        // The formatter takes years up to 9999.
        Some(time) if at < 253_402_300_800_000 => humantime::format_rfc3339_millis(time).to_string(),
        _ => format!("{at} ms"),
    }
}

fn as_json(block: u64, entry: &Entry) -> Value {
    match entry {
        Entry::Init(init) => init_json(block, init),
        Entry::Call(CallEntry { call, result, .. }) => {
            let mut object = json!({
                "block": block, "type": "call", "at": call.at, "userId": call.user_id,
                "methodName": call.method_name, "args": call.args,
            });
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

fn init_json(block: u64, init: &Init) -> Value {
    let limits = &init.limits;
    let mut object = json!({
        "block": block, "type": "init", "v": init.v.version(), "at": init.at, "title": init.title, "code": init.code,
        "files": init.files.to_string(), "blobs": init.blobs.to_string(),
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

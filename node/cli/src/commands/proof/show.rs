//! `vms proof show`: what proof files claim and hold, in words.

use std::path::{Path, PathBuf};

use libvms::printable::Printable;
use libvms_hypercore::blocks::BlockIndex;
use libvms_protocol::entry::{Entry, Format};
use libvms_protocol::proof::{NumberedEntry, Proof};
use serde_json::{Value, json};

use crate::commands::log;
use crate::exit::Exit;
use crate::output::Output;

pub(super) fn run(files: &[PathBuf], output: &Output) -> anyhow::Result<Exit> {
    let mut ended = Exit::Done;
    for file in files {
        match super::read(file) {
            Ok(proof) => output.line(|| text(file, &proof), || as_json(file, &proof))?,
            Err(error) => {
                ended = Exit::Usage;
                let (name, why) = (file.display().to_string(), error.to_string());
                output.line(
                    || format!("{}: unreadable: {}", Printable(&name), Printable(&why)),
                    || json!({ "file": file, "why": why }),
                )?;
            }
        }
    }
    Ok(ended)
}

fn text(file: &Path, proof: &Proof) -> String {
    let mut lines = vec![
        Printable(&file.display().to_string()).to_string(),
        format!("  log    {}", proof.log().map_or_else(|| "unknown".into(), |log| log.to_string())),
        format!("  kind   {}", Printable(proof.kind())),
        format!("  claim  {}", Printable(&proof.claim())),
        format!("  holds  {}", Printable(&proof.contents())),
    ];
    lines.extend(entry(proof).map(|(text, _)| format!("  entry  {text}")));
    lines.push("  note   not judged: vms proof check says whether the claim holds".into());
    lines.join("\n")
}

fn as_json(file: &Path, proof: &Proof) -> Value {
    let mut object = json!({
        "file": file, "log": proof.log().map(|log| log.to_string()), "kind": proof.kind(), "claim": proof.claim(),
        "contents": proof.contents(), "bytes": proof.encode().len(),
    });
    match proof {
        Proof::Inclusion(proof) => object["block"] = json!(proof.block),
        Proof::Violation(proof) => {
            object["block"] = json!(proof.block);
            object["class"] = json!(proof.class);
        }
        Proof::FalseRefusal(proof) => object["reason"] = json!(proof.refusal.reason),
        Proof::Equivocation(proof) => {
            object["lengths"] = proof.heads.iter().map(|head| json!(head.length)).collect();
        }
        Proof::Unknown(_) => {}
    }
    if let Some((_, entry)) = entry(proof) {
        object["entry"] = entry;
    }
    object
}

/// Returns the entry that a claim is about, as text and as JSON, if this program can read it.
fn entry(proof: &Proof) -> Option<(String, Value)> {
    let (block, entry) = match proof {
        Proof::Inclusion(proof) => (proof.block, Entry::decode(&proof.entry.0)),
        Proof::Violation(proof) => {
            let find = |number| proof.entries.iter().find(|entry| entry.block == number);
            let NumberedEntry { block, entry } = find(proof.block)?;
            // What an entry may hold depends on the format, which block 0 names.
            let format = find(BlockIndex::FIRST).and_then(|first| Format::from_first_block(&first.entry.0));
            let decoded = match format.filter(|_| *block > BlockIndex::FIRST) {
                Some(format) => Entry::decode_in(&entry.0, format),
                None => Entry::decode(&entry.0),
            };
            (*block, decoded)
        }
        _ => return None,
    };
    Some(log::shown(block, &entry.ok()?))
}

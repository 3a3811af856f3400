//! Arguments of a call: on the command line, in a file, or on standard input.

use std::fs::File;
use std::io::{self, Read};

use anyhow::{Context, bail};
use libvms_protocol::limits::ARGUMENTS_BYTES_MAX;
use serde_json::value::RawValue;

use crate::error::advised;

/// Reads all arguments of a call, in their order: each as JSON, and what is not JSON as text.
///
/// `@FILE` stands for what the file holds, `-` for what comes on standard input, `@@...` for a text that begins with `@`.
///
/// # Errors
/// Where a file or standard input cannot be read, is not text, or is longer than the arguments of any call may be.
pub(super) fn read_all(arguments: Vec<String>) -> anyhow::Result<Vec<Box<RawValue>>> {
    if arguments.iter().filter(|argument| *argument == "-").count() > 1 {
        bail!("`-` stands twice among the arguments, and standard input can be read only once");
    }
    arguments.into_iter().map(|argument| Ok(json(read(argument)?))).collect()
}

fn read(argument: String) -> anyhow::Result<String> {
    match argument.strip_prefix('@') {
        None if argument == "-" => text(io::stdin().lock(), "standard input"),
        None | Some("") => Ok(argument),
        Some(rest) if rest.starts_with('@') => Ok(rest.to_owned()),
        Some(path) => {
            let read = File::open(path).with_context(|| format!("cannot read {path}"));
            read.and_then(|file| text(file, path)).map_err(|error| {
                advised(
                    error,
                    &format!("`@{path}` stands for the content of a file; `@@{path}` is this text itself"),
                )
            })
        }
    }
}

/// All of it, as far as a call can take it.
fn text(from: impl Read, name: &str) -> anyhow::Result<String> {
    let mut bytes = vec![];
    let read = from.take(ARGUMENTS_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
    read.with_context(|| format!("cannot read {name}"))?;
    if bytes.len() > ARGUMENTS_BYTES_MAX {
        bail!(
            "{name} has more than {ARGUMENTS_BYTES_MAX} bytes, the most that the arguments of a call may have"
        );
    }
    String::from_utf8(bytes).with_context(|| format!("{name} is not UTF-8 text"))
}

/// A text as JSON; what is not JSON is meant as text.
fn json(text: String) -> Box<RawValue> {
    let as_text = || serde_json::value::to_raw_value(&text).expect("any text can be written as JSON");
    RawValue::from_string(text.clone()).unwrap_or_else(|_| as_text())
}

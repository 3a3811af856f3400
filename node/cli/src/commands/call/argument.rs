//! Arguments of a call: on the command line, in a file, or on standard input.

use std::fs::File;
use std::io::{self, Read};

use anyhow::{Context, bail};
use libvms_protocol::limits::ARGUMENTS_BYTES_MAX;
use serde_json::value::RawValue;

use crate::error::advised;

/// Reads all arguments of a call, in order: each as JSON, or as text when it is not JSON.
///
/// `@FILE` is the content of a file, `-` the content of standard input, `@@...` a text that begins with `@`.
///
/// # Errors
/// When a file or standard input cannot be read, is not text, or is longer than the arguments of any call may be.
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
                    &format!("`@{path}` is the content of a file; write `@@{path}` for the text `@{path}`"),
                )
            })
        }
    }
}

/// Reads a text of at most [`ARGUMENTS_BYTES_MAX`] bytes.
fn text(from: impl Read, name: &str) -> anyhow::Result<String> {
    let mut bytes = vec![];
    let read = from.take(ARGUMENTS_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
    read.with_context(|| format!("cannot read {name}"))?;
    if bytes.len() > ARGUMENTS_BYTES_MAX {
        bail!("{name} has more than {ARGUMENTS_BYTES_MAX} bytes, the limit for the arguments of one call");
    }
    String::from_utf8(bytes).with_context(|| format!("{name} is not UTF-8 text"))
}

/// Returns the text itself when it is JSON, and as a JSON string otherwise.
fn json(text: String) -> Box<RawValue> {
    let as_text = || serde_json::value::to_raw_value(&text).expect("any text can be written as JSON");
    RawValue::from_string(text.clone()).unwrap_or_else(|_| as_text())
}

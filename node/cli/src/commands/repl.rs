//! `vms repl`: call methods by hand.

mod parse;

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use libvms::printable::Printable;
use libvms::rpc::{ClientError, RpcClient};
use libvms_hypercore::identity::SecretKey;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Editor, Helper, Highlighter, Hinter, Validator};
use serde_json::value::RawValue;

use super::call::error_text;
use crate::caller::CallerArguments;
use crate::exit::Exit;
use crate::output::Output;
use parse::{ReplCall, parse};

/// Call methods of a service interactively, with history and completion
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  $ vms repl ws://127.0.0.1:5555/\n  > client.add(1, 2)\n  3")]
pub(super) struct Arguments {
    /// URL of the service: ws://HOST:PORT/PATH, or ws://HOST:PORT/PATH#KEY to accept only the log with this key
    url: String,
    #[command(flatten)]
    caller: CallerArguments,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    let Arguments { url, caller } = arguments;
    let options = caller.client_options()?;
    let signer = options.key.as_ref().map(SecretKey::public_key);
    let runtime = crate::runtime()?;
    let client = runtime.block_on(RpcClient::connect(&url, options))?;
    let methods = runtime.block_on(client.handshake()).map(|handshake| method_names(&handshake))?;
    output.message(&format!("methods: {}", Printable(&methods.join(", "))));
    if let Some(signer) = signer {
        output.message(&format!("calls are signed by {signer}"));
    }
    output.message("Ctrl-D quits.");
    let mut editor = editor(methods)?;
    let ended =
        read(&mut editor, |call| answer(runtime.block_on(client.call(&call.method, &call.args)), output));
    if let Some(path) = history_path() {
        // A history that cannot be saved is not a failure.
        let _unkept = editor.save_history(&path);
    }
    let remembered = if ended.is_ok() { runtime.block_on(client.remember()) } else { Ok(()) };
    runtime.block_on(client.close());
    ended?;
    remembered?;
    Ok(Exit::Done)
}

fn method_names(handshake: &serde_json::Map<String, serde_json::Value>) -> Vec<String> {
    let names = handshake.get("methods").and_then(serde_json::Value::as_array);
    let names = names.into_iter().flatten().filter_map(|name| name.as_str());
    // Escaped, because completion prints them on a terminal.
    names.map(|name| Printable(name).to_string()).collect()
}

type Lines = Editor<Completion, FileHistory>;

fn editor(methods: Vec<String>) -> anyhow::Result<Lines> {
    let mut editor = Lines::new().context("cannot read lines")?;
    editor.set_helper(Some(Completion { methods }));
    if let Some(path) = history_path() {
        let _none_yet = editor.load_history(&path);
    }
    Ok(editor)
}

/// Returns the file of the history; `None` when there is no home directory.
fn history_path() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    let directory = state.join("vms");
    std::fs::create_dir_all(&directory).ok()?;
    Some(directory.join("history"))
}

/// Reads lines until the end of input; passes each call to `call`.
fn read(editor: &mut Lines, mut call: impl FnMut(ReplCall) -> anyhow::Result<()>) -> anyhow::Result<()> {
    loop {
        let line = match editor.readline("> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error).context("cannot read a line"),
        };
        if line.trim().is_empty() {
            continue;
        }
        let _unkept = editor.add_history_entry(&line);
        match parse(&line) {
            Ok(parsed) => call(parsed)?,
            Err(error) => {
                Output::new(false, false).message(&format!("error: {}", Printable(&error.to_string())))
            }
        }
    }
}

fn answer(answer: Result<Option<Box<RawValue>>, ClientError>, output: &Output) -> anyhow::Result<()> {
    match answer {
        Ok(result) => output.json(result.as_deref().map_or("undefined", RawValue::get)),
        // The next call may fare better.
        Err(
            error @ (ClientError::Rpc(_)
            | ClientError::CallRefused(_)
            | ClientError::Unproved { .. }
            | ClientError::Clock { .. }
            | ClientError::Arguments(_)),
        ) => {
            output.message(&error_text(&error));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Completes the names of methods, after `client.` and without it.
#[derive(Debug, Helper, Highlighter, Hinter, Validator)]
struct Completion {
    methods: Vec<String>,
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _context: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..position];
        let start = if typed.starts_with("client.") { "client.".len() } else { 0 };
        let name = &typed[start..];
        let candidates = self.methods.iter().filter(|method| method.starts_with(name));
        Ok((start, candidates.map(|method| format!("{method}(")).collect()))
    }
}

//! A worker process, from its first line to its end.
//!
//! Start from [`run`]. The main thread locks the process down as far as it can and starts the script's thread. That
//! thread completes the lockdown, sends [`FromWorker::Ready`], and processes requests as the thread of a `Sandbox::Off` worker
//! does. From then on the main thread only sends messages that would otherwise wait behind a long call.

mod link;
mod outgoing;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::panic;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use libvms_protocol::entry::Limits;

use link::Link;
use outgoing::Outgoing;

use super::lockdown::Lockdown;
use crate::identity::Api;
use crate::ipc::{EXIT_PANICKED, Frames, FromWorker, ToWorker};
use crate::script::Script;
use crate::serve::{serve, stack_bytes};
use crate::system;

/// Exit code when no requests will come.
const EXIT_DONE: i32 = 0;
/// Exit code when the machine is at fault (`EX_OSERR`).
const EXIT_FAILED: i32 = 71;

/// Runs a worker for the process `parent`, which has started this one.
pub(super) fn run(parent: u32) -> ! {
    // At once, wherever it happens: the engine's binding catches panics, and would go on with the call and the next ones.
    panic::set_hook(Box::new(|panic| {
        last_words(&panic.to_string());
        system::exit(EXIT_PANICKED)
    }));
    let error = match start(parent) {
        Ok(outgoing) => outgoing.send_late(),
        Err(error) => error,
    };
    last_words(&error.to_string());
    system::exit(EXIT_FAILED)
}

/// Locks down and starts the script's thread. Returns the queue that the main thread must send.
fn start(parent: u32) -> io::Result<Arc<Outgoing>> {
    system::die_with_parent()?;
    if system::parent() != parent {
        // The parent ended before `die_with_parent` took effect.
        system::exit(EXIT_DONE);
    }
    system::ignore_requests_to_end();
    system::use_one_heap();
    system::read_time_zone();
    let mut lockdown = Lockdown::default();
    lockdown.drop_inheritance();
    let socket = Arc::new(File::from(io::stdin().as_fd().try_clone_to_owned()?));
    // The driver is trusted: its frames have no limit but their length.
    let mut incoming = Frames::new(usize::MAX);
    let (api, limits) = first_frame(&socket, &mut incoming)?;
    lockdown.confine(&limits);
    let outgoing = Arc::new(Outgoing::new(socket.clone()));
    let link = Link::new(socket, incoming, outgoing.clone());
    let stack = stack_bytes(&limits);
    let script = move || {
        execute(api, limits, lockdown, link);
        system::exit(EXIT_DONE)
    };
    thread::Builder::new().name("script".into()).stack_size(stack).spawn(script)?;
    Ok(outgoing)
}

/// Reads the first frame.
fn first_frame(mut socket: &File, incoming: &mut Frames) -> io::Result<(Api, Limits)> {
    loop {
        match incoming.next() {
            Ok(Some(ToWorker::Start(api, limits))) => return Ok((api, limits)),
            Ok(None) => {}
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        if incoming.fill(|buffer| socket.read(buffer))? == 0 {
            system::exit(EXIT_DONE);
        }
    }
}

/// Runs the script's thread.
fn execute(api: Api, limits: Limits, lockdown: Lockdown, link: Link) {
    let link = Rc::new(link);
    // Before the lockdown is complete: the engine's system calls at its start must still be allowed.
    let engine = match Script::new(api, limits, Box::new(link::DriverPort(link.clone()))) {
        Ok(engine) => engine,
        Err(error) => return last_words(&format!("the engine does not start: {error}")),
    };
    let missing = lockdown.seal();
    link.say(&FromWorker::Ready { missing });
    serve(&engine, std::iter::from_fn(|| link.next_request()), |report| {
        link.say(&FromWorker::Report(report))
    });
    link.flush();
}

/// Writes a line for the host's log; ignores a missing reader.
fn last_words(text: &str) {
    let _closed = io::stderr().write_all(text.as_bytes());
}

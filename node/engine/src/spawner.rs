//! Starting worker processes.
//!
//! The kernel kills a worker when the *thread* that started it ends (`PR_SET_PDEATHSIG`). So one thread that lives as long as
//! the program starts all workers.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

use super::ipc::EXIT_USAGE;
use super::system;

/// The first argument of a worker process. Nobody types it.
const WORKER: &str = "__worker";
/// The running program itself, even if its file was replaced on the disk.
pub(super) const THIS_PROGRAM: &str = "/proc/self/exe";
/// Driver and worker must have the same messages.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A worker's process and the socket to it.
#[derive(Debug)]
pub(super) struct Spawned {
    pub(super) process: Child,
    pub(super) socket: UnixStream,
}

/// Starts a worker process of `program`. Its end of the socket is its stdin; its stderr is a pipe.
///
/// # Errors
/// When the system starts no process.
pub(super) fn spawn(program: &Path) -> io::Result<Spawned> {
    let (socket, other) = UnixStream::pair()?;
    let mut command = Command::new(program);
    command
        .arg0("vms-worker")
        .args([WORKER, VERSION, &std::process::id().to_string()])
        .env_clear()
        .current_dir("/")
        // A key press in the terminal is meant for the host.
        .process_group(0)
        .stdin(OwnedFd::from(other))
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    Ok(Spawned { process: on_lasting_thread(command)?, socket })
}

/// A request to the spawner thread.
struct Order {
    command: Command,
    reply: Sender<io::Result<Child>>,
}

fn on_lasting_thread(command: Command) -> io::Result<Child> {
    static THREAD: OnceLock<Mutex<Option<Sender<Order>>>> = OnceLock::new();
    let thread = THREAD.get_or_init(Mutex::default);
    let mut orders = thread.lock().unwrap_or_else(PoisonError::into_inner);
    let orders = match &mut *orders {
        Some(orders) => orders,
        none => none.insert(start_thread()?),
    };
    let (reply, child) = channel();
    let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    orders.send(Order { command, reply }).map_err(|_| io::ErrorKind::BrokenPipe)?;
    child.recv().map_err(gone)?
}

fn start_thread() -> io::Result<Sender<Order>> {
    let (sender, orders) = channel::<Order>();
    let run = move || {
        for mut order in orders {
            let _closed = order.reply.send(order.command.spawn());
        }
    };
    // The handle is dropped: the thread ends with the program, and must not end before.
    thread::Builder::new().name("spawner".into()).spawn(run)?;
    Ok(sender)
}

/// Returns the parent of this process, if a program of the same version started it as a worker.
pub(super) fn parent_of_worker() -> Option<u32> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(OsStr::new(WORKER)) {
        return None;
    }
    let version = arguments.next();
    let parent = arguments.next().and_then(|text| text.to_str()?.parse().ok());
    match parent {
        Some(parent) if version.as_deref() == Some(OsStr::new(VERSION)) => Some(parent),
        _ => system::exit(EXIT_USAGE),
    }
}

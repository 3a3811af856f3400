//! Processes that end with the test that started them, [`Process`], and signals to any process, [`signal`].
//!
//! Nothing here needs a program of the system: a minimal one has neither `kill` nor `ps`.
#![expect(unsafe_code, reason = "signals, and what comes of a child whose parent dies, are system calls")]

use std::io::{self, Read};
use std::ops::{Deref, DerefMut};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

/// A process that is killed when this is dropped, as by a test that fails, and that the system kills when the process of
/// the tests ends in any other way.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    /// Starts a command as [`Command::spawn`] does. The command is used up.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let mut command = std::mem::replace(command, Command::new(""));
        end_with_parent(&mut command);
        let (answer, child) = channel();
        starter().send(Order { command, answer }).expect("the starter never ends");
        child.recv().expect("the starter answers").map(Self)
    }

    /// Runs a command to its end, without input.
    pub(crate) fn output(command: &mut Command) -> io::Result<Output> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::start(command)?.wait_with_output()
    }

    /// Sends a signal, by its name without `SIG`, and waits for the end.
    pub(crate) fn end_by(&mut self, name: &str) -> ExitStatus {
        signal(self.id(), name);
        self.wait().expect("it ends")
    }

    /// Waits for the end, with what the process says until then on its pipes.
    pub(crate) fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        let stderr = self.stderr.take();
        let stderr = thread::spawn(|| read(stderr));
        let stdout = read(self.stdout.take())?;
        let stderr = stderr.join().expect("no panic")?;
        Ok(Output { status: self.wait()?, stdout, stderr })
    }
}

fn read(pipe: Option<impl Read>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    pipe.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut bytes))?;
    Ok(bytes)
}

impl Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _may_have_ended = self.0.kill();
        let _may_have_ended = self.0.wait();
    }
}

/// Has the system kill the command's process when its parent ends.
fn end_with_parent(command: &mut Command) {
    #[cfg(target_os = "linux")]
    // SAFETY: the closure makes one system call, which takes numbers and allocates nothing.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
}

struct Order {
    command: Command,
    answer: Sender<io::Result<Child>>,
}

/// The thread that starts all processes. For Linux the parent of a process is a thread, and the one of a test ends before
/// what it has started may have to.
fn starter() -> Sender<Order> {
    static STARTER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, orders) = channel::<Order>();
        thread::spawn(move || {
            for mut order in orders {
                let _closed = order.answer.send(order.command.spawn());
            }
        });
        Mutex::new(sender)
    });
    starter.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Sends a signal to a running process, by its name without `SIG`.
pub(crate) fn signal(process: u32, name: &str) {
    let number = match name {
        "CONT" => libc::SIGCONT,
        "HUP" => libc::SIGHUP,
        "INT" => libc::SIGINT,
        "KILL" => libc::SIGKILL,
        "STOP" => libc::SIGSTOP,
        "TERM" => libc::SIGTERM,
        _ => panic!("no signal {name}"),
    };
    let process = libc::pid_t::try_from(process).expect("an id of a process");
    // SAFETY: takes two numbers; what the signal does, it does to the other process.
    let sent = unsafe { libc::kill(process, number) };
    assert_eq!(sent, 0, "SIG{name} to {process}: {}", io::Error::last_os_error());
}

/// The ids of the processes that `parent` has started and that run, with their arguments, joined by spaces.
#[cfg(target_os = "linux")]
pub(crate) fn children(parent: u32) -> Vec<(u32, String)> {
    let processes = std::fs::read_dir("/proc").expect("a list of processes").flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let child = |id: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // State and parent stand behind the name, which may hold anything.
        let mut fields = stat.rsplit(") ").next()?.split(' ');
        let (state, of) = (fields.next()?, fields.next()?.parse::<u32>().ok()?);
        let arguments = std::fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        (of == parent && state != "Z").then_some((id, arguments))
    };
    ids.filter_map(child).collect()
}

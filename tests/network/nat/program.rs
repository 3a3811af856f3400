//! A process in a namespace, and what it says: [`Program`].

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::support::Process;

/// A running process. Dropping it kills it.
pub(super) struct Program {
    _process: Process,
    said: Receiver<String>,
    heard: Vec<String>,
}

impl Program {
    /// Starts a command in a namespace. It logs what it does, without colours.
    pub(super) fn start(namespace: &str, command: &Command) -> Self {
        let mut within = Command::new("ip");
        within.args(["netns", "exec", namespace]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            value.into_iter().for_each(|value| _ = within.env(name, value));
        }
        command.get_current_dir().into_iter().for_each(|directory| _ = within.current_dir(directory));
        within.env("VMS_LOG", "libvms=debug").env("NO_COLOR", "1");
        within.env_remove("VMS_NO_SWARM").env_remove("VMS_BOOTSTRAP").env_remove("VMS_SWARM_PORT");
        within.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process =
            Process::start(&mut within).expect("the system has `ip`, as a laboratory has shown");
        let (sender, said) = channel();
        tell(process.stdout.take().expect("a pipe"), sender.clone());
        tell(process.stderr.take().expect("a pipe"), sender);
        Self { _process: process, said, heard: vec![] }
    }

    /// The first line that has all these words, be it said already or not.
    pub(super) fn line(&mut self, patience: Duration, words: &[&str]) -> String {
        self.lines(patience, words, 1).remove(0)
    }

    /// So many such lines.
    pub(super) fn lines(&mut self, patience: Duration, words: &[&str], count: usize) -> Vec<String> {
        let end = Instant::now() + patience;
        let is_meant = |line: &&String| words.iter().all(|word| line.contains(word));
        loop {
            let found: Vec<String> = self.heard.iter().filter(is_meant).take(count).cloned().collect();
            if found.len() == count {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.said.recv_timeout(left) else {
                panic!("not {count} lines with {words:?} were said, but:\n{}", self.heard.join("\n"));
            };
            self.heard.push(line);
        }
    }
}

/// Passes on lines until there are no more.
fn tell(pipe: impl Read + Send + 'static, sender: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
}

//! Programs of stock JavaScript: [`Js`].

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A run of `swarm.js`, which ends with its input.
pub(super) struct Js {
    process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Js {
    pub(super) fn start(mode: &str, arguments: &[String]) -> Self {
        let packages = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("interop/node_modules");
        assert!(packages.exists(), "no packages of npm yet: `cargo test --test node interop` installs them");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/swarm/swarm.js");
        let mut node = Command::new("node");
        node.arg(script).arg(mode).args(arguments).env("NODE_PATH", packages);
        let mut process =
            node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Node.js is installed");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        Self { process, lines }
    }

    /// The next that it says. It is waited for outside of the runtime, whose tasks may be what it waits for.
    pub(super) fn line(&mut self) -> Value {
        let line = tokio::task::block_in_place(|| self.lines.next()).expect("it answers").expect("UTF-8");
        serde_json::from_str(&line).expect("JSON")
    }

    pub(super) fn tell(&mut self, message: &Value) {
        let input = self.process.stdin.as_mut().expect("a pipe");
        input.write_all(format!("{message}\n").as_bytes()).expect("it listens");
    }
}

impl Drop for Js {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ended = self.process.wait();
    }
}

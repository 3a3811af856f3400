//! The stock JavaScript sides of what is measured, as processes: [`Js`].

#[path = "../../../tests/service/interop/packages.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod packages;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use serde_json::Value;

/// A Node.js process, which ends with its input.
pub(crate) struct Js {
    pub(crate) process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Js {
    /// Runs a script of `benches/`.
    pub(crate) fn start(script: &str, arguments: &[String]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches").join(script);
        let mut node = packages::node();
        node.arg(script).args(arguments);
        let mut process =
            node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Node.js is installed");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        Self { process, lines }
    }

    /// The next thing that it says.
    pub(crate) fn line(&mut self) -> Value {
        let line = self.lines.next().expect("it answers").expect("UTF-8");
        serde_json::from_str(&line).expect("JSON")
    }

    /// The port that it says it is at.
    pub(crate) fn port(said: &Value) -> u16 {
        said["port"].as_u64().and_then(|port| port.try_into().ok()).expect("a port")
    }
}

impl Drop for Js {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ended = self.process.wait();
    }
}

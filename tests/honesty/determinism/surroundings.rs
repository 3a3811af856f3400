//! Time zones, languages, processors, heaps, processes and builds in which the same must come out.
//!
//! Each [`Surroundings`] is a process of its own, which runs one ignored test of a program of tests: this one, or that of another build.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use libvms::engine::Sandbox;
use serde::Serialize;

use crate::support::Process;

/// Where and how something is executed.
pub(super) struct Surroundings {
    pub(super) name: &'static str,
    program: PathBuf,
    pub(super) sandbox: Sandbox,
    variables: Vec<(&'static str, String)>,
}

/// Names for the same parts of the processor in older and newer versions of the C library; unknown ones do no harm.
const PLAIN_PROCESSOR: &str = "glibc.cpu.hwcaps=-FMA,-FMA4,-AVX,-AVX2,-AVX512F,-AVX512VL,-ERMS,-SSE4_2,-FMA_Usable,\
    -FMA4_Usable,-AVX2_Usable,-AVX_Usable,-AVX512F_Usable";

/// This build in other surroundings; first of all, plainly on a thread.
pub(super) fn surroundings() -> Vec<Surroundings> {
    let program = std::env::current_exe().expect("this program");
    let plain = |name, sandbox, variables: &[(&'static str, &str)]| {
        let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Surroundings { name, program: program.clone(), sandbox, variables }
    };
    let large = "x".repeat(100_000);
    vec![
        plain("a thread", Sandbox::Off, &[]),
        plain("a worker process", Sandbox::Process, &[("TZ", "America/St_Johns")]),
        plain("Turkish in Kathmandu", Sandbox::Off, &[("TZ", "Asia/Kathmandu"), ("LC_ALL", "tr_TR.UTF-8")]),
        plain(
            "a large environment",
            Sandbox::Off,
            &[("TZ", "XYZ-25:17"), ("LANG", "de_DE"), ("LARGE", &large)],
        ),
        plain("a processor without FMA and AVX", Sandbox::Off, &[("GLIBC_TUNABLES", PLAIN_PROCESSOR)]),
        plain(
            "a heap full of garbage",
            Sandbox::Off,
            &[("MALLOC_PERTURB_", "165"), ("MALLOC_ARENA_MAX", "1"), ("MALLOC_MMAP_THRESHOLD_", "4096")],
        ),
    ]
}

/// The tests of another build, which `.ci/differential` names.
pub(super) fn other_build() -> Option<Surroundings> {
    let program = PathBuf::from(std::env::var_os("VMS_OTHER_BUILD")?);
    Some(Surroundings { name: "another build", program, sandbox: Sandbox::Off, variables: vec![] })
}

impl Surroundings {
    /// Runs a test, which finds its task in this variable of its environment.
    pub(super) fn start(&self, test: &str, variable: &str, task: &impl Serialize) -> Process {
        let json = serde_json::to_string(task).expect("JSON");
        let mut command = Command::new(&self.program);
        command.args(["--exact", test, "--ignored", "--nocapture"]).env(variable, json);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        Process::start(command.stdin(Stdio::null()).stdout(Stdio::null())).expect("it starts")
    }

    /// Waits for such a test, which must pass.
    pub(super) fn wait_for(&self, mut child: Process) {
        assert!(child.wait().expect("it ends").success(), "{}: it failed", self.name);
    }
}

//! A program with the library in it: no script runs unconfined there unless the program chose that.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use libvms::audit::{Auditor, Verdict};
use libvms::engine::{EngineSettings, Worker};
use libvms::host::{Deployment, HostOptions, Vm};
use libvms::net::{Network, NetworkOptions};
use libvms::replay::AuditOptions;
use libvms::watch::Watcher;
use libvms_protocol::entry::{Auth, Limits};
use serde_json::json;

use crate::support::{Process, TestService, run, text};

/// What the process of a test is told.
const DIRECTORY: &str = "VMS_TEST_DIRECTORY";

/// Runs an ignored test of this file in a process of its own, whose workers nobody has provided for.
fn alone(test: &str, directory: &Path) {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", &format!("service::embedding::{test}"), "--ignored"]).env(DIRECTORY, directory);
    let output = Process::output(&mut command).expect("it starts");
    assert!(output.status.success(), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("1 passed"), "{}", text(&output.stdout));
}

/// A place with a service in `data`, and nothing in `new`.
fn deployed() -> TestService {
    let place = TestService::of_example("counter.js");
    run(async {
        let host = place.host();
        host.client().await.call("increment", json!([])).await;
        assert!(host.terminate().success());
    });
    place
}

fn told_directory() -> Option<(PathBuf, PathBuf)> {
    let data = PathBuf::from(std::env::var_os(DIRECTORY)?);
    let new = data.with_file_name("new");
    Some((data, new))
}

fn counter() -> Deployment {
    let code = include_str!("../../examples/counter.js").to_owned();
    Deployment {
        code,
        title: "counter".into(),
        auth: Auth::Debug,
        limits: Limits::default(),
        form: libvms::host::Form::default(),
        oracles: vec![],
        effects: vec![],
    }
}

/// The error names both ways on.
fn assert_helps(error: &dyn std::error::Error) {
    let said = error.to_string();
    for part in [
        "refusing to run scripts unconfined",
        "libvms::engine::run_if_worker()",
        "libvms::engine::EngineSettings::unconfined()",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_without_workers_runs_no_script() {
    alone("without_workers", &deployed().data());
}

#[test]
#[ignore = "a part of the test above"]
fn without_workers() {
    let Some((data, new)) = told_directory() else { return };
    let refused = Vm::deploy(&new, counter(), HostOptions::default());
    assert_helps(&refused.expect_err("nothing is deployed"));
    assert!(!new.exists(), "nothing was made");
    let refused = Vm::open(&data, HostOptions::default(), &mut |_, _| {});
    assert_helps(&refused.expect_err("nothing is opened"));
    assert_helps(&Auditor::for_directory(&data).run(&mut |_, _| {}).expect_err("nothing is verified"));
    let network = Arc::new(Network::new(NetworkOptions::default()));
    assert_helps(&Watcher::new(&new, network, AuditOptions::default()).expect_err("nothing is watched"));
    assert!(!new.exists(), "nothing was made");
    assert_helps(&Worker::start(Limits::default(), &EngineSettings::default()).expect_err("no worker"));
    // A choice that was made by name holds; it is the default that nobody can rely on here.
    assert!(Worker::start(Limits::default(), &EngineSettings::unconfined()).is_ok());
}

#[test]
fn a_program_that_chose_so_runs_scripts_unconfined() {
    alone("unconfined_by_choice", &deployed().data());
}

#[test]
#[ignore = "a part of the test above"]
fn unconfined_by_choice() {
    let Some((data, new)) = told_directory() else { return };
    let engine = EngineSettings::unconfined();
    let options = AuditOptions { engine: engine.clone(), ..AuditOptions::default() };
    let report = Auditor::for_directory(&data).with_options(options).run(&mut |_, _| {});
    assert_eq!(report.expect("it is verified").verdict, Verdict::Agrees);
    let options = || HostOptions { engine: engine.clone(), ..HostOptions::default() };
    run(async {
        let vm = Vm::deploy(&new, counter(), options()).expect("it is deployed");
        assert_eq!(vm.call(None, "increment", vec![]).await.expect("an answer").json.as_deref(), Some("1"));
        vm.close().await;
        let vm = Vm::open(&data, options(), &mut |_, _| {}).expect("it is opened");
        assert_eq!(vm.call(None, "increment", vec![]).await.expect("an answer").json.as_deref(), Some("2"));
        vm.close().await;
    });
    // The choice of one is no choice for others.
    let refused = Vm::open(&new, HostOptions::default(), &mut |_, _| {});
    assert_helps(&refused.expect_err("confined again"));
}

//! A Rust program that hosts a service itself, calls it, and lets an auditor check it.
//!
//! ```text
//! cargo run --example embed
//! ```

use std::error::Error;

use libvms::audit::{Auditor, Verdict};
use libvms::host::{Deployment, HostOptions, Vm};
use libvms_protocol::value::Value;

fn main() -> Result<(), Box<dyn Error>> {
    // Scripts run in processes of their own, locked up, which are this program again. Without this line no script runs;
    // who wants them unconfined says so: HostOptions { engine: EngineSettings::unconfined(), .. }
    libvms::engine::run_if_worker();
    tokio::runtime::Runtime::new()?.block_on(serve())
}

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn serve() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let code = include_str!("counter.js").to_owned();
    let deployment = Deployment::new(code, "counter");
    let vm = Vm::deploy(directory.path(), deployment, HostOptions::default())?;

    for by in [1, 2, 3] {
        let answer = vm.call(Some("alice".into()), "increment", vec![Value::Integer(by)]).await?;
        println!("block {}: {}", answer.block, answer.json.unwrap_or_default());
    }
    vm.close().await;

    let report = Auditor::for_directory(directory.path()).run(&mut |_done, _all| {})?;
    assert_eq!(report.verdict, Verdict::Agrees);
    println!("verified {} calls", report.counts.calls);
    Ok(())
}

//! Audits the data directory of a host, or a copy of it, once: every call is executed again and compared.
//!
//! ```text
//! vms host examples/counter.js --dir counter.vms
//! cargo run --example verify_log -- counter.vms
//! ```
//!
//! The directory is only read, and its host may be using it. `libvms::audit::verify_remote` does the same for a log that peers
//! have.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use libvms::audit::{AuditReport, Auditor, Compared, Verdict};
use libvms::{CallLog, engine};
use libvms_protocol::entry::Entry;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // The scripts of strangers run in processes of their own, locked up, which are this program again.
    engine::run_if_worker();
    let directory = std::env::args().nth(1).ok_or("usage: verify_log DIRECTORY")?;
    let directory = Path::new(&directory);

    let log = CallLog::open(directory)?;
    for entry in log.entries(log.length().blocks()) {
        match entry? {
            (block, Entry::Init(init)) => println!("block {block}: deploys {:?}", init.title),
            (block, Entry::Call(entry)) => println!("block {block}: calls {}", entry.call.method_name),
            (block, _) => println!("block {block}: something else"),
        }
    }

    let report = Auditor::for_directory(directory).run(&mut |_done, _all| {})?;
    println!("{}", report.verdict);
    println!("{}", seen(&report));
    Ok(match report.verdict {
        Verdict::Agrees => ExitCode::SUCCESS,
        // The host deviated: `finding.block` is the first place, `finding.violation` says how. Of what peers have shown, which
        // only `verify_remote` hears of, it has signed two histories.
        Verdict::Diverges(_) | Verdict::Equivocates { .. } => ExitCode::FAILURE,
        // Nobody is accused: the log is of another engine, say, or a part of it is not here.
        Verdict::CannotVerify { .. } | Verdict::ArchiveAhead { .. } | Verdict::NotDeterministic { .. } => {
            ExitCode::from(3)
        }
    })
}

/// An agreement is about what was there: who publishes no archive has not agreed with it.
fn seen(report: &AuditReport) -> &'static str {
    match report.compared() {
        Some(Compared::Whole) => "the archive was compared as a whole",
        Some(Compared::Behind { .. }) => "the archive was compared as far as it is here",
        Some(Compared::NotSeen) | None => "the archive was not compared",
    }
}

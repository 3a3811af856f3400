//! What the program says about itself, on stderr.

use tracing_subscriber::EnvFilter;

/// Starts the log: warnings, with `verbosity` 1 what an operator does, with 2 every call. The environment variable
/// `VMS_LOG` overrides it in the syntax of `tracing`'s filters. Arguments, results and keys are never logged.
///
/// Does nothing when a log has been started already.
pub fn start(verbosity: u8) {
    let level = match verbosity {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("VMS_LOG")
        .unwrap_or_else(|_| EnvFilter::new(format!("libvms={level},vms={level},script={level}")));
    let _already_started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .try_init();
}

//! Being asked to stop.

use anyhow::Context;

/// From now on, Ctrl-C and SIGTERM no longer kill: the future ends at the first of them. A second one kills, for whoever
/// will not wait for what runs: what was acknowledged is on disk long before.
pub(super) fn asked_to_stop() -> anyhow::Result<impl Future<Output = anyhow::Result<()>>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).context("cannot wait for signals");
        let (mut interrupt, mut terminate) =
            (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            kill_at_the_next();
            Ok(())
        })
    }
    #[cfg(not(unix))]
    Ok(async { tokio::signal::ctrl_c().await.context("cannot wait for signals") })
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "how a signal is taken can only be set through the C library")]
fn kill_at_the_next() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the system's own way to take a signal replaces a handler that nobody waits for any more.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

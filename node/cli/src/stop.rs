//! The signals that stop a command.

use anyhow::Context;

/// Returns a future that completes at the first Ctrl-C or SIGTERM, which no longer kill the process from now on. A second
/// signal kills it: an operator need not wait for running calls, and acknowledged ones are on disk already.
pub(super) fn shutdown_signal() -> anyhow::Result<impl Future<Output = anyhow::Result<()>>> {
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
#[expect(unsafe_code, reason = "the disposition of a signal can only be set through the C library")]
fn kill_at_the_next() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: restores the default disposition; the handler that it replaces has no waiter left.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

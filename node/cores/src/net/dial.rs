//! Keeping a connection to a chosen peer. Its addresses are asked for before each attempt, because the peer may have moved.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, ready};
use libvms_hypercore::wire::Role;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::shared::Shared;
use super::tcp::run;

/// The longest delay before reconnecting to a peer that keeps ending connections.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(60);
/// The longest delay before looking again for a peer that was absent.
const ABSENT_DELAY_MAX: Duration = Duration::from_secs(30);
/// An absent peer is looked for again after this part of its absence (1/10): it is soon found again after a
/// short restart, and costs little while it is away for days.
const ABSENCE_PART: u32 = 10;
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses of one peer that are tried in one attempt. A third party may have named them.
const ADDRESSES_MAX: usize = 16;

/// A source of a peer's addresses.
pub trait Whereabouts: fmt::Debug + Send + Sync + 'static {
    /// Returns the addresses to try, in this order. Called before each attempt.
    fn ask(&self) -> BoxFuture<'_, Vec<SocketAddr>>;
}

/// A fixed address.
impl Whereabouts for SocketAddr {
    fn ask(&self) -> BoxFuture<'_, Vec<SocketAddr>> {
        Box::pin(ready(vec![*self]))
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The peer was absent.
    Absent,
    /// There was a connection, and reconnecting makes sense.
    InOrder,
    /// There was a connection, and another one is likely to end the same way.
    Lastingly,
}

/// Connects, and reconnects whenever the connection has ended, until the network stops.
pub(super) async fn keep_connected(whereabouts: Arc<dyn Whereabouts>, shared: Arc<Shared>) {
    let mut backoff = Backoff::new(shared.options.reconnect_delay);
    let connecting = async {
        loop {
            let ended = attempt(&*whereabouts, &shared).await;
            tokio::time::sleep(backoff.delay_after(ended, Instant::now())).await;
        }
    };
    let _stopped: Option<Infallible> = shared.stop.run_until_cancelled(connecting).await;
}

async fn attempt(whereabouts: &dyn Whereabouts, shared: &Arc<Shared>) -> Ended {
    for address in whereabouts.ask().await.into_iter().take(ADDRESSES_MAX) {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address));
        let Ok(Ok(socket)) = connecting.await else { continue };
        shared.counters.opened.add(1);
        let ended = run(socket, address, Role::Initiator, shared.admission.outbound(), shared.clone()).await;
        return match ended {
            Some(error) if error.is_lasting() => Ended::Lastingly,
            _ => Ended::InOrder,
        };
    }
    Ended::Absent
}

/// The delays between attempts (exponential backoff).
#[derive(Debug)]
struct Backoff {
    least: Duration,
    /// The last delay for a peer that keeps ending connections.
    delay: Duration,
    absent_since: Option<Instant>,
}

impl Backoff {
    fn new(least: Duration) -> Self {
        Self { least, delay: least, absent_since: None }
    }

    fn delay_after(&mut self, ended: Ended, now: Instant) -> Duration {
        match ended {
            Ended::Absent => {
                let since = *self.absent_since.get_or_insert(now);
                let absent = now.duration_since(since);
                (absent / ABSENCE_PART).clamp(self.least, ABSENT_DELAY_MAX.max(self.least))
            }
            Ended::InOrder => {
                (self.absent_since, self.delay) = (None, self.least);
                self.delay
            }
            Ended::Lastingly => {
                self.absent_since = None;
                self.delay = (self.delay * 2).min(RECONNECT_DELAY_MAX);
                self.delay
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_millis(250);

    #[test]
    fn an_absent_peer_is_looked_for_less_and_less_but_for_ever() {
        let (mut backoff, start) = (Backoff::new(LEAST), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let delays = [0, 1, 10, 100, 1_000, 1_000_000];
        let delays = delays.map(|seconds| backoff.delay_after(Ended::Absent, after(seconds)).as_millis());
        assert_eq!(delays, [250, 250, 1_000, 10_000, 30_000, 30_000]);
        assert_eq!(backoff.delay_after(Ended::InOrder, after(1_000_001)), LEAST);
        assert_eq!(backoff.delay_after(Ended::Absent, after(1_000_002)), LEAST, "away anew");
    }

    #[test]
    fn a_peer_that_disconnects_us_is_asked_less_and_less() {
        let (mut backoff, now) = (Backoff::new(LEAST), Instant::now());
        let delays: Vec<_> =
            (0..10).map(|_| backoff.delay_after(Ended::Lastingly, now).as_millis()).collect();
        assert_eq!(delays[..4], [500, 1_000, 2_000, 4_000]);
        assert_eq!(delays[9], 60_000);
        assert_eq!(backoff.delay_after(Ended::InOrder, now), LEAST);
        assert_eq!(backoff.delay_after(Ended::Lastingly, now), 2 * LEAST);
    }
}

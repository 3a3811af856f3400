//! Keeping a connection to a peer that was chosen: where it is asked for anew at each attempt, as it may have moved.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, ready};
use libvms_hypercore::wire::Role;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::shared::{Shared, stopped};
use super::tcp::run;

/// The longest wait before a peer is connected to again that does not get on with us.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(60);
/// The longest wait before a peer is looked for again that was not there.
const ABSENT_DELAY_MAX: Duration = Duration::from_secs(30);
/// A peer that is away is looked for after this part of the time that it has been away: it is soon found again after a
/// short restart, and costs little while it is away for days.
const ABSENCE_PART: u32 = 10;
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses of one peer that are tried in one attempt. Somebody else may have named them.
const ADDRESSES_MAX: usize = 16;

/// Knows where a peer is, as far as anybody knows.
pub trait Whereabouts: fmt::Debug + Send + Sync + 'static {
    /// The addresses to try, in this order. Asked before each attempt.
    fn ask(&self) -> BoxFuture<'_, Vec<SocketAddr>>;
}

/// An address that was given stays what it is.
impl Whereabouts for SocketAddr {
    fn ask(&self) -> BoxFuture<'_, Vec<SocketAddr>> {
        Box::pin(ready(vec![*self]))
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Nobody was there.
    Absent,
    /// There was a connection, and another one makes sense.
    InOrder,
    /// There was a connection, and another one is likely to end the same way.
    Lastingly,
}

/// Connects, and again whenever the connection has ended, until the network stops.
pub(super) async fn keep_connected(whereabouts: Arc<dyn Whereabouts>, shared: Arc<Shared>) {
    let mut stop = shared.stop.subscribe();
    let mut backoff = Backoff::new(shared.options.reconnect_delay);
    loop {
        let ended = tokio::select! {
            () = stopped(&mut stop) => return,
            ended = attempt(&*whereabouts, &shared) => ended,
        };
        let delay = backoff.delay_after(ended, Instant::now());
        tokio::select! {
            () = stopped(&mut stop) => return,
            () = tokio::time::sleep(delay) => {}
        }
    }
}

async fn attempt(whereabouts: &dyn Whereabouts, shared: &Arc<Shared>) -> Ended {
    for address in whereabouts.ask().await.into_iter().take(ADDRESSES_MAX) {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address));
        let Ok(Ok(socket)) = connecting.await else { continue };
        shared.counters.opened.add(1);
        let ended = run(socket, address, Role::Initiator, shared.admission.chosen(), shared.clone()).await;
        return match ended {
            Some(error) if error.is_lasting() => Ended::Lastingly,
            _ => Ended::InOrder,
        };
    }
    Ended::Absent
}

/// How long to wait between attempts.
#[derive(Debug)]
struct Backoff {
    least: Duration,
    /// The wait after the last attempt of a peer that does not get on with us.
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
    fn a_peer_that_is_away_is_looked_for_less_and_less_but_for_ever() {
        let (mut backoff, start) = (Backoff::new(LEAST), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let delays = [0, 1, 10, 100, 1_000, 1_000_000];
        let delays = delays.map(|seconds| backoff.delay_after(Ended::Absent, after(seconds)).as_millis());
        assert_eq!(delays, [250, 250, 1_000, 10_000, 30_000, 30_000]);
        assert_eq!(backoff.delay_after(Ended::InOrder, after(1_000_001)), LEAST);
        assert_eq!(backoff.delay_after(Ended::Absent, after(1_000_002)), LEAST, "away anew");
    }

    #[test]
    fn a_peer_that_throws_us_out_is_asked_less_and_less() {
        let (mut backoff, now) = (Backoff::new(LEAST), Instant::now());
        let delays: Vec<_> =
            (0..10).map(|_| backoff.delay_after(Ended::Lastingly, now).as_millis()).collect();
        assert_eq!(delays[..4], [500, 1_000, 2_000, 4_000]);
        assert_eq!(delays[9], 60_000);
        assert_eq!(backoff.delay_after(Ended::InOrder, now), LEAST);
        assert_eq!(backoff.delay_after(Ended::Lastingly, now), 2 * LEAST);
    }
}

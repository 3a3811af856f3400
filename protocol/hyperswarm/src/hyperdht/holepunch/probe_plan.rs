//! Schedules of probes that make two firewalls open to each other: [`ProbePlan`].
//!
//! ```text
//! here        there       probes
//! consistent  consistent  one byte to each address every second, ten times
//! consistent  random      one byte to a random port of the host every 20 ms, 1,750 times
//! random      consistent  256 sockets, opened within 320 ms; one byte from each in turn every 20 ms, 1,750 in all
//! random      random      hopeless
//! ```
//!
//! The two middle cases rely on the birthday paradox: 256 open ports on one side, some hundred guesses on the other.
//! Source: npm hyperdht (`lib/holepuncher.js`).

use std::time::Duration;

use crate::dht_rpc::address::Address;
use crate::hyperdht::command::Firewall;
use libvms_hypercore::random::Random;
use libvms_hypercore::time::Instant;

/// TTL of a probe that opens our own firewall and expires before the other one, which might react with a block.
pub(crate) const LOW_TTL: u8 = 5;

/// Number of sockets behind a random firewall.
pub(crate) const SOCKETS: u32 = 256;
const _: () = assert!(SOCKETS.is_multiple_of(OPENED_AT_ONCE));

const STEADY_INTERVAL: Duration = Duration::from_secs(1);
const STEADY_TRIES: u32 = 10;
const RANDOM_INTERVAL: Duration = Duration::from_millis(20);
const RANDOM_TRIES: u32 = 1_750;
/// Sockets opened at once: the sooner all are open, the sooner a guess of the other side hits one. Opening all together
/// would fill the queue of a small router.
const OPENED_AT_ONCE: u32 = 16;
/// Turns per probe of an unverified address, which may be a victim's.
const UNVERIFIED_TURNS: u32 = 4;

/// An address of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProbeTarget {
    /// The address.
    pub(crate) address: Address,
    /// Whether a peer that can read the other side's messages receives at that host.
    pub(crate) is_verified: bool,
}

/// One byte to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    /// The number of the socket to send from: 0 is the first.
    pub(crate) socket: u32,
    /// The destination.
    pub(crate) to: Address,
    /// The IP time to live, if not the default.
    pub(crate) ttl: Option<u8>,
}

/// A schedule of probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProbePlan {
    kind: Kind,
    tries: u32,
    next_at: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Steady(Vec<ProbeTarget>),
    RandomPorts(Address),
    ManySockets(Address),
}

impl ProbePlan {
    /// Returns the plan for two known firewalls, or `None` if it is hopeless or if the other side's host must be
    /// verified first. The first probe leaves at `starts_at`.
    pub(crate) fn choose(
        here: Firewall,
        there: Firewall,
        aims: &[ProbeTarget],
        starts_at: Instant,
    ) -> Option<Self> {
        let verified = aims.iter().find(|aim| aim.is_verified).map(|aim| aim.address);
        let kind = match (is_consistent(here)?, is_consistent(there)?) {
            (true, true) => Kind::Steady(aims.to_vec()),
            (true, false) => Kind::RandomPorts(verified?),
            (false, true) => Kind::ManySockets(verified.filter(|address| address.port() != 0)?),
            (false, false) => return None,
        };
        Some(Self { kind, tries: 0, next_at: starts_at })
    }

    /// Returns whether this is a large plan: only one of these may run at a time.
    pub(crate) fn is_large(&self) -> bool {
        !matches!(self.kind, Kind::Steady(_))
    }

    /// Returns the number of sockets needed.
    pub(crate) fn sockets(&self) -> u32 {
        if matches!(self.kind, Kind::ManySockets(_)) { SOCKETS } else { 1 }
    }

    /// Returns when the next probes are due; `None` when the plan is over.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        let most = if self.is_large() { RANDOM_TRIES } else { STEADY_TRIES };
        (self.tries < most).then_some(self.next_at)
    }

    /// Returns when the last probe will have had time to arrive.
    pub(crate) fn over_at(&self) -> Instant {
        let (most, interval) = match self.is_large() {
            true => (RANDOM_TRIES, RANDOM_INTERVAL),
            false => (STEADY_TRIES, STEADY_INTERVAL),
        };
        self.next_at + (most - self.tries) * interval + STEADY_INTERVAL
    }

    /// Returns the probes that are due now.
    pub(crate) fn probes(&mut self, now: Instant, random: &mut Random) -> Vec<Probe> {
        if self.next_at().is_none_or(|at| at > now) {
            return vec![];
        }
        let turn = self.tries;
        let is_opening = matches!(self.kind, Kind::ManySockets(_)) && turn < SOCKETS;
        self.tries += if is_opening { OPENED_AT_ONCE } else { 1 };
        self.next_at = now + if self.is_large() { RANDOM_INTERVAL } else { STEADY_INTERVAL };
        match &self.kind {
            Kind::Steady(aims) => {
                let is_due = |aim: &&ProbeTarget| aim.is_verified || turn.is_multiple_of(UNVERIFIED_TURNS);
                let usable = aims.iter().filter(is_due).filter(|aim| aim.address.port() != 0);
                usable.map(|aim| Probe { socket: 0, to: aim.address, ttl: None }).collect()
            }
            Kind::RandomPorts(host) => {
                let draw = u16::from_le_bytes(*random.bytes().first_chunk().expect("32 bytes"));
                let port = 1_000 + draw % (u16::MAX - 1_000 + 1);
                vec![Probe { socket: 0, to: host.with_port(port), ttl: None }]
            }
            Kind::ManySockets(to) => {
                // The first round of probes only opens the ports here.
                let ttl = is_opening.then_some(LOW_TTL);
                (turn..self.tries).map(|turn| Probe { socket: turn % SOCKETS, to: *to, ttl }).collect()
            }
        }
    }
}

/// Returns whether all remotes see the same port; `None` if unknown.
fn is_consistent(firewall: Firewall) -> Option<bool> {
    match firewall {
        Firewall::Open | Firewall::Consistent => Some(true),
        Firewall::Random => Some(false),
        Firewall::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aim(last: u8, is_verified: bool) -> ProbeTarget {
        ProbeTarget { address: Address::new([20, 0, 0, last].into(), 7), is_verified }
    }

    fn all(here: Firewall, there: Firewall, aims: &[ProbeTarget]) -> Vec<(Instant, Probe)> {
        let mut barrage = ProbePlan::choose(here, there, aims, Instant::START).expect("there is a way");
        let mut random = Random::new([1; 32]);
        let mut sent = vec![];
        while let Some(now) = barrage.next_at() {
            sent.extend(barrage.probes(now, &mut random).into_iter().map(|probe| (now, probe)));
        }
        sent
    }

    /// Unverified addresses get fewer.
    #[test]
    fn two_consistent_firewalls_need_ten_probes() {
        let sent = all(Firewall::Consistent, Firewall::Open, &[aim(1, true), aim(2, false)]);
        let to = |last| sent.iter().filter(|(_, probe)| probe.to == aim(last, true).address).count();
        assert_eq!((to(1), to(2)), (10, 3));
        assert_eq!(sent.last().map(|(at, _)| *at), Some(Instant::from_millis(9_000)));
        let barrage =
            ProbePlan::choose(Firewall::Consistent, Firewall::Open, &[aim(1, true)], Instant::from_millis(5));
        assert_eq!(barrage.map(|barrage| barrage.over_at()), Some(Instant::from_millis(11_005)));
    }

    #[test]
    fn many_ports_are_probed_at_a_verified_host_only() {
        assert_eq!(
            ProbePlan::choose(Firewall::Consistent, Firewall::Random, &[aim(1, false)], Instant::START),
            None
        );
        let sent = all(Firewall::Consistent, Firewall::Random, &[aim(2, false), aim(1, true)]);
        assert_eq!(sent.len(), 1_750);
        assert!(
            sent.iter()
                .all(|(_, probe)| probe.to.ip() == aim(1, true).address.ip() && probe.to.port() >= 1_000)
        );
        let ports: std::collections::BTreeSet<u16> = sent.iter().map(|(_, probe)| probe.to.port()).collect();
        assert!(ports.len() > 1_600);
    }

    #[test]
    fn from_behind_a_random_firewall_many_sockets_are_opened_first() {
        let sent = all(Firewall::Random, Firewall::Consistent, &[aim(1, true)]);
        assert_eq!(sent.len(), 1_750);
        assert!(sent[..256].iter().all(|(_, probe)| probe.ttl == Some(LOW_TTL)));
        assert!(sent[256..].iter().all(|(_, probe)| probe.ttl.is_none()));
        assert_eq!(
            (sent[255].0, sent[256].0),
            (Instant::from_millis(300), Instant::from_millis(320)),
            "all are open soon"
        );
        let sockets: std::collections::BTreeSet<u32> = sent.iter().map(|(_, probe)| probe.socket).collect();
        assert_eq!(sockets.len(), 256);
    }

    #[test]
    fn two_random_firewalls_are_not_tried() {
        for (here, there) in [
            (Firewall::Random, Firewall::Random),
            (Firewall::Unknown, Firewall::Consistent),
            (Firewall::Consistent, Firewall::Unknown),
        ] {
            assert_eq!(ProbePlan::choose(here, there, &[aim(1, true)], Instant::START), None);
        }
    }
}

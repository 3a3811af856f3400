//! An iterative search for the nodes closest to a target (Kademlia's node lookup): [`Query`].
//!
//! The query asks the closest nodes it knows, learns closer ones from their answers, and ends when the [`CLOSEST_MAX`]
//! closest have answered. It does not wait for a late node: another is asked in its place at once, and when only late
//! ones are left they get a moment more. So a dead node, at any distance, costs less than two seconds. It asks only a
//! few ports of one machine, however many nodes name more of them, and ends with still fewer: see
//! [`IpQuota`](crate::dht_rpc::ip_quota::IpQuota).
//!
//! The machine only decides which node to ask; [`Node`](crate::dht_rpc::Node) sends and times out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::dht_rpc::CLOSEST_MAX;
use crate::dht_rpc::address::{Address, Distance, NodeId, Target};
use crate::dht_rpc::ip_quota::{OF_CANDIDATES, OF_TWENTY, network};
use crate::dht_rpc::message::{Command, ErrorCode, Response, Token};
use libvms_hypercore::time::Instant;

/// Nodes that one query asks. An honest network needs 30 to 60; hostile answers must not make us ask for ever.
const ASKED_MAX: usize = 512;
/// Known nodes that were not asked yet; of more, the farthest are forgotten.
pub(crate) const CANDIDATES_MAX: usize = 128;
/// Nodes asked at once while a query follows addresses that the caller provided.
const CAREFUL_CONCURRENCY: usize = 3;
/// How long to wait for late nodes when nothing else is left to do: two repetitions, and time for the answer.
const LATE_AFTER: Duration = Duration::from_millis(1_250);
/// The same if [`CLOSEST_MAX`] others have answered.
const LATE_WITH_ENOUGH: Duration = Duration::from_secs(1);

/// The goal of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuerySpec {
    /// The target to which the closest nodes are searched.
    pub target: Target,
    /// The command that each node is sent.
    pub command: Command,
    /// The further input of the command.
    pub value: Option<Vec<u8>>,
    /// Nodes to begin with, for instance the closest of an earlier query. If empty, those of the table.
    pub nodes: Vec<Address>,
    /// Number of nodes asked at once.
    pub concurrency: usize,
    /// Whether something will be stored at the closest nodes afterwards.
    pub commits: bool,
}

impl QuerySpec {
    /// Returns a query from the table that asks ten nodes at once and stores nothing.
    pub fn new(target: Target, command: Command) -> Self {
        Self { target, command, value: None, nodes: Vec::new(), concurrency: 10, commits: false }
    }
}

/// The answer of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The node.
    pub from: Address,
    /// Its id, if it gave the one of its address.
    pub id: Option<NodeId>,
    /// Our own address as the node sees it. A claim.
    pub to: Address,
    /// The token to show when something is stored there.
    pub token: Option<Token>,
    /// The reason why the request failed.
    pub error: Option<ErrorCode>,
    /// The result of the command.
    pub value: Option<Vec<u8>>,
    /// Time until the answer, repetitions included.
    pub round_trip: Duration,
}

/// A search in progress.
#[derive(Debug)]
pub(crate) struct Query {
    spec: QuerySpec,
    own: Option<Address>,
    candidates: BTreeMap<Distance, Candidate>,
    /// Every node that was a candidate once.
    seen: BTreeSet<Address>,
    asked: BTreeMap<Address, Asked>,
    closest: BTreeMap<Distance, Answer>,
    /// More nodes to begin with, in case those before are too few.
    reserves: VecDeque<Vec<Address>>,
    is_careful: bool,
    answers: usize,
    asked_count: usize,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    address: Address,
    named_by: Option<Address>,
}

/// A node that has not answered yet.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// When the request was sent; `None` while it is queued.
    at: Option<Instant>,
    is_late: bool,
    named_by: Option<Address>,
}

impl Query {
    /// Creates a query that begins with the nodes of `spec` and continues with those of each of `reserves` as long as
    /// there are too few. `own` is never asked.
    pub(crate) fn new(spec: QuerySpec, own: Option<Address>, reserves: Vec<Vec<Address>>) -> Self {
        let is_careful = !spec.nodes.is_empty();
        let mut query = Self {
            own,
            candidates: BTreeMap::new(),
            seen: BTreeSet::new(),
            asked: BTreeMap::new(),
            closest: BTreeMap::new(),
            reserves: reserves.into(),
            is_careful,
            answers: 0,
            asked_count: 0,
            spec,
        };
        let given = std::mem::take(&mut query.spec.nodes);
        given.into_iter().for_each(|address| _ = query.add_candidate(address, None));
        query
    }

    pub(crate) fn spec(&self) -> &QuerySpec {
        &self.spec
    }

    /// Returns the next node to ask. Call it until there is none; then the query waits, or [is
    /// over](Self::is_finished).
    pub(crate) fn next(&mut self) -> Option<Address> {
        while self.needs_reserve() {
            let reserve = self.reserves.pop_front().unwrap_or_default();
            reserve.into_iter().for_each(|address| _ = self.add_candidate(address, None));
        }
        if self.asked_in_time() >= self.concurrency() || self.asked_count >= ASKED_MAX {
            return None;
        }
        let (distance, candidate) = self.candidates.pop_first()?;
        if !self.is_closer(&distance) {
            self.candidates.clear();
            return None;
        }
        self.asked_count += 1;
        self.asked
            .insert(candidate.address, Asked { at: None, is_late: false, named_by: candidate.named_by });
        Some(candidate.address)
    }

    /// Takes the answer of a node.
    pub(crate) fn answered(&mut self, from: Address, answer: Answer, response: &Response) {
        if self.asked.remove(&from).is_none() {
            return;
        }
        if answer.error.is_none() {
            self.answers += 1;
            if let Some(id) = answer.id {
                self.keep(id.distance(&self.spec.target), answer);
            }
        }
        // They come nearest first; the first that is not closer ends the list, as in the reference.
        for address in &response.closer {
            if !self.add_candidate(*address, Some(from)) {
                break;
            }
        }
    }

    /// Keeps one of the closest nodes so far, and drops the farthest, or the farthest beyond an IP quota.
    fn keep(&mut self, distance: Distance, answer: Answer) {
        let newcomer = answer.from;
        self.closest.insert(distance, answer);
        if let Some(surplus) = OF_TWENTY.surplus(&newcomer, self.closest.values().map(|answer| &answer.from))
        {
            self.closest.remove(&NodeId::of(&surplus).distance(&self.spec.target));
        }
        while self.closest.len() > CLOSEST_MAX {
            self.closest.pop_last();
        }
    }

    /// Notes that the request to a node was sent, for the first time or again.
    pub(crate) fn sent(&mut self, now: Instant, address: Address) {
        self.asked.get_mut(&address).into_iter().for_each(|asked| _ = asked.at.get_or_insert(now));
    }

    /// Notes that a node has not answered its first try.
    pub(crate) fn late(&mut self, address: Address) {
        self.asked.get_mut(&address).into_iter().for_each(|asked| asked.is_late = true);
    }

    /// Notes that a node has not answered at all. Returns the node that named it.
    pub(crate) fn failed(&mut self, address: Address) -> Option<Address> {
        self.asked.remove(&address)?.named_by
    }

    /// Returns whether there is no node left to ask or to wait for.
    pub(crate) fn is_finished(&self, now: Instant) -> bool {
        let nobody_to_ask = self.candidates.is_empty() || self.asked_count >= ASKED_MAX;
        nobody_to_ask && !self.needs_reserve() && self.patience_ends().is_none_or(|ends| ends <= now)
    }

    /// Returns until when to wait for the asked nodes, if there are any.
    pub(crate) fn patience_ends(&self) -> Option<Instant> {
        let patience = if self.closest.len() < CLOSEST_MAX { LATE_AFTER } else { LATE_WITH_ENOUGH };
        self.asked.values().map(|asked| asked.at.map_or(Instant::MAX, |at| at + patience)).max()
    }

    /// Returns the answers, the closest node first.
    pub(crate) fn into_closest(self) -> Vec<Answer> {
        self.closest.into_values().collect()
    }

    fn concurrency(&self) -> usize {
        let careful = self.is_careful && self.answers < self.spec.concurrency;
        if careful { CAREFUL_CONCURRENCY.min(self.spec.concurrency) } else { self.spec.concurrency }
    }

    /// Returns whether there would be too few nodes even if all asked ones answered.
    fn needs_reserve(&self) -> bool {
        !self.reserves.is_empty()
            && self.candidates.is_empty()
            && self.closest.len() + self.asked_in_time() < CLOSEST_MAX
    }

    /// Returns the number of asked nodes that are not late.
    fn asked_in_time(&self) -> usize {
        self.asked.values().filter(|asked| !asked.is_late).count()
    }

    /// Adds a node to ask. Returns false if it is not closer than the nodes that have answered.
    fn add_candidate(&mut self, address: Address, named_by: Option<Address>) -> bool {
        let distance = NodeId::of(&address).distance(&self.spec.target);
        if !self.is_closer(&distance) {
            return false;
        }
        if Some(address) == self.own || address.port() == 0 || self.seen.contains(&address) {
            return true;
        }
        // Skipped, without ending the list: a node is not to blame for a crowd on its host.
        if !OF_CANDIDATES.has_room(&address, self.neighbours(&address)) {
            return true;
        }
        self.seen.insert(address);
        self.candidates.insert(distance, Candidate { address, named_by });
        while self.candidates.len() > CANDIDATES_MAX {
            // It may be named again when others turn out to be gone.
            self.candidates
                .pop_last()
                .into_iter()
                .for_each(|(_, farthest)| _ = self.seen.remove(&farthest.address));
        }
        true
    }

    /// Returns every node that was a candidate once and is in the same /24 as the address.
    fn neighbours(&self, address: &Address) -> impl Iterator<Item = &Address> + Clone {
        let [first, second, third] = network(address.ip());
        let end = |last, port| Address::new([first, second, third, last].into(), port);
        self.seen.range(end(0, 0)..=end(u8::MAX, u16::MAX))
    }

    fn is_closer(&self, distance: &Distance) -> bool {
        self.closest.len() < CLOSEST_MAX
            || self.closest.last_key_value().is_some_and(|(last, _)| distance < last)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const TARGET: Target = Target([0x77; 32]);

    /// Sorts nodes, the nearest first.
    fn sorted(mut nodes: Vec<Address>) -> Vec<Address> {
        nodes.sort_by_cached_key(|node| NodeId::of(node).distance(&TARGET));
        nodes
    }

    fn honest() -> Vec<Address> {
        sorted((0..300).map(|number| Address::new(Ipv4Addr::from(0x1e00_0001 + 256 * number), 1)).collect())
    }

    /// Returns so many ports of one machine that the nearest are nearer than all honest nodes.
    fn crowd(ip: [u8; 4]) -> Vec<Address> {
        sorted((1..=20_000).map(|port| Address::new(ip.into(), port)).collect())
    }

    /// Runs a query in which each node names the nodes in `names`. Returns the asked nodes, and those the query ends
    /// with.
    fn run(mut query: Query, names: impl Fn(&Address) -> Vec<Address>) -> (Vec<Address>, Vec<Address>) {
        let mut asked = vec![];
        while let Some(from) = query.next() {
            asked.push(from);
            query.sent(Instant::START, from);
            let (id, to) = (Some(NodeId::of(&from)), Address::new([9, 9, 9, 9].into(), 9));
            let answer = Answer {
                from,
                id,
                to,
                token: None,
                error: None,
                value: None,
                round_trip: Duration::from_millis(1),
            };
            let closer = names(&from);
            let response = Response { tid: 0, to, id, token: None, closer, error: None, value: None };
            query.answered(from, answer, &response);
        }
        assert!(query.is_finished(Instant::START));
        (asked, query.into_closest().into_iter().map(|answer| answer.from).collect())
    }

    #[test]
    fn the_nearest_ids_of_one_machine_do_not_capture_a_query() {
        let (honest, crowd) = (honest(), crowd([66, 6, 6, 6]));
        let all = sorted([&crowd[..20], &honest[..20]].concat());
        assert!(all[..20].iter().filter(|node| crowd.contains(node)).count() > 15, "the crowd is nearer");
        let names = |from: &Address| {
            let others = if from.ip() == crowd[0].ip() { 0 } else { 20 };
            crowd[..20].iter().chain(&honest[..others]).copied().collect()
        };
        let spec = QuerySpec::new(TARGET, Command::FIND_NODE);
        let (asked, closest) = run(Query::new(spec, None, vec![honest[250..].to_vec()]), names);
        assert_eq!(closest, sorted([&crowd[..2], &honest[..18]].concat()));
        assert!(asked.iter().filter(|node| node.ip() == crowd[0].ip()).count() <= OF_CANDIDATES.host);
    }

    #[test]
    fn one_network_of_crowded_hosts_gets_at_most_half_the_places() {
        let honest = honest();
        let ports = |last| (1..=64).map(move |port| Address::new([66, 6, 6, last].into(), port));
        let all = sorted((0..=255).flat_map(ports).collect());
        let names = |_: &Address| all.iter().take(200).chain(&honest[..20]).copied().collect();
        let spec = QuerySpec::new(TARGET, Command::FIND_NODE);
        let (asked, closest) = run(Query::new(spec, None, vec![honest[250..].to_vec()]), names);
        let of_crowds =
            |nodes: &[Address]| nodes.iter().filter(|node| network(node.ip()) == [66, 6, 6]).count();
        assert_eq!((of_crowds(&closest), closest.len()), (OF_TWENTY.network, CLOSEST_MAX));
        assert!(of_crowds(&asked) <= OF_CANDIDATES.network);
    }

    #[test]
    fn a_network_of_nodes_on_this_machine_is_asked_as_any_other() {
        let local = crowd([127, 0, 0, 1]);
        let names = |_: &Address| local[..20].to_vec();
        let spec = QuerySpec::new(TARGET, Command::FIND_NODE);
        let (_, closest) = run(Query::new(spec, None, vec![local[100..120].to_vec()]), names);
        assert_eq!(closest, local[..20]);
    }
}

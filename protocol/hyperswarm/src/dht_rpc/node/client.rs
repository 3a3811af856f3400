//! Requests and queries of a node: starting them, asking candidates, taking answers.

use std::time::Duration;

use crate::dht_rpc::incoming::Socket;
use crate::dht_rpc::message::{Request, Response};
use crate::dht_rpc::node::{
    Action, Address, Answer, CLOSEST_MAX, Command, Commit, Node, NodeId, Query, QueryError, QueryId,
    QueryOutcome, QuerySpec, RequestError, RequestId, RequestSpec, RetryPolicy, Target,
};
use crate::dht_rpc::query::CANDIDATES_MAX;
use crate::dht_rpc::requests::{Due, Waiting};
use crate::dht_rpc::table::Place;
use libvms_hypercore::time::Instant;

/// Old nodes that are challenged at once. Many newcomers must not make us ping every node.
const CHALLENGES_MAX: usize = 3;
/// How long a node's report of our own address stays its current one.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// The purpose of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A request of the layer above.
    Caller(RequestId),
    /// A step of a query.
    Query(QueryId),
    /// A store request to a node that a query ended with.
    Commit(QueryId),
    /// A ping of a node that sent us a request, to verify its id.
    Verify,
    /// A ping of a node in the table, to see whether it is still alive.
    Alive,
    /// The first test whether a datagram gets through to the server socket.
    Probe,
    /// The same test with several nodes.
    Check,
    /// A hint to another node that a node is gone.
    Hint,
}

/// The owner of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The layer above.
    Caller,
    /// The node itself, for its bootstrap.
    Bootstrap,
    /// The node itself, for the maintenance of its table.
    Refresh,
}

/// A query whose closest nodes are known, while store requests to them are in flight.
#[derive(Debug)]
pub(super) struct Committing {
    target: Target,
    closest: Vec<Answer>,
    waiting: usize,
    stored: usize,
}

impl Node {
    /// Sends a request to one node. The result comes as [`Action::RequestDone`].
    pub fn start_request(&mut self, now: Instant, spec: RequestSpec) -> RequestId {
        let request = RequestId(self.number());
        if !self.ask(Purpose::Caller(request), spec) {
            self.actions.push_back(Action::RequestDone { request, result: Err(RequestError::Busy) });
        }
        self.drive(now);
        request
    }

    /// Forgets a request: no [`Action::RequestDone`] will come.
    pub fn cancel_request(&mut self, request: RequestId) {
        self.requests.cancel(|purpose| *purpose == Purpose::Caller(request));
    }

    /// Searches for the nodes closest to a target. The result comes as [`Action::QueryDone`].
    pub fn start_query(&mut self, now: Instant, spec: QuerySpec) -> QueryId {
        let query = self.begin_query(now, Owner::Caller, spec);
        self.drive(now);
        query
    }

    /// Forgets a query: no [`Action::QueryDone`] will come.
    pub fn cancel_query(&mut self, query: QueryId) {
        self.queries.remove(&query);
        self.committing.remove(&query);
        self.requests
            .cancel(|purpose| matches!(purpose, Purpose::Query(id) | Purpose::Commit(id) if *id == query));
    }

    /// Sends store requests to nodes that a query ended with, after [`Action::QueryCommit`]. Each includes the token
    /// that the node issued; requests to other nodes are left out.
    pub fn commit(&mut self, now: Instant, query: QueryId, commits: Vec<Commit>) {
        let Some(committing) = self.committing.get(&query) else { return };
        let target = committing.target;
        let specs: Vec<RequestSpec> = commits
            .into_iter()
            .filter_map(|Commit { to, command, value }| {
                let answer = committing.closest.iter().find(|answer| answer.from == to)?;
                let spec = RequestSpec::new(to, command);
                Some(RequestSpec { target: Some(target), token: answer.token, value, ..spec })
            })
            .collect();
        let asked = specs.into_iter().filter(|spec| self.ask(Purpose::Commit(query), spec.clone())).count();
        if let Some(committing) = self.committing.get_mut(&query) {
            committing.waiting = asked;
        }
        self.end_commit(query);
        self.drive(now);
    }

    pub(super) fn begin_query(&mut self, now: Instant, owner: Owner, spec: QuerySpec) -> QueryId {
        let id = QueryId(self.number());
        let bootstrap = self.config.bootstrap.clone();
        let mut known = self.table.closest(&spec.target, CANDIDATES_MAX);
        // For the case that many of the closest are gone.
        let far = known.split_off(known.len().min(CLOSEST_MAX));
        // The node's own queries always ask a bootstrap node, too: two halves of a network that lost sight of each
        // other meet again there.
        if owner != Owner::Caller {
            known.extend(&bootstrap);
        }
        let reserves = vec![known, far, bootstrap];
        self.life.query_started(now);
        self.queries.insert(id, (owner, Query::new(spec, self.own, reserves)));
        id
    }

    /// Queues a request. Returns false if too many wait.
    pub(super) fn ask(&mut self, purpose: Purpose, spec: RequestSpec) -> bool {
        let RequestSpec { to, command, target, token, value, socket, ttl, patience } = spec;
        let Some(tid) = self.requests.free_tid(&mut self.random) else { return false };
        let socket = socket.unwrap_or_else(|| self.asking_socket());
        let request = Request { tid, to, id: self.id_through(socket), token, command, target, value };
        self.requests.add(tid, purpose, (socket, to), (request.encode(), ttl), patience);
        true
    }

    /// Sends a ping. Returns false if too many requests wait.
    pub(super) fn ping(&mut self, purpose: Purpose, to: Address) -> bool {
        let patience = RetryPolicy::QUICK;
        self.ask(purpose, RequestSpec { patience, ..RequestSpec::new(to, Command::PING) })
    }

    /// Advances queries and requests until they wait for answers or for time.
    pub(super) fn drive(&mut self, now: Instant) {
        loop {
            while let Some(due) = self.requests.next_due(now) {
                self.handle_due(now, due);
            }
            let queries: Vec<QueryId> = self.queries.keys().copied().collect();
            let progress = queries.into_iter().filter(|query| self.drive_query(now, *query)).count();
            if progress == 0 {
                return;
            }
        }
    }

    /// Asks the next candidates of a query, and ends it when it is over. Returns false if it waits.
    fn drive_query(&mut self, now: Instant, id: QueryId) -> bool {
        let mut has_asked = false;
        while let Some((_, query)) = self.queries.get_mut(&id)
            && let Some(to) = query.next()
        {
            let QuerySpec { command, target, value, .. } = query.spec().clone();
            let spec = RequestSpec::new(to, command);
            let spec = RequestSpec { target: Some(target), value, patience: RetryPolicy::QUICK, ..spec };
            has_asked = true;
            if !self.ask(Purpose::Query(id), spec)
                && let Some((_, query)) = self.queries.get_mut(&id)
            {
                query.failed(to);
            }
        }
        if self.queries.get(&id).is_some_and(|(_, query)| query.is_finished(now)) {
            self.end_query(now, id);
            return true;
        }
        has_asked
    }

    fn end_query(&mut self, now: Instant, id: QueryId) {
        let Some((owner, query)) = self.queries.remove(&id) else { return };
        self.requests.cancel(|purpose| *purpose == Purpose::Query(id));
        if owner != Owner::Caller {
            return self.own_query_ended(now, owner);
        }
        let QuerySpec { commits, target, .. } = *query.spec();
        let closest = query.into_closest();
        let result = match (commits, closest.is_empty()) {
            (false, _) => Ok(QueryOutcome { closest, stored: 0 }),
            (true, true) => Err(QueryError::NoAnswer),
            (true, false) => {
                let committing = Committing { target, closest: closest.clone(), waiting: 0, stored: 0 };
                self.committing.insert(id, committing);
                return self.actions.push_back(Action::QueryCommit { query: id, closest });
            }
        };
        self.actions.push_back(Action::QueryDone { query: id, result });
    }

    fn handle_due(&mut self, now: Instant, due: Due<Purpose>) {
        match due {
            Due::Send { purpose, socket, to, bytes, ttl } => {
                if let Some(query) = self.query_of(purpose) {
                    query.sent(now, to);
                }
                self.actions.push_back(Action::Send { socket, to, bytes, ttl });
            }
            Due::Late { purpose: Purpose::Caller(request), .. } => {
                self.actions.push_back(Action::RequestLate(request));
            }
            Due::Late { purpose, to } => self.query_of(purpose).into_iter().for_each(|query| query.late(to)),
            Due::Failed(waiting) => self.handle_failed(now, &waiting),
        }
    }

    fn query_of(&mut self, purpose: Purpose) -> Option<&mut Query> {
        match purpose {
            Purpose::Query(id) => self.queries.get_mut(&id).map(|(_, query)| query),
            _ => None,
        }
    }

    /// Handles a request without an answer.
    fn handle_failed(&mut self, now: Instant, waiting: &Waiting<Purpose>) {
        let to = waiting.to;
        match waiting.purpose {
            Purpose::Caller(request) => {
                let result = Err(RequestError::TimedOut(to));
                return self.actions.push_back(Action::RequestDone { request, result });
            }
            Purpose::Commit(query) => return self.count_commit(query, false),
            Purpose::Probe | Purpose::Hint => return,
            Purpose::Check => return self.check_answered(now, None),
            Purpose::Verify => _ = self.verifying.remove(&to),
            Purpose::Alive => _ = self.suspected.remove(&to),
            Purpose::Query(_) => {
                let named_by = self.query_of(waiting.purpose).and_then(|query| query.failed(to));
                named_by.into_iter().for_each(|named_by| self.hint(named_by, to));
            }
        }
        // While no node at all answers, our own network is gone, and the table is all we have to come back with.
        let newcomer = self.challenged.remove(&to);
        if waiting.sent_at.is_some_and(|sent_at| self.heard_at > sent_at) {
            self.table.remove(&NodeId::of(&to));
            newcomer
                .into_iter()
                .for_each(|newcomer| _ = self.table.insert(NodeId::of(&newcomer), newcomer, now));
        }
    }

    /// Takes the answer to a request of ours. An answer that no request waits for has no effect.
    pub(super) fn take_response(&mut self, now: Instant, socket: Socket, from: Address, response: Response) {
        let Some(waiting) = self.requests.answered(now, response.tid, from) else { return };
        self.heard_at = now;
        let id = response.id.filter(|id| *id == NodeId::of(&from));
        if socket == waiting.socket && socket == self.asking_socket() {
            self.sample(now, id, response.to);
        }
        id.into_iter().for_each(|id| self.note_alive(now, id, from));
        let answer = Answer {
            from,
            id,
            to: response.to,
            token: response.token,
            error: response.error,
            value: response.value.clone(),
            round_trip: now - waiting.sent_at.unwrap_or(now),
        };
        match waiting.purpose {
            Purpose::Caller(request) => {
                self.actions.push_back(Action::RequestDone { request, result: Ok(answer) });
            }
            Purpose::Query(query) => self.take_query_answer(query, answer, &response),
            Purpose::Commit(query) => self.count_commit(query, answer.error.is_none()),
            Purpose::Verify => _ = self.verifying.remove(&from),
            Purpose::Alive => _ = self.suspected.remove(&from),
            Purpose::Probe if socket == Socket::Server => self.probe_answered(now),
            Purpose::Check => {
                self.check_answered(now, Some(answer.to).filter(|_| socket == Socket::Server));
            }
            Purpose::Probe | Purpose::Hint => {}
        }
    }

    fn take_query_answer(&mut self, id: QueryId, answer: Answer, response: &Response) {
        let Some((owner, query)) = self.queries.get_mut(&id) else { return };
        let owner = *owner;
        query.answered(answer.from, answer.clone(), response);
        match owner {
            Owner::Caller if answer.error.is_none() => {
                self.actions.push_back(Action::QueryProgress { query: id, answer });
            }
            Owner::Bootstrap => self.probe(answer.from),
            Owner::Caller | Owner::Refresh => {}
        }
    }

    fn count_commit(&mut self, query: QueryId, is_stored: bool) {
        if let Some(committing) = self.committing.get_mut(&query) {
            committing.waiting -= 1;
            committing.stored += usize::from(is_stored);
        }
        self.end_commit(query);
    }

    fn end_commit(&mut self, query: QueryId) {
        if self.committing.get(&query).is_none_or(|committing| committing.waiting > 0) {
            return;
        }
        let Some(Committing { closest, stored, .. }) = self.committing.remove(&query) else { return };
        let count = closest.len();
        let result =
            if stored > 0 { Ok(QueryOutcome { closest, stored }) } else { Err(QueryError::NotStored(count)) };
        self.actions.push_back(Action::QueryDone { query, result });
    }

    /// Notes that a node has answered from the address of its id.
    fn note_alive(&mut self, now: Instant, id: NodeId, address: Address) {
        self.challenged.remove(&address);
        if let Some(entry) = self.table.get_mut(&id) {
            entry.heard_at = now;
            return;
        }
        match self.table.place_for(&id, &address, now) {
            Place::Free => _ = self.table.insert(id, address, now),
            Place::Challenge(old)
                if self.challenged.len() < CHALLENGES_MAX && self.life.is_bootstrapped() =>
            {
                if self.ping(Purpose::Alive, old) {
                    self.challenged.insert(old, address);
                    self.table
                        .get_mut(&NodeId::of(&old))
                        .into_iter()
                        .for_each(|entry| entry.challenged_at = now);
                }
            }
            Place::Challenge(_) | Place::None => {}
        }
    }

    /// Takes a node's report of our address: from each node once in a while, and from ephemeral nodes no more often
    /// than there are bootstrap nodes, which may be ephemeral.
    fn sample(&mut self, now: Instant, id: Option<NodeId>, address: Address) {
        let is_new = match id {
            None => {
                self.anonymous_samples += 1;
                self.anonymous_samples <= self.config.bootstrap.len().max(1)
            }
            Some(id) => match self.table.get_mut(&id) {
                Some(entry) => {
                    let is_due = entry.sampled_at.is_none_or(|at| at + SAMPLE_INTERVAL <= now);
                    entry.sampled_at = if is_due { Some(now) } else { entry.sampled_at };
                    is_due
                }
                None => true,
            },
        };
        if is_new {
            self.sampler.add(address);
        }
    }
}

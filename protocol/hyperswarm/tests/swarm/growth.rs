//! Networks of whole nodes grow, a third of the nodes is replaced, they are partitioned and heal; peers that announced
//! themselves under topics must be found all the same. The large form takes minutes:
//!
//! ```text
//! cargo test --release -p libvms-hyperswarm --test hyperswarm swarm::growth -- --ignored --nocapture
//! ```

use libvms_hyperswarm::swarm::TopicKey;

use super::world::{SERVER, World};

const MINUTE_MS: u64 = 60_000;
/// Number of bootstrap nodes, which stay.
const FIRST: usize = 2;

/// The cost and the results of lookups.
struct Figures {
    lookups: usize,
    found_percent: f64,
    hops: f64,
    messages: f64,
    time_ms: f64,
}

/// A network in which every host of a part announces itself under a topic of its own.
struct Network {
    world: World,
    announced: Vec<(usize, TopicKey)>,
}

impl Network {
    fn grow(nodes: usize, peers: usize) -> Self {
        let mut world = World::new(0x5eed + nodes as u64);
        world.loss_percent = 2;
        let mut network = Self { world, announced: vec![] };
        for _ in 0..nodes {
            network.join();
        }
        for number in 0..peers {
            network.announce(number * nodes / peers);
        }
        network.world.run_ms(MINUTE_MS);
        network
    }

    fn join(&mut self) -> usize {
        let index = self.world.persistent();
        self.world.run_ms(50);
        index
    }

    fn announce(&mut self, index: usize) {
        let topic = self.world.dice.array();
        self.world.join(index, topic, SERVER);
        self.announced.push((index, topic));
    }

    /// Kills a third of the nodes, and adds as many; some of the new ones announce themselves.
    fn churn(&mut self) {
        let nodes = self.world.hosts.len();
        for leaving in (FIRST..nodes).step_by(3) {
            self.world.stop(leaving);
            let has_announced = self.announced.iter().any(|(index, _)| *index == leaving);
            let comes = self.join();
            if has_announced {
                self.announce(comes);
            }
        }
        // The last ones have time to announce themselves, and no node has time to clean up.
        self.world.run_ms(10_000);
        let hosts = &self.world.hosts;
        self.announced.retain(|(index, _)| hosts[*index].is_up);
    }

    /// Lets random nodes look up random topics of peers that are present, and on their side.
    fn measure(&mut self, lookups: usize) -> Figures {
        let (mut found, mut hops, mut messages, mut time) = (0, 0, 0, 0);
        for _ in 0..lookups {
            let (peer, topic) = self.world.dice.pick(&self.announced);
            let index = self.somebody_beside(peer);
            let before = self.world.now;
            let lookup = self.world.look_up(index, topic);
            time += (self.world.now - before).as_millis();
            messages += lookup.requests;
            if lookup.found.contains(&self.world.hosts[peer].key) {
                found += 1;
                hops += lookup.hops.expect("somebody has named it");
            }
        }
        let mean = |sum: usize, count: usize| sum as f64 / count as f64;
        Figures {
            lookups,
            found_percent: 100.0 * mean(found, lookups),
            hops: mean(hops, found),
            messages: mean(messages, lookups),
            time_ms: mean(time as usize, lookups),
        }
    }

    fn somebody_beside(&mut self, peer: usize) -> usize {
        loop {
            let index = self.world.dice.index(self.world.hosts.len());
            let hosts = &self.world.hosts;
            let is_apart = self.world.is_split && hosts[index].side != hosts[peer].side;
            if hosts[index].is_up && index != peer && !is_apart {
                return index;
            }
        }
    }
}

#[expect(clippy::print_stdout, reason = "figures for who runs the tests with --nocapture")]
fn show(nodes: usize, phase: &str, figures: &Figures) {
    let Figures { lookups, found_percent, hops, messages, time_ms } = figures;
    println!(
        "{nodes:5} nodes, {phase:12}: {found_percent:6.2} % of {lookups} lookups find the peer; \
         {hops:.2} hops, {messages:.1} messages, {time_ms:.0} ms each"
    );
}

/// Runs the whole life of a network. Returns hops and messages per lookup while all is well.
fn live(nodes: usize, peers: usize, lookups: usize) -> (f64, f64) {
    let mut network = Network::grow(nodes, peers);
    let measure = |network: &mut Network, phase: &str, least: f64| {
        let figures = network.measure(lookups);
        show(nodes, phase, &figures);
        assert!(figures.found_percent >= least, "{nodes} nodes, {phase}: {} %", figures.found_percent);
        (figures.hops, figures.messages)
    };
    let grown = measure(&mut network, "grown", 99.0);
    network.churn();
    measure(&mut network, "after churn", 95.0);
    network.world.run_ms(5 * MINUTE_MS);
    measure(&mut network, "settled", 99.0);
    network.world.is_split = true;
    network.world.run_ms(5 * MINUTE_MS);
    measure(&mut network, "split", 90.0);
    network.world.is_split = false;
    network.world.run_ms(13 * MINUTE_MS);
    measure(&mut network, "healed", 99.0);
    grown
}

#[test]
fn peers_are_found_despite_loss_churn_and_partitions() {
    live(10, 5, 20);
    live(50, 10, 20);
}

#[test]
#[ignore = "takes minutes"]
fn the_cost_of_finding_peers_grows_with_the_logarithm() {
    let (small, _) = live(10, 5, 100);
    let (middle, few) = live(100, 30, 200);
    let (large, many) = live(1_000, 100, 500);
    assert!(middle < small + 1.5 && large < middle + 1.5, "{small}, {middle} and {large} hops");
    assert!(many < 3.0 * few, "{few} and {many} messages");
}

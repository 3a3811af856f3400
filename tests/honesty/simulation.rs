//! Whole nodes in one thread under one seed: a host, a replicator and watchers, on real directories, with the real
//! machines of the protocol between them, over links that are slow, cut, mute and parted, and with nodes that crash.
//!
//! Safety: whatever happens, no watcher ever accuses an honest host. Liveness: once the faults end, each watcher agrees
//! with every call; and if the host cheats, each names it with the right class. `VMS_SIMULATIONS` sets how many runs
//! (100 unless it says otherwise), `VMS_SEED` the first seed; a failure names its seed. The long form is
//! `.ci/simulate [RUNS] [SEED]`.

mod cheats;
mod host;
mod link;
mod node;
mod signers;
mod world;

use libvms::audit::Verdict;
use libvms::watch::Event;
use libvms_hypercore::blocks::Length;

use cheats::{Cheat, Expected};
use node::NodeCore;
use world::{HOST, Seen, World};

const NODES: usize = 4;
/// Acts of chance in a run before the faults end, at most.
const ACTS_MAX: u64 = 40;
/// Virtual time within which all must be well after that: a request that timed out rests for a minute at most.
const CALM_MS: u64 = 200_000;

/// What no hundred runs are without: otherwise they would show little.
const TO_SEE: [&str; 13] = [
    "host crashed after everything was written",
    "host crashed before the names were written",
    "host crashed before the archive was written",
    "host crashed while the log was written",
    "copy lost what was not synced",
    "copy's head was torn",
    "connection lost with frames under way",
    "connection muted",
    "node parted from all others",
    "archive seen ahead of the log",
    "watcher agreed amid faults",
    "call",
    "healed",
];

/// Runs `run` for each seed, says which one failed, and makes sure that enough has happened.
#[expect(clippy::print_stdout, reason = "what happened in all runs is of interest")]
fn for_each_seed(run: impl Fn(u64) -> Seen) {
    let (runs, first) = (variable("VMS_SIMULATIONS", 100), variable("VMS_SEED", 1));
    let mut seen = Seen::new();
    for seed in first..first + runs {
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed))) {
            Ok(more) => more.into_iter().for_each(|(what, times)| *seen.entry(what).or_default() += times),
            Err(_) => panic!("seed {seed} fails: VMS_SIMULATIONS=1 VMS_SEED={seed} runs it alone"),
        }
    }
    println!("{runs} runs: {seen:#?}");
    let unseen: Vec<&str> = TO_SEE.into_iter().filter(|what| !seen.contains_key(what)).collect();
    assert!(runs < 100 || unseen.is_empty(), "never seen in {runs} runs: {unseen:?}");
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[test]
fn an_honest_host_is_never_accused_and_agreed_with_in_the_end() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, NODES);
        suffer(&mut world);
        heal(&mut world);
        assert!(run_until(&mut world, agrees), "{}", standing(&world));
        assert_innocent(&world);
        world.seen
    });
}

#[test]
fn a_cheating_host_is_accused_by_every_watcher_with_the_right_class() {
    for_each_seed(|seed| {
        let mut world = World::new(seed, NODES);
        suffer(&mut world);
        assert_innocent(&world);
        if world.dice.one_in(2) {
            heal(&mut world);
            run_until(&mut world, agrees);
        }
        let cheat = Cheat::of_dice(&mut world.dice, world.host.is_signed());
        if cheat.needs_witnesses() {
            heal(&mut world);
            assert!(run_until(&mut world, agrees), "{}", standing(&world));
        }
        let expected = cheat.commit(&mut world);
        (0..world.dice.below(ACTS_MAX)).for_each(|_| act(&mut world, false));
        heal(&mut world);
        let is_accused =
            |world: &World, watcher: usize| world.told[watcher].iter().any(|event| expected.is_in(event));
        assert!(run_until(&mut world, is_accused), "{cheat:?} {expected:?}: {}", standing(&world));
        let is_accusation = |event: &&Event| is_accusation(event) && !expected.is_in(event);
        let wrong: Vec<&Event> = world.told.iter().flatten().filter(is_accusation).collect();
        assert!(wrong.is_empty() || matches!(expected, Expected::Evidence { .. }), "{cheat:?}: {wrong:?}");
        world.note(cheat.name());
        world.seen
    });
}

#[test]
fn a_seed_is_a_run() {
    let run = |seed| {
        let mut world = World::new(seed, NODES);
        suffer(&mut world);
        let told: Vec<usize> = world.told.iter().map(Vec::len).collect();
        (world.now, world.host.is_up(), told, world.seen, world.dice.draw())
    };
    for seed in 1..4 {
        assert_eq!(run(seed), run(seed));
    }
}

/// Calls and faults, as the dice fall.
fn suffer(world: &mut World) {
    link_all(world);
    for _ in 0..ACTS_MAX / 2 + world.dice.below(ACTS_MAX / 2) {
        act(world, true);
        assert_innocent(world);
    }
    let agreed = world.told.iter().flatten().filter(|event| matches!(event, Event::Agrees { .. })).count();
    (0..agreed).for_each(|_| world.note("watcher agreed amid faults"));
}

/// One act of chance, and a while in which it takes effect. The host calls only while `is_honest`.
fn act(world: &mut World, is_honest: bool) {
    let (a, b) = (world.dice.index(NODES), world.dice.index(NODES));
    match world.dice.below(26) {
        0..8 if is_honest && world.is_up(HOST) => {
            world.note("call");
            world.host.call_any(&mut world.dice);
            if !world.dice.one_in(4) {
                world.publish();
            }
        }
        8..13 if a != b => world.link(a, b),
        13 | 14 => of_links(world, World::cut),
        15 => {
            world.note("connection muted");
            of_links(world, World::mute);
        }
        16 => world.cut_muted(),
        17 | 18 if a != HOST => world.crash(a),
        19 if is_honest => world.crash(HOST),
        20..24 => world.start(a),
        24 => world.start(HOST),
        25 => {
            world.note("node parted from all others");
            world.part(a);
        }
        _ => {}
    }
    let end = world.now + world.dice.pick(&[10, 100, 2_000, 20_000]);
    let events = world.dice.below(300);
    (0..events).take_while(|_| world.step(end)).count();
    world.now = world.now.max(end.min(world.now + 1_000));
}

fn of_links(world: &mut World, change: impl Fn(&mut World, u64)) {
    let links = world.link_numbers();
    if !links.is_empty() {
        let at = world.dice.below(links.len() as u64) as usize;
        change(world, links[at]);
    }
}

/// Ends all faults: everybody is up and reaches everybody.
fn heal(world: &mut World) {
    world.note("healed");
    world.cut_muted();
    (0..NODES).for_each(|node| world.start(node));
    world.publish();
    link_all(world);
}

fn link_all(world: &mut World) {
    for a in 0..NODES {
        (a + 1..NODES).for_each(|b| world.link(a, b));
    }
}

/// Runs until it is so for all watchers; `false` where that takes too long, or nothing happens any more. A connection
/// that was lost is made again, as the network does it.
fn run_until(world: &mut World, is_so: impl Fn(&World, usize) -> bool) -> bool {
    let end = world.now + CALM_MS;
    for events in 1.. {
        if world.watchers().all(|watcher| is_so(world, watcher)) {
            return true;
        }
        if events % 500 == 0 {
            link_all(world);
        }
        if !world.step(end) {
            let links = world.link_numbers();
            link_all(world);
            if world.link_numbers() == links {
                break;
            }
        }
    }
    false
}

/// Whether a watcher has executed the whole log and compared the whole archive.
fn agrees(world: &World, watcher: usize) -> bool {
    let Some(node) = &world.nodes[watcher] else { return false };
    let Some(followed) = &node.watcher else { return false };
    let lengths = world.host.views().map(|core| core.length());
    let copied = |at: usize| node.cores.get(at).map(NodeCore::length).unwrap_or_default();
    *followed.audit().verdict() == Verdict::Agrees
        && followed.audit().verified() == lengths[0]
        && (0..3).all(|core| copied(core) == lengths[core])
}

fn is_accusation(event: &Event) -> bool {
    match event {
        Event::Ended { verdict, .. } => *verdict != Verdict::Agrees,
        Event::Evidence { is_signed, .. } => *is_signed,
        Event::Failed { .. } | Event::Stalled { .. } | Event::Damaged { .. } => true,
        Event::Found { .. } | Event::Agrees { .. } | Event::Resumed => false,
    }
}

fn assert_innocent(world: &World) {
    let accusation = world.told.iter().flatten().find(|event| is_accusation(event));
    assert_eq!(accusation, None, "an honest host is accused");
}

/// How far everybody is, for a failure's message.
fn standing(world: &World) -> String {
    let of_watcher = |watcher: usize| {
        let node = world.nodes[watcher].as_ref()?;
        let audit = node.watcher.as_ref()?.audit();
        let copied: Vec<Length> = node.cores.iter().map(NodeCore::length).collect();
        Some(format!("watcher {watcher}: {:?} at {}, copied {copied:?}", audit.verdict(), audit.verified()))
    };
    let watchers: Vec<String> = world.watchers().filter_map(of_watcher).collect();
    format!("at {} ms: {}; told {:?}", world.now, watchers.join("; "), world.told)
}

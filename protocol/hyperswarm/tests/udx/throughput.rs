//! The throughput of a stream over links with delay and loss, in virtual time, which is the same on every machine.

use std::time::Duration;

use super::link::{Link, World, pattern};

/// Returns the number of bytes a second that arrive over a link of 100 Mbit/s.
#[expect(clippy::print_stdout, reason = "the figures are what one runs this for")]
fn throughput(seed: u64, delay_ms: u64, loss_permille: u64, bytes: usize) -> u64 {
    let mut world = World::new(seed, Link { loss_permille, ..Link::good(delay_ms) });
    world.sides[0].to_write.extend(pattern(3, bytes));
    world.run_while(Duration::from_secs(300), |world| world.sides[1].read.len() < bytes);
    assert_eq!(world.sides[1].read.len(), bytes);
    let (sent, rate) = (world.sides[0].sent_bytes, bytes as u64 * 1_000_000 / world.now.as_micros());
    println!(
        "{delay_ms} ms, {loss_permille} of 1000 lost: {:.2} MB/s, {:.2} sent for each byte",
        rate as f64 / 1e6,
        sent as f64 / bytes as f64
    );
    rate
}

#[test]
fn loss_hardly_slows_a_long_path_down() {
    // The link carries 12.5 MB/s; the time to find that out is in the figures.
    for (delay_ms, loss_permille, rate_min) in
        [(50, 0, 7_000_000), (50, 10, 6_500_000), (50, 50, 6_000_000), (1, 0, 10_000_000), (1, 50, 8_000_000)]
    {
        // The median of three seeds: in one of twenty, early losses make the start take a second more.
        let mut rates = [7, 8, 9].map(|seed| throughput(seed, delay_ms, loss_permille, 16_000_000));
        rates.sort_unstable();
        let rate = rates[1];
        assert!(rate >= rate_min, "{delay_ms} ms, {loss_permille} of 1000 lost: {rate} bytes a second");
    }
}

#[test]
fn early_loss_does_not_end_the_start() {
    // One in ten is lost, so that early rounds lose a fifth by chance. Taken for a full path, that made it 26 seconds.
    for seed in [17, 18, 19, 20, 21, 22] {
        let rate = throughput(seed, 150, 100, 3_000_000);
        assert!(rate >= 500_000, "seed {seed}: {rate} bytes a second");
    }
}

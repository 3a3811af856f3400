//! The ids of our streams: only a peer that was sent an id may write into the stream, so others must not predict it.

use std::collections::BTreeSet;

use libvms_hypercore::identity::SecretKey;
use libvms_hypercore::secret_stream::noise_ik::Initiator;
use libvms_hypercore::time::Instant;
use libvms_hyperswarm::dht_rpc::Target;
use libvms_hyperswarm::dht_rpc::node::{Config, Mode};
use libvms_hyperswarm::hyperdht::handshake_payload::{HandshakePayload, UdxStream};
use libvms_hyperswarm::hyperdht::node::HyperDht;
use libvms_hyperswarm::hyperdht::router::{Arrival, Content, Path};
use libvms_hyperswarm::hyperdht::server::{Listener, Reach};

use super::codecs::address;

const COUNT: u32 = 400;

fn key(number: u32) -> SecretKey {
    let mut seed = [6; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_seed(&seed)
}

/// Returns the ids that a client chooses for one attempt after the other.
fn dialed(seed: u8) -> Vec<u32> {
    let config = Config { mode: Mode::Ephemeral, ..Config::new(vec![], 1_000) };
    let mut dht = HyperDht::new(config, [seed; 32], Instant::START, 0);
    let dial = |remote| dht.dial(Instant::START, &key(0), key(remote).public_key(), &[]).expect("a key").1;
    (1..=COUNT).map(dial).collect()
}

/// Returns the ids that a server chooses for one client after the other, all of which choose the same.
fn accepted(seed: u8) -> Vec<u32> {
    let server = key(0);
    let mut listener = Listener::new(server.clone(), [seed; 32]);
    let udx = Some(UdxStream { is_reusable_socket: false, id: 7, first_packet: 0 });
    let payload = HandshakePayload { udx, has_secret_stream: true, ..HandshakePayload::default() }.encode();
    let accept = |number| {
        let (_, noise) =
            Initiator::begin(&key(number), server.public_key(), &[3; 32], &payload).expect("a key");
        let client = address("20.0.0.1:1");
        let content = Content::Handshake(noise);
        let arrival = Arrival { target: Target([0; 32]), content, client, path: Path::Direct };
        // Slowly: more at once would be a flood.
        let now = u64::from(number) * 60_000;
        let heard = listener
            .hear(Instant::from_millis(now), &arrival, &Reach::default(), &mut |_| true)
            .expect("answered");
        heard.accepted.expect("a new client").local_stream
    };
    (1..=COUNT).map(accept).collect()
}

#[test]
fn the_next_stream_id_is_not_predictable_from_earlier_ones() {
    for ids in [dialed, accepted] {
        let (own, other) = (ids(1), ids(2));
        // Among 800 numbers of 32 bits hardly two are the same, and none of these.
        let all: BTreeSet<u32> = own.iter().chain(&other).copied().collect();
        assert_eq!(all.len(), 2 * COUNT as usize);
        // No counter, whatever its step.
        let steps: BTreeSet<u32> = own.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        assert_eq!(steps.len(), COUNT as usize - 1);
        // Each bit is as often set as not, and as often changed as not: 200 times, give or take five deviations of ten.
        let usual = 150..250;
        for bit in 0..u32::BITS {
            let set = own.iter().filter(|id| *id >> bit & 1 == 1).count();
            let changed = own.windows(2).filter(|pair| (pair[0] ^ pair[1]) >> bit & 1 == 1).count();
            assert!(usual.contains(&set) && usual.contains(&changed), "bit {bit}: {set}, {changed}");
        }
    }
}

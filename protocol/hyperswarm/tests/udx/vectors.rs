//! `fixtures/swarm/udx.json`: the packets that two streams of the reference sent each other, in both directions.
//!
//! Every packet is read and written again. Then a stream of ours takes the place of either side: it receives the other
//! side's packets, does what that side's program did, and must send the same bytes.

use std::time::Duration;

use libvms_hypercore::time::Instant;
use libvms_hyperswarm::udx::packet::{Header, Kind, Packet};
use libvms_hyperswarm::udx::{CloseReason, Config, Endpoint, Event, Firewall, Path, Received};
use serde_json::Value;

use crate::vector::{hex, items, number, read};

const A: u32 = 1;
const B: u32 = 2;

fn remote() -> Path {
    Path::of(([127, 0, 0, 1], 9).into())
}

fn scenario(name: &str) -> Value {
    let vector = read("swarm/udx.json");
    let found = items(&vector["scenarios"]).iter().find(|scenario| scenario["name"] == name).cloned();
    found.unwrap_or_else(|| panic!("no scenario {name}"))
}

/// Returns the packet as it was captured; in long ones, zeros replace the bytes that were cut off.
fn bytes(packet: &Value) -> Vec<u8> {
    let mut bytes = hex(packet.get("hex").unwrap_or(&packet["hexHead"]));
    bytes.resize(number(&packet["len"]) as usize, 0);
    bytes
}

#[test]
fn every_packet_of_the_reference_is_read_and_written_again() {
    let vector = read("swarm/udx.json");
    let mut count = 0;
    for packet in items(&vector["scenarios"]).iter().flat_map(|scenario| items(&scenario["packets"])) {
        let (bytes, decoded) = (bytes(packet), &packet["decoded"]);
        let read = Packet::decode(&bytes).expect("a packet");
        let header = Header {
            kind: Kind(number(&decoded["type"]) as u8),
            data_offset: number(&decoded["dataOffset"]) as u8,
            stream: number(&decoded["streamId"]) as u32,
            window: number(&decoded["rwnd"]) as u32,
            sequence: number(&decoded["seq"]) as u32,
            acknowledged: number(&decoded["ack"]) as u32,
        };
        assert_eq!(read.header, header);
        assert_eq!(read.payload.len() as u64, number(&decoded["payloadLength"]));
        let blocks: Vec<_> = read.sack_blocks().collect();
        let expected = decoded.get("sacks").map(items).unwrap_or_default();
        let expected: Vec<_> =
            expected.iter().map(|block| (number(&block[0]) as u32, number(&block[1]) as u32)).collect();
        assert_eq!(blocks, expected);
        let mut written = vec![];
        header.write(&mut written);
        for (start, end) in blocks {
            written.extend_from_slice(&start.to_le_bytes());
            written.extend_from_slice(&end.to_le_bytes());
        }
        written.resize(written.len() + usize::from(header.data_offset), 0);
        written.extend_from_slice(read.payload);
        assert_eq!(written, bytes);
        count += 1;
    }
    assert!(count > 150, "{count}");
}

/// One side of a scenario, played by a stream of ours.
struct Player {
    endpoint: Endpoint,
    id: u32,
    now: Instant,
    sent: Vec<Vec<u8>>,
    events: Vec<Event>,
    read: Vec<u8>,
}

impl Player {
    fn new(id: u32) -> Self {
        let mut player = Self::unconnected(id, Firewall::Closed);
        player.connect();
        player
    }

    fn unconnected(id: u32, firewall: Firewall) -> Self {
        let mut endpoint = Endpoint::new(Config::default());
        endpoint.open(Instant::START, id, firewall).expect("a free id");
        Self { endpoint, id, now: Instant::START, sent: vec![], events: vec![], read: vec![] }
    }

    fn connect(&mut self) {
        self.endpoint.connect(self.now, self.id, remote(), A + B - self.id).expect("not connected");
        self.work();
    }

    fn work(&mut self) {
        let mut bytes = [0; 2048];
        loop {
            let count = self.endpoint.read(self.id, &mut bytes).expect("a stream");
            self.read.extend_from_slice(&bytes[..count]);
            if count == 0 {
                break;
            }
        }
        let mut datagram = vec![];
        while self.endpoint.poll_transmit(self.now, &mut datagram).is_some() {
            self.sent.push(datagram.clone());
        }
        while let Some((_, event)) = self.endpoint.poll_event() {
            self.events.push(event);
        }
    }

    /// Waits until then, and acts on the deadlines on the way.
    fn wait_until(&mut self, ms: u64) {
        let until = Duration::from_millis(ms);
        while let Some(timeout) =
            self.endpoint.poll_timeout().filter(|timeout| *timeout <= Instant::after(until))
        {
            self.now = self.now.max(timeout);
            self.work();
        }
        self.now = self.now.max(Instant::after(until));
    }

    fn receive(&mut self, ms: u64, datagram: &[u8]) {
        self.wait_until(ms);
        assert_eq!(self.endpoint.handle_datagram(self.now, remote(), datagram), Received::Taken);
        self.work();
    }

    fn write(&mut self, ms: u64, bytes: &[u8]) {
        self.wait_until(ms);
        assert_eq!(self.endpoint.write(self.id, bytes), Ok(bytes.len()));
        self.work();
    }

    fn end(&mut self, ms: u64) {
        self.wait_until(ms);
        self.endpoint.end(self.id).expect("a stream");
        self.work();
    }

    fn has_seen(&self, event: Event) -> bool {
        self.events.contains(&event)
    }
}

/// Returns the packets that one side sent and the other received, with the milliseconds.
fn packets(scenario: &Value, direction: &str) -> Vec<(u64, Vec<u8>)> {
    let packets = items(&scenario["packets"]).iter();
    let arrived = packets.filter(|packet| packet["dir"] == direction && packet.get("dropped").is_none());
    arrived.map(|packet| (number(&packet["t"]), bytes(packet))).collect()
}

/// Returns all packets that a side sent, whether they arrived or not.
fn sent(scenario: &Value, direction: &str) -> Vec<Vec<u8>> {
    let packets = items(&scenario["packets"]).iter();
    packets.filter(|packet| packet["dir"] == direction).map(bytes).collect()
}

/// Drops state packets after which nothing new comes: the reference sends one more than needed when its end was
/// acknowledged, and we do not.
fn without_repeated_states(packets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut kept: Vec<Vec<u8>> = vec![];
    let mut acknowledged = None;
    for packet in packets {
        let is_state = packet[2] == 0;
        if !is_state || acknowledged.as_ref() != Some(&packet[16..20].to_vec()) {
            acknowledged = Some(packet[16..20].to_vec());
            kept.push(packet);
        }
    }
    kept
}

#[test]
fn a_stream_of_ours_answers_as_side_b_did() {
    for name in [
        "zero-window",
        "keepalive-heartbeat",
        "tail-loss-probe-and-rto",
        "black-hole-timeout",
        "loss-sack-fast-recovery",
        "message",
        "data-before-remote-connects-firewalled",
    ] {
        let scenario = scenario(name);
        let mut player = Player::new(B);
        let packets = packets(&scenario, "A>B");
        // A firewall drops packets before the connection: that is the first packet of its scenario.
        let skipped = usize::from(name.ends_with("firewalled"));
        for (ms, packet) in &packets[skipped..] {
            player.receive(*ms, packet);
        }
        let expected: Vec<_> = sent(&scenario, "B>A");
        // The proxy of this scenario has written another window into the packets.
        let masked = |packets: &[Vec<u8>]| -> Vec<Vec<u8>> {
            let mut packets = packets.to_vec();
            packets.iter_mut().for_each(|packet| packet[8..12].fill(0));
            packets
        };
        assert_eq!(masked(&player.sent), masked(&expected), "{name}");
        assert_eq!(player.read.len() as u64, number(&scenario["receivedByB"]), "{name}");
        assert!(player.has_seen(Event::Connected), "{name}");
    }
}

#[test]
fn a_whole_conversation_matches_the_reference_on_both_sides() {
    let scenario = scenario("hello-both-ways-then-end");
    let mut ours = Player::new(A);
    let theirs = packets(&scenario, "B>A");
    ours.write(3, b"hello");
    ours.receive(4, &theirs[0].1);
    ours.receive(64, &theirs[1].1);
    ours.end(124);
    ours.receive(125, &theirs[2].1);
    ours.receive(275, &theirs[3].1);
    assert_eq!(ours.sent, without_repeated_states(sent(&scenario, "A>B")));
    assert_eq!(ours.events.last(), Some(&Event::Closed(CloseReason::Finished)));

    let mut ours = Player::new(B);
    let theirs = packets(&scenario, "A>B");
    ours.receive(3, &theirs[0].1);
    ours.write(64, b"world");
    for (ms, packet) in &theirs[1..4] {
        ours.receive(*ms, packet);
    }
    ours.end(275);
    ours.receive(275, &theirs[4].1);
    assert_eq!(ours.sent, sent(&scenario, "B>A"));
    assert!(ours.has_seen(Event::RemoteEnded));
    assert_eq!(ours.events.last(), Some(&Event::Closed(CloseReason::Finished)));
}

#[test]
fn data_and_end_share_a_packet_as_the_reference_s_do() {
    let scenario = scenario("end-with-data-in-one-tick");
    let mut ours = Player::new(A);
    ours.endpoint.write(A, b"bye").expect("open");
    ours.end(1);
    for (ms, packet) in packets(&scenario, "B>A") {
        ours.receive(ms, &packet);
    }
    let expected = sent(&scenario, "A>B");
    // The reference says once more that it has nothing new to acknowledge.
    assert_eq!(ours.sent, [expected[0].clone(), expected[2].clone()]);
    assert_eq!(ours.events.last(), Some(&Event::Closed(CloseReason::Finished)));

    let mut ours = Player::new(B);
    for (ms, packet) in &packets(&scenario, "A>B")[..2] {
        ours.receive(*ms, packet);
    }
    ours.end(102);
    ours.receive(103, &packets(&scenario, "A>B")[2].1);
    assert_eq!(ours.sent, sent(&scenario, "B>A"));
    assert_eq!(ours.events.last(), Some(&Event::Closed(CloseReason::Finished)));
}

#[test]
fn a_reset_is_sent_and_taken_as_by_the_reference() {
    let scenario = scenario("destroy");
    let mut ours = Player::new(A);
    ours.write(1, b"x");
    ours.receive(1, &packets(&scenario, "B>A")[0].1);
    ours.endpoint.destroy(ours.now, A);
    let mut datagram = vec![];
    ours.endpoint.poll_transmit(ours.now, &mut datagram);
    ours.sent.push(datagram);
    assert_eq!(ours.sent, sent(&scenario, "A>B"));

    let mut ours = Player::new(B);
    for (ms, packet) in packets(&scenario, "A>B") {
        ours.receive(ms, &packet);
    }
    assert_eq!(ours.sent, sent(&scenario, "B>A"));
    assert_eq!(ours.events.last(), Some(&Event::Closed(CloseReason::Reset)));
}

#[test]
fn messages_are_written_as_by_the_reference() {
    let scenario = scenario("message");
    let mut ours = Player::new(A);
    for message in [&b"unordered"[..], b""] {
        assert_eq!(ours.endpoint.send_message(A, message), Ok(true));
    }
    ours.work();
    assert_eq!(ours.sent, sent(&scenario, "A>B"));

    let mut ours = Player::new(B);
    for (ms, packet) in packets(&scenario, "A>B") {
        ours.receive(ms, &packet);
    }
    for message in [&b"unordered"[..], b""] {
        assert_eq!(ours.endpoint.receive_message(B), Ok(Some(message.to_vec())));
    }
}

#[test]
fn data_before_the_connection_is_acknowledged_at_connect() {
    let scenario = scenario("data-before-remote-connects");
    let mut ours = Player::unconnected(B, Firewall::Open);
    ours.receive(3, &packets(&scenario, "A>B")[0].1);
    assert_eq!((&ours.read[..], ours.sent.len()), (&b"early"[..], 0));
    assert_eq!(ours.events[0], Event::IncomingPath(remote()));
    ours.wait_until(122);
    ours.connect();
    assert_eq!(ours.sent, sent(&scenario, "B>A"));
    assert!(ours.has_seen(Event::Connected));
}

#[test]
fn heartbeats_of_a_closed_window_come_when_the_reference_s_do() {
    let scenario = scenario("zero-window");
    let mut ours = Player::new(A);
    let mut theirs = packets(&scenario, "B>A").into_iter();
    let mut receive = |ours: &mut Player, ms| ours.receive(ms, &theirs.next().expect("an answer").1);
    ours.write(1, b"one");
    receive(&mut ours, 1);
    ours.write(51, b"two");
    receive(&mut ours, 51);
    // The heartbeats at 1052 and 3053 come by themselves.
    for ms in [1052, 3053, 3053] {
        receive(&mut ours, ms);
    }
    assert_eq!(ours.sent, sent(&scenario, "A>B"));
}

#[test]
fn a_small_window_is_never_exceeded() {
    let scenario = scenario("small-window");
    let mut ours = Player::new(A);
    let mut answers = packets(&scenario, "B>A").into_iter().map(|(_, packet)| packet);
    ours.write(1, b"one");
    ours.receive(5, &answers.next().expect("an answer"));
    ours.write(51, &[0; 10_000]);
    let (mut answered, mut ms) = (1, 55);
    while answered < ours.sent.len() {
        let under_way: usize = ours.sent[answered..]
            .iter()
            .map(|bytes| Packet::decode(bytes).expect("a packet").payload.len())
            .sum();
        assert!(under_way <= 3000, "{under_way}");
        let mut answer = answers.next().expect("as many packets as the reference sends, or less");
        answer[16..20].copy_from_slice(&(answered as u32 + 1).to_le_bytes());
        ours.receive(ms, &answer);
        (answered, ms) = (answered + 1, ms + 5);
    }
    let payload = ours.sent.iter().map(|bytes| Packet::decode(bytes).expect("a packet").payload.len());
    assert_eq!(payload.sum::<usize>() as u64, number(&scenario["receivedByB"]));
}

#[test]
fn exactly_the_packets_lost_by_a_sack_are_resent() {
    let scenario = scenario("loss-sack-fast-recovery");
    let mut ours = Player::new(A);
    // The reference's first packet is shorter: it does not know yet that the address is of IPv4.
    for bytes in [1132, 1152, 1152, 1152, 1152, 1152, 1152, 1152, 1152, 20] {
        ours.write(1, &vec![7; bytes]);
    }
    for (ms, packet) in packets(&scenario, "B>A") {
        // We resend at once, the reference 11 ms later: so the answers would come earlier, too.
        ours.receive(ms.min(23), &packet);
    }
    let expected = sent(&scenario, "A>B");
    assert_eq!(ours.sent.len(), expected.len());
    for (ours, theirs) in ours.sent.iter().zip(&expected) {
        assert_eq!((&ours[..20], ours.len()), (&theirs[..20], theirs.len()));
    }
}

#[test]
fn a_lost_tail_is_probed_and_resent_as_by_the_reference() {
    for (name, text) in [("tail-loss-probe-and-rto", "second"), ("black-hole-timeout", "lost")] {
        let scenario = scenario(name);
        let mut ours = Player::new(A);
        let theirs = packets(&scenario, "B>A");
        ours.write(1, b"first");
        ours.receive(theirs[0].0, &theirs[0].1);
        ours.write(101, text.as_bytes());
        match theirs.get(1) {
            Some((ms, packet)) => ours.receive(*ms, packet),
            None => ours.wait_until(12_900),
        }
        assert_eq!(ours.sent, sent(&scenario, "A>B"), "{name}");
        assert!(!ours.has_seen(Event::Closed(CloseReason::TimedOut)));
        ours.wait_until(13_200);
        assert_eq!(ours.has_seen(Event::Closed(CloseReason::TimedOut)), theirs.len() == 1, "{name}");
    }
}

#[test]
fn the_padding_of_probes_is_skipped() {
    let mut probes = 0;
    for name in ["mtu-probe", "mtu-probe-lost", "small-window"] {
        let scenario = scenario(name);
        for packet in items(&scenario["packets"]).iter().filter(|packet| packet["dir"] == "A>B") {
            // Each alone, as the first packet of a stream.
            let mut bytes = bytes(packet);
            bytes[12..16].fill(0);
            let mut ours = Player::new(B);
            ours.receive(1, &bytes);
            assert_eq!(ours.read.len() as u64, number(&packet["decoded"]["payloadLength"]));
            probes += u64::from(number(&packet["decoded"]["dataOffset"]) > 0);
        }
    }
    assert_eq!(probes, 10);
}

#[test]
fn injected_packets_have_the_same_effect_as_on_the_reference() {
    for (name, hears_answer) in [
        ("spoof-ack-too-high", false),
        ("spoof-huge-sack", false),
        ("spoof-sack-reversed", false),
        ("spoof-old-seq-data", true),
        ("spoof-far-future-data", false),
        ("spoof-data-offset-beyond-packet", false),
        ("spoof-old-destroy", false),
        ("unknown-version", false),
        ("unknown-type-bits", true),
    ] {
        let scenario = scenario(name);
        let note = scenario["note"].as_str().expect("text");
        let injected = note.split(['.', ' ', ';']).find(|word| word.starts_with("ff0")).expect("a packet");
        let injected = hex(&Value::from(injected));
        let theirs = packets(&scenario, "A>B");
        let mut ours = Player::new(B);
        ours.receive(1, &theirs[0].1);
        ours.write(41, b"b");
        ours.receive(41, &theirs[1].1);
        let before = ours.sent.len();
        ours.wait_until(81);
        let received = ours.endpoint.handle_datagram(ours.now, remote(), &injected);
        assert_eq!(received == Received::NotOurs, name == "unknown-version", "{name}");
        ours.work();
        assert_eq!(ours.sent.len() > before, hears_answer, "{name}");
        ours.receive(161, &theirs[2].1);
        assert_eq!(ours.read.len() as u64, number(&scenario["receivedByB"]), "{name}");
        // The reference keeps data two thousand million packets ahead, and goes on reporting it; we do not.
        if name != "spoof-far-future-data" {
            assert_eq!(ours.sent, sent(&scenario, "B>A"), "{name}");
        }
    }
}

#[test]
fn a_valid_destroy_ends_the_stream_as_in_the_reference() {
    let scenario = scenario("spoof-destroy");
    let mut ours = Player::new(B);
    let theirs = packets(&scenario, "A>B");
    ours.receive(1, &theirs[0].1);
    ours.write(41, b"b");
    ours.receive(41, &theirs[1].1);
    ours.receive(81, &hex(&Value::from("ff01100002000000000040000100000001000000")));
    assert_eq!(ours.events.last(), Some(&Event::Closed(CloseReason::Reset)));
    ours.receive(161, &theirs[2].1);
    assert_eq!(ours.sent, sent(&scenario, "B>A"));
    assert_eq!(ours.read.len() as u64, number(&scenario["receivedByB"]));
}

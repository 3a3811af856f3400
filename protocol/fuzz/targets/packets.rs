//! Packets, and two ends of a stream that receive hostile ones among their own. As long as these come from other
//! addresses, the bytes read are those written; when they come from the remote's address, memory stays bounded.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use libvms_hypercore::time::Instant;
use libvms_hyperswarm::udx::{Config, Endpoint, Firewall, Packet, Path};
use libvms_protocol_fuzz::pieces;

const STREAM: u32 = 1;
const CONFIG: Config =
    Config { receive_bytes_max: 65_536, unsent_bytes_max: 65_536, keepalive: Some(Duration::from_secs(5)) };

struct Link {
    now: Instant,
    ends: [Endpoint; 2],
    written: Vec<u8>,
    read: usize,
    /// Whether a hostile packet came from the remote's address.
    is_spoilt: bool,
}

fn path(end: usize) -> Path {
    Path::of(([192, 0, 2, end as u8], 1).into())
}

impl Link {
    fn new() -> Self {
        let mut ends = [Endpoint::new(CONFIG), Endpoint::new(CONFIG)];
        for (number, end) in ends.iter_mut().enumerate() {
            end.open(Instant::START, STREAM, Firewall::Open).expect("a free number");
            end.connect(Instant::START, STREAM, path(1 - number), STREAM).expect("it is new");
        }
        Self { now: Instant::START, ends, written: vec![], read: 0, is_spoilt: false }
    }

    /// Lets both ends send; loses every packet whose bit is set.
    fn exchange(&mut self, lost: u64) {
        let mut datagram = vec![];
        for turn in 0..64 {
            let from = turn % 2;
            while self.ends[from].poll_event().is_some() {}
            for number in 0..8 {
                let Some(to) = self.ends[from].poll_transmit(self.now, &mut datagram) else { break };
                assert_eq!(to, path(1 - from));
                assert!(datagram.len() <= 2_048);
                if lost >> ((turn + number) % 64) & 1 == 0 {
                    self.ends[1 - from].handle_datagram(self.now, path(from), &datagram);
                }
            }
        }
        self.read();
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Ok(count) = self.ends[0].write(STREAM, bytes) {
            self.written.extend(&bytes[..count]);
        }
    }

    fn read(&mut self) {
        for end in &self.ends {
            assert!(end.readable_bytes(STREAM) <= CONFIG.receive_bytes_max + 2_048);
        }
        let mut buffer = [0; 4_096];
        while let Ok(count @ 1..) = self.ends[1].read(STREAM, &mut buffer) {
            if !self.is_spoilt {
                assert_eq!(self.written.get(self.read..self.read + count), Some(&buffer[..count]));
            }
            self.read += count;
        }
    }

    /// Sends an arbitrary packet to the right stream of an end.
    fn inject(&mut self, end: usize, from: Path, bytes: &[u8]) {
        let mut datagram = bytes.to_vec();
        if datagram.len() >= 8 {
            datagram[..2].copy_from_slice(&[0xff, 1]);
            datagram[4..8].copy_from_slice(&STREAM.to_le_bytes());
        }
        self.ends[end].handle_datagram(self.now, from, &datagram);
    }

    fn wait(&mut self) {
        let next = self.ends.iter().filter_map(Endpoint::poll_timeout).min();
        self.now = next.unwrap_or(self.now).max(self.now) + Duration::from_micros(1);
    }
}

fn check_decoder(bytes: &[u8]) {
    let Ok(packet) = Packet::decode(bytes) else { return };
    let mut written = vec![];
    packet.header.write(&mut written);
    assert_eq!(bytes.get(..written.len()), Some(&written[..]));
    assert!(packet.sack_blocks().count() <= 50);
}

fuzz_target!(|bytes: &[u8]| {
    let mut link = Link::new();
    for (choice, piece) in pieces(bytes) {
        let end = usize::from(choice & 1);
        match choice >> 1 {
            0..30 => link.write(piece),
            30..60 => link.exchange(piece.first().map_or(0, |byte| u64::from(*byte))),
            60..80 => link.wait(),
            80..90 => {
                check_decoder(piece);
                link.inject(end, path(7), piece);
            }
            90..92 => _ = link.ends[end].end(STREAM),
            92..94 => _ = link.ends[end].send_message(STREAM, piece),
            _ => {
                link.is_spoilt = true;
                link.inject(end, path(1 - end), piece);
            }
        }
    }
    link.exchange(0);
});

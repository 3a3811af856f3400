//! How fast one stream is, from end to end: [`throughput`].

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::SockRef;

use crate::end::{Duty, End, Kind, RECEIVER, SENDER};
use crate::relay::{Link, Relay};
use crate::runs::{Ways, compared};

/// A stream that has not brought everything by then is measured by what it has brought.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// What the system is asked to hold for a socket until it is read: as much as the swarm asks for.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;

/// Megabytes per second, all four ways, through such a link or none.
pub(crate) fn throughput(link: Option<Link>, bytes: u64, runs: usize) -> Value {
    let mut rates = Ways::default();
    let ways =
        [(Kind::Rust, Kind::Rust), (Kind::Js, Kind::Js), (Kind::Rust, Kind::Js), (Kind::Js, Kind::Rust)];
    for run in 0..runs {
        for (rates, (from, to)) in rates.iter_mut().zip(ways) {
            rates.push(transfer(from, to, link, bytes, run as u64));
        }
    }
    compared(rates, |rate| (rate * 100.0).round() / 100.0)
}

/// One transfer, in megabytes per second. The same run has the same losses, whoever the ends are.
fn transfer(from: Kind, to: Kind, link: Option<Link>, bytes: u64, run: u64) -> f64 {
    let (mut sender, mut receiver) = (End::start(from), End::start(to));
    let ports = [sender.port(), receiver.port()];
    let relay = link.map(|link| Relay::start(ports, link, run));
    let [at_sender, at_receiver] = relay.as_ref().map_or([ports[1], ports[0]], |relay| relay.ports);
    receiver.begin(Duty {
        id: RECEIVER,
        remote_id: SENDER,
        remote_port: at_receiver,
        writes: 0,
        reads: bytes,
    });
    let start = Instant::now();
    sender.begin(Duty { id: SENDER, remote_id: RECEIVER, remote_port: at_sender, writes: bytes, reads: 0 });
    let received = receiver.received();
    received as f64 / 1e6 / start.elapsed().as_secs_f64()
}

/// A socket at any port of this machine.
pub(crate) fn socket() -> UdpSocket {
    let socket = UdpSocket::bind(local(0)).expect("a free port");
    // A system that allows less gives as much as it allows.
    let _less = SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    socket
}

pub(crate) fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

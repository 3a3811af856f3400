//! UDP sockets of the swarm: [`DatagramSocket`].
//!
//! Most of a transfer's cost is system calls, so each call moves many datagrams: a send takes a
//! [`GsoBatch`] that the system segments, and a receive fills an
//! [`RecvBatch`](super::recv_batch::RecvBatch) with datagrams that the system joined.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use libvms_hyperswarm::dht_rpc::Address;
use quinn_udp::{RecvMeta, UdpSocketState};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::SwarmOptions;
use super::address;
use super::send_batch::GsoBatch;

/// The kernel's receive buffer. With less, a fast sender overruns it.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;
/// The time to live of datagrams: as many routers as in the reference implementation.
const TTL: u32 = 64;

/// A socket for many datagrams at a time. It never fragments a datagram: probes of the path MTU (`udx::mtu`) would otherwise
/// learn nothing. A datagram that is too large for the interface fails here,
/// and is as lost as one that is too large further on.
#[derive(Debug)]
pub(super) struct DatagramSocket {
    socket: UdpSocket,
    state: UdpSocketState,
    /// How many datagrams the system takes at once; one after it has refused a batch. `state` has such a limit too, but lowers
    /// it even for datagrams that cannot be sent to an address at all: a peer that names a bad address
    /// must not slow down all others.
    batch_datagrams_max: AtomicUsize,
}

/// Binds the public socket: at the wanted port, or at any if none is wanted.
pub(super) fn bind_server(options: &SwarmOptions) -> io::Result<DatagramSocket> {
    DatagramSocket::bind(SocketAddr::new(options.bind, options.port))
}

/// Binds a socket at any port.
pub(super) fn bind(ip: IpAddr) -> io::Result<DatagramSocket> {
    DatagramSocket::bind(SocketAddr::new(ip, 0))
}

impl DatagramSocket {
    fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        // A system with a lower limit sets its limit.
        let _less = SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
        // Forbids fragmentation, and enables GRO.
        let state = UdpSocketState::new((&socket).into())?;
        let batch_datagrams_max = state.max_gso_segments().into();
        Ok(Self { socket: UdpSocket::from_std(socket)?, state, batch_datagrams_max })
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Returns how many datagrams a batch may have.
    pub(super) fn batch_datagrams_max(&self) -> usize {
        self.batch_datagrams_max.load(Ordering::Relaxed)
    }

    /// Waits until a datagram can be received.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Receives the datagrams that wait, some of them joined; returns the number of buffers filled.
    ///
    /// # Errors
    /// When nothing waits, or an earlier datagram was refused (ICMP).
    pub(super) fn receive(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        received: &mut [RecvMeta],
    ) -> io::Result<usize> {
        let socket = &self.socket;
        socket.try_io(Interest::READABLE, || self.state.recv(socket.into(), buffers, received))
    }

    /// Sends datagrams with their time to live. One that cannot be sent is lost, as others are on the way.
    pub(super) async fn send(&self, batch: &GsoBatch<'_>) {
        let ttl = batch.transmit.ttl;
        // With a larger time to live it would do harm where it arrives: it was not meant to arrive.
        if ttl.is_some_and(|ttl| self.socket.set_ttl(ttl.into()).is_err()) {
            return;
        }
        let sent = self.transmit(batch.transmit.to, batch.bytes, batch.datagram_bytes).await;
        if let Err(error) = sent
            && batch.count > 1
        {
            self.send_one_by_one(batch, &error).await;
        }
        if ttl.is_some() {
            let _unchanged = self.socket.set_ttl(TTL);
        }
    }

    /// Sends the datagrams singly: the error may concern only one of them, or the batch itself.
    async fn send_one_by_one(&self, batch: &GsoBatch<'_>, why: &io::Error) {
        let mut has_sent = false;
        for datagram in batch.datagrams() {
            has_sent |= self.transmit(batch.transmit.to, datagram, datagram.len()).await.is_ok();
        }
        // Some network interfaces cannot segment, and report that only on a send.
        if has_sent && matches!(why.raw_os_error(), Some(libc::EINVAL | libc::EIO)) {
            self.batch_datagrams_max.store(1, Ordering::Relaxed);
        }
    }

    async fn transmit(&self, to: SocketAddr, bytes: &[u8], datagram_bytes: usize) -> io::Result<()> {
        let transmit = quinn_udp::Transmit {
            destination: to,
            ecn: None,
            contents: bytes,
            segment_size: Some(datagram_bytes),
            src_ip: None,
        };
        let socket = &self.socket;
        socket.async_io(Interest::WRITABLE, || self.state.try_send(socket.into(), &transmit)).await
    }
}

/// Returns the address at which machines in the same network reach a socket.
pub(super) fn reachable(local: SocketAddr) -> Option<Address> {
    let ip = match local.ip() {
        ip if !ip.is_unspecified() => ip,
        _ => outward()?,
    };
    address(SocketAddr::new(ip, local.port()))
}

/// Returns the address of the interface with the default route. Sends nothing.
fn outward() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // An address for documentation (RFC 5737): only the choice of a route is wanted.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use libvms_hyperswarm::dht_rpc::Socket;
    use libvms_hyperswarm::swarm::node::Transmit;

    use super::super::recv_batch::RecvBatch;
    use super::super::send_batch::SendBatch;
    use super::*;

    fn socket() -> DatagramSocket {
        bind(Ipv4Addr::LOCALHOST.into()).expect("a port")
    }

    fn address_of(socket: &DatagramSocket) -> SocketAddr {
        socket.local_addr().expect("bound")
    }

    fn to(to: SocketAddr) -> Transmit {
        Transmit { socket: Socket::Client, to, ttl: None }
    }

    /// Returns a datagram whose bytes all differ from those of the others.
    fn datagram(number: usize, bytes: usize) -> Vec<u8> {
        (0..bytes).map(|place| (number * 31 + place * 7) as u8).collect()
    }

    async fn send(socket: &DatagramSocket, datagrams: &[(Transmit, Vec<u8>)]) {
        let mut outgoing = SendBatch::default();
        let mut left = datagrams.iter();
        outgoing.refill(datagrams.len(), |into| {
            let (transmit, bytes) = left.next()?;
            into.extend_from_slice(bytes);
            Some(*transmit)
        });
        let mut place = 0;
        while let Some(batch) = outgoing.batch(place, socket.batch_datagrams_max()) {
            socket.send(&batch).await;
            place += batch.count;
        }
    }

    /// The datagrams received, and the errors in between.
    #[derive(Debug, Default)]
    struct Came {
        datagrams: Vec<Vec<u8>>,
        errors: Vec<io::ErrorKind>,
    }

    /// Reads as the swarm does until `count` datagrams have arrived, and checks that there are no more.
    async fn receive(socket: &DatagramSocket, from: SocketAddr, count: usize) -> Came {
        let (mut incoming, mut came) = (RecvBatch::new(), Came::default());
        let reading = async {
            while came.datagrams.len() < count {
                socket.readable().await.expect("a socket");
                match incoming.refill(socket) {
                    Ok(()) => came.datagrams.extend(incoming.datagrams().map(|(sender, bytes)| {
                        assert_eq!(sender, from);
                        bytes.to_vec()
                    })),
                    Err(error) => came.errors.push(error.kind()),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reading).await.expect("all come");
        assert!(incoming.refill(socket).is_err(), "more than were sent");
        came
    }

    #[tokio::test]
    async fn datagrams_of_many_sizes_arrive_whole_and_in_order() {
        let (sender, receivers) = (socket(), [socket(), socket()]);
        let addresses = receivers.each_ref().map(address_of);
        let sizes = [1400, 1400, 1400, 1400, 1400, 20, 1472, 1472, 900, 1, 2048, 900];
        let sent: Vec<(Transmit, Vec<u8>)> = (0..96)
            .map(|number| {
                let transmit = to(addresses[usize::from(number % 16 >= 9)]);
                // One is meant not to get far.
                let ttl = (number == 40).then_some(5);
                (Transmit { ttl, ..transmit }, datagram(number, sizes[number % sizes.len()]))
            })
            .collect();
        send(&sender, &sent).await;
        for (receiver, address) in receivers.iter().zip(addresses) {
            let expected: Vec<&Vec<u8>> =
                sent.iter().filter(|(transmit, _)| transmit.to == address).map(|(_, bytes)| bytes).collect();
            let came = receive(receiver, address_of(&sender), expected.len()).await;
            assert!(came.datagrams.iter().eq(expected), "each is what it was, and where it was");
        }
        assert_eq!(sender.socket.ttl().expect("a socket"), TTL, "the others may go as far as ever");
    }

    #[tokio::test]
    async fn datagrams_sent_at_once_are_joined_and_split_again() {
        let (sender, receiver) = (socket(), socket());
        let sent: Vec<(Transmit, Vec<u8>)> = (0..12)
            .map(|number| (to(address_of(&receiver)), datagram(number, if number < 11 { 1452 } else { 3 })))
            .collect();
        send(&sender, &sent).await;
        receiver.readable().await.expect("a socket");
        let mut incoming = RecvBatch::new();
        incoming.refill(&receiver).expect("they have come");
        let came: Vec<(SocketAddr, &[u8])> = incoming.datagrams().collect();
        let from = address_of(&sender);
        assert!(sent.iter().map(|(_, bytes)| (from, &bytes[..])).eq(came));
        let can_join = sender.batch_datagrams_max() > 1 && receiver.state.gro_segments() > 1;
        assert!(!can_join || incoming.buffers() == 1, "they filled {} buffers", incoming.buffers());
    }

    #[tokio::test]
    async fn a_datagram_to_nobody_is_lost_alone() {
        let (sender, receiver) = (socket(), socket());
        let nobody = address_of(&socket());
        let sent: Vec<(Transmit, Vec<u8>)> = (0..30)
            .map(|number| {
                let whom = if number % 10 == 5 { nobody } else { address_of(&receiver) };
                (to(whom), datagram(number, 1000))
            })
            .collect();
        send(&sender, &sent).await;
        let came = receive(&receiver, address_of(&sender), 27).await;
        let expected = sent.iter().filter(|(transmit, _)| transmit.to != nobody).map(|(_, bytes)| bytes);
        assert!(came.datagrams.iter().eq(expected));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn reading_goes_on_after_the_network_reported_nobody_there() {
        let (reader, other) = (socket(), socket());
        let nobody = address_of(&socket());
        // As on systems that report it by default.
        reader.state.enable_transport_errors((&reader.socket).into()).expect("Linux has it");
        send(&reader, &[(to(nobody), datagram(1, 100))]).await;
        let sent = [1000, 1000, 7].map(|bytes| (to(address_of(&reader)), datagram(bytes, bytes)));
        send(&other, &sent).await;
        let came = receive(&reader, address_of(&other), sent.len()).await;
        assert!(came.errors.contains(&io::ErrorKind::ConnectionRefused), "{:?}", came.errors);
        assert!(came.datagrams.iter().eq(sent.iter().map(|(_, bytes)| bytes)));
    }

    #[tokio::test]
    async fn an_unsendable_datagram_is_lost_alone_and_slows_nobody_down() {
        let (sender, receiver) = (socket(), socket());
        let together = sender.batch_datagrams_max();
        let (good, bad) = (address_of(&receiver), SocketAddr::from(([127, 0, 0, 1], 0)));
        let too_large = datagram(9, 65_600);
        let sent = [
            (to(bad), datagram(0, 100)),
            (to(bad), datagram(1, 100)),
            (to(good), datagram(2, 100)),
            (to(good), too_large),
            (to(good), datagram(3, 100)),
            (to(bad), datagram(4, 100)),
            (to(good), datagram(5, 100)),
        ];
        send(&sender, &sent).await;
        let came = receive(&receiver, address_of(&sender), 3).await;
        assert_eq!(came.datagrams, [2, 3, 5].map(|number| datagram(number, 100)));
        assert_eq!(sender.batch_datagrams_max(), together, "it was not for going together");
    }

    /// A system that refuses a batch gets single datagrams.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_refused_batch_is_sent_one_by_one_from_then_on() {
        let (sender, receiver) = (socket(), socket());
        // More than any Linux takes.
        sender.batch_datagrams_max.store(300, Ordering::Relaxed);
        let sent: Vec<(Transmit, Vec<u8>)> =
            (0..300).map(|number| (to(address_of(&receiver)), datagram(number, 10))).collect();
        let (came, ()) = tokio::join!(receive(&receiver, address_of(&sender), 300), send(&sender, &sent));
        assert!(came.datagrams.iter().eq(sent.iter().map(|(_, bytes)| bytes)));
        assert_eq!(sender.batch_datagrams_max(), 1);
    }
}

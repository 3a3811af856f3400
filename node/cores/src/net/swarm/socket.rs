//! UDP sockets as the swarm needs them: [`DatagramSocket`].
//!
//! Most of what a transfer costs are system calls, so many datagrams go with each: one takes a [`Run`] that the system cuts
//! up, and one fills an [`Inbox`](super::recv_batch::Inbox) with what it has joined.

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

/// What the system holds for a socket until it is read. With less, a fast sender overruns it.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;
/// As many routers as the reference lets a datagram pass.
const TTL: u32 = 64;

/// A socket for many datagrams at a time. It never sends one in fragments: probes of a path's size (`udx::mtu`) would else
/// learn nothing. One that is too large for the interface fails here, and is as lost as one that is too large further on.
#[derive(Debug)]
pub(super) struct DatagramSocket {
    socket: UdpSocket,
    state: UdpSocketState,
    /// How many datagrams the system takes at once; one after it has refused. `state` counts as well, but also what it may
    /// not send to an address at all: who tells us a bad one must not slow down all others.
    run_datagrams_max: AtomicUsize,
}

/// The socket that others know: at the wanted port, or at any if nobody cares.
pub(super) fn bind_server(options: &SwarmOptions) -> io::Result<DatagramSocket> {
    DatagramSocket::bind(SocketAddr::new(options.bind, options.port))
}

/// A socket at any port.
pub(super) fn bind(ip: IpAddr) -> io::Result<DatagramSocket> {
    DatagramSocket::bind(SocketAddr::new(ip, 0))
}

impl DatagramSocket {
    fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        // A system that allows less gives as much as it allows.
        let _less = SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
        // Forbids fragments and lets the system join what comes.
        let state = UdpSocketState::new((&socket).into())?;
        let run_datagrams_max = state.max_gso_segments().into();
        Ok(Self { socket: UdpSocket::from_std(socket)?, state, run_datagrams_max })
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// How many datagrams a run may have.
    pub(super) fn run_datagrams_max(&self) -> usize {
        self.run_datagrams_max.load(Ordering::Relaxed)
    }

    /// Waits until something can be taken.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Takes what waits, some of it joined; tells how many buffers have something.
    ///
    /// # Errors
    /// Where nothing waits, or an earlier datagram has found nobody.
    pub(super) fn receive(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        received: &mut [RecvMeta],
    ) -> io::Result<usize> {
        let socket = &self.socket;
        socket.try_io(Interest::READABLE, || self.state.recv(socket.into(), buffers, received))
    }

    /// Sends datagrams that may pass so many routers. One that cannot be sent is lost, as others are on the way.
    pub(super) async fn send(&self, run: &GsoBatch<'_>) {
        let ttl = run.transmit.ttl;
        // With more routers than wanted it would do harm where it arrives: it was not to.
        if ttl.is_some_and(|ttl| self.socket.set_ttl(ttl.into()).is_err()) {
            return;
        }
        let sent = self.transmit(run.transmit.to, run.bytes, run.datagram_bytes).await;
        if let Err(error) = sent
            && run.count > 1
        {
            self.send_one_by_one(run, &error).await;
        }
        if ttl.is_some() {
            let _unchanged = self.socket.set_ttl(TTL);
        }
    }

    /// What stopped a run may concern only one of its datagrams, or that they go together.
    async fn send_one_by_one(&self, run: &GsoBatch<'_>, why: &io::Error) {
        let mut has_sent = false;
        for datagram in run.datagrams() {
            has_sent |= self.transmit(run.transmit.to, datagram, datagram.len()).await.is_ok();
        }
        // Some network interfaces cannot cut, and only say so when they are to.
        if has_sent && matches!(why.raw_os_error(), Some(libc::EINVAL | libc::EIO)) {
            self.run_datagrams_max.store(1, Ordering::Relaxed);
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

/// The address under which machines in the same network reach a socket.
pub(super) fn reachable(local: SocketAddr) -> Option<Address> {
    let ip = match local.ip() {
        ip if !ip.is_unspecified() => ip,
        _ => outward()?,
    };
    address(SocketAddr::new(ip, local.port()))
}

/// The address of the interface that leads out. Nothing is sent for it.
fn outward() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // An address for documentation: only the choice of a route is wanted.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use libvms_hyperswarm::dht_rpc::Socket;
    use libvms_hyperswarm::swarm::node::Transmit;

    use super::super::recv_batch::Inbox;
    use super::super::send_batch::Outbox;
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

    /// A datagram that is unlike others, in every place of it.
    fn datagram(number: usize, bytes: usize) -> Vec<u8> {
        (0..bytes).map(|place| (number * 31 + place * 7) as u8).collect()
    }

    async fn send(socket: &DatagramSocket, datagrams: &[(Transmit, Vec<u8>)]) {
        let mut outbox = Outbox::default();
        let mut left = datagrams.iter();
        outbox.refill(datagrams.len(), |into| {
            let (transmit, bytes) = left.next()?;
            into.extend_from_slice(bytes);
            Some(*transmit)
        });
        let mut place = 0;
        while let Some(run) = outbox.run(place, socket.run_datagrams_max()) {
            socket.send(&run).await;
            place += run.count;
        }
    }

    /// What came, and what the system said instead.
    #[derive(Debug, Default)]
    struct Came {
        datagrams: Vec<Vec<u8>>,
        errors: Vec<io::ErrorKind>,
    }

    /// Reads as the swarm does until so many datagrams have come, and makes sure that there are no more.
    async fn receive(socket: &DatagramSocket, from: SocketAddr, count: usize) -> Came {
        let (mut inbox, mut came) = (Inbox::new(), Came::default());
        let reading = async {
            while came.datagrams.len() < count {
                socket.readable().await.expect("a socket");
                match inbox.refill(socket) {
                    Ok(()) => came.datagrams.extend(inbox.datagrams().map(|(sender, bytes)| {
                        assert_eq!(sender, from);
                        bytes.to_vec()
                    })),
                    Err(error) => came.errors.push(error.kind()),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reading).await.expect("all come");
        assert!(inbox.refill(socket).is_err(), "more than were sent");
        came
    }

    #[tokio::test]
    async fn datagrams_of_many_sizes_come_whole_and_in_order_wherever_they_go() {
        let (sender, receivers) = (socket(), [socket(), socket()]);
        let addresses = receivers.each_ref().map(address_of);
        let sizes = [1400, 1400, 1400, 1400, 1400, 20, 1472, 1472, 900, 1, 2048, 900];
        let sent: Vec<(Transmit, Vec<u8>)> = (0..96)
            .map(|number| {
                let transmit = to(addresses[usize::from(number % 16 >= 9)]);
                // One is not meant to get far.
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
    async fn what_goes_at_once_is_joined_and_split_again() {
        let (sender, receiver) = (socket(), socket());
        let sent: Vec<(Transmit, Vec<u8>)> = (0..12)
            .map(|number| (to(address_of(&receiver)), datagram(number, if number < 11 { 1452 } else { 3 })))
            .collect();
        send(&sender, &sent).await;
        receiver.readable().await.expect("a socket");
        let mut inbox = Inbox::new();
        inbox.refill(&receiver).expect("they have come");
        let came: Vec<(SocketAddr, &[u8])> = inbox.datagrams().collect();
        let from = address_of(&sender);
        assert!(sent.iter().map(|(_, bytes)| (from, &bytes[..])).eq(came));
        let can_join = sender.run_datagrams_max() > 1 && receiver.state.gro_segments() > 1;
        assert!(!can_join || inbox.buffers() == 1, "they filled {} buffers", inbox.buffers());
    }

    #[tokio::test]
    async fn one_that_finds_nobody_is_lost_alone() {
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
    async fn reading_goes_on_after_the_network_has_said_that_nobody_is_there() {
        let (reader, other) = (socket(), socket());
        let nobody = address_of(&socket());
        // As on systems that tell of it unasked.
        reader.state.enable_transport_errors((&reader.socket).into()).expect("Linux has it");
        send(&reader, &[(to(nobody), datagram(1, 100))]).await;
        let sent = [1000, 1000, 7].map(|bytes| (to(address_of(&reader)), datagram(bytes, bytes)));
        send(&other, &sent).await;
        let came = receive(&reader, address_of(&other), sent.len()).await;
        assert!(came.errors.contains(&io::ErrorKind::ConnectionRefused), "{:?}", came.errors);
        assert!(came.datagrams.iter().eq(sent.iter().map(|(_, bytes)| bytes)));
    }

    #[tokio::test]
    async fn what_can_not_be_sent_at_all_is_lost_alone_and_slows_nobody_down() {
        let (sender, receiver) = (socket(), socket());
        let together = sender.run_datagrams_max();
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
        assert_eq!(sender.run_datagrams_max(), together, "it was not for going together");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_system_that_refuses_a_run_gets_its_datagrams_one_by_one_from_then_on() {
        let (sender, receiver) = (socket(), socket());
        // More than any Linux takes.
        sender.run_datagrams_max.store(300, Ordering::Relaxed);
        let sent: Vec<(Transmit, Vec<u8>)> =
            (0..300).map(|number| (to(address_of(&receiver)), datagram(number, 10))).collect();
        let (came, ()) = tokio::join!(receive(&receiver, address_of(&sender), 300), send(&sender, &sent));
        assert!(came.datagrams.iter().eq(sent.iter().map(|(_, bytes)| bytes)));
        assert_eq!(sender.run_datagrams_max(), 1);
    }
}

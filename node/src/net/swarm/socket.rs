//! UDP sockets as the swarm needs them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use libvms_protocol::dht::Address;
use socket2::SockRef;
use tokio::net::UdpSocket;

use super::SwarmOptions;
use super::address;

/// What the system holds for a socket until it is read. With less, a fast sender overruns it.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;
/// As many routers as the reference lets a datagram pass.
const TTL: u32 = 64;

/// The socket that others know: at the wanted port, or at any if nobody cares.
pub(super) fn bind_server(options: &SwarmOptions) -> io::Result<UdpSocket> {
    bind_to(SocketAddr::new(options.bind, options.port))
}

/// A socket at any port.
pub(super) fn bind(ip: IpAddr) -> io::Result<UdpSocket> {
    bind_to(SocketAddr::new(ip, 0))
}

fn bind_to(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    // A system that allows less gives as much as it allows.
    let _less = SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    UdpSocket::from_std(socket)
}

/// Sends a datagram that may pass so many routers.
pub(super) async fn send(
    socket: &UdpSocket,
    to: SocketAddr,
    ttl: Option<u8>,
    datagram: &[u8],
) -> io::Result<()> {
    if let Some(ttl) = ttl {
        socket.set_ttl(ttl.into())?;
    }
    let sent = socket.send_to(datagram, to).await;
    if ttl.is_some() {
        socket.set_ttl(TTL)?;
    }
    sent.map(drop)
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

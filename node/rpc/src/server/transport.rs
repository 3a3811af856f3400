//! One connection, in one task: HTTP first, then a WebSocket if the caller upgrades.
//!
//! Another transport, such as Noise or TLS, has its module beside these two: a [`Session`] takes any stream, and the
//! [`Dispatcher`] knows the caller.

mod http;
mod web_socket;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use futures::future::poll_fn;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use http::Http;
use web_socket::Session;

use super::admission::ConnectionPermit;
use super::dispatcher::Dispatcher;
use super::shared::Shared;
use crate::lingering_close::linger;
use crate::write_timeout::WriteTimeout;

/// Bytes of a request's head; a longer one is answered with 431.
const HEAD_BYTES_MAX: usize = 32 << 10;

type Socket = WriteTimeout<TcpStream>;

/// The answer to a connection without a place, or whose place is needed for another.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Connection: close\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 49\r\n\
    Retry-After: 5\r\n\
    \r\n\
    the server has no place left for this connection\n";

/// Serves a caller until either side ends the connection, or its place is needed.
pub(super) async fn serve(
    stream: TcpStream,
    permit: ConnectionPermit,
    is_proxied: bool,
    shared: Arc<Shared>,
) {
    // Without TCP_NODELAY an answer that follows another may wait for the caller's delayed acknowledgement. When setting
    // it fails, the connection is already gone.
    let _ignored = stream.set_nodelay(true);
    let socket = WriteTimeout::new(stream, shared.options.write_timeout, permit.progress());
    let http = Http::new(shared.clone(), permit.clone(), is_proxied);
    let Some((mut socket, upgraded)) = serve_http(socket, http, &permit, &shared).await else { return };
    match upgraded {
        Some((caller, read)) => {
            let stopping = shared.stopping.clone().cancelled_owned();
            Session::new(socket, permit, &read, caller, stopping).run().await;
        }
        None => linger(&mut socket, shared.options.close_timeout).await,
    }
}

/// Answers that there is no room, as far as the answer fits into the socket at once: the server never waits for a
/// connection that it refuses.
pub(super) fn refuse(stream: &TcpStream) {
    tracing::debug!("one connection too many");
    let _ignored = stream.try_write(NO_ROOM);
}

/// Serves HTTP until the connection ends or is upgraded to a WebSocket; returns then also the bytes already read of the
/// WebSocket. Returns `None` when the connection's place was needed.
async fn serve_http(
    socket: Socket,
    http: Http,
    permit: &ConnectionPermit,
    shared: &Arc<Shared>,
) -> Option<(Socket, Option<(Dispatcher, Bytes)>)> {
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.options.header_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), http);
    let mut stopping = pin!(shared.stopping.cancelled());
    let mut is_stopping = false;
    let mut needed = pin!(permit.ended().cancelled());
    let ended = poll_fn(|cx| {
        if needed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        if !is_stopping && stopping.as_mut().poll(cx).is_ready() {
            is_stopping = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        connection.poll_without_shutdown(cx).map(Some)
    })
    .await;
    let parts = connection.into_parts();
    let socket = parts.io.into_inner();
    let Some(ended) = ended else {
        if !parts.service.is_answering() {
            refuse(socket.get_ref());
        }
        return None;
    };
    let upgraded = ended.ok().and_then(|()| parts.service.into_upgraded());
    Some((socket, upgraded.map(|caller| (caller, parts.read_buf))))
}

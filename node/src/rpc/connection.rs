//! A connection's life: HTTP first, then perhaps a WebSocket, all in one task.

use std::pin::{Pin, pin};
use std::sync::Arc;

use futures::future::poll_fn;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::caller::Caller;
use super::http::Http;
use super::linger::linger;
use super::server::Shared;
use super::session::Session;
use super::stall::Stall;

/// Bytes of a request's head; more is answered with 431.
const HEAD_BYTES_MAX: usize = 32 << 10;

type Socket = Stall<TcpStream>;

/// Serves whoever has connected until either side ends it.
pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // Without it an answer that follows another may wait for the caller's delayed acknowledgement. Where it fails, the
    // connection is already gone.
    let _either_way = stream.set_nodelay(true);
    let socket = Stall::new(stream, shared.options.write_timeout);
    let (mut socket, upgraded) = serve_http(socket, &shared).await;
    match upgraded {
        Some((caller, read)) => {
            let session = Session::new(socket, &read, caller, shared.stopping.clone().cancelled_owned());
            session.await.run().await;
        }
        None => linger(&mut socket, shared.options.close_timeout).await,
    }
}

/// Serves HTTP until the connection ends or becomes somebody's WebSocket; then also what was read of that.
async fn serve_http(socket: Socket, shared: &Arc<Shared>) -> (Socket, Option<(Caller, Bytes)>) {
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.options.header_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), Http::new(shared.clone()));
    let mut stopping = pin!(shared.stopping.cancelled());
    let mut is_stopping = false;
    let ended = poll_fn(|cx| {
        if !is_stopping && stopping.as_mut().poll(cx).is_ready() {
            is_stopping = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        connection.poll_without_shutdown(cx)
    })
    .await;
    let parts = connection.into_parts();
    let upgraded = ended.ok().and_then(|()| parts.service.into_upgraded());
    (parts.io.into_inner(), upgraded.map(|caller| (caller, parts.read_buf)))
}

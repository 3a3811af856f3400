//! A server that shuts down: ready answers are still sent, and no caller can delay it.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{Socket, call, serve, soon};
use crate::RpcOptions;

#[tokio::test]
async fn calls_in_flight_are_answered_before_the_goodbye() {
    let (server, sample) = serve(RpcOptions::default()).await;
    let mut socket = Socket::open(server.local_addr(), "/").await;
    socket.send(call(1, "wait", &json!([7]))).await;
    sample.has_calls(1).await;
    let address = server.local_addr();
    let stopped = tokio::spawn(async move { server.shutdown().await });
    soon(async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    sample.open.add_permits(1);
    assert_eq!(socket.text().await, r#"{"jsonrpc":"2.0","id":1,"result":[7]}"#);
    assert_eq!(socket.close_code().await, Some(1001));
    drop(socket);
    soon(stopped).await.expect("no panic");
}

#[tokio::test]
async fn silent_callers_hold_nothing_up() {
    let options = RpcOptions { shutdown_timeout: Duration::from_millis(300), ..RpcOptions::default() };
    let (server, sample) = serve(options).await;
    let address = server.local_addr();
    let _silent_socket = Socket::open(address, "/").await;
    let _said_nothing = TcpStream::connect(address).await.expect("it listens");
    let mut half_a_request = TcpStream::connect(address).await.expect("it listens");
    half_a_request
        .write_all(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n[")
        .await
        .expect("open");
    let mut endless_call = Socket::open(address, "/").await;
    endless_call.send(call(1, "wait", &json!([]))).await;
    let mut reads_nothing = Socket::open(address, "/").await;
    for id in 0..20 {
        reads_nothing.send(call(id, "repeat", &json!([500_000]))).await;
    }
    sample.has_calls(2).await;
    let start = Instant::now();
    soon(server.shutdown()).await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    soon(server.shutdown()).await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn idle_connections_end_at_once() {
    let (server, _) =
        serve(RpcOptions { shutdown_timeout: Duration::from_secs(600), ..RpcOptions::default() }).await;
    let address = server.local_addr();
    let mut socket = Socket::open(address, "/").await;
    let _said_nothing = TcpStream::connect(address).await.expect("it listens");
    socket.ask(call(1, "echo", &json!([]))).await;
    let reads = tokio::spawn(async move { socket.close_code().await });
    soon(server.shutdown()).await;
    assert_eq!(soon(reads).await.expect("no panic"), Some(1001));
}

#[tokio::test]
async fn a_dropped_server_cuts_its_connections() {
    let (server, _) = serve(RpcOptions::default()).await;
    let mut socket = Socket::open(server.local_addr(), "/").await;
    drop(server);
    assert_eq!(socket.close_code().await, None);
}

//! Callers that hold on to a host's memory and places: it stays within what OPERATING.md states, and honest callers are served.
//!
//! How many attackers there are can be set: `VMS_ATTACKERS`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::support::{Host, TestService, memory, run, variable};

const SCRIPT: &str = "let calls = 0
exports.count = () => ++calls
exports.big = bytes => 'x'.repeat(bytes)
exports.length = text => text.length";

const MIB: u64 = 1 << 20;
/// What OPERATING.md states for all callers together.
const CALLERS_BYTES_MAX: u64 = (128 + 64) * MIB;
/// What else may come and go meanwhile: a batch of results on its way to the disk, and buffers of the runtime.
const SLACK_BYTES: u64 = 96 * MIB;
/// How long an honest call may take while all this goes on, on a machine that has other things to do as well.
const PATIENCE: Duration = Duration::from_secs(60);

fn address(host: &Host) -> SocketAddr {
    let url = host.url().strip_prefix("ws://").expect("a WebSocket's URL");
    url.trim_end_matches('/').parse().expect("an address")
}

async fn connect(from: &str, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from.parse().expect("an address"), 0))?;
    socket.connect(to).await
}

fn post(bytes: usize) -> String {
    format!("POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {bytes}\r\n\r\n")
}

/// One call on a connection of its own; the status line's number, and the result.
async fn call(from: &str, to: SocketAddr, method: &str, params: &Value) -> (String, Value) {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let exchange = async {
        let mut answer = vec![];
        let mut stream = connect(from, to).await?;
        stream.write_all((post(request.len()) + &request).as_bytes()).await?;
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(String::from_utf8(answer).expect("text"))
    };
    let answer = match tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time") {
        Ok(answer) => answer,
        Err(error) => return (error.to_string(), Value::Null),
    };
    let status = answer.split(' ').nth(1).unwrap_or("none").to_owned();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let result = serde_json::from_str(body).map(|mut answer: Value| answer["result"].take());
    (status, result.unwrap_or(Value::Null))
}

/// Calls for a while, from the attackers' address and from another, with short and long arguments.
async fn assert_serves_honest_callers(to: SocketAddr, rounds: usize) {
    for _ in 0..rounds {
        for from in ["127.0.0.1", "127.0.0.2"] {
            let (status, result) = call(from, to, "count", &json!([])).await;
            assert_eq!((status.as_str(), result.is_u64()), ("200", true), "{from}");
        }
        let text = "y".repeat(1_000_000);
        let (status, result) = call("127.0.0.2", to, "length", &json!([text])).await;
        assert_eq!((status.as_str(), result), ("200", json!(1_000_000)));
    }
}

/// Waits until the host's memory is no more than it was, and a little.
async fn assert_gives_memory_back(host: &Host, before: u64) {
    let begun = Instant::now();
    while memory(host.id(), "VmRSS") > before + 32 * MIB {
        assert!(
            begun.elapsed() < PATIENCE,
            "{} MiB are not given back",
            (memory(host.id(), "VmRSS") - before) / MIB
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn peak(host: &Host, before: u64) -> u64 {
    memory(host.id(), "VmHWM") - before
}

#[test]
fn half_sent_bodies_are_bounded_and_given_back() {
    let place = TestService::new(SCRIPT);
    run(async {
        let host = place.host();
        let to = address(&host);
        assert_serves_honest_callers(to, 1).await;
        let before = memory(host.id(), "VmRSS");
        let mut attackers = JoinSet::new();
        for _ in 0..variable("VMS_ATTACKERS", 1_000) {
            attackers.spawn(async move {
                let Ok(mut stream) = connect("127.0.0.1", to).await else { return };
                let _cut = stream.write_all(post(4_190_000).as_bytes()).await;
                let part = [b'['; 10_000];
                for _ in 0..410 {
                    if stream.write_all(&part).await.is_err() {
                        return;
                    }
                }
                // Holds on to it, until the host has had enough.
                let _cut = stream.read_to_end(&mut vec![]).await;
            });
        }
        assert_serves_honest_callers(to, 10).await;
        let peak = peak(&host, before);
        assert!(peak <= CALLERS_BYTES_MAX + SLACK_BYTES, "{} MiB", peak / MIB);
        attackers.shutdown().await;
        assert_gives_memory_back(&host, before).await;
        assert!(host.terminate().success());
    });
    place.assert_agrees();
}

#[test]
fn half_sent_messages_are_bounded_and_given_back() {
    let place = TestService::new(SCRIPT);
    run(async {
        let host = place.host();
        let to = address(&host);
        assert_serves_honest_callers(to, 1).await;
        let before = memory(host.id(), "VmRSS");
        let mut attackers = JoinSet::new();
        for number in 0..variable("VMS_ATTACKERS", 1_000) {
            attackers.spawn(async move {
                // From 40 addresses: no share is exceeded, but all of it.
                let from = format!("127.0.1.{}", 1 + number % 40);
                let Some(mut stream) = web_socket(&from, to).await else { return };
                let length = 4_190_000_u64.to_be_bytes();
                let _cut = stream.write_all(&[[0x81, 0xff].as_slice(), &length, &[0; 4]].concat()).await;
                for _ in 0..410 {
                    if stream.write_all(&[b'['; 10_000]).await.is_err() {
                        return;
                    }
                }
                let _cut = stream.read_to_end(&mut vec![]).await;
            });
        }
        assert_serves_honest_callers(to, 10).await;
        let peak = peak(&host, before);
        assert!(peak <= CALLERS_BYTES_MAX + SLACK_BYTES, "{} MiB", peak / MIB);
        attackers.shutdown().await;
        assert_gives_memory_back(&host, before).await;
        assert!(host.terminate().success());
    });
    place.assert_agrees();
}

/// A connection that has become a WebSocket.
async fn web_socket(from: &str, to: SocketAddr) -> Option<TcpStream> {
    let mut stream = connect(from, to).await.ok()?;
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = vec![0; 1024];
    let bytes = stream.read(&mut answer).await.ok()?;
    answer[..bytes].starts_with(b"HTTP/1.1 101").then_some(stream)
}

/// A text message of a caller, with a mask that changes nothing.
fn message(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("a short message").to_be_bytes();
    [&[0x81, 0xfe], length.as_slice(), &[0; 4], text.as_bytes()].concat()
}

/// Asks for 128 long results and reads a few bytes of them.
async fn ask_for_much(from: &str, to: SocketAddr) -> Option<TcpStream> {
    let mut stream = web_socket(from, to).await?;
    for id in 0..128 {
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": "big", "params": [900_000] });
        stream.write_all(&message(&request.to_string())).await.ok()?;
    }
    stream.read_exact(&mut [0; 100]).await.ok()?;
    Some(stream)
}

#[test]
fn answers_that_nobody_reads_are_bounded() {
    let place = TestService::new(SCRIPT);
    run(async {
        let host = place.host();
        let to = address(&host);
        assert_serves_honest_callers(to, 3).await;
        call("127.0.0.1", to, "big", &json!([900_000])).await;
        let before = memory(host.id(), "VmRSS");
        let one = ask_for_much("127.0.0.1", to).await.expect("it is served");
        assert_serves_honest_callers(to, 10).await;
        let peak = peak(&host, before);
        assert!(peak <= 40 * MIB, "{} MiB for one connection", peak / MIB);
        drop(one);
    });
}

#[test]
fn many_who_read_no_answers_are_bounded() {
    let place = TestService::new(SCRIPT);
    run(async {
        let host = place.host();
        let to = address(&host);
        assert_serves_honest_callers(to, 1).await;
        let before = memory(host.id(), "VmRSS");
        let mut attackers = JoinSet::new();
        for number in 0..variable("VMS_ATTACKERS", 1_000) / 50 {
            attackers.spawn(async move {
                let from = format!("127.0.1.{}", 1 + number % 10);
                let stream = ask_for_much(&from, to).await;
                tokio::time::sleep(PATIENCE).await;
                drop(stream);
            });
        }
        assert_serves_honest_callers(to, 10).await;
        let peak = peak(&host, before);
        assert!(peak <= CALLERS_BYTES_MAX + SLACK_BYTES, "{} MiB", peak / MIB);
        attackers.shutdown().await;
        assert_gives_memory_back(&host, before).await;
    });
}

#[test]
fn silent_connections_keep_nobody_out() {
    let place = TestService::new(SCRIPT);
    run(async {
        let host = place.host();
        let to = address(&host);
        let mut attackers = JoinSet::new();
        for _ in 0..3 * variable("VMS_ATTACKERS", 1_000) {
            attackers.spawn(async move {
                loop {
                    // Again as soon as it is closed.
                    if let Ok(mut stream) = connect("127.0.0.1", to).await {
                        let _closed = stream.read_to_end(&mut vec![]).await;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            });
        }
        for round in 0..7 {
            let calls = (0..20).map(|number| {
                let from = ["127.0.0.1", "127.0.0.2"][number % 2];
                async move { (from, call(from, to, "count", &json!([])).await) }
            });
            for (from, (status, result)) in futures::future::join_all(calls).await {
                assert_eq!((status.as_str(), result.is_u64()), ("200", true), "round {round}, from {from}");
            }
        }
        attackers.shutdown().await;
        assert!(host.terminate().success());
    });
    place.assert_agrees();
}

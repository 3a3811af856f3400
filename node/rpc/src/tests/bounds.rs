//! Every bound of a server: one unit above a bound is refused, and other callers are not affected.

use std::time::Duration;

use futures::SinkExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use super::ledger::Ledger;
use super::{PATIENCE, Socket, call, exchange, request, serve, soon, status_of};
use crate::{RpcOptions, RpcServer};

const SHORT: Duration = Duration::from_millis(100);

/// Asserts that the server still answers a new connection.
async fn is_well(address: std::net::SocketAddr) {
    let mut socket = Socket::open(address, "/").await;
    assert_eq!(socket.ask(call(1, "echo", &json!([]))).await, r#"{"jsonrpc":"2.0","id":1,"result":[]}"#);
}

#[tokio::test]
async fn arguments_have_a_most() {
    let (server, _) = serve(RpcOptions { arguments_bytes_max: 10, ..RpcOptions::default() }).await;
    let mut socket = Socket::open(server.local_addr(), "/").await;
    let most = socket.ask(call(1, "echo", &json!(["x".repeat(6)]))).await;
    assert_eq!(most, r#"{"jsonrpc":"2.0","id":1,"result":["xxxxxx"]}"#);
    let more = socket.ask(call(1, "echo", &json!(["x".repeat(7)]))).await;
    assert!(more.starts_with(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"#), "{more}");
}

#[tokio::test]
async fn messages_have_a_most() {
    let (server, _) = serve(RpcOptions { message_bytes_max: 1000, ..RpcOptions::default() }).await;
    let address = server.local_addr();
    let mut socket = Socket::open(address, "/").await;
    let request_of = |bytes: usize| format!("{:bytes$}", call(1, "echo", &json!([])));
    socket.ask(request_of(1000)).await;
    socket.send(request_of(1001)).await;
    assert_eq!(socket.close_code().await, Some(1009));
    assert_eq!(status_of(&request(address, "POST /", "", &request_of(1000)).await), "200");
    assert_eq!(status_of(&request(address, "POST /", "", &request_of(1001)).await), "413");
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{}\r\n0\r\n\r\n",
        request_of(1001)
    );
    assert_eq!(status_of(&exchange(address, chunked.as_bytes()).await), "413");
    is_well(address).await;
}

#[tokio::test]
async fn a_message_in_many_frames_has_the_same_most() {
    let (server, _) = serve(RpcOptions { message_bytes_max: 1000, ..RpcOptions::default() }).await;
    let mut socket = Socket::open(server.local_addr(), "/").await;
    let frame = [&[0x01, 0xfe, 0x01, 0xf4, 0, 0, 0, 0], [b' '; 500].as_slice()].concat();
    let next = [&[0x00], &frame[1..]].concat();
    for bytes in [&frame, &next, &next] {
        soon(socket.0.get_mut().write_all(bytes)).await.expect("it is open");
    }
    assert_eq!(socket.close_code().await, Some(1009));
}

#[tokio::test]
async fn answers_have_a_most() {
    let (server, _) = serve(RpcOptions { answer_bytes_max: 1000, ..RpcOptions::default() }).await;
    let mut socket = Socket::open(server.local_addr(), "/").await;
    let envelope = r#"{"jsonrpc":"2.0","id":1,"result":""}"#.len();
    assert_eq!(socket.ask(call(1, "repeat", &json!([1000 - envelope]))).await.len(), 1000);
    assert!(socket.ask(call(1, "repeat", &json!([1001 - envelope]))).await.contains("-32603"));
    let batch = vec![call(1, "repeat", &json!([400])); 5].join(",");
    let answer = socket.ask(format!("[{batch}]")).await;
    let answers: Vec<serde_json::Value> = serde_json::from_str(&answer).expect("an array");
    assert_eq!(answers.iter().filter(|answer| answer.get("result").is_some()).count(), 2);
    assert_eq!(answers.len(), 5);
}

#[tokio::test]
async fn receipts_have_a_most_of_their_own() {
    let ledger = Ledger::new(1);
    let options = RpcOptions { answer_bytes_max: 1000, receipt_bytes_max: 3000, ..RpcOptions::default() };
    let server = RpcServer::bind(([127, 0, 0, 1], 0).into(), options).await.expect("a free port");
    server.mount("/", ledger.clone());
    let mut socket = Socket::open(server.local_addr(), "/").await;
    let echo = |bytes: usize| call(1, "echo", &json!(["x".repeat(bytes)]));
    let has = |answer: &serde_json::Value, name| answer.get(name).is_some();
    let mut ask = async |text: String| -> (usize, serde_json::Value) {
        let answer = socket.ask(text).await;
        (answer.len(), serde_json::from_str(&answer).expect("JSON"))
    };
    // Arguments, result and receipt of the first fill the answer beyond what answers without receipts have.
    let (bytes, answer) = ask(echo(800)).await;
    assert!(bytes > 3000 && bytes <= 4000 && has(&answer, "result") && has(&answer, "receipt"), "{answer}");
    let (_, answer) = ask(echo(950)).await;
    assert!(has(&answer, "result") && !has(&answer, "receipt"), "the receipt is too long: {answer}");
    let (bytes, answer) = ask(call(1, "handshake", &json!([{ "latest": true }]))).await;
    assert!(bytes > 3000 && bytes <= 4000 && answer["result"]["latest"].is_string(), "{answer}");
    // In a batch they share the room.
    let (bytes, answers) = ask(format!("[{}]", vec![echo(250); 4].join(","))).await;
    let answers = answers.as_array().expect("a batch");
    let having = |name| answers.iter().filter(|answer| has(answer, name)).count();
    assert_eq!((having("result"), having("receipt")), (3, 2), "{answers:?}");
    assert!(bytes <= 4000);
    let handshakes = vec![call(1, "handshake", &json!([{ "latest": true }])); 4].join(",");
    let (bytes, answers) = ask(format!("[{handshakes}]")).await;
    let told = answers.as_array().expect("a batch").iter().filter(|answer| has(answer, "result"));
    assert_eq!(told.count(), 2, "{answers}");
    assert!(bytes <= 4200);
}

#[tokio::test]
async fn a_caller_with_many_calls_in_flight_is_read_no_further() {
    let (server, sample) = serve(RpcOptions { calls_in_flight_max: 3, ..RpcOptions::default() }).await;
    let mut socket = Socket::open(server.local_addr(), "/").await;
    for id in 0..5 {
        socket.send(call(id, "wait", &json!([]))).await;
    }
    sample.has_calls(3).await;
    tokio::time::sleep(SHORT).await;
    assert_eq!(sample.called().len(), 3);
    sample.open.add_permits(5);
    for _ in 0..5 {
        socket.text().await;
    }
}

#[tokio::test]
async fn a_caller_with_many_bytes_in_flight_is_read_no_further() {
    let (server, sample) = serve(RpcOptions { bytes_in_flight_max: 1000, ..RpcOptions::default() }).await;
    let mut socket = Socket::open(server.local_addr(), "/").await;
    for id in 0..4 {
        socket.send(call(id, "wait", &json!(["x".repeat(600)]))).await;
    }
    sample.has_calls(2).await;
    tokio::time::sleep(SHORT).await;
    assert_eq!(sample.called().len(), 2);
    sample.open.add_permits(4);
    for _ in 0..4 {
        socket.text().await;
    }
}

#[tokio::test]
async fn a_caller_who_reads_nothing_is_cut_off() {
    let options = RpcOptions { write_timeout: SHORT, close_timeout: SHORT, ..RpcOptions::default() };
    let (server, _) = serve(options).await;
    let mut socket = Socket::open(server.local_addr(), "/").await;
    let ended =
        async { while socket.0.send(Message::text(call(1, "repeat", &json!([1 << 20])))).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("it is cut off");
    is_well(server.local_addr()).await;
}

#[tokio::test]
async fn a_caller_who_reads_next_to_nothing_is_cut_off() {
    let options = RpcOptions { write_timeout: 3 * SHORT, ..RpcOptions::default() };
    let (server, _) = serve(options).await;
    let mut socket = Socket::open(server.local_addr(), "/").await;
    for id in 0..30 {
        socket.send(call(id, "repeat", &json!([1_000_000]))).await;
    }
    let mut buffer = vec![0; 100];
    let mut read = 0;
    soon(async {
        // Reads enough that no write stalls completely, but slower than the required pace.
        while let Ok(bytes @ 1..) = socket.0.get_mut().read(&mut buffer).await {
            read += bytes;
            tokio::time::sleep(SHORT / 4).await;
            if server.connections() == 0 {
                return;
            }
        }
    })
    .await;
    assert!(read < 30_000_000, "{read}");
    is_well(server.local_addr()).await;
}

#[tokio::test]
async fn a_slow_reader_gets_everything_at_its_own_pace() {
    let options =
        RpcOptions { backlog_bytes_max: 100_000, write_timeout: 3 * SHORT, ..RpcOptions::default() };
    let (server, sample) = serve(options).await;
    let mut socket = Socket::open(server.local_addr(), "/").await;
    for id in 0..50 {
        socket.send(call(id, "repeat", &json!([1_000_000]))).await;
    }
    tokio::time::sleep(SHORT).await;
    assert!(sample.called().len() < 50, "what nobody reads is not asked for");
    for _ in 0..50 {
        assert!(socket.text().await.len() > 1_000_000);
        tokio::time::sleep(SHORT / 20).await;
    }
}

#[tokio::test]
async fn results_of_a_new_caller_are_not_taken_for_short() {
    let (server, sample) = serve(RpcOptions::default()).await;
    let mut socket = Socket::open(server.local_addr(), "/").await;
    for id in 0..128 {
        socket.send(call(id, "wait", &json!(["x".repeat(900)]))).await;
    }
    sample.has_calls(16).await;
    tokio::time::sleep(SHORT).await;
    assert_eq!(sample.called().len(), 16, "sixteen of the longest fill the backlog");
    sample.open.add_permits(60);
    for _ in 0..60 {
        socket.text().await;
    }
    sample.has_calls(128).await;
    sample.open.add_permits(68);
    for _ in 0..68 {
        socket.text().await;
    }
}

#[tokio::test]
async fn a_post_whose_answer_nobody_reads_is_cut_off() {
    let options = RpcOptions {
        write_timeout: SHORT,
        close_timeout: SHORT,
        connections_max: 1,
        ..RpcOptions::default()
    };
    let (server, _) = serve(options).await;
    let address = server.local_addr();
    let small = tokio::net::TcpSocket::new_v4().expect("a socket");
    small.set_recv_buffer_size(4096).expect("a small buffer");
    let mut stream = small.connect(address).await.expect("it listens");
    let body = call(1, "repeat", &json!([4_000_000]));
    let head = format!("POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(head.as_bytes()).await.expect("it listens");
    soon(async {
        while status_of(&request(address, "GET /", "", "").await) != "426" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn one_connection_too_many_is_refused() {
    let (server, _) = serve(RpcOptions { connections_max: 2, ..RpcOptions::default() }).await;
    let address = server.local_addr();
    let mut first = Socket::open(address, "/").await;
    let mut second = Socket::open(address, "/").await;
    for socket in [&mut first, &mut second] {
        socket.ask(call(1, "echo", &json!([]))).await;
    }
    assert_eq!(status_of(&exchange(address, b"").await), "503", "both have spoken just now");
    second.ask(call(1, "echo", &json!([]))).await;
    drop(first);
    soon(async {
        while status_of(&request(address, "GET /", "", "").await) != "426" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_oldest_silent_connection_makes_room() {
    let (server, _) = serve(RpcOptions { connections_max: 3, ..RpcOptions::default() }).await;
    let address = server.local_addr();
    let mut honest = Socket::open(address, "/").await;
    honest.ask(call(1, "echo", &json!([]))).await;
    let mut silent = TcpStream::connect(address).await.expect("it listens");
    let mut half_said = TcpStream::connect(address).await.expect("it listens");
    half_said.write_all(b"POST / HT").await.expect("it listens");
    let mut newcomers = vec![];
    for ended in [&mut silent, &mut half_said] {
        let mut newcomer = Socket::open(address, "/").await;
        newcomer.ask(call(1, "echo", &json!([]))).await;
        newcomers.push(newcomer);
        let mut text = String::new();
        soon(ended.read_to_string(&mut text)).await.expect("text");
        assert_eq!(status_of(&text), "503", "{text}");
    }
    honest.ask(call(1, "echo", &json!([]))).await;
}

#[tokio::test]
async fn slow_heads_and_bodies_are_given_up() {
    let options = RpcOptions {
        header_timeout: SHORT,
        body_timeout: SHORT,
        close_timeout: SHORT,
        ..RpcOptions::default()
    };
    let (server, _) = serve(options).await;
    let address = server.local_addr();
    exchange(address, b"").await;
    exchange(address, b"GET / HTTP/1.1\r\nHost: 127").await;
    let idle = exchange(address, format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await;
    assert_eq!(status_of(&idle), "426");
    let head = format!("POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: 100\r\n\r\n[");
    assert_eq!(status_of(&exchange(address, head.as_bytes()).await), "408");
    let large = format!("GET / HTTP/1.1\r\nHost: {address}\r\nCookie: {}\r\n\r\n", "x".repeat(100_000));
    assert_eq!(status_of(&exchange(address, large.as_bytes()).await), "431");
    let mut trickle = TcpStream::connect(address).await.expect("it listens");
    soon(async {
        while trickle.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_dead_caller_is_found_and_a_quiet_one_is_kept() {
    let options = RpcOptions { ping_interval: SHORT, close_timeout: SHORT, ..RpcOptions::default() };
    let (server, sample) = serve(options).await;
    let mut dead = Socket::open(server.local_addr(), "/").await;
    let mut quiet = Socket::open(server.local_addr(), "/").await;
    quiet.send(call(1, "wait", &json!([]))).await;
    let kept = tokio::spawn(async move { quiet.text().await });
    let mut pings = vec![];
    soon(dead.0.get_mut().read_to_end(&mut pings)).await.expect("it is ended");
    assert_eq!(pings, [0x89, 0, 0x89, 0]);
    sample.open.add_permits(1);
    assert!(soon(kept).await.expect("no panic").contains("result"));
}

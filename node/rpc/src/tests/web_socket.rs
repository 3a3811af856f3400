//! JSON-RPC 2.0 over WebSocket, as the specification requires.

use futures::SinkExt;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::{Socket, call, serve, soon};
use crate::RpcOptions;

/// Returns the answers of a new server to `texts`.
async fn answers(texts: &[&str]) -> Vec<String> {
    let (server, _) = serve(RpcOptions::default()).await;
    let mut socket = Socket::open(server.local_addr(), "/").await;
    let mut answers = vec![];
    for &text in texts {
        answers.push(socket.ask(text).await);
    }
    answers
}

#[tokio::test]
async fn ids_and_arguments_come_back_as_they_were_written() {
    for id in [r#""a\u0062 \"c""#, "1", "-0.10e+2", "12345678901234567890", "null"] {
        let request =
            format!(r#"{{"id" : {id},"params":[1.0, {{"b" :2,"a":1e2}}],"method":"echo","jsonrpc":"2.0"}}"#);
        let expected = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":[1.0, {{"b" :2,"a":1e2}}]}}"#);
        assert_eq!(answers(&[&request]).await, [expected]);
    }
}

#[tokio::test]
async fn absent_arguments_are_an_empty_array() {
    let expected = r#"{"jsonrpc":"2.0","id":1,"result":[]}"#;
    let requests = [
        r#"{"jsonrpc":"2.0","id":1,"method":"echo"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"echo","params":[]}"#,
        r#"{"jsonrpc":"2.0","method":"echo","params":null,"id":1}"#,
    ];
    assert_eq!(answers(&requests).await, [expected; 3]);
}

#[tokio::test]
async fn results_and_errors_have_their_shape() {
    let requests = [
        call(1, "nothing", &json!([])),
        call(1, "throw", &json!([])),
        call(1, "missing", &json!([])),
        call(1, "handshake", &json!([])),
        call(1, "echo", &json!({ "a": 1 })),
    ];
    let answers = answers(&requests.each_ref().map(String::as_str)).await;
    assert_eq!(answers[0], r#"{"jsonrpc":"2.0","id":1,"result":null}"#);
    assert_eq!(
        answers[1],
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"TypeError","data":"no \"luck\""}}"#
    );
    assert_eq!(
        answers[2],
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}"#
    );
    assert_eq!(answers[3], r#"{"jsonrpc":"2.0","id":1,"result":{"methods":["echo"]}}"#);
    assert!(
        answers[4]
            .starts_with(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Invalid params""#)
    );
}

#[tokio::test]
async fn texts_that_are_not_requests_are_refused() {
    let cases = [
        ("", -32700, "null"),
        ("{", -32700, "null"),
        (r#"{"jsonrpc":1,"jsonrpc":2,}"#, -32700, "null"),
        ("[1,", -32700, "null"),
        ("[] []", -32700, "null"),
        ("7", -32600, "null"),
        ("[]", -32600, "null"),
        ("{}", -32600, "null"),
        (r#"{"jsonrpc":"1.0","id":4,"method":"echo"}"#, -32600, "4"),
        (r#"{"id":4,"method":"echo"}"#, -32600, "4"),
        (r#"{"jsonrpc":"2.0","id":4}"#, -32600, "4"),
        (r#"{"jsonrpc":"2.0","id":4,"method":1}"#, -32600, "4"),
        (r#"{"jsonrpc":"2.0","id":[4],"method":"echo"}"#, -32600, "null"),
        (r#"{"jsonrpc":"2.0","id":true,"method":"echo"}"#, -32600, "null"),
        (r#"{"jsonrpc":"2.0","id":4,"id":5,"method":"echo"}"#, -32600, "null"),
        (r#"{"jsonrpc":"2.0","id":4,"method":"echo","params":"a"}"#, -32600, "4"),
    ];
    let texts = cases.map(|(text, ..)| text);
    for ((text, code, id), answer) in cases.into_iter().zip(answers(&texts).await) {
        let start = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"#);
        assert!(answer.starts_with(&start), "{text}: {answer}");
    }
}

#[tokio::test]
async fn a_batch_is_answered_at_once_without_its_notifications() {
    let batch = r#"[
        {"jsonrpc":"2.0","id":1,"method":"echo","params":[1]},
        {"jsonrpc":"2.0","method":"echo"},
        {"jsonrpc":"2.0","method":"echo","params":{}},
        1,
        ["2.0",5,"echo",[]],
        {"jsonrpc":"2.0","id":2,"method":"nothing"},
        {"jsonrpc":"2.0","id":3,"method":"handshake"}
    ]"#;
    let answers = answers(&[batch]).await;
    let answers: Vec<Value> = serde_json::from_str(&answers[0]).expect("an array");
    let ids: Vec<_> = answers.iter().map(|answer| answer["id"].as_u64()).collect();
    assert_eq!(ids, [Some(1), None, None, Some(2), Some(3)]);
    assert_eq!(answers[1]["error"]["code"], -32600);
    assert_eq!(answers[0]["result"], json!([1]));
}

#[tokio::test]
async fn a_batch_has_a_most() {
    let batch =
        |count: usize| format!("[{}]", vec![r#"{"jsonrpc":"2.0","id":1,"method":"echo"}"#; count].join(","));
    let answers = answers(&[&batch(100), &batch(101)]).await;
    let all: Vec<Value> = serde_json::from_str(&answers[0]).expect("an array");
    assert_eq!(all.len(), 100);
    assert!(
        answers[1].starts_with(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"#),
        "{}",
        answers[1]
    );
}

#[tokio::test]
async fn notifications_are_called_but_not_answered() {
    let (server, sample) = serve(RpcOptions::default()).await;
    let mut socket = Socket::open(server.local_addr(), "/").await;
    socket.send(r#"{"jsonrpc":"2.0","method":"throw"}"#).await;
    socket.send(r#"{"jsonrpc":"2.0","method":"handshake"}"#).await;
    socket.send(r#"[{"jsonrpc":"2.0","method":"nothing"},{"jsonrpc":"2.0","method":"echo"}]"#).await;
    assert_eq!(socket.ask(call(9, "echo", &json!([]))).await, r#"{"jsonrpc":"2.0","id":9,"result":[]}"#);
    assert_eq!(sample.called(), ["throw", "nothing", "echo", "echo"]);
}

#[tokio::test]
async fn calls_begin_at_once_and_answers_keep_their_order() {
    let (server, sample) = serve(RpcOptions::default()).await;
    let mut socket = Socket::open(server.local_addr(), "/").await;
    for (id, method) in
        [(1, "wait"), (2, "nothing"), (3, "wait"), (4, "missing"), (5, "handshake"), (6, "echo")]
    {
        socket.send(call(id, method, &json!([]))).await;
    }
    sample.has_calls(5).await;
    assert_eq!(sample.called(), ["wait", "nothing", "wait", "missing", "echo"]);
    sample.open.add_permits(2);
    for id in 1..=6 {
        let answer = socket.text().await;
        assert!(answer.contains(&format!(r#""id":{id},"#)), "{id}: {answer}");
    }
}

#[tokio::test]
async fn thousands_of_answers_keep_the_order_of_their_calls() {
    const COUNT: u64 = 6_000;
    let (server, _) = serve(RpcOptions::default()).await;
    let (mut sender, mut receiver) =
        futures::StreamExt::split(Socket::open(server.local_addr(), "/").await.0);
    let send = async {
        for id in 0..COUNT {
            // Some answers are ready at once, some a moment later, a few are batches, some are refusals.
            let text = match id % 7 {
                0 => format!("[{},{}]", call(id, "later", &json!([])), call(id, "nothing", &json!([]))),
                1 | 4 => call(id, "later", &json!([])),
                2 => call(id, "missing", &json!([])),
                3 => call(id, "handshake", &json!([])),
                _ => call(id, "echo", &json!([])),
            };
            sender.send(Message::text(text)).await.expect("it is open");
        }
    };
    let receive = async {
        for id in 0..COUNT {
            let message = futures::StreamExt::next(&mut receiver).await.expect("open").expect("a message");
            let answer: Value = serde_json::from_str(message.to_text().expect("text")).expect("JSON");
            let first = answer.get(0).unwrap_or(&answer);
            assert_eq!(first["id"], id, "{answer}");
        }
    };
    soon(futures::future::join(send, receive)).await;
}

#[tokio::test]
async fn a_batch_is_answered_in_its_own_order() {
    let (server, _) = serve(RpcOptions::default()).await;
    let mut socket = Socket::open(server.local_addr(), "/").await;
    let methods = ["later", "nothing", "missing", "later", "handshake", "echo", "throw", "later"];
    let calls: Vec<_> = (0..80).map(|id| call(id, methods[id as usize % 8], &json!([]))).collect();
    let answers: Vec<Value> =
        serde_json::from_str(&socket.ask(format!("[{}]", calls.join(","))).await).expect("an array");
    let ids: Vec<_> = answers.iter().filter_map(|answer| answer["id"].as_u64()).collect();
    assert_eq!(ids, (0..80).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_url_says_who_calls_what() {
    let (server, _) = serve(RpcOptions::default()).await;
    let other = super::Sample::new();
    server.mount("/other", other.clone());
    for (path, user) in
        [("/?user=b%20%C3%A9", json!("b é")), ("/other/?a=b", Value::Null), ("/other?user=", Value::Null)]
    {
        let mut socket = Socket::open(server.local_addr(), path).await;
        let answer: Value =
            serde_json::from_str(&socket.ask(call(1, "user", &json!([]))).await).expect("JSON");
        assert_eq!(answer["result"], user, "{path}");
    }
    assert_eq!(other.called().len(), 2);
}

#[tokio::test]
async fn a_panic_of_the_service_ends_only_its_connection() {
    let (server, _) = serve(RpcOptions::default()).await;
    let mut other = Socket::open(server.local_addr(), "/").await;
    let mut socket = Socket::open(server.local_addr(), "/").await;
    socket.send(call(1, "panic", &json!([]))).await;
    assert_eq!(socket.close_code().await, None);
    other.ask(call(1, "echo", &json!([]))).await;
}

#[tokio::test]
async fn binary_messages_and_broken_text_are_closed() {
    let (server, _) = serve(RpcOptions::default()).await;
    let mut socket = Socket::open(server.local_addr(), "/").await;
    soon(socket.0.send(Message::binary(vec![1]))).await.expect("it is open");
    assert_eq!(socket.close_code().await, Some(1003));
    let mut socket = Socket::open(server.local_addr(), "/").await;
    let frame = [0x81, 0x81, 0, 0, 0, 0, 0xff];
    soon(tokio::io::AsyncWriteExt::write_all(socket.0.get_mut(), &frame)).await.expect("it is open");
    assert_eq!(socket.close_code().await, Some(1007));
}

/// Returns the bytes of a caller's frame, with a mask of zeros.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short payload");
    [&[head, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

#[tokio::test]
async fn a_violation_of_the_web_socket_protocol_closes_it() {
    let request = call(1, "echo", &json!([]));
    let long = [[0x81, 0xff].as_slice(), &u64::MAX.to_be_bytes(), &[0; 4]].concat();
    for (bytes, code) in [
        (vec![0x81, 0x01, b'x'], Some(1002)),
        (frame(0xc1, b"x"), Some(1002)),
        (frame(0x80, b"x"), Some(1002)),
        (frame(0x83, b"x"), Some(1002)),
        (frame(0x8b, b"x"), Some(1002)),
        (frame(0x09, b"x"), Some(1002)),
        ([frame(0x01, b"["), frame(0x81, b"]")].concat(), Some(1002)),
        ([&[0x89, 0xfe, 0, 126, 0, 0, 0, 0], [b'x'; 126].as_slice()].concat(), Some(1002)),
        (long, Some(1009)),
        (frame(0x88, b"x"), Some(1002)),
        (frame(0x88, &[0x03, 0xed]), Some(1002)),
        (frame(0x88, &[0x03, 0xe8, 0xff]), Some(1007)),
        (frame(0x88, &[0x0f, 0xa0]), Some(4000)),
        (frame(0x88, b""), None),
        ([frame(0x01, &request.as_bytes()[..9]), frame(0x80, b"\xff")].concat(), Some(1007)),
    ] {
        let (server, sample) = serve(RpcOptions::default()).await;
        let mut socket = Socket::open(server.local_addr(), "/").await;
        soon(tokio::io::AsyncWriteExt::write_all(socket.0.get_mut(), &bytes)).await.expect("it is open");
        assert_eq!(socket.close_code().await, code, "{bytes:x?}");
        assert!(sample.called().is_empty());
    }
}

#[tokio::test]
async fn a_message_may_come_in_pieces_with_pings_between() {
    let (server, _) = serve(RpcOptions::default()).await;
    let mut socket = Socket::open(server.local_addr(), "/").await;
    let request = call(1, "echo", &json!(["é"]));
    for (index, byte) in request.bytes().enumerate() {
        let head = if index == 0 {
            0x01
        } else if index + 1 == request.len() {
            0x80
        } else {
            0
        };
        let bytes = [frame(head, &[byte]), frame(0x89, b"hi")].concat();
        for byte in bytes {
            soon(tokio::io::AsyncWriteExt::write_all(socket.0.get_mut(), &[byte])).await.expect("it is open");
        }
    }
    assert_eq!(socket.text().await, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[\"é\"]}");
}

#[tokio::test]
async fn pings_are_answered_and_goodbyes_returned() {
    let (server, _) = serve(RpcOptions::default()).await;
    let mut socket = Socket::open(server.local_addr(), "/").await;
    soon(socket.0.send(Message::Ping(Bytes::from_static(b"there?")))).await.expect("it is open");
    let pong = soon(futures::StreamExt::next(&mut socket.0)).await;
    assert!(matches!(pong, Some(Ok(Message::Pong(bytes))) if bytes == "there?"));
    soon(socket.0.close(None)).await.expect("it is open");
    assert!(matches!(socket.next().await, Some(Message::Close(_))));
}

#[test]
fn no_text_ends_a_session() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (server, socket) = runtime.block_on(async {
        let (server, _) = serve(RpcOptions::default()).await;
        let socket = Socket::open(server.local_addr(), "/").await;
        (server, socket)
    });
    // The property cannot mutate its captures.
    let socket = tokio::sync::Mutex::new(socket);
    let member = prop_oneof![
        Just(r#""jsonrpc":"2.0""#),
        Just(r#""id":1"#),
        Just(r#""id":{}"#),
        Just(r#""method":"echo""#),
        Just(r#""method":"throw""#),
        Just(r#""params":[1]"#),
        Just(r#""params":{}"#),
        Just(r#""x":[[]]"#),
        Just("\0"),
    ];
    let object = prop::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(",")));
    let batch =
        prop::collection::vec(object.clone(), 0..4).prop_map(|objects| format!("[{}]", objects.join(",")));
    proptest!(|(text in prop_oneof![".*", "[\\[\\]{}\",:a-z0-9\\\\]*", object, batch])| {
        runtime.block_on(async {
            let mut socket = socket.lock().await;
            socket.send(text).await;
            socket.send(call(77, "echo", &json!(["still there"]))).await;
            while socket.text().await != r#"{"jsonrpc":"2.0","id":77,"result":["still there"]}"# {}
        });
    });
    drop(server);
}

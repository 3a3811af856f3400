//! JSON-RPC 2.0 over POST, and who may send it.

use serde_json::json;

use super::{body_of, call, exchange, request, serve, status_of};
use crate::rpc::RpcOptions;

#[tokio::test]
async fn a_post_is_answered() {
    let (server, _) = serve(RpcOptions::default()).await;
    let address = server.local_addr();
    let answer =
        request(address, "POST /?user=bob", "Content-Type: text/plain\r\n", &call(1, "user", &json!([])))
            .await;
    assert_eq!(status_of(&answer), "200");
    assert!(answer.to_ascii_lowercase().contains("content-type: application/json\r\n"), "{answer}");
    assert_eq!(body_of(&answer), r#"{"jsonrpc":"2.0","id":1,"result":"bob"}"#);
}

#[tokio::test]
async fn a_post_without_an_answer_has_no_content() {
    let (server, sample) = serve(RpcOptions::default()).await;
    let notifications = r#"[{"jsonrpc":"2.0","method":"echo"},{"jsonrpc":"2.0","method":"echo"}]"#;
    let answer = request(server.local_addr(), "POST /", "", notifications).await;
    assert_eq!((status_of(&answer), body_of(&answer)), ("204", ""));
    assert_eq!(sample.called().len(), 2);
}

#[tokio::test]
async fn a_post_of_garbage_is_a_parse_error() {
    let (server, _) = serve(RpcOptions::default()).await;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: 2\r\n\r\n",
        server.local_addr()
    );
    let answer = exchange(server.local_addr(), &[head.as_bytes(), b"\xff\xfe"].concat()).await;
    assert_eq!(
        body_of(&answer),
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}"#
    );
}

#[tokio::test]
async fn a_connection_takes_one_post_after_the_other() {
    let (server, _) = serve(RpcOptions::default()).await;
    let body = call(1, "echo", &json!([]));
    let address = server.local_addr();
    let head = format!("POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let last = head.replace("Host", "Connection: close\r\nHost");
    let answer = exchange(address, format!("{head}{head}{last}").as_bytes()).await;
    assert_eq!(answer.matches(r#"{"jsonrpc":"2.0","id":1,"result":[]}"#).count(), 3);
}

#[tokio::test]
async fn other_requests_are_told_what_to_do() {
    let (server, _) = serve(RpcOptions::default()).await;
    let address = server.local_addr();
    for (head, status) in [
        ("GET /", "426"),
        ("HEAD /", "426"),
        ("PUT /", "405"),
        ("GET /other", "404"),
        ("POST /other", "404"),
        ("POST /?user=%", "400"),
    ] {
        assert_eq!(status_of(&request(address, head, "", "").await), status, "{head}");
    }
    assert!(body_of(&request(address, "GET /", "", "").await).contains("JSON-RPC"));
    assert_eq!(status_of(&exchange(address, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await), "400");
    assert_eq!(status_of(&exchange(address, b"\x16\x03\x01 hello\r\n\r\n").await), "400");
    let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n";
    assert_eq!(status_of(&request(address, "GET /", upgrade, "").await), "400");
}

#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let (server, sample) = serve(RpcOptions::default()).await;
    let address = server.local_addr();
    let upgrade =
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for origin in ["Origin: https://example.com\r\n", "Origin: null\r\n", "Origin: http://localhost\r\n"] {
        for head in ["POST /", "GET /", "OPTIONS /"] {
            let answer =
                request(address, head, &format!("{origin}{upgrade}"), &call(1, "echo", &json!([]))).await;
            assert_eq!(status_of(&answer), "403", "{head} {origin}");
            assert!(!answer.to_ascii_lowercase().contains("access-control"), "{answer}");
        }
    }
    let rebound = "POST / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(status_of(&exchange(address, rebound.as_bytes()).await), "403");
    assert!(sample.called().is_empty());
}

#[tokio::test]
async fn listed_pages_are_told_that_they_may_call() {
    let options = RpcOptions { allow_origin: vec!["https://example.com".into()], ..RpcOptions::default() };
    let (server, _) = serve(options).await;
    let address = server.local_addr();
    let origin = "Origin: https://example.com\r\n";
    let preflight = request(address, "OPTIONS /", origin, "").await.to_ascii_lowercase();
    assert_eq!(status_of(&preflight), "204");
    for line in [
        "access-control-allow-origin: https://example.com",
        "access-control-allow-headers: content-type",
        "vary: origin",
    ] {
        assert!(preflight.contains(line), "{line} is not in {preflight}");
    }
    let answer = request(address, "POST /", origin, &call(1, "echo", &json!([]))).await.to_ascii_lowercase();
    assert!(answer.contains("access-control-allow-origin: https://example.com"), "{answer}");
    let own = format!("Origin: http://{address}\r\n");
    assert_eq!(status_of(&request(address, "POST /", &own, &call(1, "echo", &json!([]))).await), "200");
}

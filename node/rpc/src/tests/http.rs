//! JSON-RPC 2.0 over POST, and which callers may send it.

use serde_json::json;

use super::{body_of, call, exchange, request, serve, status_of};
use crate::RpcOptions;

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
async fn a_body_that_is_no_plain_text_is_refused_as_such() {
    let (server, sample) = serve(RpcOptions::default()).await;
    let address = server.local_addr();
    let body = call(1, "echo", &json!([]));
    for headers in [
        "Content-Encoding: gzip\r\n",
        "Content-Encoding: br\r\n",
        "Content-Encoding: identity, deflate\r\n",
        "Content-Type: multipart/form-data; boundary=x\r\n",
        "Content-Type: application/json; charset=utf-16\r\n",
        "Content-Type: image/png\r\n",
    ] {
        let answer = request(address, "POST /", headers, &body).await;
        assert_eq!(status_of(&answer), "415", "{headers}");
        assert!(answer.to_ascii_lowercase().contains("accept-encoding: identity\r\n"), "{answer}");
    }
    let head =
        format!("POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 20\r\n\r\n");
    let packed = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0";
    let answer = exchange(address, &[head.as_bytes(), packed].concat()).await;
    assert_eq!(status_of(&answer), "415", "packed without a word: {answer}");
    assert!(body_of(&answer).contains("gzip"), "{answer}");
    assert!(sample.called().is_empty());
    for headers in ["Content-Encoding: identity\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"] {
        assert_eq!(status_of(&request(address, "POST /", headers, &body).await), "200", "{headers}");
    }
}

#[tokio::test]
async fn the_first_subprotocol_is_chosen() {
    let (server, _) = serve(RpcOptions::default()).await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (offered, chosen) in [
        ("Sec-WebSocket-Protocol: jsonrpc\r\n", Some("jsonrpc")),
        ("Sec-WebSocket-Protocol: a.b, c\r\n", Some("a.b")),
        ("Sec-WebSocket-Protocol: one\r\nSec-WebSocket-Protocol: two\r\n", Some("one")),
        ("Sec-WebSocket-Protocol: not/one, , two\r\n", Some("two")),
        ("Sec-WebSocket-Protocol: \"quoted\"\r\n", None),
        ("Sec-WebSocket-Protocol: \r\n", None),
        ("", None),
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{upgrade}{offered}\r\n");
        let goodbye = [0x88, 0x80, 0, 0, 0, 0];
        let answer = exchange(server.local_addr(), &[head.as_bytes(), &goodbye].concat()).await;
        assert_eq!(status_of(&answer), "101", "{offered}");
        let line = answer.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert_eq!(line, chosen, "{offered}");
    }
}

#[tokio::test]
async fn a_service_that_starts_asks_to_come_back() {
    let server =
        crate::RpcServer::bind(([127, 0, 0, 1], 0).into(), RpcOptions::default()).await.expect("a port");
    let address = server.local_addr();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let nothing = request(address, "GET /", "", "").await;
    assert_eq!(status_of(&nothing), "503", "{nothing}");
    let starting = server.prepare("/a");
    starting.replayed(20, 100);
    for (head, headers) in [("GET /a", ""), ("GET /a/", upgrade), ("POST /a?user=bob", "")] {
        let answer = request(address, head, headers, &call(1, "echo", &json!([]))).await;
        assert_eq!(status_of(&answer), "503", "{head}");
        assert!(answer.to_ascii_lowercase().contains("retry-after: 1\r\n"), "{answer}");
        assert!(body_of(&answer).contains("20 of 100"), "{answer}");
    }
    let elsewhere = request(address, "GET /b", "", "").await;
    assert_eq!(status_of(&elsewhere), "404");
    assert_eq!(body_of(&elsewhere), "no service is mounted at \"/b\"; there is one at /a\n");
    server.mount("/a", super::Sample::new());
    assert_eq!(status_of(&request(address, "POST /a", "", &call(1, "echo", &json!([]))).await), "200");
}

#[tokio::test]
async fn a_trusted_proxy_speaks_for_its_callers() {
    let proxy = [127, 0, 0, 1].into();
    let options = RpcOptions { trust_proxy: vec![proxy], ..RpcOptions::default() };
    let (server, _) = serve(options).await;
    let address = server.local_addr();
    let body = call(1, "echo", &json!([]));
    for (headers, status) in [
        ("", "200"),
        ("X-Forwarded-For: 1.2.3.4\r\n", "200"),
        ("Forwarded: for=\"[2001:db8::1]:80\"\r\n", "200"),
        ("X-Forwarded-For: example.com\r\n", "400"),
        ("X-Forwarded-For: \r\n", "400"),
        ("X-Forwarded-For: 1.2.3.4\r\nForwarded: for=5.6.7.8\r\n", "400"),
    ] {
        assert_eq!(status_of(&request(address, "POST /", headers, &body).await), status, "{headers}");
    }
    let (server, _) = serve(RpcOptions::default()).await;
    let headers = "X-Forwarded-For: example.com\r\n";
    let answer = request(server.local_addr(), "POST /", headers, &body).await;
    assert_eq!(status_of(&answer), "200", "who is no proxy is not listened to");
}

#[tokio::test]
async fn refusals_name_the_option_that_is_needed() {
    let (server, _) = serve(RpcOptions::default()).await;
    let behind = "POST / HTTP/1.1\r\nHost: polls.example\r\nConnection: close\r\n\r\n";
    let answer = exchange(server.local_addr(), behind.as_bytes()).await;
    assert!(body_of(&answer).contains("--allow-origin https://polls.example"), "{answer}");
    let answer = request(server.local_addr(), "GET /", "Origin: https://a.example\r\n", "").await;
    assert!(body_of(&answer).contains("--allow-origin https://a.example"), "{answer}");
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

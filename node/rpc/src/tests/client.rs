//! Our client, with our server and with misbehaving ones.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use super::{serve, soon};
use crate::{ClientError, ClientOptions, RpcClient, RpcOptions, RpcServer};

async fn connect(url: &str) -> RpcClient {
    soon(RpcClient::connect(url, ClientOptions::default())).await.expect("it listens")
}

fn text(result: Result<Option<Box<RawValue>>, ClientError>) -> String {
    result.expect("a result").expect("with a value").get().to_owned()
}

fn is_shared<T: Send + Sync + std::fmt::Debug>(_: &T) {}

#[tokio::test]
async fn calls_have_results_and_errors() {
    let (server, _) = serve(RpcOptions::default()).await;
    let client = connect(&format!("ws://{}", server.local_addr())).await;
    is_shared(&client);
    assert_eq!(text(client.call("echo", &(1, "two")).await), r#"[1,"two"]"#);
    assert_eq!(text(client.call("nothing", &[(); 0]).await), "null");
    let error = client.call("throw", &[(); 0]).await.expect_err("it throws");
    assert_eq!(error.to_string(), "TypeError: no \"luck\"");
    let error = client.call("missing", &[(); 0]).await.expect_err("it is missing");
    assert_eq!(error.to_string(), "Method not found");
    let handshake = client.handshake().await.expect("an object");
    assert_eq!(handshake["methods"], json!(["echo"]));
    soon(client.close()).await;
    assert!(matches!(client.call("echo", &[1]).await, Err(ClientError::Closed)));
    soon(client.close()).await;
}

#[tokio::test]
async fn the_user_joins_the_query() {
    let (server, _) = serve(RpcOptions::default()).await;
    let url = format!("ws://{}/?user=eve&a=b", server.local_addr());
    let options = ClientOptions { user: Some("b&ö+ b".into()), ..ClientOptions::default() };
    let client = RpcClient::connect(&url, options).await.expect("it listens");
    assert_eq!(text(client.call("user", &[(); 0]).await), r#""b&ö+ b""#);
}

#[tokio::test]
async fn many_calls_share_a_connection() {
    let (server, _) = serve(RpcOptions::default()).await;
    let client = connect(&format!("ws://{}/", server.local_addr())).await;
    let many = futures::future::join_all((0..1000).map(|number| {
        let client = &client;
        async move { assert_eq!(text(client.call("echo", &[number]).await), format!("[{number}]")) }
    }));
    soon(many).await;
}

#[tokio::test]
async fn more_than_the_server_takes_at_once_still_arrives() {
    let (server, _) = serve(RpcOptions { calls_in_flight_max: 2, ..RpcOptions::default() }).await;
    let client = connect(&format!("ws://{}/", server.local_addr())).await;
    let argument = "x".repeat(100_000);
    let argument = [argument];
    for result in soon(futures::future::join_all((0..200).map(|_| client.call("echo", &argument)))).await {
        assert_eq!(text(result).len(), argument[0].len() + 4);
    }
}

#[tokio::test]
async fn errors_tell_other_servers_from_services() {
    let (server, _) = serve(RpcOptions::default()).await;
    let address = server.local_addr();
    let connect = |url: String, timeout: Duration| async move {
        let options = ClientOptions { connect_timeout: timeout, ..ClientOptions::default() };
        soon(RpcClient::connect(&url, options)).await.expect_err("it must fail")
    };
    for url in [
        "",
        "ws://",
        "http://127.0.0.1/",
        "wss://127.0.0.1/",
        "127.0.0.1:80",
        "ws://a b/",
        "ws://h:99999/",
        "ws://h:abc/",
    ] {
        assert!(matches!(connect(url.into(), super::PATIENCE).await, ClientError::Url { .. }), "{url}");
    }
    let error = connect(format!("ws://{address}/missing"), super::PATIENCE).await;
    assert!(matches!(error, ClientError::Refused { status: 404, .. }), "{error}");
    assert!(error.to_string().contains("there is one at /"), "{error}");
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}/", silent.local_addr().expect("an address"));
    let error = connect(url.clone(), Duration::from_millis(50)).await;
    assert!(matches!(error, ClientError::ConnectTimeout { .. }), "{error}");
    drop(silent);
    assert!(matches!(connect(url, super::PATIENCE).await, ClientError::Connect { .. }));
}

#[tokio::test]
async fn a_service_that_starts_is_waited_for() {
    let server = RpcServer::bind(([127, 0, 0, 1], 0).into(), RpcOptions::default()).await.expect("a port");
    let url = format!("ws://{}/", server.local_addr());
    server.prepare("/").replayed(1, 2);
    let options = ClientOptions { start_timeout: Duration::from_millis(50), ..ClientOptions::default() };
    let error = soon(RpcClient::connect(&url, options)).await.expect_err("it is not there yet");
    assert!(matches!(error, ClientError::NotYet { .. }), "{error}");
    assert!(error.to_string().contains("replayed 1 of 2"), "{error}");
    let later = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.mount("/", super::Sample::new());
    };
    let (client, ()) = soon(futures::future::join(connect(&url), later)).await;
    assert_eq!(text(client.call("echo", &[1]).await), "[1]");
}

/// Returns the result of a call when the server answers it with `messages` and then drops the connection.
async fn answered_with(messages: Vec<Message>) -> Result<Option<Box<RawValue>>, ClientError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut socket = tokio_tungstenite::accept_async(stream).await.expect("an upgrade");
        socket.next().await.expect("a request").expect("in order");
        for message in messages {
            socket.send(message).await.expect("it is open");
        }
    });
    let options = ClientOptions { message_bytes_max: 1000, ..ClientOptions::default() };
    let client = soon(RpcClient::connect(&url, options)).await.expect("it listens");
    let result = soon(client.call("echo", &[1])).await;
    server.await.expect("no panic");
    result
}

#[tokio::test]
async fn every_call_ends_for_any_messages_of_a_server() {
    let garbage = [
        Message::text(""),
        Message::text("7"),
        Message::text("[]"),
        Message::text(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}"#),
        Message::text(r#"{"jsonrpc":"2.0","id":"one","result":1}"#),
        Message::text(r#"{"jsonrpc":"2.0","id":1,"error":7}"#),
        Message::text("x".repeat(1001)),
        Message::binary(vec![1]),
    ];
    for message in garbage {
        let result = answered_with(vec![message.clone()]).await;
        assert!(matches!(result, Err(ClientError::Garbage { .. })), "{message}: {result:?}");
    }
    for messages in [vec![], vec![Message::text(r#"{"id":77,"result":1}"#)], vec![Message::Close(None)]] {
        assert!(matches!(answered_with(messages).await, Err(ClientError::Lost { .. })));
    }
}

#[tokio::test]
async fn a_result_may_be_absent() {
    let answer = |text: &str| vec![Message::text(r#"{"method":"news","params":[]}"#), Message::text(text)];
    assert!(answered_with(answer(r#"{"jsonrpc":"2.0","id":1}"#)).await.expect("a result").is_none());
    assert_eq!(text(answered_with(answer(r#"{"id":1,"result":null,"error":null}"#)).await), "null");
    let error = answered_with(answer(r#"{"id":1,"error":{"code":1,"message":"m","data":{"a":1}}}"#)).await;
    assert_eq!(error.expect_err("an error").to_string(), r#"m: {"a":1}"#);
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let _silent = tokio_tungstenite::accept_async(stream).await.expect("an upgrade");
        std::future::pending::<()>().await;
    });
    let options = ClientOptions { ping_interval: Duration::from_millis(50), ..ClientOptions::default() };
    let client = RpcClient::connect(&url, options).await.expect("it listens");
    assert!(matches!(soon(client.call("echo", &[1])).await, Err(ClientError::Lost { .. })));
    assert!(matches!(soon(client.call("echo", &[1])).await, Err(ClientError::Lost { .. })));
    server.abort();
}

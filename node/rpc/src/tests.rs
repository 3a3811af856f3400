//! Servers and clients over real sockets on the loopback interface.

mod bounds;
mod client;
mod distrust;
mod http;
mod ledger;
mod proxy;
mod shutdown;
mod signing;
mod web_socket;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{SinkExt, StreamExt};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::{HandshakeRequest, RpcAnswer, RpcCall, RpcError, RpcOptions, RpcServer, Service};

/// No step here takes long: a step that takes this long is stuck.
const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it is stuck")
}

/// A service whose methods exercise each behaviour of a server.
struct Sample {
    /// The methods, in the order in which they were called.
    called: Mutex<Vec<String>>,
    /// The method `wait` waits for a permit of this semaphore.
    open: Arc<Semaphore>,
}

impl Sample {
    fn new() -> Arc<Self> {
        Arc::new(Self { called: Mutex::default(), open: Arc::new(Semaphore::new(0)) })
    }

    fn called(&self) -> Vec<String> {
        self.called.lock().expect("no panic").clone()
    }

    /// Waits until `count` calls have arrived.
    async fn has_calls(&self, count: usize) {
        soon(async {
            while self.called().len() < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).expect("JSON")
}

impl Service for Sample {
    fn handshake(&self, _: HandshakeRequest) -> Map<String, Value> {
        [("methods".to_owned(), json!(["echo"]))].into_iter().collect()
    }

    fn call(&self, call: RpcCall) -> BoxFuture<'static, RpcAnswer> {
        self.called.lock().expect("no panic").push(call.method.clone());
        let open = self.open.clone();
        Box::pin(async move {
            let outcome = match call.method.as_str() {
                "echo" => Ok(Some(call.args)),
                "nothing" => Ok(None),
                "later" => {
                    tokio::task::yield_now().await;
                    Ok(Some(call.args))
                }
                "user" => Ok(Some(raw(&json!(call.caller.id())))),
                "throw" => Err(RpcError::from_script("TypeError".into(), "no \"luck\"".into())),
                "wait" => {
                    open.acquire().await.expect("never closed").forget();
                    Ok(Some(call.args))
                }
                "repeat" => {
                    let (count,): (usize,) = serde_json::from_str(call.args.get()).expect("a count");
                    Ok(Some(raw(&json!("x".repeat(count)))))
                }
                "panic" => panic!("as the test wants it"),
                _ => Err(RpcError::method_not_found()),
            };
            outcome.into()
        })
    }
}

/// Returns a server with a [`Sample`] at `/`.
async fn serve(options: RpcOptions) -> (RpcServer, Arc<Sample>) {
    let server = RpcServer::bind(([127, 0, 0, 1], 0).into(), options).await.expect("a free port");
    let sample = Sample::new();
    server.mount("/", sample.clone());
    (server, sample)
}

/// A bare WebSocket, without [`RpcClient`].
struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    async fn open(address: SocketAddr, path: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("it listens");
        let url = format!("ws://{address}{path}");
        Self(soon(tokio_tungstenite::client_async(url, stream)).await.expect("an upgrade").0)
    }

    async fn send(&mut self, text: impl Into<String>) {
        soon(self.0.send(Message::text(text.into()))).await.expect("it is open");
    }

    /// Returns the next message that is not a ping.
    async fn next(&mut self) -> Option<Message> {
        loop {
            match soon(self.0.next()).await {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => (),
                Some(Ok(message)) => return Some(message),
                Some(Err(_)) | None => return None,
            }
        }
    }

    async fn text(&mut self) -> String {
        match self.next().await {
            Some(Message::Text(text)) => text.as_str().to_owned(),
            other => panic!("no text: {other:?}"),
        }
    }

    async fn ask(&mut self, text: impl Into<String>) -> String {
        self.send(text).await;
        self.text().await
    }

    /// Returns the code with which the server closes the WebSocket; `None` when the connection was cut.
    async fn close_code(&mut self) -> Option<u16> {
        loop {
            match self.next().await? {
                Message::Close(frame) => return frame.map(|frame| frame.code.into()),
                _ => continue,
            }
        }
    }
}

fn call(id: u64, method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

/// Sends `request` unchanged, and reads until the server ends the connection.
async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let mut answer = vec![];
    soon(async {
        let _may_be_refused = stream.write_all(request).await;
        let ended: io::Result<usize> = stream.read_to_end(&mut answer).await;
        drop(ended);
    })
    .await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends one HTTP request on a connection of its own; `headers` are lines that end in CRLF.
async fn request(address: SocketAddr, head: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    let text = format!(
        "{head} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    exchange(address, text.as_bytes()).await
}

fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

fn status_of(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

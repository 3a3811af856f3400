//! Fetching from servers of this machine, as if they were public or not.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers each connection with the next of these texts, the last one again and again, in which PORT is the server's own.
async fn server(answers: &'static [&'static str]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let answer = answers[number.min(answers.len() - 1)].replace("PORT", &port.to_string());
            let _asked = stream.read(&mut [0; 4096]).await;
            let _closed = stream.write_all(answer.as_bytes()).await;
        }
    });
    port
}

/// Takes 127.0.0.1 for the only public address.
fn fetch(prefix: &str, network: Network) -> Fetch {
    Fetch { prefixes: vec![prefix.parse().expect("a prefix")], network }
}

fn network() -> Network {
    let (tls, _) = system_tls();
    let is_allowed = |address: IpAddr| address == IpAddr::from([127, 0, 0, 1]);
    Network { resolve: system_resolver, is_allowed, tls }
}

async fn ask(fetch: &Fetch, url: String) -> Result<Value, Failure> {
    let args = Value::Array(vec![Value::Text(url)]).to_json();
    fetch.fetch(&Question { name: "fetch".into(), args }).await
}

fn text(answer: &Value, member: &str) -> String {
    let Value::Object(members) = answer else { panic!("{answer:?}") };
    let found = members.iter().find(|(name, _)| name == member);
    found.map(|(_, value)| value.to_json()).unwrap_or_default()
}

#[tokio::test]
async fn a_redirect_is_followed_below_the_prefix_only() {
    let port = server(&[
        "HTTP/1.1 302 Found\r\nLocation: /a/b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Y: 1\r\nX-Y: 2\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/a/\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: /a/\r\nContent-Length: 0\r\n\r\n",
    ])
    .await;
    let fetch = fetch(&format!("http://127.0.0.1:{port}/a/"), network());
    let url = || format!("http://127.0.0.1:{port}/a/");
    let answer = ask(&fetch, url()).await.expect("an answer");
    assert_eq!((text(&answer, "status"), text(&answer, "body")), ("200".into(), "\"ok\"".into()));
    assert!(text(&answer, "headers").contains(r#""x-y":"1, 2""#), "{answer:?}");
    for _ in 0..2 {
        let refused = ask(&fetch, url()).await;
        assert!(matches!(&refused, Err(Failure::Refused(why)) if why.contains("not below")), "{refused:?}");
    }
    assert_eq!(ask(&fetch, url()).await, Err(Failure::Failed("more than 5 redirects".into())));
}

#[tokio::test]
async fn a_name_is_looked_up_once_for_each_request_and_its_address_is_checked() {
    static LOOKS: AtomicUsize = AtomicUsize::new(0);
    static PORT: AtomicUsize = AtomicUsize::new(0);
    // Public at the first look, and private from the second on.
    let resolve = |_: String, _: u16| -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let last = if LOOKS.fetch_add(1, Ordering::SeqCst) == 0 { 1 } else { 2 };
        let port = PORT.load(Ordering::SeqCst) as u16;
        Box::pin(async move { Ok(vec![SocketAddr::from(([127, 0, 0, last], port))]) })
    };
    let port = server(&["HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"]).await;
    PORT.store(port.into(), Ordering::SeqCst);
    let fetch = fetch("http://rebind.example/", Network { resolve, ..network() });
    let refused = ask(&fetch, "http://rebind.example/".into()).await;
    assert!(
        matches!(&refused, Err(Failure::Refused(why)) if why.contains("private networks")),
        "{refused:?}"
    );
    assert_eq!(LOOKS.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_private_address_is_refused_however_it_is_written() {
    let fetch = Fetch::new(vec!["http://localhost/".parse().expect("a prefix")], false).expect("no TLS");
    let refused = ask(&fetch, "http://localhost/".into()).await;
    assert!(matches!(refused, Err(Failure::Refused(_))), "{refused:?}");
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}/");
        let fetch = Fetch::new(vec![url.parse().expect("a prefix")], false).expect("no TLS");
        let refused = ask(&fetch, url).await;
        assert!(matches!(refused, Err(Failure::Refused(_))), "{host}: {refused:?}");
    }
}

#[tokio::test]
async fn a_request_has_what_the_script_says_and_what_it_may_say() {
    let (sender, received) = tokio::sync::oneshot::channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut bytes = vec![0; 4096];
        let length = stream.read(&mut bytes).await.expect("a request");
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("it listens");
        bytes.truncate(length);
        sender.send(String::from_utf8(bytes).expect("text")).expect("somebody waits");
    });
    let fetch = fetch(&format!("http://127.0.0.1:{port}/"), network());
    let args = format!(
        r#"["http://127.0.0.1:{port}/p?q=1#f", {{"method": "post", "headers": {{"X-A": "1"}}, "body": "aGk=", "encoding": "base64"}}]"#
    );
    let answer = fetch.fetch(&Question { name: "fetch".into(), args }).await.expect("an answer");
    assert_eq!((text(&answer, "status"), text(&answer, "body")), ("204".into(), "\"\"".into()));
    let request = received.await.expect("a request");
    assert!(request.starts_with("POST /p?q=1 HTTP/1.1\r\n"), "{request}");
    for part in
        [&format!("host: 127.0.0.1:{port}\r\n")[..], "x-a: 1\r\n", "content-length: 2\r\n", "\r\n\r\nhi"]
    {
        assert!(request.contains(part), "{part}: {request}");
    }
    for options in [
        r#"{"headers": {"Host": "b"}}"#,
        r#"{"headers": {"Content-Length": "5"}}"#,
        r#"{"headers": {"a b": "c"}}"#,
        r#"{"headers": {"a": "b\r\nc: d"}}"#,
        r#"{"headers": {"a": 1}}"#,
        r#"{"method": "CONNECT"}"#,
        r#"{"method": "G T"}"#,
        r#"{"body": "!", "encoding": "base64"}"#,
        r#"{"verb": "GET"}"#,
        "1",
    ] {
        let args = format!(r#"["http://127.0.0.1:{port}/", {options}]"#);
        let refused = fetch.fetch(&Question { name: "fetch".into(), args }).await;
        assert!(matches!(refused, Err(Failure::Refused(_))), "{options}: {refused:?}");
    }
}

//! What a service fetches: from good servers, and from those that redirect, delay, flood, or are not who they say.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::{Host, TestService, program, run};

const SCRIPT: &str = "
    exports.get = async (url, options) => {
        try { return await System.fetch(url, options) } catch (error) { return [error.name, error.code, error.message] }
    }";

/// Serves connections on 127.0.0.1, each on a thread of its own, for as long as the test runs.
fn server(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Reads a request's head, and returns its first line.
fn request(stream: &mut impl Read) -> String {
    let mut head = vec![];
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.extend(byte);
    }
    String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned()
}

fn respond(stream: &mut impl Write, head: &str, body: &[u8]) {
    let _closed =
        stream.write_all(format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes());
    let _closed = stream.write_all(body);
}

/// Serves what each path says.
fn serve(mut stream: TcpStream) {
    let line = request(&mut stream);
    let path = line.split(' ').nth(1).unwrap_or_default();
    let _closed = match path {
        "/v1/json?q=1" => return respond(&mut stream, "200 OK\r\nX-One: a\r\nX-One: b", b"{\"rate\": 1.25}"),
        "/v1/bytes" => return respond(&mut stream, "200 OK", &[0xff, 0, 1]),
        "/v1/missing" => return respond(&mut stream, "404 Not Found", b"nothing"),
        "/v1/most" => return respond(&mut stream, "200 OK", &[b'x'; 1_000_000]),
        "/v1/inside" => return respond(&mut stream, "302 Found\r\nlocation: json?q=1", b""),
        "/v1/outside" => return respond(&mut stream, "302 Found\r\nlocation: /v2/", b""),
        "/v1/elsewhere" => return respond(&mut stream, "302 Found\r\nlocation: http://127.0.0.1:9/v1/", b""),
        "/v1/round" => return respond(&mut stream, "302 Found\r\nlocation: /v1/round", b""),
        "/v1/silent" => return thread::sleep(Duration::from_secs(60)),
        "/v1/drips" => drip(&mut stream),
        "/v1/endless" => flood(&mut stream, "HTTP/1.1 200 OK\r\n\r\n"),
        "/v1/large" => flood(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n"),
        "/v1/head" => flood(&mut stream, "HTTP/1.1 200 OK\r\nx: "),
        "/v1/cut" => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"),
        _ => stream.write_all(b"no HTTP at all\r\n\r\n"),
    };
}

fn drip(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    loop {
        stream.write_all(b".")?;
        thread::sleep(Duration::from_millis(50));
    }
}

fn flood(stream: &mut TcpStream, head: &str) -> std::io::Result<()> {
    stream.write_all(head.as_bytes())?;
    loop {
        stream.write_all(&[b'x'; 64 * 1024])?;
    }
}

fn assert_error(found: &Value, code: &str, message: &str) {
    assert_eq!((&found[0], &found[1]), (&json!("OracleError"), &json!(code)), "{found}");
    assert!(found[2].as_str().is_some_and(|found| found.contains(message)), "{message}: {found}");
}

#[test]
fn a_service_fetches_below_its_prefixes_whatever_servers_do() {
    let place = TestService::new(SCRIPT);
    let address = server(serve);
    let oracle = format!("fetch=http://{address}/v1/");
    run(async {
        let host = place.host_with(&["--oracle", &oracle, "--oracle-private", "--oracle-time", "2"]);
        let client = host.client().await;
        let get = async |path: &str| client.call("get", json!([format!("http://{address}{path}")])).await;
        let found = get("/v1/json?q=1").await;
        assert_eq!((&found["status"], &found["body"]), (&json!(200), &json!("{\"rate\": 1.25}")), "{found}");
        assert_eq!(found["headers"]["x-one"], json!("a, b"));
        assert_eq!(get("/v1/inside").await["body"], found["body"]);
        let found = get("/v1/bytes").await;
        assert_eq!((&found["body"], &found["encoding"]), (&json!("/wAB"), &json!("base64")));
        assert_eq!(get("/v1/missing").await["status"], json!(404));
        assert_eq!(get("/v1/most").await["body"].as_str().map(str::len), Some(1_000_000));
        for (path, code, message) in [
            ("/v2/", "refused", "/v2/ is not below what this host fetches"),
            ("/v1/../v2/", "refused", "is not below"),
            ("/v1/outside", "refused", "is not below"),
            ("/v1/elsewhere", "refused", "is not below"),
            ("/v1/round", "failed", "more than 5 redirects"),
            ("/v1/silent", "timeout", "no answer within 2 s"),
            ("/v1/drips", "timeout", "no answer within 2 s"),
            ("/v1/endless", "too-large", "more than 1048576 bytes"),
            ("/v1/large", "too-large", "more than 1048576 bytes"),
            ("/v1/head", "failed", "breaks HTTP"),
            ("/v1/cut", "failed", "ended early"),
            ("/v1/garbage", "failed", "breaks HTTP"),
        ] {
            assert_error(&get(path).await, code, message);
        }
        assert_error(&client.call("get", json!(["http://127.0.0.1:9/v1/"])).await, "refused", "is not below");
        assert_error(&client.call("get", json!(["no URL"])).await, "refused", "no URL");
        assert!(host.terminate().success());
    });
    place.assert_agrees();
}

#[test]
fn a_service_reaches_no_private_network_unless_its_operator_says_so() {
    let place = TestService::new(SCRIPT);
    let port = server(serve).port();
    let oracles = [format!("fetch=http://127.0.0.1:{port}/"), format!("fetch=http://localhost:{port}/")];
    run(async {
        let host = place.host_with(&["--oracle", &oracles[0], "--oracle", &oracles[1]]);
        let client = host.client().await;
        for name in ["127.0.0.1", "localhost"] {
            let found = client.call("get", json!([format!("http://{name}:{port}/v1/json?q=1")])).await;
            assert_error(&found, "refused", "only addresses of private networks");
        }
        assert!(host.terminate().success());
    });
    place.assert_agrees();
}

/// An authority, and a server whose certificate it has given for `name`.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn serve(&self, name: &str) -> SocketAddr {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("all of them")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .expect("a good certificate");
        let config = Arc::new(config);
        server(move |stream| {
            let connection = ServerConnection::new(config.clone()).expect("a connection");
            let mut stream = StreamOwned::new(connection, stream);
            request(&mut stream);
            respond(&mut stream, "200 OK", b"secure");
        })
    }
}

#[test]
fn a_server_must_be_who_its_name_says() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let place = TestService::new(SCRIPT);
    let trusted = place.script().with_file_name("trusted.pem");
    std::fs::write(&trusted, &ours.pem).expect("writable");
    let good = ours.serve("localhost").port();
    let plain = server(|mut stream| respond(&mut stream, "200 OK", b"plain")).port();
    let bad = [ours.serve("other.example").port(), theirs.serve("localhost").port(), plain];
    run(async {
        let mut command = program();
        command.env("SSL_CERT_FILE", &trusted).env_remove("SSL_CERT_DIR");
        command.arg("host").arg(place.script()).arg("--dir").arg(place.data()).arg("--oracle-private");
        for port in bad.iter().chain([&good]) {
            command.arg("--oracle").arg(format!("fetch=https://localhost:{port}/"));
        }
        let host = Host::start(&mut command);
        let client = host.client().await;
        let get = async |port: u16| client.call("get", json!([format!("https://localhost:{port}/")])).await;
        assert_eq!(get(good).await["body"], json!("secure"));
        for port in bad {
            assert_error(&get(port).await, "failed", "no secure connection to localhost");
        }
        assert!(host.terminate().success());
    });
    place.assert_agrees();
}

//! One HTTP exchange with a server of the world: [`exchange`].
//!
//! Everything is bounded before it is kept. A name is resolved once, and only addresses that were checked are connected to, so no second
//! look at the name can lead elsewhere. The connection is used once, and ends with the future: nothing is left at work.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use url::{Host, Url};

/// Bytes of a response's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// A request to send.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) url: Url,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A response, whole.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error("{host} has no address: {source}")]
    Resolve { host: String, source: io::Error },
    #[error("{host} has only addresses of private networks")]
    Private { host: String },
    #[error("cannot connect to {host}: {source}")]
    Connect { host: String, source: io::Error },
    #[error("no secure connection to {host}: {source}")]
    Tls { host: String, source: io::Error },
    #[error("{host} breaks HTTP: {source}")]
    Http { host: String, source: hyper::Error },
    #[error("the response has more than {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
    #[error("the response ended early")]
    Cut,
}

/// How names become addresses, and which of them may be connected to.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) resolve: Resolve,
    pub(super) is_allowed: fn(IpAddr) -> bool,
    pub(super) tls: Arc<ClientConfig>,
}

type Resolve = fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

/// Resolves a name as the machine does.
pub(super) fn system_resolver(host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
    Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
}

/// Returns what the machine trusts, read once; and how many certificates that are.
pub(super) fn system_tls() -> (Arc<ClientConfig>, usize) {
    static TLS: OnceLock<(Arc<ClientConfig>, usize)> = OnceLock::new();
    TLS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        // Those that cannot be read are no reason to do without the others.
        let (added, _ignored) =
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        (tls_with(roots), added)
    })
    .clone()
}

pub(super) fn tls_with(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().expect("ring has all of them");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Sends one request, and takes a response whose body has at most `bytes_max` bytes.
pub(super) async fn exchange(
    network: &Network,
    outgoing: Outgoing,
    bytes_max: usize,
) -> Result<Incoming, HttpError> {
    let host = outgoing.url.host_str().unwrap_or_default().to_owned();
    let stream = connect(network, &outgoing.url, &host).await?;
    if outgoing.url.scheme() != "https" {
        return talk(stream, host, outgoing, bytes_max).await;
    }
    let failed = |source| HttpError::Tls { host: host.clone(), source };
    let name = server_name(&outgoing.url).ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    let stream = TlsConnector::from(network.tls.clone()).connect(name, stream).await.map_err(failed)?;
    talk(stream, host, outgoing, bytes_max).await
}

async fn connect(network: &Network, url: &Url, host: &str) -> Result<TcpStream, HttpError> {
    let port = url.port_or_known_default().unwrap_or(443);
    let addresses = match url.host() {
        Some(Host::Ipv4(ip)) => vec![SocketAddr::from((ip, port))],
        Some(Host::Ipv6(ip)) => vec![SocketAddr::from((ip, port))],
        _ => (network.resolve)(host.into(), port)
            .await
            .map_err(|source| HttpError::Resolve { host: host.into(), source })?,
    };
    if addresses.is_empty() {
        let source = io::ErrorKind::NotFound.into();
        return Err(HttpError::Resolve { host: host.into(), source });
    }
    let mut refused = HttpError::Private { host: host.into() };
    let allowed = addresses.into_iter().filter(|address| (network.is_allowed)(address.ip()));
    for address in allowed.take(ADDRESSES_MAX) {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(source) => refused = HttpError::Connect { host: host.into(), source },
        }
    }
    Err(refused)
}

fn server_name(url: &Url) -> Option<ServerName<'static>> {
    match url.host()? {
        Host::Domain(name) => ServerName::try_from(name.to_owned()).ok(),
        Host::Ipv4(ip) => Some(ServerName::IpAddress(IpAddr::from(ip).into())),
        Host::Ipv6(ip) => Some(ServerName::IpAddress(IpAddr::from(ip).into())),
    }
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: String,
    outgoing: Outgoing,
    bytes_max: usize,
) -> Result<Incoming, HttpError> {
    let failed = |source| HttpError::Http { host: host.clone(), source };
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let request = request(outgoing);
    let response = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, bytes_max).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => HttpError::TooLarge { bytes_max },
            false => HttpError::Cut,
        })?;
        Ok(Incoming { status: head.status, headers: head.headers, body: body.to_bytes() })
    };
    tokio::pin!(response);
    tokio::select! {
        biased;
        response = &mut response => response,
        // The connection may end before all that came over it was read.
        _ended = connection => response.await,
    }
}

fn request(outgoing: Outgoing) -> Request<Full<Bytes>> {
    let Outgoing { url, method, headers, body } = outgoing;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.headers_mut() = headers;
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    *request.uri_mut() = target.parse::<Uri>().unwrap_or_default();
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    if let Ok(host) = HeaderValue::from_str(authority) {
        request.headers_mut().insert(HOST, host);
    }
    request
}

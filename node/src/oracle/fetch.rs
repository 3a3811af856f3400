//! `fetch` as an oracle: HTTP, to what the operator allows.

mod address;
mod prefix;
#[cfg(test)]
mod tests;

use data_encoding::BASE64;
use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use libvms_protocol::limits::ANSWER_BYTES_MAX;
use libvms_protocol::value::Value;
use url::Url;

use super::http::{HttpError, Incoming, Network, Outgoing, exchange, system_resolver, system_tls};
use super::{Failure, Oracle, Question};
pub use prefix::UrlPrefix;

/// Redirects that are followed.
const REDIRECTS_MAX: usize = 5;

/// What a script may not set: what belongs to the connection, and to us.
const OURS: [HeaderName; 12] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::ACCEPT_ENCODING,
    header::PROXY_AUTHORIZATION,
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("keep-alive"),
];

/// Fetches URLs below the prefixes that the operator allows, wherever redirects lead.
///
/// Addresses of private networks, of this machine and of its links are refused, unless the operator says otherwise: a script's
/// caller must not reach through it what the caller cannot reach.
#[derive(Clone)]
pub struct Fetch {
    prefixes: Vec<UrlPrefix>,
    network: Network,
}

/// The machine trusts no certificate at all, so nothing can be fetched over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this machine has no root certificates, without which nothing can be fetched over https")]
pub struct NoCertificates;

impl Fetch {
    /// Returns an oracle for URLs below these prefixes.
    ///
    /// # Errors
    /// If one of them is `https`, and the machine has no root certificates.
    pub fn new(prefixes: Vec<UrlPrefix>, allows_private: bool) -> Result<Self, NoCertificates> {
        let (tls, certificates) = system_tls();
        if certificates == 0 && prefixes.iter().any(UrlPrefix::is_secure) {
            return Err(NoCertificates);
        }
        let is_allowed = if allows_private { |_| true } else { address::is_public };
        Ok(Self { prefixes, network: Network { resolve: system_resolver, is_allowed, tls } })
    }

    async fn fetch(&self, question: &Question) -> Result<Value, Failure> {
        let mut outgoing = request(&question.values())?;
        for _ in 0..=REDIRECTS_MAX {
            if !self.prefixes.iter().any(|prefix| prefix.covers(&outgoing.url)) {
                return Err(Failure::Refused(format!(
                    "{} is not below what this host fetches",
                    shown(&outgoing.url)
                )));
            }
            let incoming = exchange(&self.network, outgoing.clone(), ANSWER_BYTES_MAX).await?;
            match target(&outgoing.url, &incoming)? {
                Some(url) => redirect(&mut outgoing, incoming.status, url),
                None => return Ok(answer(incoming)),
            }
        }
        Err(Failure::Failed(format!("more than {REDIRECTS_MAX} redirects")))
    }
}

impl std::fmt::Debug for Fetch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Fetch").field("prefixes", &self.prefixes).finish_non_exhaustive()
    }
}

impl Oracle for Fetch {
    fn answer(&self, question: Question) -> BoxFuture<'static, Result<Value, Failure>> {
        let this = self.clone();
        async move { this.fetch(&question).await }.boxed()
    }
}

/// Reads the request that a script wants.
fn request(args: &[Value]) -> Result<Outgoing, Failure> {
    let refused = |why: &str| Failure::Refused(why.into());
    let (url, options) = match args {
        [Value::Text(url)] => (url, None),
        [Value::Text(url), Value::Object(options)] => (url, Some(options)),
        _ => return Err(refused("it takes a URL and options")),
    };
    let mut url = Url::parse(url).map_err(|error| Failure::Refused(format!("no URL: {error}")))?;
    url.set_fragment(None);
    let mut outgoing = Outgoing { url, method: Method::GET, headers: HeaderMap::new(), body: Bytes::new() };
    let (mut body, mut is_base64) = (None, false);
    for (name, value) in options.into_iter().flatten() {
        match (name.as_str(), value) {
            ("method", Value::Text(method)) => outgoing.method = method_of(method)?,
            ("headers", Value::Object(headers)) => {
                for (name, value) in headers {
                    let Value::Text(value) = value else {
                        return Err(refused("the value of a header is a text"));
                    };
                    add_header(&mut outgoing.headers, name, value)?;
                }
            }
            ("body", Value::Text(text)) => body = Some(text),
            ("encoding", Value::Text(encoding)) if encoding == "base64" => is_base64 = true,
            _ => return Err(refused(&format!("it does not take this option: {name}"))),
        }
    }
    if let Some(text) = body {
        outgoing.body = match is_base64 {
            true => BASE64.decode(text.as_bytes()).map_err(|_| refused("the body is not base64"))?.into(),
            false => text.clone().into_bytes().into(),
        };
    }
    if !outgoing.headers.contains_key(header::USER_AGENT) {
        let agent = HeaderValue::from_static(concat!("libvms/", env!("CARGO_PKG_VERSION")));
        outgoing.headers.insert(header::USER_AGENT, agent);
    }
    Ok(outgoing)
}

fn method_of(text: &str) -> Result<Method, Failure> {
    match Method::from_bytes(text.to_ascii_uppercase().as_bytes()) {
        Ok(method) if method != Method::CONNECT && method != Method::TRACE => Ok(method),
        _ => Err(Failure::Refused("the method is none that it takes".into())),
    }
}

fn add_header(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Failure> {
    let known = HeaderName::from_bytes(name.as_bytes()).ok().filter(|name| !OURS.contains(name));
    match (known, HeaderValue::from_str(value)) {
        (Some(name), Ok(value)) => {
            headers.append(name, value);
            Ok(())
        }
        _ => Err(Failure::Refused(format!("a header that cannot be set: {name}"))),
    }
}

/// Returns where a response leads, if it is a redirect.
fn target(url: &Url, incoming: &Incoming) -> Result<Option<Url>, Failure> {
    use StatusCode as Status;
    let follows = [
        Status::MOVED_PERMANENTLY,
        Status::FOUND,
        Status::SEE_OTHER,
        Status::TEMPORARY_REDIRECT,
        Status::PERMANENT_REDIRECT,
    ];
    let location = incoming.headers.get(header::LOCATION).filter(|_| follows.contains(&incoming.status));
    let Some(location) = location else { return Ok(None) };
    let wrong = || Failure::Failed("a redirect to what is no URL".into());
    let mut target = url.join(location.to_str().map_err(|_| wrong())?).map_err(|_| wrong())?;
    target.set_fragment(None);
    Ok(Some(target))
}

/// Changes a request as the Fetch standard has it for a redirect: what a script has shown one server is not for another.
fn redirect(outgoing: &mut Outgoing, status: StatusCode, url: Url) {
    let is_post = outgoing.method == Method::POST;
    let becomes_get = match status {
        StatusCode::SEE_OTHER => outgoing.method != Method::HEAD,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => is_post,
        _ => false,
    };
    if becomes_get {
        outgoing.method = Method::GET;
        outgoing.body = Bytes::new();
        for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE] {
            outgoing.headers.remove(name);
        }
    }
    if url.origin() != outgoing.url.origin() {
        outgoing.headers.remove(header::AUTHORIZATION);
        outgoing.headers.remove(header::COOKIE);
    }
    outgoing.url = url;
}

/// Returns a response as the script sees it.
fn answer(incoming: Incoming) -> Value {
    let Incoming { status, headers, body } = incoming;
    let mut answer = vec![
        ("status".to_owned(), Value::Integer(status.as_u16().into())),
        ("headers".to_owned(), headers_of(&headers)),
    ];
    match String::from_utf8(body.into()) {
        Ok(text) => answer.push(("body".into(), Value::Text(text))),
        Err(bytes) => {
            answer.push(("body".into(), Value::Text(BASE64.encode(bytes.as_bytes()))));
            answer.push(("encoding".into(), Value::Text("base64".into())));
        }
    }
    Value::object(answer)
}

fn headers_of(headers: &HeaderMap) -> Value {
    let joined = headers.keys().map(|name| {
        let values = headers.get_all(name).into_iter();
        let values: Vec<_> =
            values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        (name.as_str().to_owned(), Value::Text(values.join(", ")))
    });
    Value::object(joined)
}

/// Returns a URL for a message, without what may be secret in it.
fn shown(url: &Url) -> String {
    let (scheme, host) = (url.scheme(), url.host_str().unwrap_or_default());
    let shown = format!("{scheme}://{host}{}", url.path());
    shown.chars().take(200).collect()
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Private { .. } => Self::Refused(error.to_string()),
            HttpError::TooLarge { .. } => Self::TooLarge(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

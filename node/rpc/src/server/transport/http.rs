//! Handling of one HTTP request: an upgrade to a WebSocket, an answer to a POST, a file, or a refusal with its reason.
//!
//! Start from [`Http`], a service in the terms of the HTTP library. Each connection has one.

mod body;
mod encoding;
mod forwarded;

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use http_body_util::Full;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use crate::server::admission::{Charge, ConnectionPermit};
use crate::server::cost;
use crate::server::dispatcher::Dispatcher;
use crate::server::files::{self, Body};
use crate::server::mounts::NoService;
use crate::server::origin::Refusal;
use crate::server::query;
use crate::server::shared::Shared;
use body::BodyError;
use encoding::EncodingError;

type Answer = Response<Body>;

/// The handler for the requests of one connection.
#[derive(Clone)]
pub(super) struct Http {
    shared: Arc<Shared>,
    permit: ConnectionPermit,
    /// Whether the connection comes from a trusted proxy, whose headers name the caller.
    is_proxied: bool,
    /// Whether an answer is, or may be, on its way.
    is_answering: Arc<AtomicBool>,
    /// The memory of the latest list of files, until the next answer.
    listed: Arc<Mutex<Option<Charge>>>,
    /// The caller's dispatcher, once the connection is upgraded to a WebSocket.
    upgraded: Arc<Mutex<Option<Dispatcher>>>,
}

impl Http {
    pub(super) fn new(shared: Arc<Shared>, permit: ConnectionPermit, is_proxied: bool) -> Self {
        Self {
            shared,
            permit,
            is_proxied,
            is_answering: Arc::default(),
            listed: Arc::default(),
            upgraded: Arc::default(),
        }
    }

    /// Returns whether part of an answer may have been written, so that no other answer can be sent.
    pub(super) fn is_answering(&self) -> bool {
        self.is_answering.load(Ordering::Relaxed)
    }

    /// Returns the caller's dispatcher when the connection was upgraded to a WebSocket; `None` when it has stayed HTTP.
    pub(super) fn into_upgraded(self) -> Option<Dispatcher> {
        self.upgraded.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        if self.is_proxied {
            match forwarded::client(request.headers(), &self.shared.options.trust_proxy) {
                Ok(Some(client)) => self.permit.speaks_for(client),
                Ok(None) => (),
                Err(error) => return last(text(StatusCode::BAD_REQUEST, &error.to_string())),
            }
        }
        let origin = match self.shared.gate.admit(request.headers()) {
            Ok(origin) => origin,
            Err(Refusal::NoHost) => return text(StatusCode::BAD_REQUEST, &Refusal::NoHost.to_string()),
            Err(refusal) => return text(StatusCode::FORBIDDEN, &refusal.to_string()),
        };
        let mut answer = self.answer_admitted(request).await;
        if let Some(origin) = origin {
            answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            answer.headers_mut().insert(header::VARY, HeaderValue::from_static("Origin"));
        }
        answer
    }

    async fn answer_admitted(&self, request: Request<Incoming>) -> Answer {
        let service = match self.shared.mounts.service_at(request.uri().path()) {
            Ok(service) => service,
            Err(error) => return self.answer_file(request, error).await,
        };
        let query = request.uri().query();
        let user = match query::user(query) {
            Ok(Some(_)) if !service.accepts_names() => return text(StatusCode::BAD_REQUEST, NO_NAMES),
            Ok(user) => user,
            Err(error) => return text(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        let wants_receipts = query::is_set(query, "receipts");
        let (origin, options) = (self.permit.origin(), self.shared.options.clone());
        let caller = Dispatcher { service, user, origin, wants_receipts, options };
        match *request.method() {
            Method::POST => match encoding::check(request.headers()) {
                Ok(()) => self.post(caller, request.into_body()).await,
                Err(error) => unsupported(&error),
            },
            Method::GET if asks_for_upgrade(&request) => self.upgrade(caller, &request),
            Method::GET | Method::HEAD => hint(),
            Method::OPTIONS => preflight(),
            _ => with_header(text(StatusCode::METHOD_NOT_ALLOWED, HINT), header::ALLOW, METHODS),
        }
    }

    /// Answers a request for a file, if a service has files at the request's path.
    async fn answer_file(&self, request: Request<Incoming>, otherwise: NoService) -> Answer {
        let (head, _) = request.into_parts();
        let (files, name) = match self.shared.mounts.files_at(head.uri.path()) {
            Some(Ok(found)) => found,
            Some(Err(error)) => return no_service(&error),
            None => return no_service(&otherwise),
        };
        self.permit.heard(true);
        let answer = files::answer(files, name, &head).await;
        self.permit.heard(false);
        // A folder's list is in memory until the caller has read it; a file is in memory one piece at a time.
        let bytes = match answer.body() {
            Body::Whole(bytes) => bytes.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok()),
            Body::File(_) => None,
        };
        let charge = self.permit.hold(bytes.unwrap_or(0));
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = Some(charge);
        answer
    }

    async fn post(&self, caller: Dispatcher, body: Incoming) -> Answer {
        let (body, charge) = match body::read(body, &caller.options, &self.permit).await {
            Ok(read) => read,
            Err(error @ BodyError::QuotaExceeded(_)) => return over_quota(&error),
            Err(error) => return last(text(error.status(), &error.to_string())),
        };
        self.permit.heard(true);
        if let Err(error) = encoding::check_body(&body) {
            return unsupported(&error);
        }
        // A body that is not UTF-8 is not JSON either: the parser of requests words the error for the empty text.
        let request = std::str::from_utf8(&body).unwrap_or_default();
        // Free the text's charge first: the text is not needed beside the calls parsed from it.
        drop(charge);
        let charge = match self.permit.reserve(cost::of_calls(request)).await {
            Ok(charge) => charge,
            Err(error) => return over_quota(&BodyError::QuotaExceeded(error)),
        };
        let begun = caller.receive(request, charge);
        drop(body);
        let answer = begun.await;
        self.permit.heard(false);
        match answer {
            Some(answer) => held(answer, &self.permit),
            None => with_status(StatusCode::NO_CONTENT),
        }
    }

    fn upgrade(&self, caller: Dispatcher, request: &Request<Incoming>) -> Answer {
        match create_response_with_body(request, Body::default) {
            Ok(mut response) => {
                if let Some(protocol) = subprotocol(request.headers()) {
                    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
                }
                *self.upgraded.lock().unwrap_or_else(PoisonError::into_inner) = Some(caller);
                response
            }
            Err(error) => {
                let refusal = text(StatusCode::BAD_REQUEST, &error.to_string());
                with_header(refusal, header::SEC_WEBSOCKET_VERSION, "13")
            }
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for Http {
    type Response = Answer;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Answer, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let http = self.clone();
        http.is_answering.store(false, Ordering::Relaxed);
        http.listed.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async move {
            let answer = http.answer(request).await;
            http.is_answering.store(true, Ordering::Relaxed);
            Ok(answer)
        })
    }
}

const METHODS: &str = "GET, POST, OPTIONS";

/// Why a service whose callers sign refuses a URL with a name.
const NO_NAMES: &str = "callers of this service sign with a key: leave out ?user, which anybody could claim";

const HINT: &str = "This is a LibVMS service. Speak JSON-RPC 2.0 with it: over a WebSocket, or with POST.";

fn asks_for_upgrade(request: &Request<Incoming>) -> bool {
    let upgrade = request.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

/// Returns a response whose bytes are charged until the caller has read them.
fn held(answer: String, permit: &ConnectionPermit) -> Answer {
    struct SharedCore(String, #[expect(dead_code, reason = "it counts until it is dropped")] Charge);
    impl AsRef<[u8]> for SharedCore {
        fn as_ref(&self) -> &[u8] {
            self.0.as_bytes()
        }
    }
    let charge = permit.hold(answer.len());
    with_bytes(StatusCode::OK, "application/json", Bytes::from_owner(SharedCore(answer, charge)))
}

/// Returns the first subprotocol that the caller offers: a caller that offers any expects one in the answer, and all
/// mean JSON-RPC here.
fn subprotocol(headers: &HeaderMap) -> Option<HeaderValue> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let offered = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let is_token = |name: &&str| !name.is_empty() && name.bytes().all(is_token_byte);
    offered.map(str::trim).find(is_token)?.parse().ok()
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn unsupported(error: &EncodingError) -> Answer {
    let answer = last(text(StatusCode::UNSUPPORTED_MEDIA_TYPE, &error.to_string()));
    let answer = with_header(answer, header::ACCEPT_ENCODING, "identity");
    with_header(answer, HeaderName::from_static("accept-post"), "application/json")
}

fn no_service(error: &NoService) -> Answer {
    match error {
        NoService::NotHere { .. } => text(StatusCode::NOT_FOUND, &error.to_string()),
        NoService::NotYet { seconds, .. } => {
            let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, &error.to_string());
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
            answer
        }
    }
}

fn over_quota(error: &BodyError) -> Answer {
    with_header(last(text(error.status(), &error.to_string())), header::RETRY_AFTER, "1")
}

/// Marks the answer as the last one of its connection: the rest of the request is not read.
fn last(answer: Answer) -> Answer {
    with_header(answer, header::CONNECTION, "close")
}

fn hint() -> Answer {
    with_header(text(StatusCode::UPGRADE_REQUIRED, HINT), header::UPGRADE, "websocket")
}

/// Answers a browser's preflight request for calls. The page's origin was checked before.
fn preflight() -> Answer {
    let answer = with_header(with_status(StatusCode::NO_CONTENT), header::ALLOW, METHODS);
    let answer = with_header(answer, header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    let answer = with_header(answer, header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type");
    let answer = with_header(answer, HeaderName::from_static("access-control-allow-private-network"), "true");
    with_header(answer, header::ACCESS_CONTROL_MAX_AGE, "600")
}

fn text(status: StatusCode, text: &str) -> Answer {
    with_content(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

fn with_content(status: StatusCode, kind: &'static str, content: String) -> Answer {
    with_bytes(status, kind, Bytes::from(content))
}

fn with_bytes(status: StatusCode, kind: &'static str, content: Bytes) -> Answer {
    let mut answer = Response::new(Body::Whole(Full::new(content)));
    *answer.status_mut() = status;
    with_header(answer, header::CONTENT_TYPE, kind)
}

fn with_status(status: StatusCode) -> Answer {
    let mut answer = Response::new(Body::default());
    *answer.status_mut() = status;
    answer
}

fn with_header(mut answer: Answer, name: HeaderName, value: &'static str) -> Answer {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}

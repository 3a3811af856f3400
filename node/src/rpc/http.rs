//! What one HTTP request gets: an upgrade to a WebSocket, an answer to a POST, or a reason why not.
//!
//! Start from [`Http`], which is a service to the HTTP library. Each connection has one.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::caller::Caller;
use super::files::{self, Body};
use super::origin::Refusal;
use super::query;
use super::server::Shared;

type Answer = Response<Body>;

/// Answers the requests of one connection.
#[derive(Clone)]
pub(super) struct Http {
    shared: Arc<Shared>,
    /// Who the connection belongs to once it is a WebSocket.
    upgraded: Arc<Mutex<Option<Caller>>>,
}

impl Http {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, upgraded: Arc::default() }
    }

    /// The caller whose WebSocket the connection has become; `None` when it has stayed with HTTP.
    pub(super) fn into_upgraded(self) -> Option<Caller> {
        self.upgraded.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
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
        let Some(service) = self.shared.service_at(request.uri().path()) else {
            let (head, _) = request.into_parts();
            return match self.shared.files_at(head.uri.path()) {
                Some((files, name)) => files::answer(files, name, &head).await,
                None => text(StatusCode::NOT_FOUND, "no service is mounted at this path"),
            };
        };
        let user_id = match query::user(request.uri().query()) {
            Ok(user_id) => user_id,
            Err(error) => return text(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        let caller = Caller { service, user_id, options: self.shared.options.clone() };
        match *request.method() {
            Method::POST => post(caller, request.into_body()).await,
            Method::GET if asks_for_upgrade(&request) => self.upgrade(caller, &request),
            Method::GET | Method::HEAD => hint(),
            Method::OPTIONS => preflight(),
            _ => with_header(text(StatusCode::METHOD_NOT_ALLOWED, HINT), header::ALLOW, METHODS),
        }
    }

    fn upgrade(&self, caller: Caller, request: &Request<Incoming>) -> Answer {
        match create_response_with_body(request, Body::default) {
            Ok(response) => {
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
        Box::pin(async move { Ok(http.answer(request).await) })
    }
}

const METHODS: &str = "GET, POST, OPTIONS";

const HINT: &str = "This is a LibVMS service. Speak JSON-RPC 2.0 with it: over a WebSocket, or with POST.";

fn asks_for_upgrade(request: &Request<Incoming>) -> bool {
    let upgrade = request.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

async fn post(caller: Caller, body: Incoming) -> Answer {
    let options = caller.options.clone();
    let body = Limited::new(body, options.message_bytes_max).collect();
    let body = match tokio::time::timeout(options.body_timeout, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let why = format!("a request has at most {} bytes", options.message_bytes_max);
            return last(text(StatusCode::PAYLOAD_TOO_LARGE, &why));
        }
        Ok(Err(_)) => return last(text(StatusCode::BAD_REQUEST, "the request's body is broken")),
        Err(_) => return last(text(StatusCode::REQUEST_TIMEOUT, "the request's body took too long")),
    };
    // What is not text is no JSON either; the caller's parser words it.
    let request = std::str::from_utf8(&body).unwrap_or_default();
    match caller.receive(request).await {
        Some(answer) => with_content(StatusCode::OK, "application/json", answer),
        None => with_status(StatusCode::NO_CONTENT),
    }
}

/// Says that the connection ends here: the rest of its request is not going to be read.
fn last(answer: Answer) -> Answer {
    with_header(answer, header::CONNECTION, "close")
}

fn hint() -> Answer {
    with_header(text(StatusCode::UPGRADE_REQUIRED, HINT), header::UPGRADE, "websocket")
}

/// Tells a browser what a page may send. Whether the page may send anything was decided before.
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
    let mut answer = Response::new(Body::from(content));
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

//! What a service tells of its log in answer to `handshake`: [`Greeting`].

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::signed_head::SignedHead;
use libvms_hypercore::tree::Node;
use libvms_protocol::limits::{CALL_AGE_DEFAULT, CALL_AGE_MAX};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::Message;

use super::error::{ClientError, TrustError};
use super::link::{LinkEnd, text_of};
use super::reply::{self, Incoming, Reply};
use super::socket::Socket;
use super::wire::{self, HeadForm, Nodes};

/// What a handshake asks for, beside the service's description.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Asked {
    /// How the log has grown out of its first so many blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) consistency: Option<Length>,
    /// The receipt of the latest entry.
    #[serde(skip_serializing_if = "is_false")]
    pub(super) latest: bool,
}

/// The description of a service's log. Its head is signed; the rest is the service's word.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) log: PublicKey,
    /// Whether callers sign.
    pub(super) is_signed: bool,
    /// The log's time, in microseconds since 1970.
    pub(super) now: u64,
    pub(super) head: SignedHead,
    /// How many milliseconds after its signature a call may be executed.
    pub(super) call_age: u64,
    /// How the log has grown out of the length that was asked for; empty where the service does not say.
    pub(super) nodes: Vec<Node>,
    /// The receipt of the latest entry, not checked.
    pub(super) latest: Option<String>,
}

#[derive(Deserialize)]
struct Form {
    #[serde(deserialize_with = "wire::key")]
    log: PublicKey,
    auth: String,
    now: u64,
    head: HeadForm,
    #[serde(default)]
    limits: LimitsForm,
    #[serde(default)]
    consistency: Option<ConsistencyForm>,
    #[serde(default)]
    latest: Option<String>,
}

#[derive(Default, Deserialize)]
struct LimitsForm {
    #[serde(default, rename = "callAge")]
    call_age: Option<u64>,
}

#[derive(Deserialize)]
struct ConsistencyForm {
    #[serde(default)]
    nodes: Option<Nodes>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(asked: &bool) -> bool {
    !asked
}

impl Greeting {
    /// Reads the answer to a handshake of the service at `url`.
    pub(super) fn read(url: &str, reply: Reply) -> Result<Self, ClientError> {
        let result = reply.into_outcome().map_err(ClientError::Rpc)?;
        let no_log = |why: String| TrustError::NoLog { url: url.into(), why };
        let form = serde_json::from_str(result.as_deref().map_or("null", RawValue::get));
        let Form { log, auth, now, head, limits, consistency, latest } =
            form.map_err(|error| no_log(error.to_string()))?;
        let head = head.of(log).verify().map_err(|error| no_log(error.to_string()))?;
        let call_age = limits.call_age.unwrap_or(CALL_AGE_DEFAULT).min(CALL_AGE_MAX);
        let nodes = consistency.and_then(|consistency| consistency.nodes).unwrap_or_default().0;
        Ok(Self { log, is_signed: auth == "signed", now, head, call_age, nodes, latest })
    }

    /// Asks for it over a socket on which nothing else is under way.
    pub(super) async fn over(
        socket: &mut Socket,
        url: &str,
        asked: Asked,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let answered = tokio::time::timeout(timeout, exchange(socket, asked)).await;
        let late = |_| ClientError::ConnectTimeout { url: url.into(), after: timeout };
        Self::read(url, answered.map_err(late)??)
    }
}

async fn exchange(socket: &mut Socket, asked: Asked) -> Result<Reply, ClientError> {
    // No other request has this id: those of a line begin with 1.
    let text = wire::request(0, "handshake", &[asked]).map_err(ClientError::Arguments)?;
    let lost = |error: tokio_tungstenite::tungstenite::Error| ClientError::Lost { why: error.to_string() };
    socket.send(Message::text(text)).await.map_err(lost)?;
    loop {
        let text = match text_of(socket.next().await) {
            std::ops::ControlFlow::Continue(Some(text)) => text,
            std::ops::ControlFlow::Continue(None) => continue,
            std::ops::ControlFlow::Break(end) => return Err(end.into()),
        };
        match reply::read(text.as_str()) {
            Ok(Incoming::Reply { id: 0, reply }) => return Ok(reply),
            Ok(Incoming::Reply { .. } | Incoming::News) => {}
            Err(why) => return Err(LinkEnd::Garbage { why }.into()),
        }
    }
}

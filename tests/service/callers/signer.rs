//! A caller who signs, over HTTP. It knows nothing of our client.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_protocol::entry::{Authorization, Entry, Intention, Seen};
use libvms_protocol::proof::Inclusion;
use libvms_protocol::value::Value as Data;
use serde_json::{Value, json};

use crate::support::Host;

/// A caller of one host, over HTTP.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(super) key: SecretKey,
    pub(super) log: PublicKey,
}

/// Sends one request, and returns the answer.
pub(super) fn post(host: &Host, request: &Value) -> Value {
    post_for(host, request, "")
}

/// As [`post`], with more lines of the head.
pub(super) fn post_for(host: &Host, request: &Value, more: &str) -> Value {
    try_post(host.port(), request, more).expect("it answers")
}

/// As [`post_for`], to a host that may end.
pub(super) fn try_post(port: u16, request: &Value, more: &str) -> io::Result<Value> {
    let body = request.to_string();
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{more}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(head.as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}")))
}

pub(crate) fn handshake(host: &Host, asked: &Value) -> Value {
    post(host, &json!({ "jsonrpc": "2.0", "id": 0, "method": "handshake", "params": [asked] }))["result"]
        .clone()
}

pub(crate) fn now() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(elapsed.as_micros()).expect("a time of today")
}

impl Signer {
    pub(crate) fn new(host: &Host, seed: u8) -> Self {
        let log = handshake(host, &json!({}))["log"].as_str().expect("a key").parse().expect("a key");
        Self { key: SecretKey::from_seed(&[seed; 32]), log }
    }

    pub(crate) fn sign(
        &self,
        method: &str,
        nonce: u64,
        seen: Option<Seen>,
        instead: Option<&[u64]>,
    ) -> Authorization {
        Intention { method, args: &[], nonce, seen: seen.as_ref(), instead }.sign(&self.key, &self.log)
    }

    pub(crate) fn send(host: &Host, method: &str, by: &Authorization) -> Value {
        post(host, &Self::request(method, by))
    }

    pub(super) fn request(method: &str, by: &Authorization) -> Value {
        let mut caller = json!({
            "key": by.key.to_string(), "nonce": by.nonce, "sig": HEXLOWER.encode(&by.sig.0),
        });
        if let Some(seen) = by.seen {
            caller["seen"] = json!({ "length": seen.length, "hash": seen.hash.to_string() });
        }
        if let Some(instead) = &by.instead {
            caller["instead"] = json!(instead);
        }
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": [], "caller": caller, "receipt": true })
    }

    pub(super) fn call(&self, host: &Host, nonce: u64, instead: Option<&[u64]>) -> Value {
        Self::send(host, "increment", &self.sign("increment", nonce, None, instead))
    }

    /// Opens the receipt of an answer, and returns the block and the logged result.
    pub(super) fn check(&self, answer: &Value) -> (u64, Option<Data>) {
        let receipt = answer["receipt"].as_str().unwrap_or_else(|| panic!("no receipt: {answer}"));
        let receipt = BASE64URL_NOPAD.decode(receipt.as_bytes()).expect("base64url");
        let (proof, _, entry) = Inclusion::open(&receipt, &self.log).expect("it holds");
        let Entry::Call(entry) = entry else { panic!("a call") };
        assert_eq!(entry.call.user_id, Some(self.key.public_key().to_string()));
        let libvms_protocol::entry::Outcome::Returned { value, .. } = entry.result.outcome().expect("known")
        else {
            panic!("it returned")
        };
        (proof.block.0, value)
    }
}

pub(super) fn reason(answer: &Value) -> &str {
    assert_eq!(answer["error"]["code"], json!(-32_001), "{answer}");
    answer["error"]["data"]["reason"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

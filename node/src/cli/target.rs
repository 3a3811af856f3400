//! What a command is about, when it is not a directory: the URL of a service, or the key of a log.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use libvms::rpc::{ClientError, ClientOptions, RpcClient, ServiceUrl};
use libvms_protocol::bee::Header;
use libvms_protocol::drive::manifest::blobs_key;
use libvms_protocol::entry::Entry;
use libvms_protocol::identity::PublicKey;
use serde_json::{Map, Value};

use super::output::advised;

/// Whether a text names something elsewhere, by URL or key, and not a directory.
pub(super) fn is_elsewhere(text: &str) -> bool {
    // Somebody may have named a directory after a key; then the directory is meant.
    (text.contains("://") || text.parse::<PublicKey>().is_ok()) && !Path::new(text).exists()
}

/// The directory that a text names.
///
/// # Errors
/// Where there is none, it is something else, or it can not be looked at.
pub(super) fn directory(text: &str) -> anyhow::Result<&Path> {
    let path = Path::new(text);
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(path),
        Ok(_) => bail!("{text} is not a directory"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(advised(
            anyhow!("there is no directory {text}"),
            "what is elsewhere is named by ws://HOST:PORT/PATH or by hyper://KEY, a key of 64 hexadecimal digits",
        )),
        Err(error) => Err(error).with_context(|| format!("cannot look at {text}")),
    }
}

/// The cores that the first block of a core leads to: a log's to its archive and the archive's contents, an archive's
/// to its contents.
pub(super) fn linked(block: &[u8]) -> Vec<PublicKey> {
    if let Ok(Entry::Init(init)) = Entry::decode(block) {
        return vec![init.files, init.blobs];
    }
    let blobs = Header::decode(block).ok().and_then(|header| blobs_key(&header, None).ok());
    blobs.into_iter().collect()
}

/// A log, and where somebody may have it.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) log: PublicKey,
    pub(super) addresses: Vec<SocketAddr>,
    /// Entries that the service said it has.
    pub(super) length: u64,
}

impl Target {
    /// Understands `ws://...`, which is asked for its key and addresses, and any form of a key.
    pub(super) async fn find(text: &str) -> anyhow::Result<Self> {
        let is_key = ["hyper://", "dat://"].iter().any(|scheme| text.starts_with(scheme));
        match text.parse::<ServiceUrl>() {
            Ok(url) => Self::ask(text, &url).await,
            // Neither form: the one that it looks like says what is wrong.
            Err(error) if text.contains("://") && !is_key => {
                Err(ClientError::Url { url: text.into(), why: error }.into())
            }
            Err(_) => Self::of_key(text),
        }
    }

    /// All of these, or the first that can not be found: before anything is made for any of them.
    pub(super) async fn find_all(texts: &[String]) -> anyhow::Result<Vec<Self>> {
        let mut targets = vec![];
        for text in texts {
            targets.push(Self::find(text).await?);
        }
        Ok(targets)
    }

    fn of_key(text: &str) -> anyhow::Result<Self> {
        let log = text
            .parse()
            .with_context(|| format!("{text} is neither the URL of a service nor the key of a log"))?;
        Ok(Self { log, addresses: vec![], length: 0 })
    }

    async fn ask(url: &str, place: &ServiceUrl) -> anyhow::Result<Self> {
        let client = RpcClient::connect(url, ClientOptions::default()).await?;
        let handshake = client.handshake().await?;
        client.close().await;
        let Some(log) = handshake.get("callLogUrl").and_then(Value::as_str) else {
            bail!("the service at {url} does not say which log it writes");
        };
        let log = log.parse().with_context(|| format!("the service at {url} gives {log:?} as its log"))?;
        let length = handshake.get("callLogLength").and_then(Value::as_u64).unwrap_or(0);
        Ok(Self { log, addresses: addresses(&handshake, place), length })
    }
}

/// Where the service says that its log can be copied. An address that stands for all of a machine's is reached
/// as the service itself is.
fn addresses(handshake: &Map<String, Value>, place: &ServiceUrl) -> Vec<SocketAddr> {
    let own: Option<IpAddr> = place.host().parse().ok();
    let texts = handshake.get("addresses").and_then(Value::as_array).into_iter().flatten();
    let addresses =
        texts.filter_map(|text| text.as_str()?.strip_prefix("tcp://")?.parse::<SocketAddr>().ok());
    let reachable = |address: SocketAddr| match own {
        Some(own) if address.ip().is_unspecified() => SocketAddr::new(own, address.port()),
        _ => address,
    };
    addresses.map(reachable).collect()
}

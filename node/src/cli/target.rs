//! What a command is about, when it is not a directory: the URL of a service, or the key of a log.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::{Context, bail};
use libvms::rpc::{ClientOptions, RpcClient};
use libvms_protocol::bee::Header;
use libvms_protocol::drive::manifest::blobs_key;
use libvms_protocol::entry::Entry;
use libvms_protocol::identity::PublicKey;
use serde_json::{Map, Value};

/// Whether a text names something elsewhere, by URL or key, and not a directory.
pub(super) fn is_elsewhere(text: &str) -> bool {
    // Somebody may have named a directory after a key; then the directory is meant.
    (text.contains("://") || text.parse::<PublicKey>().is_ok()) && !Path::new(text).exists()
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
        if text.starts_with("ws://") { Self::ask(text).await } else { Self::of_key(text) }
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

    async fn ask(url: &str) -> anyhow::Result<Self> {
        let client = RpcClient::connect(url, ClientOptions::default()).await?;
        let handshake = client.handshake().await?;
        client.close().await;
        let Some(log) = handshake.get("callLogUrl").and_then(Value::as_str) else {
            bail!("the service at {url} does not say which log it writes");
        };
        let log = log.parse().with_context(|| format!("the service at {url} gives {log:?} as its log"))?;
        let length = handshake.get("callLogLength").and_then(Value::as_u64).unwrap_or(0);
        Ok(Self { log, addresses: addresses(&handshake, url), length })
    }
}

/// Where the service says that its log can be copied. An address that stands for all of a machine's is reached
/// as the service itself is.
fn addresses(handshake: &Map<String, Value>, url: &str) -> Vec<SocketAddr> {
    let host = url.trim_start_matches("ws://").split('/').next().unwrap_or_default();
    let own: Option<IpAddr> = host.parse::<SocketAddr>().ok().map(|address| address.ip());
    let texts = handshake.get("addresses").and_then(Value::as_array).into_iter().flatten();
    let addresses =
        texts.filter_map(|text| text.as_str()?.strip_prefix("tcp://")?.parse::<SocketAddr>().ok());
    let reachable = |address: SocketAddr| match own {
        Some(own) if address.ip().is_unspecified() => SocketAddr::new(own, address.port()),
        _ => address,
    };
    addresses.map(reachable).collect()
}

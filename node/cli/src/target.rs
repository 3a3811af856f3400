//! Targets of commands: the URL of a service, the key of a log, or a directory.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use libvms::rpc::{ClientError, ClientOptions, RpcClient, ServiceUrl};
use libvms_hypercore::blocks::Length;
use libvms_hypercore::identity::PublicKey;
use serde_json::{Map, Value};

use super::error::advised;

/// Returns whether the text is a URL or a key, and not an existing directory.
pub(super) fn is_elsewhere(text: &str) -> bool {
    // A directory may be named after a key; then the directory is meant.
    (text.contains("://") || text.parse::<PublicKey>().is_ok()) && !Path::new(text).exists()
}

/// Returns the directory that the text names.
///
/// # Errors
/// When it does not exist, is not a directory, or cannot be accessed.
pub(super) fn directory(text: &str) -> anyhow::Result<&Path> {
    let path = Path::new(text);
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(path),
        Ok(_) => bail!("{text} is not a directory"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(advised(
            anyhow!("there is no directory {text}"),
            "a service is named by ws://HOST:PORT/PATH, a log by hyper://KEY with a key of 64 hexadecimal digits",
        )),
        Err(error) => Err(error).with_context(|| format!("cannot access {text}")),
    }
}

/// Returns the first 8 digits of a key, which distinguish a few hosts.
pub(super) fn short(log: &PublicKey) -> String {
    log.to_string().chars().take(8).collect()
}

/// The key of a log or an archive, and the addresses of peers that may have it.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) log: PublicKey,
    pub(super) addresses: Vec<SocketAddr>,
    /// Length of the log that the service named; 0 when the target is a key.
    pub(super) length: Length,
}

impl Target {
    /// Parses a key, or asks the service at a URL for its key and addresses.
    pub(super) async fn find(text: &str) -> anyhow::Result<Self> {
        Self::find_with(text, ClientOptions::default()).await
    }

    /// Does the same as [`Target::find`], without waiting for a service that is still starting.
    pub(super) async fn find_at_once(text: &str) -> anyhow::Result<Self> {
        Self::find_with(text, ClientOptions { start_timeout: Duration::ZERO, ..ClientOptions::default() })
            .await
    }

    async fn find_with(text: &str, options: ClientOptions) -> anyhow::Result<Self> {
        match Self::service(text)? {
            Some(url) => Self::ask(text, &url, options).await,
            None => Self::from_key(text),
        }
    }

    /// Checks that each text can be a target, before the command creates anything for any of them.
    ///
    /// # Errors
    /// When a text is neither a key nor a valid URL of a service.
    pub(super) fn check_all(texts: &[String]) -> anyhow::Result<()> {
        texts.iter().try_for_each(|text| match Self::service(text)? {
            Some(_) => Ok(()),
            None => Self::from_key(text).map(drop),
        })
    }

    /// Returns the URL of a service; `None` when the text should be a key.
    ///
    /// # Errors
    /// When the text is a URL that no service can have.
    pub(super) fn service(text: &str) -> anyhow::Result<Option<ServiceUrl>> {
        let is_key = ["hyper://", "dat://"].iter().any(|scheme| text.starts_with(scheme));
        match text.parse::<ServiceUrl>() {
            Ok(url) => Ok(Some(url)),
            // Neither form parses: report the error of the form that the text resembles.
            Err(error) if text.contains("://") && !is_key => {
                Err(ClientError::Url { url: text.into(), why: error }.into())
            }
            Err(_) => Ok(None),
        }
    }

    /// Parses any form of a key.
    pub(super) fn from_key(text: &str) -> anyhow::Result<Self> {
        let log = text
            .parse()
            .with_context(|| format!("{text} is neither the URL of a service nor the key of a log"))?;
        Ok(Self { log, addresses: vec![], length: Length::ZERO })
    }

    async fn ask(url: &str, place: &ServiceUrl, options: ClientOptions) -> anyhow::Result<Self> {
        let client = RpcClient::connect(url, options).await?;
        let handshake = client.handshake().await?;
        client.close().await;
        let Some(log) = handshake.get("callLogUrl").and_then(Value::as_str) else {
            bail!("the service at {url} does not say which log it writes");
        };
        let named = log.parse().with_context(|| format!("the service at {url} names {log:?} as its log"))?;
        // Who names the key means that log, whatever else a service says.
        let log = place.log().unwrap_or(named);
        let length = handshake.get("callLogLength").and_then(Value::as_u64).map(Length).unwrap_or_default();
        Ok(Self { log, addresses: addresses(&handshake, place), length })
    }
}

/// Returns the addresses at which the service serves its log. An unspecified address is replaced by the service's own.
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

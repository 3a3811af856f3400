//! A node's own state in its data directory, by which others find the node again after a restart.
//!
//! ```text
//! DIR/peer-port   the TCP port for peers, as a line of text
//! DIR/had-peers   exists once a peer has been connected: others may know more of the node's cores than it does
//! DIR/swarm.key   the node's key in the DHT, and where it was made; readable by its owner alone (mode 0600)
//! ```
//!
//! Two nodes with one key would be one node to the DHT: a look-up finds either of them, and neither finds the other.
//! Therefore the key belongs to the file and the machine where it was made: a directory that was copied or
//! restored from a backup gets a new one. A clone of a whole machine, disk included, is not detected.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use libvms_hypercore::hash::blake2b;
use libvms_hypercore::identity::SecretKey;
use serde_json::{Value, json};
use tracing::warn;

use super::network::{Network, NetworkError};

const PORT_FILE: &str = "peer-port";
const KEY_FILE: &str = "swarm.key";
const PEERS_FILE: &str = "had-peers";
/// More than either file ever has.
const FILE_BYTES_MAX: u64 = 4096;

/// A node's state in its data directory.
#[derive(Clone, Debug)]
pub struct Standing {
    directory: PathBuf,
}

/// The result of [`Standing::listen`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// The bound address.
    pub address: SocketAddr,
    /// The port of the last run, if another program has it now.
    pub instead_of: Option<u16>,
}

impl Standing {
    /// Returns the state in a data directory, which must exist.
    pub fn of(directory: &Path) -> Self {
        Self { directory: directory.into() }
    }

    /// Listens at `ip` on the port of the last run. If there was none or another program has it, listens on another port
    /// and stores that.
    ///
    /// # Errors
    /// When the address cannot be bound on any port.
    pub async fn listen(&self, network: &Network, ip: IpAddr) -> Result<Listening, NetworkError> {
        let mut instead_of = None;
        if let Some(port) = self.port() {
            match network.listen(SocketAddr::new(ip, port)).await {
                Ok(address) => return Ok(Listening { address, instead_of }),
                Err(error) if error.is_in_use() => instead_of = Some(port),
                Err(error) => return Err(error),
            }
        }
        let address = network.listen(SocketAddr::new(ip, 0)).await?;
        if let Err(error) = self.keep(PORT_FILE, |_| Ok(format!("{}\n", address.port()))) {
            warn!(%error, directory = %self.directory.display(), "the port for peers is not kept: it will be another one after a restart");
        }
        Ok(Listening { address, instead_of })
    }

    /// Returns the node's key in the DHT, as in the last run. If there was none or it was made elsewhere, returns a new one
    /// and stores it.
    ///
    /// # Errors
    /// When the system returns no random numbers. A key that cannot be stored is used for this run, with a warning.
    pub fn swarm_key(&self) -> io::Result<SecretKey> {
        if let Some(seed) = self.seed() {
            return Ok(SecretKey::from_seed(&seed));
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let text = |file: &File| {
            let place = HEXLOWER.encode(&place(file)?);
            Ok(format!("{}\n", json!({ "seed": HEXLOWER.encode(&seed), "madeIn": place })))
        };
        if let Err(error) = self.keep(KEY_FILE, text) {
            warn!(%error, directory = %self.directory.display(), "the key in the DHT is not kept: it will be another one after a restart");
        }
        Ok(SecretKey::from_seed(&seed))
    }

    /// Returns whether a peer has ever been connected to this node, or to the node whose directory this one was copied from.
    pub fn has_had_peers(&self) -> bool {
        self.directory.join(PEERS_FILE).exists()
    }

    /// Records that a peer has been connected.
    pub fn note_peer(&self) {
        if !self.has_had_peers()
            && let Err(error) = self.keep(PEERS_FILE, |_| Ok(String::new()))
        {
            warn!(%error, directory = %self.directory.display(), "that there are peers is not kept");
        }
    }

    fn port(&self) -> Option<u16> {
        self.read(PORT_FILE)?.0.trim().parse().ok().filter(|port| *port != 0)
    }

    fn seed(&self) -> Option<[u8; 32]> {
        let (text, file) = self.read(KEY_FILE)?;
        let kept: Value = serde_json::from_str(&text).ok()?;
        let bytes = |name: &str| HEXLOWER.decode(kept[name].as_str()?.as_bytes()).ok();
        if bytes("madeIn")? != place(&file).ok()? {
            warn!(directory = %self.directory.display(), "the data directory was copied: this node gets a new key in the DHT");
            return None;
        }
        bytes("seed")?.try_into().ok()
    }

    /// Returns a file's text and the file, if it is one of ours.
    fn read(&self, name: &str) -> Option<(String, File)> {
        let file = File::open(self.directory.join(name)).ok()?;
        let is_ours = file.metadata().is_ok_and(|data| data.is_file() && data.len() <= FILE_BYTES_MAX);
        let text = io::read_to_string(&file).ok().filter(|_| is_ours)?;
        Some((text, file))
    }

    /// Writes a file atomically, for its owner alone. Its text may depend on the new file itself.
    fn keep(&self, name: &str, text: impl FnOnce(&File) -> io::Result<String>) -> io::Result<()> {
        let new = self.directory.join(format!("{name}.new"));
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&new)?;
        let text = text(&file)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        fs::rename(&new, self.directory.join(name))
    }
}

/// Returns a digest that tells a file on this machine from its copies: its inode number and the machine's id.
fn place(file: &File) -> io::Result<[u8; 32]> {
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&file.metadata()?);
    #[cfg(not(unix))]
    let number = file.metadata()?.len();
    // Systems without this file have no id to distinguish them by.
    let machine = fs::read("/etc/machine-id").unwrap_or_default();
    Ok(blake2b(&[b"libvms/place/1", &number.to_le_bytes(), &machine]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::NetworkOptions;

    const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn network() -> Network {
        Network::new(NetworkOptions::default())
    }

    #[tokio::test]
    async fn the_port_stays_until_another_program_has_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let standing = Standing::of(directory.path());
        let first = network();
        let Listening { address, instead_of } = standing.listen(&first, LOCAL).await.expect("a port");
        assert_eq!(instead_of, None);
        first.shutdown().await;
        let second = network();
        assert_eq!(standing.listen(&second, LOCAL).await.expect("it is free").address, address);
        let third = network();
        let other = standing.listen(&third, LOCAL).await.expect("another one");
        assert_eq!(other.instead_of, Some(address.port()));
        assert_ne!(other.address, address);
        third.shutdown().await;
        second.shutdown().await;
        let last = network();
        assert_eq!(
            standing.listen(&last, LOCAL).await.expect("free").address,
            other.address,
            "the newer one"
        );
        last.shutdown().await;
    }

    #[tokio::test]
    async fn damaged_files_are_ignored() {
        let directory = tempfile::tempdir().expect("a directory");
        let standing = Standing::of(directory.path());
        for damage in ["", "0", "70000", "x", "\u{0}\u{0}", &"9".repeat(9_999)] {
            fs::write(directory.path().join(PORT_FILE), damage).expect("written");
            let network = network();
            let listening = standing.listen(&network, LOCAL).await.expect("a port");
            assert_eq!(listening.instead_of, None, "{damage:?}");
            network.shutdown().await;
        }
        for damage in ["", "{", "{}", r#"{"seed":"00","madeIn":"00"}"#, "\u{0}"] {
            fs::write(directory.path().join(KEY_FILE), damage).expect("written");
            let made = standing.swarm_key().expect("a key").public_key();
            assert_eq!(standing.swarm_key().expect("kept").public_key(), made, "{damage:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_key_stays_is_private_and_does_not_go_with_a_copy() {
        use std::os::unix::fs::PermissionsExt;
        let (first, second) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
        let made = Standing::of(first.path()).swarm_key().expect("a key").public_key();
        assert_eq!(Standing::of(first.path()).swarm_key().expect("kept").public_key(), made);
        let file = first.path().join(KEY_FILE);
        assert_eq!(fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
        fs::copy(&file, second.path().join(KEY_FILE)).expect("a copy");
        let copy = Standing::of(second.path());
        let other = copy.swarm_key().expect("a new key").public_key();
        assert_ne!(other, made);
        assert_eq!(copy.swarm_key().expect("kept").public_key(), other, "the copy has its own from now on");
        fs::rename(first.path().join(KEY_FILE), first.path().join("moved")).expect("moved");
        fs::rename(first.path().join("moved"), &file).expect("moved back");
        assert_eq!(
            Standing::of(first.path()).swarm_key().expect("kept").public_key(),
            made,
            "a move is no copy"
        );
    }
}

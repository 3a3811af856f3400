//! A peer that speaks the protocol by hand, so that it can say what no honest program says.

use std::net::SocketAddr;

use libvms::net::SharedCore;
use libvms::storage::Core;
use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::replication::{HeadProof, Store, answer};
use libvms_hypercore::secret_stream::{RANDOM_BYTES, SecretStream};
use libvms_hypercore::signed_head::signable;
use libvms_hypercore::wire::message::{Data, Range, Request, Sync};
use libvms_hypercore::wire::mux::Limits;
use libvms_hypercore::wire::session::{Session, SessionEvent};
use libvms_hypercore::wire::{Message, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the peer shows as the core, and on which fork.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) core: SharedCore,
    pub(crate) fork: u64,
}

impl Shown {
    pub(crate) fn of(core: &Core, fork: u64) -> Self {
        Self { core: SharedCore::Writer(core.follow()), fork }
    }

    fn sync(&self, remote_length: u64) -> Message {
        let (fork, length) = (self.fork, self.core.length());
        let state = Sync { can_upgrade: true, uploading: true, downloading: true, ..Sync::default() };
        Message::Sync(Sync { fork, length, remote_length: Length(remote_length), ..state })
    }

    fn blocks(&self) -> Message {
        Message::Range(Range { drop: false, start: BlockIndex(0), length: self.core.length().0 })
    }

    /// The answer, signed for the fork that is shown.
    fn answer(&self, request: &Request, key: &SecretKey) -> Option<Data> {
        let mut data = answer(&self.core, &Request { fork: 0, ..*request }).ok()?;
        if let Some(upgrade) = data.upgrade.as_mut().filter(|_| self.fork > 0) {
            let head = *HeadProof::check(key.public_key(), 0, upgrade.clone()).ok()?.head();
            let signed = signable(head.signed.length(), self.fork, &head.signed.tree_hash());
            upgrade.signature = key.sign(&signed).0.to_vec();
        }
        data.fork = self.fork;
        Some(data)
    }
}

/// Serves one core to whoever connects. What is shown changes when the sender says so.
pub(crate) async fn serve(key: SecretKey, shown: watch::Receiver<Shown>) -> SocketAddr {
    serve_as(key.public_key(), key, shown).await
}

/// The same under the name of a core whose key it does not have.
pub(crate) async fn serve_as(core: PublicKey, key: SecretKey, shown: watch::Receiver<Shown>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(talk(socket, core, key.clone(), shown.clone()));
        }
    });
    address
}

/// Talks to one peer until it hangs up.
async fn talk(
    mut socket: TcpStream,
    core: PublicKey,
    key: SecretKey,
    mut shown: watch::Receiver<Shown>,
) -> Option<()> {
    let mut stream = SecretStream::new(Role::Responder, &[7; RANDOM_BYTES]);
    let mut session: Option<Session> = None;
    let (mut bytes, mut buffer, mut remote_length) = (vec![], vec![0; 65536], 0);
    loop {
        while let Some(session) = &mut session
            && let Some(frame) = session.poll_transmit()
        {
            stream.send(frame);
        }
        stream.transmit(&mut bytes);
        socket.write_all(&std::mem::take(&mut bytes)).await.ok()?;
        tokio::select! {
            count = socket.read(&mut buffer) => match count.ok()? {
                0 => return None,
                count => stream.receive(&buffer[..count]).ok()?,
            },
            changed = shown.changed() => {
                changed.ok()?;
                let shown = shown.borrow_and_update().clone();
                let session = session.as_mut()?;
                [shown.sync(remote_length), shown.blocks()]
                    .iter()
                    .try_for_each(|message| session.send(&core, message))
                    .ok()?;
            }
        }
        if session.is_none() && stream.is_established() {
            let mut opened = Session::new(Role::Responder, stream.handshake_hash()?, Limits::default());
            opened.open(core).ok()?;
            session = Some(opened);
        }
        while let Some(message) = stream.poll_message().ok()? {
            session.as_mut()?.handle_frame(&message).ok()?;
        }
        let Some(session) = &mut session else { continue };
        while let Some(event) = session.poll_event() {
            let shown = shown.borrow().clone();
            let said = match event {
                SessionEvent::Opened { .. } => vec![shown.sync(0), shown.blocks()],
                SessionEvent::Requested { discovery_key } => {
                    session.refuse(&discovery_key);
                    vec![]
                }
                SessionEvent::Message { message, .. } => match *message {
                    Message::Sync(sync) => {
                        remote_length = sync.length.0;
                        vec![shown.sync(remote_length)]
                    }
                    Message::Request(request) => {
                        shown.answer(&request, &key).map(Message::Data).into_iter().collect()
                    }
                    _ => vec![],
                },
                _ => vec![],
            };
            said.iter().try_for_each(|message| session.send(&core, message)).ok()?;
        }
    }
}

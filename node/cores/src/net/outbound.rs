//! Messages from cores to a connection: one [`OutboundSender`] per core, and the [`OutboundReceiver`] of the connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::replication::PeerFault;
use libvms_hypercore::wire::message::Message;
use tokio::sync::mpsc;

/// Sends a core's messages to the connection of one of its peers.
#[derive(Clone, Debug)]
pub(super) struct OutboundSender {
    queue: mpsc::UnboundedSender<OutboundMessage>,
    /// Bytes of messages in the channel.
    bytes: Arc<AtomicUsize>,
    /// The reason to end the connection. It overtakes messages: a peer at fault may not read any.
    end: mpsc::Sender<LinkEnd>,
}

/// Why a core ends a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LinkEnd {
    /// The peer is at fault.
    Fault(PeerFault),
    /// The connection must restart, for a reason of our own.
    Anew,
}

/// The receiver of all senders of one connection.
#[derive(Debug)]
pub(super) struct OutboundReceiver {
    outgoing: mpsc::UnboundedReceiver<OutboundMessage>,
    link: OutboundSender,
}

/// A core's message for a connection. The replicator bounds the messages that it sends before `Flushed`.
#[derive(Debug)]
pub(super) struct OutboundMessage {
    pub(super) core: PublicKey,
    pub(super) message: Box<Message>,
}

impl OutboundSender {
    /// Sends a message as soon as the socket takes it.
    pub(super) fn send(&self, outgoing: OutboundMessage) {
        self.bytes.fetch_add(outgoing.message.memory_bytes(), Ordering::Relaxed);
        // A connection that has ended says so with an input of its own.
        let _closed = self.queue.send(outgoing);
    }

    /// Ends the connection.
    pub(super) fn end(&self, why: LinkEnd) {
        // One reason is enough: a second one finds no room.
        let _is_ending = self.end.try_send(why);
    }
}

impl OutboundReceiver {
    /// Returns a receiver, and the channel that delivers the reason to end the connection.
    pub(super) fn new() -> (Self, mpsc::Receiver<LinkEnd>) {
        let ((queue, outgoing), (end, ends)) = (mpsc::unbounded_channel(), mpsc::channel(1));
        (Self { outgoing, link: OutboundSender { queue, bytes: Arc::default(), end } }, ends)
    }

    pub(super) fn link(&self) -> OutboundSender {
        self.link.clone()
    }

    /// Returns the bytes of messages that wait.
    pub(super) fn bytes(&self) -> usize {
        self.link.bytes.load(Ordering::Relaxed)
    }

    /// Waits for the next message.
    pub(super) async fn next(&mut self) -> OutboundMessage {
        let outgoing = self.outgoing.recv().await.expect("we hold a sender ourselves");
        self.taken(outgoing)
    }

    /// Returns the next message if one waits.
    pub(super) fn try_next(&mut self) -> Option<OutboundMessage> {
        let outgoing = self.outgoing.try_recv().ok()?;
        Some(self.taken(outgoing))
    }

    fn taken(&self, outgoing: OutboundMessage) -> OutboundMessage {
        self.link.bytes.fetch_sub(outgoing.message.memory_bytes(), Ordering::Relaxed);
        outgoing
    }
}

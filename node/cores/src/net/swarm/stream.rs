//! One connection of the swarm as `AsyncRead` and `AsyncWrite`: [`Stream`].

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use libvms_hyperswarm::swarm::ConnectionId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Swarm;

/// The wakers of the tasks that wait for a connection, and the connection's state.
#[derive(Debug, Default)]
pub(super) struct StreamWakers {
    reader: Option<Waker>,
    writer: Option<Waker>,
    has_remote_ended: bool,
    is_closed: bool,
}

impl StreamWakers {
    pub(super) fn wake_reader(&mut self) {
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    pub(super) fn wake_writer(&mut self) {
        self.writer.take().into_iter().for_each(Waker::wake);
    }

    pub(super) fn remote_ended(&mut self) {
        self.has_remote_ended = true;
        self.wake_reader();
    }

    pub(super) fn closed(&mut self) {
        self.is_closed = true;
        self.wake_reader();
        self.wake_writer();
    }
}

/// A connection. It is destroyed when both halves are dropped.
#[derive(Debug)]
pub(super) struct Stream(Arc<Owned>);

#[derive(Debug)]
struct Owned {
    swarm: Arc<Swarm>,
    id: ConnectionId,
}

/// The read half.
#[derive(Debug)]
pub(super) struct Reader(Arc<Owned>);

/// The write half.
#[derive(Debug)]
pub(super) struct Writer(Arc<Owned>);

impl Stream {
    pub(super) fn new(swarm: Arc<Swarm>, id: ConnectionId) -> Self {
        swarm.lock().ends.insert(id, StreamWakers::default());
        Self(Arc::new(Owned { swarm, id }))
    }

    pub(super) fn split(self) -> (Reader, Writer) {
        (Reader(self.0.clone()), Writer(self.0))
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let mut machine = self.swarm.lock();
        machine.ends.remove(&self.id);
        machine.open.remove(&self.id);
        machine.node.destroy(self.swarm.now(), self.id);
        drop(machine);
        self.swarm.wake.notify_one();
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Owned { swarm, id } = &*self.0;
        let mut machine = swarm.lock();
        let read = machine.node.read(*id, buffer.initialize_unfilled());
        if read > 0 {
            buffer.advance(read);
            drop(machine);
            // The remote may send as much more.
            swarm.wake.notify_one();
            return Poll::Ready(Ok(()));
        }
        match machine.ends.get_mut(id) {
            Some(ends) if !ends.has_remote_ended && !ends.is_closed => {
                ends.reader = Some(context.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Writer {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Owned { swarm, id } = &*self.0;
        let mut machine = swarm.lock();
        let written = machine.node.write(*id, bytes);
        if written > 0 || bytes.is_empty() {
            drop(machine);
            swarm.wake.notify_one();
            return Poll::Ready(Ok(written));
        }
        match machine.ends.get_mut(id) {
            Some(ends) if !ends.is_closed => {
                ends.writer = Some(context.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.swarm.lock().node.end_writing(self.0.id);
        self.0.swarm.wake.notify_one();
        Poll::Ready(Ok(()))
    }
}

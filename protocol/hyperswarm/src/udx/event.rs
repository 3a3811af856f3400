//! The events of a stream. Each kind is noted once until it is taken, so that a flood of packets makes no queue.

use super::Path;

/// An event of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A packet arrived for a stream that is not connected and admits them. Connect the stream to this path, or refuse
    /// it.
    IncomingPath(Path),
    /// The first packet of the remote arrived: it knows our id, and its address is really its own.
    Connected,
    /// There are new bytes to read.
    Readable,
    /// There are messages to take.
    Message,
    /// The remote has ended its half; the bytes that it wrote can be read.
    RemoteEnded,
    /// There is room again, after a write that was not taken in full.
    Writable,
    /// Nothing can be sent or will arrive any more; bytes that have arrived can still be read. Then destroy the stream.
    Closed(CloseReason),
}

/// The reason why a stream is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Both sides have ended, and everything has arrived.
    Finished,
    /// The remote has reset the stream. (`ECONNRESET` of the reference.)
    Reset,
    /// The remote has not answered for about 13 seconds, or longer on slow paths. (`ETIMEDOUT`.)
    TimedOut,
}

/// The events to report.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Notices {
    pub(super) knocked: Option<Path>,
    pub(super) is_connected: bool,
    pub(super) is_readable: bool,
    pub(super) has_message: bool,
    pub(super) has_remote_ended: bool,
    pub(super) is_writable: bool,
    pub(super) closed: Option<CloseReason>,
}

impl Notices {
    pub(super) fn is_any(&self) -> bool {
        let Self { knocked, is_connected, is_readable, has_message, has_remote_ended, is_writable, closed } =
            self;
        let flags = [is_connected, is_readable, has_message, has_remote_ended, is_writable];
        knocked.is_some() || closed.is_some() || flags.into_iter().any(|flag| *flag)
    }

    /// Takes the next event, in the order in which they make sense.
    pub(super) fn take(&mut self) -> Option<Event> {
        let take = |flag: &mut bool, event| std::mem::take(flag).then_some(event);
        let knocked = self.knocked.take().map(Event::IncomingPath);
        knocked
            .or_else(|| take(&mut self.is_connected, Event::Connected))
            .or_else(|| take(&mut self.is_readable, Event::Readable))
            .or_else(|| take(&mut self.has_message, Event::Message))
            .or_else(|| take(&mut self.has_remote_ended, Event::RemoteEnded))
            .or_else(|| take(&mut self.is_writable, Event::Writable))
            .or_else(|| self.closed.take().map(Event::Closed))
    }
}

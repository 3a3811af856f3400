//! The callers' end of the link: [`Line`].

use std::sync::{Arc, OnceLock};

use serde::Serialize;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::unconstrained;

use super::error::ClientError;
use super::link::{Command, LinkEnd};
use super::reply::Reply;
use super::wire;

/// Calls queued for the link; further callers wait.
const COMMANDS_MAX: usize = 64;

/// Passes requests to the link, and waits for their answers.
#[derive(Debug)]
pub(super) struct Line {
    commands: mpsc::Sender<Command>,
    end: Arc<OnceLock<LinkEnd>>,
    /// The id of the next request. Held while a request waits for its place: the lock is passed on in the order in which it
    /// was asked for, while the places of a channel are not.
    next: Mutex<u64>,
}

/// What a request is waiting for.
pub(super) type Answered = oneshot::Receiver<Result<Reply, ClientError>>;

impl Line {
    /// Returns a line, and what its link needs.
    pub(super) fn new() -> (Self, mpsc::Receiver<Command>, Arc<OnceLock<LinkEnd>>) {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let end = Arc::new(OnceLock::new());
        (Self { commands, end: end.clone(), next: Mutex::new(1) }, receiver, end)
    }

    /// Sends a request that nobody signs.
    pub(super) async fn request<A: Serialize + ?Sized>(
        &self,
        method: &str,
        params: &A,
    ) -> Result<Reply, ClientError> {
        let text = |id| wire::request(id, method, params).map_err(ClientError::Arguments);
        let (answered, ()) = self.send(|id| Ok((text(id)?, ()))).await?;
        self.wait(answered).await
    }

    /// Sends the request that `make` makes for an id, and returns what else it makes. Requests are made and sent in the order in
    /// which they were begun.
    pub(super) async fn send<T>(
        &self,
        make: impl FnOnce(u64) -> Result<(String, T), ClientError>,
    ) -> Result<(Answered, T), ClientError> {
        // Without the runtime's budget, which would have some wait before they are in the queue.
        let mut next = unconstrained(self.next.lock()).await;
        let Ok(place) = self.commands.reserve().await else { return Err(self.end()) };
        let (answer, answered) = oneshot::channel();
        let (text, made) = make(*next)?;
        place.send(Command::Call { id: *next, text, answer });
        *next += 1;
        Ok((answered, made))
    }

    /// Waits for the answer to a request, for as long as the link lasts.
    pub(super) async fn wait(&self, answered: Answered) -> Result<Reply, ClientError> {
        answered.await.unwrap_or_else(|_| Err(self.end()))
    }

    /// Ends the link, and waits for its end.
    pub(super) async fn close(&self) {
        // When sending fails, the link has already ended.
        let _either_way = self.commands.send(Command::Close).await;
        self.commands.closed().await;
    }

    /// Returns why the link has ended.
    pub(super) fn ended(&self) -> Option<&LinkEnd> {
        self.end.get()
    }

    fn end(&self) -> ClientError {
        self.end.get().cloned().unwrap_or(LinkEnd::Closed).into()
    }
}

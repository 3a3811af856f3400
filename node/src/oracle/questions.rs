//! The questions of one call on their way: [`Runner`] works on them, [`Asked`] has their answers in order.
//!
//! The executor's thread waits for one answer after the other; the oracles run on threads of their own, several at once. What is
//! left when a call ends is given up at once, and awaited until it is gone: nothing of a call outlives it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use libvms_protocol::entry::oracle::{Ask, answer_bytes};
use libvms_protocol::entry::{OracleAnswer, OracleCode, OracleError};
use libvms_protocol::limits::{ANSWER_BYTES_MAX, ANSWERS_BYTES_MAX};
use libvms_protocol::value::Value;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::{Failure, Oracles, Question};

/// Beyond a limit, for an oracle that does not let its runtime see the time.
const GRACE: Duration = Duration::from_secs(2);

/// Works on the questions of one service.
#[derive(Debug)]
pub(crate) struct Runner {
    oracles: Oracles,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    at_once: Arc<Semaphore>,
}

/// The questions of one call, and their answers.
#[derive(Debug)]
pub(crate) struct Asked {
    runner: Option<Arc<Runner>>,
    begun: Option<Instant>,
    waiting: VecDeque<Waiting>,
    answered: Vec<OracleAnswer>,
    /// Bytes of the answers so far.
    bytes: usize,
}

/// A question without an answer yet.
#[derive(Debug)]
struct Waiting {
    ask: Ask,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nobody was asked.
    Refused(OracleError),
    /// The channel is closed when nothing of the question is at work any more.
    AtWork { task: AbortHandle, answer: Receiver<Result<Value, OracleError>> },
}

impl Runner {
    /// Returns the runner of a service with these oracles. `None` if there are none.
    pub(crate) fn start(oracles: Oracles) -> io::Result<Option<Arc<Self>>> {
        if oracles.names().next().is_none() {
            return Ok(None);
        }
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("oracles").enable_all().build()?;
        let at_once = Arc::new(Semaphore::new(oracles.limits.at_once.max(1)));
        Ok(Some(Arc::new(Self { oracles, runtime: Some(runtime), at_once })))
    }

    fn ask(&self, question: Question, time_left: Duration) -> State {
        let (Some(oracle), Some(runtime)) = (self.oracles.get(&question.name), &self.runtime) else {
            return refused(&question);
        };
        let (oracle, at_once) = (oracle.clone(), self.at_once.clone());
        let limit = self.oracles.limits.question.min(time_left);
        let (sender, answer) = sync_channel(1);
        let task = runtime.spawn(async move {
            let work = async {
                let _permit = at_once.acquire().await;
                timeout(limit, oracle.answer(question)).await.unwrap_or_else(|_| Err(late(limit)))
            };
            let answer = timeout(time_left, work).await.unwrap_or_else(|_| Err(late(time_left)));
            // Nobody waits if the call has ended.
            let _closed = sender.send(answer.map_err(OracleError::from));
        });
        State::AtWork { task: task.abort_handle(), answer }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Nothing is at work: each call has waited for its questions.
            runtime.shutdown_background();
        }
    }
}

impl Asked {
    pub(crate) fn new(runner: Option<Arc<Runner>>) -> Self {
        Self { runner, begun: None, waiting: VecDeque::new(), answered: vec![], bytes: 0 }
    }

    /// Begins to work on a question.
    pub(crate) fn ask(&mut self, ask: Ask, question: Question) {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let state = match &self.runner {
            Some(runner) => {
                let time_left = runner.oracles.limits.call.saturating_sub(begun.elapsed());
                runner.ask(question, time_left)
            }
            None => refused(&question),
        };
        self.waiting.push_back(Waiting { ask, state });
    }

    /// Waits for the answer to the oldest question that has none. `None` if there is no such question.
    pub(crate) fn answer(&mut self) -> Option<Result<Value, OracleError>> {
        let Waiting { ask, state } = self.waiting.pop_front()?;
        let answer = match state {
            State::Refused(error) => Err(error),
            State::AtWork { task, answer } => self.wait(&task, &answer),
        };
        let answer = answer.and_then(|value| self.count(value));
        self.answered.push(OracleAnswer { ask, answer: answer.clone() });
        Some(answer)
    }

    fn wait(
        &self,
        task: &AbortHandle,
        answer: &Receiver<Result<Value, OracleError>>,
    ) -> Result<Value, OracleError> {
        let limits = self.runner.as_ref().map(|runner| runner.oracles.limits).unwrap_or_default();
        let elapsed = self.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        match answer.recv_timeout(limits.call.saturating_sub(elapsed).saturating_add(GRACE)) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Disconnected) => {
                Err(OracleError::new(OracleCode::Failed, "the oracle ended without an answer"))
            }
            Err(RecvTimeoutError::Timeout) => {
                task.abort();
                Err(late(limits.call).into())
            }
        }
    }

    /// Counts an answer against the bounds of the log.
    fn count(&mut self, value: Value) -> Result<Value, OracleError> {
        let bytes = answer_bytes(&value);
        let too_large = |why: &str| Err(OracleError::new(OracleCode::TooLarge, why));
        if bytes > ANSWER_BYTES_MAX {
            return too_large(&format!(
                "the answer has {bytes} bytes; an answer has at most {ANSWER_BYTES_MAX}"
            ));
        }
        if self.bytes + bytes > ANSWERS_BYTES_MAX {
            return too_large(&format!(
                "the answers to one call have at most {ANSWERS_BYTES_MAX} bytes together"
            ));
        }
        self.bytes += bytes;
        Ok(value)
    }

    /// Ends the call: gives up what nobody needs any more, and waits until it is gone. Returns all questions for the log.
    pub(crate) fn end(mut self) -> Vec<OracleAnswer> {
        let mut answers = std::mem::take(&mut self.answered);
        let cancelled = || OracleError::new(OracleCode::Cancelled, "the call ended before");
        let left =
            self.waiting.iter().map(|waiting| OracleAnswer { ask: waiting.ask, answer: Err(cancelled()) });
        answers.extend(left);
        answers
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        for Waiting { state, .. } in &self.waiting {
            if let State::AtWork { task, .. } = state {
                task.abort();
            }
        }
        for Waiting { state, .. } in self.waiting.drain(..) {
            if let State::AtWork { answer, .. } = state {
                while answer.recv_timeout(GRACE).is_ok() {}
            }
        }
    }
}

fn refused(question: &Question) -> State {
    let why = format!("this host has no oracle `{}`", question.name);
    State::Refused(OracleError::new(OracleCode::Refused, &why))
}

fn late(limit: Duration) -> Failure {
    Failure::Timeout(format!("no answer within {} s", limit.as_secs_f64().ceil()))
}

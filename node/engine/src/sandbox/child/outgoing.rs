//! The queue of a worker's messages that are not sent yet.
//!
//! Many reports go out with one write: a write costs as much as a short call. The script's thread writes when it has
//! a batch, and before it waits for anything. A report must not wait behind the next call if that call is long; so the
//! main thread, which has nothing else to do, sends all that is a moment old.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::ipc::{FromWorker, encode};

/// Messages that are sent together: enough that the write is cheap, few enough that the driver works in parallel.
const BATCH_MESSAGES: usize = 32;
/// Bytes that are sent together.
const BATCH_BYTES: usize = 32 * 1024;
/// How long a message may wait. Nobody notices, and the main thread wakes up no more often than that.
const DELAY: Duration = Duration::from_millis(1);
/// How often the main thread polls before it sleeps until it is woken, which costs the script's thread a
/// system call.
const LOOKS_BEFORE_SLEEP: u32 = 20;

/// The queue, shared by the two threads of a worker.
#[derive(Debug)]
pub(super) struct Outgoing {
    socket: Arc<File>,
    batch: Mutex<Batch>,
    hurry: Condvar,
}

#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    messages: usize,
    /// The number of the batch, so that the main thread can tell an old one from a new one.
    number: u64,
    /// Whether the main thread must be woken.
    is_main_asleep: bool,
}

impl Outgoing {
    pub(super) fn new(socket: Arc<File>) -> Self {
        Self { socket, batch: Mutex::default(), hurry: Condvar::new() }
    }

    /// Queues a message, and sends the batch if it is full.
    pub(super) fn push(&self, message: &FromWorker) -> io::Result<()> {
        let mut batch = self.lock();
        encode(message, &mut batch.bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        batch.messages += 1;
        if batch.messages >= BATCH_MESSAGES || batch.bytes.len() >= BATCH_BYTES {
            return batch.send(&self.socket);
        }
        Ok(())
    }

    /// Sends all that is queued.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.lock().send(&self.socket)
    }

    /// Tells the main thread to send the queue: the script's thread goes on with something else, of unknown
    /// duration.
    pub(super) fn hurry(&self) {
        let mut batch = self.lock();
        if batch.is_main_asleep && batch.messages > 0 {
            batch.is_main_asleep = false;
            self.hurry.notify_one();
        }
    }

    /// Runs the main thread: sends messages that have waited too long. Returns when nothing can be sent any more.
    pub(super) fn send_late(&self) -> io::Error {
        let mut batch = self.lock();
        let mut looks = 0;
        loop {
            let (seen, had_messages) = (batch.number, batch.messages > 0);
            if had_messages {
                looks = 0;
            }
            if looks == LOOKS_BEFORE_SLEEP {
                batch.is_main_asleep = true;
                let awake = |batch: &mut Batch| batch.is_main_asleep;
                batch = self.hurry.wait_while(batch, awake).unwrap_or_else(PoisonError::into_inner);
                looks = 0;
                continue;
            }
            batch = self.hurry.wait_timeout(batch, DELAY).unwrap_or_else(PoisonError::into_inner).0;
            looks += 1;
            if had_messages
                && batch.number == seen
                && let Err(error) = batch.send(&self.socket)
            {
                return error;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Batch> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    fn send(&mut self, mut socket: &File) -> io::Result<()> {
        if self.messages == 0 {
            return Ok(());
        }
        let sent = socket.write_all(&self.bytes);
        self.bytes.clear();
        // The capacity that a large message has taken is released: it is not the script's memory.
        self.bytes.shrink_to(2 * BATCH_BYTES);
        self.messages = 0;
        self.number += 1;
        sent
    }
}

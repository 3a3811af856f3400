//! The queue of log lines for stderr: [`Lines`]. A blocked stderr does not delay calls.
//!
//! A pipe that is not read takes some lines and then blocks the writing thread, which must not be one that runs calls.
//! So a dedicated thread writes, and the others queue their lines. When the queue is full, new lines are dropped and
//! counted; the count is logged as soon as there is room again.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Lines in the queue, at most.
const LINES_MAX: usize = 1_000;
/// Bytes in the queue, at most; a single line may exceed it.
const BYTES_MAX: usize = 4 << 20;

/// The queue's sender. Each write is one line.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    lines: SyncSender<Vec<u8>>,
    waiting: Arc<Waiting>,
}

/// The counts of lines that are not written yet, shared with the writing thread.
#[derive(Debug, Default)]
struct Waiting {
    counts: Mutex<Counts>,
    written: Condvar,
}

#[derive(Debug, Default)]
struct Counts {
    lines: usize,
    bytes: usize,
    dropped: u64,
}

impl Lines {
    /// Starts the thread that writes to `to`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(to: impl io::Write + Send + 'static) -> io::Result<Self> {
        let (sender, lines) = sync_channel(LINES_MAX);
        let waiting = Arc::new(Waiting::default());
        let shared = waiting.clone();
        thread::Builder::new().name("log".into()).spawn(move || write(to, &lines, &shared))?;
        Ok(Self { lines: sender, waiting })
    }

    /// Waits until all queued lines are written, for `patience` at most: the program ends even if stderr is not read.
    pub(super) fn flush(&self, patience: Duration) {
        let counts = self.waiting.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let all = self.waiting.written.wait_timeout_while(counts, patience, |counts| counts.lines > 0);
        drop(all);
    }

    fn leave(&self, line: &[u8]) {
        let mut counts = self.waiting.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.lines > 0 && counts.bytes.saturating_add(line.len()) > BYTES_MAX {
            counts.dropped += 1;
            return;
        }
        match self.lines.try_send(line.to_vec()) {
            Ok(()) => {
                counts.lines += 1;
                counts.bytes += line.len();
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => counts.dropped += 1,
        }
    }
}

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.leave(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(mut to: impl io::Write, lines: &Receiver<Vec<u8>>, waiting: &Waiting) {
    for line in lines {
        // If stderr is closed, the line is lost.
        let _told = to.write_all(&line);
        let mut counts = waiting.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = std::mem::take(&mut counts.dropped);
        drop(counts);
        if dropped > 0 {
            let _told = writeln!(
                to,
                " WARN crate::telemetry: log lines were dropped because stderr was not read: {dropped}"
            );
        }
        counts = waiting.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.lines -= 1;
        counts.bytes -= line.len();
        if counts.lines == 0 {
            waiting.written.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::mpsc::channel;

    use super::*;

    /// Takes a line for each permission.
    struct Slow {
        permissions: Receiver<()>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _no_more_to_wait_for = self.permissions.recv();
            self.taken.lock().expect("no test panics here").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow() -> (SyncSender<()>, Arc<Mutex<Vec<u8>>>, Lines) {
        let (permit, permissions) = sync_channel(1);
        let taken = Arc::new(Mutex::new(vec![]));
        let lines = Lines::start(Slow { permissions, taken: taken.clone() }).expect("a thread");
        (permit, taken, lines)
    }

    #[test]
    fn lines_that_nobody_takes_hold_up_nobody_and_are_counted() {
        let (permit, taken, mut lines) = slow();
        for number in 0..5_000 {
            lines.write_all(format!("{number}\n").as_bytes()).expect("always taken");
        }
        lines.flush(Duration::from_millis(1));
        assert!(taken.lock().expect("no test panics here").is_empty());
        drop(permit);
        lines.flush(Duration::from_secs(60));
        let taken = String::from_utf8(taken.lock().expect("no test panics here").clone()).expect("text");
        let written = taken.lines().filter(|line| line.parse::<u32>().is_ok()).count();
        assert!((LINES_MAX..=LINES_MAX + 1).contains(&written), "{written}");
        assert!(taken.starts_with("0\n"), "{taken}");
        assert!(taken.contains(&format!("stderr was not read: {}\n", 5_000 - written)), "{taken}");
    }

    #[test]
    fn long_lines_are_bounded_by_their_bytes() {
        let (permit, taken, mut lines) = slow();
        for _ in 0..20 {
            lines.write_all(&vec![b'x'; 1 << 20]).expect("always taken");
        }
        drop(permit);
        lines.flush(Duration::from_secs(60));
        let length = taken.lock().expect("no test panics here").len();
        assert!((BYTES_MAX..BYTES_MAX + 1_000).contains(&length), "{length}");
    }

    #[test]
    fn what_was_left_is_written_when_the_wait_is_over() {
        let (told, heard) = channel();
        struct Told(std::sync::mpsc::Sender<Vec<u8>>);
        impl Write for Told {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut lines = Lines::start(Told(told)).expect("a thread");
        for _ in 0..100 {
            lines.write_all(b"line\n").expect("always taken");
        }
        lines.flush(Duration::from_secs(60));
        assert_eq!(heard.try_iter().count(), 100);
    }
}

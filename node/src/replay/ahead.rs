//! Reading a log ahead of its replay: entries are decoded, and signatures checked, on all cores.
//!
//! A signature costs more than executing a small call, and depends on nothing but its entry. The blocks go out in chunks,
//! to one thread after another, and come back in the same turn: so they stay in their order without any sorting.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::vec;

use libvms_hypercore::identity::PublicKey;
use libvms_protocol::audit::{Violation, callers};
use libvms_protocol::entry::{Auth, Entry, EntryError, Format, Init};

/// Blocks that a thread takes at once: enough that passing them costs little beside checking them.
const CHUNK_BLOCKS: usize = 32;
/// Bytes after which a chunk takes no further block.
const CHUNK_BYTES: usize = 1 << 20;
/// Chunks that one thread may have before it or behind it.
const CHUNKS_PER_THREAD: usize = 4;

/// What must be known of a log to read its entries: block 0 tells it.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryReader {
    log: PublicKey,
    format: Format,
    auth: Auth,
}

/// A block, with all that can be told of it without those before it.
#[derive(Debug)]
pub(super) struct ReadBlock {
    pub(super) bytes: Vec<u8>,
    pub(super) entry: Result<Entry, EntryError>,
    /// The verdict about the signature of the entry's call, if it is one.
    pub(super) signature: Result<(), Violation>,
}

impl EntryReader {
    pub(super) fn new(log: PublicKey, init: &Init) -> Self {
        Self { log, format: init.v, auth: init.auth }
    }

    pub(super) fn auth(&self) -> Auth {
        self.auth
    }

    pub(super) fn read(&self, bytes: Vec<u8>) -> ReadBlock {
        let entry = Entry::decode_in(&bytes, self.format);
        let signature = match &entry {
            Ok(Entry::Call(entry)) => callers::check_signature(&self.log, self.auth, &entry.call),
            _ => Ok(()),
        };
        ReadBlock { bytes, entry, signature }
    }

    fn read_all(&self, chunk: Vec<Vec<u8>>) -> Vec<ReadBlock> {
        chunk.into_iter().map(|bytes| self.read(bytes)).collect()
    }
}

/// The blocks of a log, read ahead. Memory is bounded by the chunks of all threads.
pub(super) struct Ahead<I, E> {
    blocks: I,
    reader: EntryReader,
    threads: Vec<ReaderThread>,
    /// Chunks sent to threads, and taken back.
    sent: usize,
    taken: usize,
    /// The error that ended `blocks`. It stands behind all chunks that were sent.
    failed: Option<E>,
    is_at_end: bool,
    current: vec::IntoIter<ReadBlock>,
}

/// A thread that reads chunks. It ends when `chunks` is dropped.
struct ReaderThread {
    chunks: SyncSender<Vec<Vec<u8>>>,
    read: Receiver<Vec<ReadBlock>>,
}

impl ReaderThread {
    fn start(reader: EntryReader) -> io::Result<Self> {
        let (chunks, received) = sync_channel::<Vec<Vec<u8>>>(CHUNKS_PER_THREAD);
        let (sender, read) = sync_channel(CHUNKS_PER_THREAD);
        let run = move || {
            for chunk in received {
                if sender.send(reader.read_all(chunk)).is_err() {
                    return; // Nobody wants the rest.
                }
            }
        };
        thread::Builder::new().name("signatures".into()).spawn(run)?;
        Ok(Self { chunks, read })
    }
}

impl<E, I: Iterator<Item = Result<Vec<u8>, E>>> Ahead<I, E> {
    pub(super) fn new(blocks: I, reader: EntryReader) -> Self {
        Self {
            blocks,
            reader,
            threads: vec![],
            sent: 0,
            taken: 0,
            failed: None,
            is_at_end: false,
            current: vec![].into_iter(),
        }
    }

    fn next_chunk(&mut self) -> Vec<Vec<u8>> {
        let (mut chunk, mut bytes) = (vec![], 0);
        while chunk.len() < CHUNK_BLOCKS && bytes < CHUNK_BYTES {
            match self.blocks.next() {
                Some(Ok(block)) => {
                    bytes += block.len();
                    chunk.push(block);
                }
                end => {
                    self.is_at_end = true;
                    self.failed = end.and_then(Result::err);
                    break;
                }
            }
        }
        chunk
    }

    /// Starts the threads: as many as there are cores, or fewer where the system has no more.
    fn start(&mut self) {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        self.threads = (0..cores).map_while(|_| ReaderThread::start(self.reader).ok()).collect();
    }

    fn fill(&mut self) {
        while !self.is_at_end && self.sent - self.taken <= self.threads.len() * (CHUNKS_PER_THREAD - 1) {
            let chunk = self.next_chunk();
            // A live watcher gets few blocks at a time: they are not worth a thread.
            if self.threads.is_empty() && !self.is_at_end {
                self.start();
            }
            if self.threads.is_empty() {
                self.current = self.reader.read_all(chunk).into_iter();
                return;
            }
            let thread = &self.threads[self.sent % self.threads.len()];
            thread.chunks.send(chunk).expect(READS);
            self.sent += 1;
        }
    }
}

/// Why a thread's channels are open for as long as this is.
const READS: &str = "a thread that reads entries neither ends nor panics before";

impl<E, I: Iterator<Item = Result<Vec<u8>, E>>> Iterator for Ahead<I, E> {
    type Item = Result<ReadBlock, E>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(read) = self.current.next() {
                return Some(Ok(read));
            }
            if self.taken == self.sent && self.is_at_end {
                return self.failed.take().map(Err);
            }
            self.fill();
            if self.taken < self.sent {
                let thread = &self.threads[self.taken % self.threads.len()];
                self.current = thread.read.recv().expect(READS).into_iter();
                self.taken += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader() -> EntryReader {
        EntryReader { log: PublicKey([1; 32]), format: Format::V2, auth: Auth::Signed }
    }

    #[test]
    fn blocks_come_back_in_their_order_and_an_error_behind_them() {
        for count in [0, 1, 31, 32, 33, 64, 1000] {
            let block = |number: u32| Ok(number.to_le_bytes().to_vec());
            let blocks = (0..count).map(block).chain([Err("torn"), Ok(vec![])]);
            let read: Vec<_> = Ahead::new(blocks, reader()).collect();
            assert_eq!(read.len(), count as usize + 1);
            for (number, read) in (0..count).zip(&read) {
                assert_eq!(read.as_ref().map(|read| &read.bytes[..]), Ok(&number.to_le_bytes()[..]));
            }
            assert!(matches!(read.last(), Some(Err("torn"))));
        }
    }

    #[test]
    fn few_blocks_start_no_thread_and_large_ones_are_taken_in_small_chunks() {
        let ok = |block| Ok::<_, ()>(block);
        let mut few = Ahead::new((0..31).map(|_| ok(vec![0])), reader());
        assert_eq!(few.by_ref().count(), 31);
        assert!(few.threads.is_empty());
        let mut taken = 0;
        let large = std::iter::repeat_with(|| {
            taken += 1;
            ok(vec![0; CHUNK_BYTES])
        });
        let mut ahead = Ahead::new(large, reader());
        assert!(ahead.next().is_some());
        let most = ahead.threads.len() * CHUNKS_PER_THREAD;
        drop(ahead);
        assert!(taken <= most, "{taken} of {most}");
    }
}

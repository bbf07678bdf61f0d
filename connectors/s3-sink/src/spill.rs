//! Bytes that may wait on disk: open files hold little, but there can be thousands of them, and a
//! store takes no parts below five megabytes.
//!
//! A [`Spool`] is one temporary file that many [`Waiting`] buffers append to; it has no name and goes
//! with the last of them. Knows nothing of what the bytes are.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use connect_api::{Error, Result};

use crate::storage::bucket::PutPayload;

/// Bytes of open files that all sink tasks of the process hold in memory.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// One task's part of what is held; given back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Share(usize);

impl Share {
    /// The part is now so large.
    pub(crate) fn set(&mut self, bytes: usize) {
        if bytes >= self.0 {
            HELD.fetch_add(bytes - self.0, Ordering::Relaxed);
        } else {
            HELD.fetch_sub(self.0 - bytes, Ordering::Relaxed);
        }
        self.0 = bytes;
    }
    /// What all of them hold.
    pub(crate) fn of_all() -> usize {
        HELD.load(Ordering::Relaxed)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
        if Self::of_all() == 0 {
            *emptied() = Vec::new();
        }
    }
}

/// A temporary file without a name.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    end: AtomicU64,
}

impl Spool {
    /// # Errors
    /// The folder cannot be written to.
    pub(crate) fn new(folder: &Path) -> io::Result<Arc<Self>> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(
            "ferroconnect-{}-{number}.spool",
            std::process::id()
        ));
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        // Gone with the process, whatever ends it.
        std::fs::remove_file(&path)?;
        Ok(Arc::new(Self {
            file,
            end: AtomicU64::new(0),
        }))
    }

    fn append(&self, bytes: &[u8]) -> io::Result<u64> {
        let start = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.write_all_at(bytes, start)?;
        Ok(start)
    }
}

/// A stretch of a spool.
#[derive(Clone, Debug)]
struct Stretch {
    spool: Arc<Spool>,
    start: u64,
    length: usize,
}

/// What is appended to at a time; larger buffers are lists of such chunks, so that none is ever
/// moved to grow.
const CHUNK_BYTES: usize = 256 * 1024;
/// With less room than this a chunk is full: most records fit, and one that does not makes its
/// chunk larger.
const CHUNK_REST_BYTES: usize = 8 * 1024;

/// So many emptied chunks are kept: what may be on its way to stores.
const MAX_EMPTIED: usize = 64;

/// Chunks whose bytes are stored, for the next ones: memory that goes back and is taken again costs
/// fresh pages.
static EMPTIED: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fn emptied() -> std::sync::MutexGuard<'static, Vec<Vec<u8>>> {
    EMPTIED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A chunk that is full, and is emptied when nobody has its bytes any more.
struct Full(Vec<u8>);

impl AsRef<[u8]> for Full {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        let mut chunk = std::mem::take(&mut self.0);
        let mut emptied = emptied();
        if emptied.len() < MAX_EMPTIED {
            chunk.clear();
            emptied.push(chunk);
        }
    }
}

/// A buffer of which the front may be on disk.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    spilled: Vec<Stretch>,
    spilled_bytes: usize,
    /// What is full, in memory.
    chunks: VecDeque<Bytes>,
    chunk_bytes: usize,
    /// The end, in memory, to append to.
    pub(crate) bytes: Vec<u8>,
}

impl Waiting {
    /// All bytes, on disk and in memory.
    pub(crate) fn len(&self) -> usize {
        self.spilled_bytes + self.chunk_bytes + self.bytes.len()
    }
    /// What it takes of the memory.
    pub(crate) fn held(&self) -> usize {
        self.chunk_bytes + self.bytes.capacity()
    }

    /// Puts the end aside where it is full.
    pub(crate) fn appended(&mut self) {
        if self.bytes.len() > CHUNK_BYTES - CHUNK_REST_BYTES {
            self.put_aside();
            let emptied = emptied().pop();
            self.bytes = emptied.unwrap_or_else(|| Vec::with_capacity(CHUNK_BYTES));
        }
    }

    fn put_aside(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        self.chunk_bytes += self.bytes.len();
        let bytes = std::mem::take(&mut self.bytes);
        // Others than those of usual size are not worth being kept.
        self.chunks.push_back(match bytes.capacity() {
            CHUNK_BYTES => Bytes::from_owner(Full(bytes)),
            _ => Bytes::from(bytes),
        });
    }

    /// Moves what is in memory to disk.
    ///
    /// # Errors
    /// The disk is full; everything is as it was.
    pub(crate) fn spill(&mut self, spool: &Arc<Spool>) -> io::Result<()> {
        self.put_aside();
        self.bytes = Vec::new();
        while let Some(chunk) = self.chunks.front() {
            let start = spool.append(chunk)?;
            self.spilled.push(Stretch {
                spool: Arc::clone(spool),
                start,
                length: chunk.len(),
            });
            self.spilled_bytes += chunk.len();
            self.chunk_bytes -= chunk.len();
            self.chunks.pop_front();
        }
        Ok(())
    }

    /// The stretches that are on disk, one after the other.
    ///
    /// # Errors
    /// The disk fails.
    fn read_back(&mut self) -> Result<Vec<u8>> {
        let mut all = Vec::with_capacity(self.spilled_bytes);
        for stretch in std::mem::take(&mut self.spilled) {
            let from = all.len();
            all.resize(from + stretch.length, 0);
            stretch
                .spool
                .file
                .read_exact_at(&mut all[from..], stretch.start)
                .map_err(|error| {
                    Error::retriable("reading back what was spilled to disk").with_source(error)
                })?;
        }
        self.spilled_bytes = 0;
        Ok(all)
    }

    /// Takes everything out, in one piece.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn take(&mut self) -> Result<Vec<u8>> {
        if self.spilled.is_empty() && self.chunks.is_empty() {
            return Ok(std::mem::take(&mut self.bytes));
        }
        let mut all = self.read_back()?;
        for chunk in self.chunks.drain(..) {
            all.extend_from_slice(&chunk);
        }
        self.chunk_bytes = 0;
        all.append(&mut self.bytes);
        self.bytes = Vec::new();
        Ok(all)
    }

    /// Takes everything out as it lies there.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn take_chunks(&mut self) -> Result<PutPayload> {
        self.take_front(self.len())
    }

    /// Takes out so many bytes from the front.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn take_front(&mut self, count: usize) -> Result<PutPayload> {
        if !self.spilled.is_empty() {
            let front = self.read_back()?;
            self.chunk_bytes += front.len();
            self.chunks.push_front(Bytes::from(front));
        }
        self.put_aside();
        let mut taken = Vec::new();
        let mut missing = count;
        while missing > 0
            && let Some(mut chunk) = self.chunks.pop_front()
        {
            if chunk.len() > missing {
                self.chunks.push_front(chunk.split_off(missing));
            }
            missing -= chunk.len();
            self.chunk_bytes -= chunk.len();
            taken.push(chunk);
        }
        Ok(taken.into_iter().collect())
    }
}

/// The default of `s3.sink.memory.bytes`: a quarter of what the container, or else the machine, has.
pub(crate) fn default_budget() -> usize {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let limits = [
        read("/sys/fs/cgroup/memory.max"),
        read("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    ];
    quarter(&limits, &read("/proc/meminfo"))
}

/// A quarter of the first limit that is one (version 2 of control groups writes `max` for none), or
/// of the machine's memory where that is less.
fn quarter(limits: &[String], meminfo: &str) -> usize {
    let limit = limits
        .iter()
        .find_map(|text| text.trim().parse::<usize>().ok())
        .unwrap_or(usize::MAX);
    let machine = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<usize>().ok())
        .map_or(usize::MAX, |kilobytes| kilobytes.saturating_mul(1024));
    limit.min(machine) / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spilled_comes_back_in_order() {
        let spool = Spool::new(&std::env::temp_dir()).expect("a folder");
        let (mut one, mut other) = (Waiting::default(), Waiting::default());
        for round in 0..3u8 {
            one.bytes.extend_from_slice(&[round; 10]);
            other.bytes.extend_from_slice(&[round + 100; 3]);
            one.spill(&spool).expect("spilled");
            other.spill(&spool).expect("spilled");
        }
        one.bytes.push(9);
        assert_eq!((one.len(), other.len()), (31, 9));
        assert_eq!(other.held(), 0);
        let back = one.take().expect("read");
        assert_eq!(back[9..11], [0, 1]);
        assert_eq!((back.len(), back[30]), (31, 9));
        assert_eq!(other.take().expect("read")[8], 102);
        assert_eq!(one.len(), 0);
    }

    #[test]
    fn large_buffers_are_chunks_that_are_cut_where_it_is_asked() {
        let spool = Spool::new(&std::env::temp_dir()).expect("a folder");
        let mut waiting = Waiting::default();
        let mut all = Vec::new();
        for round in 0..200u32 {
            let line = vec![(round % 251) as u8; 10_000];
            waiting.bytes.extend_from_slice(&line);
            waiting.appended();
            all.extend_from_slice(&line);
            if round == 70 {
                waiting.spill(&spool).expect("spilled");
            }
        }
        assert!(waiting.chunks.len() > 3);
        assert!(
            waiting
                .chunks
                .iter()
                .all(|chunk| chunk.len() <= CHUNK_BYTES)
        );
        let front = Bytes::from(waiting.take_front(1_234_567).expect("read"));
        assert_eq!(front, all[..1_234_567]);
        assert_eq!(waiting.len(), all.len() - 1_234_567);
        let rest = Bytes::from(waiting.take_chunks().expect("read"));
        assert_eq!(rest, all[1_234_567..]);
        assert_eq!((waiting.len(), waiting.held()), (0, 0));
    }

    #[test]
    fn chunks_are_used_again_when_their_bytes_are_gone() {
        let place = |waiting: &mut Waiting| {
            for _ in 0..2 {
                let room = CHUNK_BYTES - waiting.bytes.len();
                waiting.bytes.extend(std::iter::repeat_n(7, room));
                waiting.appended();
            }
            waiting.chunks.back().map(|chunk| chunk.as_ptr())
        };
        let share = Share::default();
        let mut waiting = Waiting::default();
        let places: Vec<_> = (0..20)
            .map(|_| {
                let place = place(&mut waiting);
                drop(waiting.take_chunks().expect("taken"));
                place
            })
            .collect();
        let again = |index: usize| places[..index].contains(&places[index]);
        assert!((1..20).any(again), "{places:?}");
        assert!(emptied().len() <= MAX_EMPTIED);
        drop(share);
    }

    #[test]
    fn the_default_budget_is_some_of_the_memory() {
        let budget = default_budget();
        assert!(budget > 1024 * 1024 && budget < usize::MAX / 4, "{budget}");
        let machine = "MemFree: 1 kB\nMemTotal:       16000 kB\n";
        let none = String::new();
        for (limits, expected) in [
            ([none.clone(), none.clone()], 4_096_000),
            (["max\n".to_owned(), none.clone()], 4_096_000),
            (["8000000\n".to_owned(), none.clone()], 2_000_000),
            ([none, "400\n".to_owned()], 100),
            (["99999999999".to_owned(), String::new()], 4_096_000),
        ] {
            assert_eq!(quarter(&limits, machine), expected, "{limits:?}");
        }
    }
}

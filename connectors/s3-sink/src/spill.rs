//! Bytes that may wait on disk: open files hold little, but there can be thousands of them, and a
//! store takes no parts below five megabytes.
//!
//! A [`Spool`] is one temporary file that many [`Waiting`] buffers append to; it has no name and goes
//! with the last of them. Knows nothing of what the bytes are.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use connect_api::{Error, Result};

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

/// A buffer of which the front may be on disk.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    spilled: Vec<Stretch>,
    spilled_bytes: usize,
    /// The end, in memory, to append to.
    pub(crate) bytes: Vec<u8>,
}

impl Waiting {
    /// All bytes, on disk and in memory.
    pub(crate) fn len(&self) -> usize {
        self.spilled_bytes + self.bytes.len()
    }
    /// What it takes of the memory.
    pub(crate) fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Moves what is in memory to disk.
    ///
    /// # Errors
    /// The disk is full; everything is as it was.
    pub(crate) fn spill(&mut self, spool: &Arc<Spool>) -> io::Result<()> {
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
            return Ok(());
        }
        let start = spool.append(&self.bytes)?;
        self.spilled.push(Stretch {
            spool: Arc::clone(spool),
            start,
            length: self.bytes.len(),
        });
        self.spilled_bytes += self.bytes.len();
        self.bytes = Vec::new();
        Ok(())
    }

    /// The stretches that are on disk, one after the other.
    ///
    /// # Errors
    /// The disk fails.
    fn read_back(&mut self) -> Result<Vec<u8>> {
        let mut all = Vec::with_capacity(self.len());
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

    /// Takes everything out.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn take(&mut self) -> Result<Vec<u8>> {
        if self.spilled.is_empty() {
            return Ok(std::mem::take(&mut self.bytes));
        }
        let mut all = self.read_back()?;
        all.append(&mut self.bytes);
        self.bytes = Vec::new();
        Ok(all)
    }
}

/// The default of `s3.sink.memory.bytes`: a quarter of what the container, or else the machine, has.
pub(crate) fn default_budget() -> usize {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let limit = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ]
    .iter()
    .find_map(|path| read(path).trim().parse::<usize>().ok())
    .unwrap_or(usize::MAX);
    let machine = read("/proc/meminfo")
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
    fn the_default_budget_is_some_of_the_memory() {
        let budget = default_budget();
        assert!(budget > 1024 * 1024 && budget < usize::MAX / 4, "{budget}");
    }
}

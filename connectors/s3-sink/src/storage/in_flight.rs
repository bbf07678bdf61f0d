//! What is on its way into stores: counted, so that tasks wait and consumers pause while there is
//! much of it. Never blocks whoever hands over.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What all sink tasks of the process together may have on its way before they are to take no more
/// records. One batch of records may go beyond it.
const PROCESS_LIMIT_BYTES: usize = 16 * 1024 * 1024;
/// What an upload counts at least: it also holds a connection and its bookkeeping.
const MIN_UPLOAD_BYTES: usize = 64 * 1024;

/// Bytes that were handed to uploads and are not yet stored.
#[derive(Debug)]
pub(crate) struct InFlight {
    bytes: AtomicUsize,
    limit: usize,
}

impl InFlight {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes: AtomicUsize::new(0),
            limit,
        })
    }

    /// That of the process.
    pub(crate) fn of_process() -> Arc<Self> {
        static PROCESS: OnceLock<Arc<InFlight>> = OnceLock::new();
        Arc::clone(PROCESS.get_or_init(|| Self::new(PROCESS_LIMIT_BYTES)))
    }

    /// Whether more may be handed over.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) < self.limit
    }

    /// Counts bytes until the load is dropped.
    pub(crate) fn load(self: &Arc<Self>, bytes: usize) -> Load {
        let bytes = bytes.max(MIN_UPLOAD_BYTES);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Load {
            of: Arc::clone(self),
            bytes,
        }
    }
}

/// One upload's share.
#[derive(Debug)]
pub(crate) struct Load {
    of: Arc<InFlight>,
    bytes: usize,
}

impl Drop for Load {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_until_the_limit_and_again_when_loads_end() {
        let all = InFlight::new(100_000);
        let small = all.load(1);
        assert!(all.has_room());
        let large = all.load(90_000);
        assert!(!all.has_room());
        drop(small);
        assert!(all.has_room());
        drop(large);
        assert_eq!(all.bytes.load(Ordering::Relaxed), 0);
    }
}

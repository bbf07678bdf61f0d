//! What a transaction of a source task holds, and when it ends.
//!
//! Decides; talks to no producer. Answers for the `TransactionBoundaryManager`s of
//! `ExactlyOnceWorkerSourceTask` (KIP-618).

use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_api::Props;
use connect_api::record::{SourceOffset, SourcePartition};

use super::submitted::PartitionOffsets;

/// What ends a transaction (`transaction.boundary`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// Each batch of the source.
    Poll,
    /// A time.
    Interval(Duration),
    /// The connector says so.
    Connector,
}

impl Boundary {
    /// A connector's boundary; `flush_interval` is the time where it gives none.
    pub fn of(props: &Props, flush_interval: Duration) -> Self {
        let text = |key: &str| props.get(key).map(|text| text.trim());
        match text("transaction.boundary")
            .unwrap_or("poll")
            .to_ascii_lowercase()
            .as_str()
        {
            "interval" => Self::Interval(
                text("transaction.boundary.interval.ms")
                    .and_then(|text| text.parse().ok())
                    .map_or(flush_interval, Duration::from_millis),
            ),
            "connector" => Self::Connector,
            _ => Self::Poll,
        }
    }
}

/// The transaction of now: the newest offset of each source partition in it.
#[derive(Debug)]
pub struct Transaction {
    boundary: Boundary,
    /// How long progress without records may wait.
    progress_interval: Duration,
    last_end: Instant,
    /// Whether the producer has begun it.
    pub is_open: bool,
    records: usize,
    offsets: PartitionOffsets,
}

impl Transaction {
    /// Nothing in it yet.
    pub fn new(boundary: Boundary, progress_interval: Duration, now: Instant) -> Self {
        Self {
            boundary,
            progress_interval,
            last_end: now,
            is_open: false,
            records: 0,
            offsets: Vec::new(),
        }
    }

    /// A record was sent.
    pub fn sent(&mut self, partition: &Arc<SourcePartition>, offset: Arc<dyn SourceOffset>) {
        self.records += 1;
        self.reached(partition, offset);
    }

    /// The source got to this offset.
    pub fn reached(&mut self, partition: &Arc<SourcePartition>, offset: Arc<dyn SourceOffset>) {
        let known = self
            .offsets
            .iter_mut()
            .find(|(known, _)| Arc::ptr_eq(known, partition) || known == partition);
        match known {
            Some((_, newest)) => *newest = offset,
            None => self.offsets.push((Arc::clone(partition), offset)),
        }
    }

    /// Whether it ends after a record; `said` is whether the connector says so.
    pub fn ends_after_record(&self, said: bool) -> bool {
        said && self.boundary == Boundary::Connector
    }

    /// Whether it ends after a batch, or when there was none for a while; `more` of the batch may
    /// follow.
    pub fn ends_after_batch(&self, more: bool, now: Instant) -> bool {
        let waited = now.saturating_duration_since(self.last_end);
        match self.boundary {
            _ if self.offsets.is_empty() => false,
            _ if self.records == 0 => waited >= self.progress_interval,
            Boundary::Poll => !more,
            Boundary::Interval(interval) => waited >= interval,
            Boundary::Connector => false,
        }
    }

    /// Whether what it holds is committed where the task pauses or stops: the connector's own
    /// transactions are not cut short.
    pub fn ends_at_rest(&self) -> bool {
        !self.offsets.is_empty() && self.boundary != Boundary::Connector
    }

    /// What is to be committed with it.
    pub fn offsets(&self) -> &PartitionOffsets {
        &self.offsets
    }

    /// How many records it holds.
    pub fn records(&self) -> usize {
        self.records
    }

    /// It is committed: the next one begins empty.
    pub fn ended(&mut self, now: Instant) {
        self.is_open = false;
        self.records = 0;
        self.last_end = now;
        self.offsets.clear();
    }
}

#[cfg(test)]
mod tests {
    use connect_api::data::{ByteString, Value};
    use connect_api::record::OffsetMap;

    use super::*;

    fn map(number: i64) -> OffsetMap {
        let mut map = OffsetMap::new();
        map.insert(ByteString::from("p"), Value::Int64(number));
        map
    }
    fn boundary(entries: &[(&str, &str)]) -> Boundary {
        let props = entries
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Boundary::of(&props, Duration::from_secs(60))
    }
    fn with_one_record(boundary: Boundary, now: Instant) -> Transaction {
        let mut transaction = Transaction::new(boundary, Duration::from_secs(60), now);
        transaction.sent(&Arc::new(map(0)), Arc::new(map(1)));
        transaction
    }

    #[test]
    fn the_boundary_is_the_connectors_choice() {
        assert_eq!(boundary(&[]), Boundary::Poll);
        assert_eq!(
            boundary(&[("transaction.boundary", "CONNECTOR")]),
            Boundary::Connector
        );
        let interval = ("transaction.boundary", "interval");
        assert_eq!(
            boundary(&[interval]),
            Boundary::Interval(Duration::from_secs(60))
        );
        assert_eq!(
            boundary(&[interval, ("transaction.boundary.interval.ms", "5")]),
            Boundary::Interval(Duration::from_millis(5))
        );
    }

    #[test]
    fn each_boundary_ends_a_transaction_at_its_own_time() {
        let now = Instant::now();
        let poll = with_one_record(Boundary::Poll, now);
        assert!(poll.ends_after_batch(false, now) && !poll.ends_after_record(true));
        assert!(!poll.ends_after_batch(true, now), "a part of a batch");
        let interval = with_one_record(Boundary::Interval(Duration::from_secs(5)), now);
        assert!(!interval.ends_after_batch(false, now + Duration::from_secs(4)));
        assert!(interval.ends_after_batch(false, now + Duration::from_secs(5)));
        assert!(interval.ends_at_rest());
        let own = with_one_record(Boundary::Connector, now);
        assert!(
            !own.ends_after_batch(false, now + Duration::from_secs(600)) && !own.ends_at_rest()
        );
        assert!(own.ends_after_record(true) && !own.ends_after_record(false));
    }

    #[test]
    fn without_records_progress_waits_for_the_flush_interval() {
        let now = Instant::now();
        let mut transaction = Transaction::new(Boundary::Poll, Duration::from_secs(60), now);
        assert!(!transaction.ends_after_batch(false, now + Duration::from_secs(600)));
        transaction.reached(&Arc::new(map(0)), Arc::new(map(1)));
        assert!(!transaction.ends_after_batch(false, now + Duration::from_secs(59)));
        assert!(transaction.ends_after_batch(false, now + Duration::from_secs(60)));
    }

    #[test]
    fn the_newest_offset_of_each_partition_is_committed_once() {
        let now = Instant::now();
        let mut transaction = with_one_record(Boundary::Poll, now);
        transaction.sent(&Arc::new(map(0)), Arc::new(map(2)));
        transaction.sent(&Arc::new(map(9)), Arc::new(map(3)));
        let offsets: Vec<_> = transaction
            .offsets()
            .iter()
            .map(|(_, offset)| offset.to_map())
            .collect();
        assert_eq!(offsets, [map(2), map(3)]);
        transaction.ended(now);
        assert!(transaction.offsets().is_empty() && transaction.records() == 0);
    }
}

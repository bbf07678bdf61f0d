//! Which source offsets may be stored: those below the first record that Kafka has not acknowledged.
//!
//! Each source partition numbers its records. Deliveries come in any order (Kafka partitions are
//! independent of each other) and set bits; the run of set bits at the front is the watermark. An
//! offset becomes committable when the watermark has passed its record, and with it all before it.
//! Answers for `SubmittedRecords`.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::kafka::KafkaError;
use connect_api::record::{SourceOffset, SourcePartition};

use super::outbox::LANES;
use crate::kafka::producer::Deliveries;

/// A token is a source partition's index, a lane of the [outbox](super::outbox), and the low bits of
/// a record's number in its source partition; the rest follows from what is acknowledged.
const LANE_SHIFT: u32 = u32::BITS;
const PARTITION_SHIFT: u32 = LANE_SHIFT + LANES.count_ones();
/// In place of a source partition whose offsets a transaction holds.
const NO_PARTITION: u64 = u64::MAX >> PARTITION_SHIFT;

/// The token of a record that belongs to no lane and whose delivery its transaction tells of.
pub const NO_TOKEN: usize = usize::MAX;

fn token(partition: u64, lane: usize, number: u64) -> usize {
    let low = number & u64::from(u32::MAX);
    (partition << PARTITION_SHIFT | ((lane & LANES) as u64) << LANE_SHIFT | low) as usize
}

/// The token of a record whose delivery its transaction tells of.
pub fn token_in_transaction(lane: usize) -> usize {
    token(NO_PARTITION, lane, 0)
}

/// Acknowledgements of one source partition.
#[derive(Debug, Default)]
struct Watermark {
    /// All records below this number are in Kafka; a multiple of 64.
    base: u64,
    /// One bit for each record from `base` on.
    bits: VecDeque<u64>,
}

impl Watermark {
    /// Takes a number's low bits: it is less than 2^31 from the base.
    fn set(&mut self, number: u32) {
        let ahead = number.wrapping_sub(self.base as u32);
        if ahead > u32::MAX / 2 {
            return;
        }
        let word = (ahead / 64) as usize;
        while self.bits.len() <= word {
            self.bits.push_back(0);
        }
        self.bits[word] |= 1 << (ahead % 64);
        while self.bits.front() == Some(&u64::MAX) {
            self.bits.pop_front();
            self.base += 64;
        }
    }
    /// The first number that is not acknowledged.
    fn value(&self) -> u64 {
        self.base + u64::from(self.bits.front().map_or(0, |word| word.trailing_ones()))
    }
}

/// Hears of deliveries.
#[derive(Debug, Default)]
pub struct Acknowledgements {
    /// Whether a record that Kafka refuses counts as done.
    tolerant: bool,
    state: Mutex<AckState>,
}

#[derive(Debug, Default)]
struct AckState {
    watermarks: Vec<Watermark>,
    /// How many deliveries each lane has had since it was asked.
    landed: Vec<u32>,
    failure: Option<KafkaError>,
}

impl AckState {
    fn acknowledge(&mut self, token: usize) {
        if let Some(watermark) = self.watermarks.get_mut(token >> PARTITION_SHIFT) {
            watermark.set(token as u32);
        }
    }
}

impl Acknowledgements {
    /// None yet. With `tolerant`, a record that Kafka refuses counts as done.
    pub fn new(tolerant: bool) -> Self {
        Self {
            tolerant,
            state: Mutex::default(),
        }
    }
    /// A record that was not sent, by the tolerance of the one who sends, counts as done.
    pub fn forgo(&self, token: usize) {
        self.lock().acknowledge(token);
    }
    fn lock(&self) -> MutexGuard<'_, AckState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// How many records of each lane were delivered, or refused, since this was asked: into
    /// `counts`, whose memory is used again.
    pub fn landed(&self, counts: &mut Vec<u32>) {
        counts.fill(0);
        std::mem::swap(&mut self.lock().landed, counts);
    }
    /// Why a record will never be in Kafka, if there is one.
    pub fn failure(&self) -> Option<KafkaError> {
        self.lock().failure.clone()
    }
}

impl Deliveries for Acknowledgements {
    fn delivered(&self, token: usize, failure: Option<&KafkaError>) {
        let mut state = self.lock();
        let lane = (token >> LANE_SHIFT) & LANES;
        if lane < LANES {
            if state.landed.len() <= lane {
                state.landed.resize(lane + 1, 0);
            }
            state.landed[lane] += 1;
        }
        if let Some(failure) = failure {
            if !self.tolerant {
                state.failure.get_or_insert_with(|| failure.clone());
                return;
            }
            tracing::error!(error = %failure, "failed to send a record; errors.tolerance drops it");
        }
        state.acknowledge(token);
    }
}

/// Offsets on their way to be committable.
#[derive(Debug, Default)]
pub struct Submitted {
    partitions: Vec<Partition>,
    by_address: HashMap<usize, usize>,
    last: Option<(usize, usize)>,
}

#[derive(Debug)]
struct Partition {
    /// The first `Arc` that named it; kept, so that its address stays its own.
    name: Arc<SourcePartition>,
    /// The number of the next record.
    next: u64,
    /// Offsets with the watermark that makes each committable.
    queue: VecDeque<(u64, Arc<dyn SourceOffset>)>,
    /// The newest committable offset that is not stored yet.
    committable: Option<Arc<dyn SourceOffset>>,
    /// How many offsets became committable since they were asked for.
    settled: usize,
}

/// Offsets by source partition.
pub type PartitionOffsets = Vec<(Arc<SourcePartition>, Arc<dyn SourceOffset>)>;

impl Submitted {
    fn index(&mut self, acks: &Acknowledgements, partition: &Arc<SourcePartition>) -> usize {
        let address = Arc::as_ptr(partition) as usize;
        if let Some((last, index)) = self.last
            && last == address
            && Arc::ptr_eq(&self.partitions[index].name, partition)
        {
            return index;
        }
        let index = match self.by_address.get(&address) {
            Some(&index) => index,
            None => self
                .partitions
                .iter()
                .position(|known| known.name == *partition)
                .unwrap_or_else(|| {
                    self.by_address.insert(address, self.partitions.len());
                    self.partitions.push(Partition {
                        name: Arc::clone(partition),
                        next: 0,
                        queue: VecDeque::new(),
                        committable: None,
                        settled: 0,
                    });
                    acks.lock().watermarks.push(Watermark::default());
                    self.partitions.len() - 1
                }),
        };
        self.last = Some((address, index));
        index
    }

    /// The token that a record is to be sent with.
    pub fn token(
        &mut self,
        acks: &Acknowledgements,
        partition: &Arc<SourcePartition>,
        lane: usize,
    ) -> usize {
        let index = self.index(acks, partition);
        token(index as u64, lane, self.partitions[index].next)
    }

    /// The record with the token last given was sent.
    pub fn sent(&mut self, token: usize, offset: Arc<dyn SourceOffset>) {
        let partition = &mut self.partitions[token >> PARTITION_SHIFT];
        partition.next += 1;
        partition.queue.push_back((partition.next, offset));
    }

    /// The source got to this offset without a further record.
    pub fn progress(
        &mut self,
        acks: &Acknowledgements,
        partition: &Arc<SourcePartition>,
        offset: Arc<dyn SourceOffset>,
    ) {
        let index = self.index(acks, partition);
        let partition = &mut self.partitions[index];
        match partition.queue.back_mut() {
            // An idle source reports progress for ever.
            Some(last) if last.0 == partition.next => last.1 = offset,
            _ => partition.queue.push_back((partition.next, offset)),
        }
    }

    /// Whether any record waits to be acknowledged.
    pub fn has_pending(&self, acks: &Acknowledgements) -> bool {
        let state = acks.lock();
        self.partitions
            .iter()
            .zip(&state.watermarks)
            .any(|(partition, watermark)| watermark.value() < partition.next)
    }

    /// Lets go of what was acknowledged, but for the newest offset of each source partition. Called
    /// often, it keeps no more than what is on its way.
    pub fn settle(&mut self, acks: &Acknowledgements) {
        let state = acks.lock();
        for (partition, watermark) in self.partitions.iter_mut().zip(&state.watermarks) {
            let value = watermark.value();
            while partition
                .queue
                .front()
                .is_some_and(|(needed, _)| *needed <= value)
            {
                partition.committable = partition.queue.pop_front().map(|(_, offset)| offset);
                partition.settled += 1;
            }
        }
    }

    /// The newest committable offset of each source partition that has one which is not stored yet,
    /// and the number of records that they cover.
    pub fn committable(&mut self, acks: &Acknowledgements) -> (PartitionOffsets, usize) {
        self.settle(acks);
        let mut count = 0;
        let mut offsets = Vec::new();
        for partition in &mut self.partitions {
            count += std::mem::take(&mut partition.settled);
            if let Some(offset) = &partition.committable {
                offsets.push((Arc::clone(&partition.name), Arc::clone(offset)));
            }
        }
        (offsets, count)
    }

    /// The offsets that [`Self::committable`] gave last are stored.
    pub fn stored(&mut self) {
        for partition in &mut self.partitions {
            partition.committable = None;
        }
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
    fn numbers((offsets, _): (PartitionOffsets, usize)) -> Vec<(i64, i64)> {
        let number = |map: &OffsetMap| map.get("p").and_then(Value::as_i64).expect("set");
        offsets
            .iter()
            .map(|(name, offset)| (number(name), number(&offset.to_map())))
            .collect()
    }
    fn send(
        submitted: &mut Submitted,
        acks: &Acknowledgements,
        partition: &Arc<SourcePartition>,
        offset: i64,
    ) -> usize {
        let token = submitted.token(acks, partition, 0);
        submitted.sent(token, Arc::new(map(offset)));
        token
    }

    #[test]
    fn only_the_acknowledged_front_is_committable() {
        let (mut submitted, acks) = (Submitted::default(), Acknowledgements::default());
        let partition = Arc::new(map(0));
        let tokens: Vec<usize> = (1..=200)
            .map(|offset| send(&mut submitted, &acks, &partition, offset))
            .collect();
        for &token in &tokens[1..150] {
            acks.delivered(token, None);
        }
        assert_eq!(numbers(submitted.committable(&acks)), []);
        acks.delivered(tokens[0], None);
        assert_eq!(numbers(submitted.committable(&acks)), [(0, 150)]);
        assert_eq!(
            numbers(submitted.committable(&acks)),
            [(0, 150)],
            "until it is stored"
        );
        submitted.stored();
        assert_eq!(numbers(submitted.committable(&acks)), []);
        assert!(submitted.has_pending(&acks));
        for &token in tokens[150..].iter().rev() {
            acks.delivered(token, None);
        }
        assert_eq!(numbers(submitted.committable(&acks)), [(0, 200)]);
        assert!(!submitted.has_pending(&acks));
    }

    #[test]
    fn what_was_acknowledged_is_not_kept() {
        let (mut submitted, acks) = (Submitted::default(), Acknowledgements::default());
        let partition = Arc::new(map(0));
        for offset in 1..=100 {
            let token = send(&mut submitted, &acks, &partition, offset);
            acks.delivered(token, None);
            submitted.settle(&acks);
            assert_eq!(submitted.partitions[0].queue.len(), 0);
        }
        let (offsets, count) = submitted.committable(&acks);
        assert_eq!(count, 100, "all that were sent since the last time");
        assert_eq!(numbers((offsets, count)), [(0, 100)]);
        assert_eq!(submitted.committable(&acks).1, 0);
    }

    #[test]
    fn source_partitions_do_not_wait_for_each_other() {
        let (mut submitted, acks) = (Submitted::default(), Acknowledgements::default());
        let (a, b) = (Arc::new(map(1)), Arc::new(map(2)));
        let first = send(&mut submitted, &acks, &a, 10);
        let second = send(&mut submitted, &acks, &b, 20);
        // The same partition under another address.
        let third = send(&mut submitted, &acks, &Arc::new(map(2)), 21);
        acks.delivered(second, None);
        acks.delivered(third, None);
        assert_eq!(numbers(submitted.committable(&acks)), [(2, 21)]);
        acks.delivered(first, None);
        assert_eq!(numbers(submitted.committable(&acks)), [(1, 10), (2, 21)]);
    }

    #[test]
    fn a_refused_record_holds_its_offset_back_for_ever() {
        let (mut submitted, acks) = (Submitted::default(), Acknowledgements::default());
        let partition = Arc::new(map(0));
        let first = send(&mut submitted, &acks, &partition, 1);
        let second = send(&mut submitted, &acks, &partition, 2);
        acks.delivered(first, Some(&KafkaError::Canceled));
        acks.delivered(second, None);
        assert_eq!(numbers(submitted.committable(&acks)), []);
        assert!(acks.failure().is_some());
    }

    #[test]
    fn a_refused_record_counts_as_done_where_errors_are_tolerated() {
        let (mut submitted, acks) = (Submitted::default(), Acknowledgements::new(true));
        let partition = Arc::new(map(0));
        let token = send(&mut submitted, &acks, &partition, 1);
        acks.delivered(token, Some(&KafkaError::Canceled));
        assert_eq!(numbers(submitted.committable(&acks)), [(0, 1)]);
        assert!(acks.failure().is_none());
    }

    #[test]
    fn progress_waits_for_the_records_before_it() {
        let (mut submitted, acks) = (Submitted::default(), Acknowledgements::default());
        let partition = Arc::new(map(0));
        let token = send(&mut submitted, &acks, &partition, 1);
        for offset in [2, 3] {
            submitted.progress(&acks, &partition, Arc::new(map(offset)));
        }
        assert_eq!(numbers(submitted.committable(&acks)), []);
        acks.delivered(token, None);
        assert_eq!(numbers(submitted.committable(&acks)), [(0, 3)]);
    }
}

//! Partitions in turn, whatever the keys: librdkafka has no partitioner of that kind.
//!
//! The turn goes as in Java, in the order of the `HashMap` in which its client holds the partitions of
//! all topics that it writes to. Answers for `RoundRobinPartitioner`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use connect_api::java::HashMap as JavaHashMap;
use connect_api::record::{Topic, TopicPartition};
use rdkafka::producer::{PARTITION_UA, Partitioner};

/// The class by which Java's producer is told to do this.
pub const CLASS: &str = "org.apache.kafka.clients.producer.RoundRobinPartitioner";

/// How long librdkafka may take to make partitions available that have a leader.
const JOINING: Duration = Duration::from_secs(5);

/// The turns of all topics.
#[derive(Debug)]
pub struct RoundRobin {
    topics: Mutex<HashMap<Topic, Turn>>,
    joining: Duration,
}

impl Default for RoundRobin {
    fn default() -> Self {
        Self {
            topics: Mutex::default(),
            joining: JOINING,
        }
    }
}

#[derive(Debug)]
struct Turn {
    records: usize,
    /// All partitions, in Java's order.
    partitions: Vec<i32>,
    /// Since when there are so many of them.
    since: Instant,
}

/// Has all topics' partitions in the order of one map.
fn arrange(topics: &mut HashMap<Topic, Turn>) {
    let total = topics.values().map(|turn| turn.partitions.len()).sum();
    let mut all = JavaHashMap::with_capacity(total);
    for (topic, turn) in topics.iter() {
        for partition in (0..).take(turn.partitions.len()) {
            let topic = topic.clone();
            all.insert(TopicPartition { topic, partition }, ());
        }
    }
    for turn in topics.values_mut() {
        turn.partitions.clear();
    }
    for of in all.keys() {
        if let Some(turn) = topics.get_mut(&of.topic) {
            turn.partitions.push(of.partition);
        }
    }
}

impl Partitioner for RoundRobin {
    fn partition(
        &self,
        topic: &str,
        _key: Option<&[u8]>,
        count: i32,
        is_available: impl Fn(i32) -> bool,
    ) -> i32 {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let length = usize::try_from(count).unwrap_or(0);
        let known = topics.get(topic).map(|turn| turn.partitions.len());
        if known != Some(length) {
            let turn = Turn {
                records: topics.get(topic).map_or(0, |turn| turn.records),
                partitions: (0..count).collect(),
                since: Instant::now(),
            };
            topics.insert(Topic::from(topic), turn);
            arrange(&mut topics);
        }
        let Some(turn) = topics.get_mut(topic) else {
            return PARTITION_UA;
        };
        let joining = turn.since.elapsed() < self.joining;
        let number = turn.records;
        turn.records = number.wrapping_add(1);
        let of_these = |mut list: Vec<i32>| match list.len() {
            0 => None,
            length => Some(list.swap_remove(number % length)),
        };
        let available = turn
            .partitions
            .iter()
            .copied()
            .filter(|of| joining || is_available(*of));
        of_these(available.collect())
            .or_else(|| of_these(turn.partitions.clone()))
            .unwrap_or(PARTITION_UA)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_has_its_own_turn_over_what_is_available() {
        let partitioner = RoundRobin {
            joining: Duration::ZERO,
            ..RoundRobin::default()
        };
        let turn = |topic, missing| {
            partitioner.partition(topic, Some(b"same key"), 3, |number| number != missing)
        };
        let whole: Vec<i32> = (0..4).map(|_| turn("whole", 9)).collect();
        let mut sorted = whole[..3].to_vec();
        sorted.sort_unstable();
        assert_eq!((sorted, whole[3]), (vec![0, 1, 2], whole[0]));
        let part: Vec<i32> = (0..4).map(|_| turn("part", 1)).collect();
        assert!(part == [0, 2, 0, 2] || part == [2, 0, 2, 0], "{part:?}");
        let joining = RoundRobin::default();
        let mut new: Vec<i32> = (0..3)
            .map(|_| joining.partition("new", None, 3, |number| number == 0))
            .collect();
        new.sort_unstable();
        assert_eq!(new, [0, 1, 2], "the others are still joining");
        // It goes where it would be, and waits there.
        assert!((0..2).contains(&partitioner.partition("away", None, 2, |_| false)));
        assert_eq!(
            partitioner.partition("none", None, 0, |_| true),
            PARTITION_UA
        );
    }
}

//! Records on their way from a source task to its producer, gathered by topic.
//!
//! librdkafka has one request of numbered records under way per partition, and polls without a pause
//! while more of them are due. So it is given what makes one request, and of that topic nothing more
//! until all of it is delivered; what is converted meanwhile waits here and makes the next one. Small
//! batches under a small load and large ones under a large load follow from that. Pure: the one who
//! owns it brings the clock and the producer. Answers for `RecordAccumulator`.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use connect_api::record::Topic;

use crate::kafka::ClientConfig;
use crate::kafka::producer::{Outgoing, OutgoingHeaders, Refused};

/// How many lanes there are at most; topics beyond share them.
pub const LANES: usize = (1 << 12) - 1;
/// What waits at most, in bytes; one record more than that can.
const MOST_WAITING: usize = 8 * 1024 * 1024;
/// A chunk is no smaller than this where batches are: a topic may have many partitions.
const LEAST_CHUNK: usize = 128 * 1024;
/// A chunk has so many records: what is handed over before it lingers long enough to be sent. It is
/// more than Java's default batch holds of any record.
const USUAL_RECORDS: usize = 400;
/// The same where `batch.size` was set: no more than a batch of librdkafka's.
const MOST_RECORDS: usize = 10_000;
/// What a record takes at most beside key, value and headers, with room for some headers.
const RECORD_OVERHEAD: usize = 70;
/// A value of this length is moved, not copied.
const LARGE_VALUE: usize = 256 * 1024;
/// How many emptied chunks are kept for the next, and up to which size.
const SPARE_CHUNKS: usize = 4;
const SPARE_BYTES: usize = 2 * 1024 * 1024;

/// How long records are gathered at least while the source has more at hand.
const GATHERED_UNDER_LOAD: Duration = Duration::from_millis(5);

/// A record to send.
#[derive(Debug)]
pub struct Sent<'a> {
    /// Where to.
    pub topic: &'a Topic,
    /// The partition; `None` lets the key decide.
    pub partition: Option<i32>,
    /// The key's bytes.
    pub key: Option<&'a [u8]>,
    /// The value's bytes; many of them are taken, few are copied.
    pub value: Option<&'a mut Vec<u8>>,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// The headers; `None` for none.
    pub headers: Option<OutgoingHeaders>,
    /// What its delivery is told with.
    pub token: usize,
}

#[derive(Debug)]
enum Held {
    None,
    /// In the chunk's bytes, of this length.
    Copied(usize),
    Moved(Vec<u8>),
}

#[derive(Debug)]
struct Waiting {
    topic: Topic,
    partition: Option<i32>,
    key: Option<usize>,
    value: Held,
    timestamp: Option<i64>,
    headers: Option<OutgoingHeaders>,
    token: usize,
}

/// What one request takes.
#[derive(Debug)]
struct Chunk {
    records: VecDeque<Waiting>,
    /// Keys and values, one after the other; those up to `handed` are with the producer.
    bytes: Vec<u8>,
    handed: usize,
    /// What it takes in a request.
    size: usize,
    count: usize,
    since: Instant,
}

/// The records of a topic.
#[derive(Debug, Default)]
struct Lane {
    /// How many are with the producer and not delivered.
    under_way: usize,
    chunks: VecDeque<Chunk>,
    is_due: bool,
}

/// Why a record was not sent.
#[derive(Debug)]
pub struct Failed {
    /// Its topic.
    pub topic: Topic,
    /// Its token.
    pub token: usize,
    /// Never [`Refused::Full`].
    pub why: Refused,
}

/// Records that wait for their turn.
#[derive(Debug)]
pub struct Outbox {
    lanes: Vec<Lane>,
    by_topic: HashMap<Topic, usize>,
    /// Lanes with records of which none is under way.
    due: VecDeque<usize>,
    waiting_bytes: usize,
    waiting: usize,
    spare: Vec<Chunk>,
    chunk_size: usize,
    chunk_records: usize,
    most_waiting: usize,
    linger: Duration,
}

impl Outbox {
    /// For a producer with these settings; `linger` is how long records are gathered at least.
    pub fn new(config: &ClientConfig, linger: Duration) -> Self {
        let number = |key: &str| config.get(key).and_then(|text| text.parse::<usize>().ok());
        let (batch, chunk_records) = match number("batch.size") {
            None => (1_000_000, USUAL_RECORDS),
            Some(batch) => (batch, MOST_RECORDS),
        };
        let request = number("message.max.bytes").unwrap_or(usize::MAX);
        let queue = number("queue.buffering.max.kbytes").unwrap_or(usize::MAX);
        Self {
            lanes: Vec::new(),
            by_topic: HashMap::new(),
            due: VecDeque::new(),
            waiting_bytes: 0,
            waiting: 0,
            spare: Vec::new(),
            // Below the batch's size: what is left over would be due while the rest is under way.
            chunk_size: (batch.min(request) / 16 * 15).max(LEAST_CHUNK),
            chunk_records,
            most_waiting: MOST_WAITING.min(queue.saturating_mul(1024)),
            linger,
        }
    }

    /// The lane of a topic.
    pub fn lane(&mut self, topic: &Topic) -> usize {
        if let Some(&lane) = self.by_topic.get(topic) {
            return lane;
        }
        let lane = self.by_topic.len() % LANES;
        if lane == self.lanes.len() {
            self.lanes.push(Lane::default());
        }
        self.by_topic.insert(topic.clone(), lane);
        lane
    }

    /// Whether another record may wait.
    pub fn has_room(&self) -> bool {
        self.waiting_bytes < self.most_waiting
    }

    /// Whether no record waits. Those that are with the producer do not.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Adds a record; `true` if what makes a request can be handed over.
    pub fn push(&mut self, lane_index: usize, sent: Sent<'_>, now: impl Fn() -> Instant) -> bool {
        let lane = &mut self.lanes[lane_index];
        let is_full =
            |chunk: &Chunk| chunk.size >= self.chunk_size || chunk.count >= self.chunk_records;
        if lane.chunks.back().is_none_or(is_full) {
            let since = now();
            lane.chunks.push_back(match self.spare.pop() {
                Some(spare) => Chunk { since, ..spare },
                None => Chunk {
                    records: VecDeque::new(),
                    bytes: Vec::new(),
                    handed: 0,
                    size: 0,
                    count: 0,
                    since,
                },
            });
        }
        let Some(chunk) = lane.chunks.back_mut() else {
            return false;
        };
        let length = sent.value.as_ref().map_or(0, |value| value.len());
        let size = sent.key.map_or(0, <[u8]>::len) + length + RECORD_OVERHEAD;
        chunk.bytes.extend_from_slice(sent.key.unwrap_or_default());
        let value = match sent.value {
            None => Held::None,
            Some(value) if length >= LARGE_VALUE => Held::Moved(std::mem::take(value)),
            Some(value) => {
                chunk.bytes.extend_from_slice(value);
                Held::Copied(length)
            }
        };
        chunk.records.push_back(Waiting {
            topic: sent.topic.clone(),
            partition: sent.partition,
            key: sent.key.map(<[u8]>::len),
            value,
            timestamp: sent.timestamp,
            headers: sent.headers,
            token: sent.token,
        });
        chunk.size += size;
        chunk.count += 1;
        self.waiting_bytes += size;
        self.waiting += 1;
        let full = lane.chunks.front().is_some_and(is_full);
        if lane.under_way == 0 && !lane.is_due {
            lane.is_due = true;
            self.due.push_back(lane_index);
        }
        full && lane.under_way == 0
    }

    /// So many records of each lane were delivered, or never will be.
    pub fn landed(&mut self, counts: &[u32]) {
        for (index, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let Some(lane) = self.lanes.get_mut(index) else {
                continue;
            };
            lane.under_way = lane.under_way.saturating_sub(count as usize);
            if lane.under_way == 0 && !lane.chunks.is_empty() && !lane.is_due {
                lane.is_due = true;
                self.due.push_back(index);
            }
        }
    }

    /// How long records are gathered, where the source has more at hand and where it has not.
    pub fn gathers(&self, more: bool) -> Duration {
        match more {
            true => self.linger.max(GATHERED_UNDER_LOAD),
            false => self.linger,
        }
    }

    /// Hands over a chunk of each topic of which nothing is under way, if it is full or as old as
    /// `gathered`.
    ///
    /// # Errors
    /// A record that the producer does not take; it no longer waits, and the next call goes on.
    pub fn hand_over(
        &mut self,
        gathered: Duration,
        now: Instant,
        mut send: impl FnMut(Outgoing<'_>, usize) -> Result<(), Refused>,
    ) -> Result<(), Failed> {
        for _ in 0..self.due.len() {
            let Some(index) = self.due.pop_front() else {
                break;
            };
            let lane = &mut self.lanes[index];
            let Some(mut chunk) = lane.chunks.pop_front() else {
                lane.is_due = false;
                continue;
            };
            let is_full = chunk.size >= self.chunk_size || chunk.count >= self.chunk_records;
            // What was begun is ended: the producer's queue was full.
            let is_begun = chunk.handed > 0;
            if !is_full && !is_begun && now.saturating_duration_since(chunk.since) < gathered {
                lane.chunks.push_front(chunk);
                self.due.push_back(index);
                continue;
            }
            let outcome = chunk.send(&mut send);
            lane.under_way += outcome.sent;
            self.waiting -= outcome.gone;
            self.waiting_bytes -= outcome.gone_bytes;
            if !chunk.records.is_empty() {
                lane.chunks.push_front(chunk);
                self.due.push_front(index);
            } else {
                // Where all of it failed, nothing will be delivered that would call for the next.
                lane.is_due = lane.under_way == 0 && !lane.chunks.is_empty();
                if lane.is_due {
                    self.due.push_back(index);
                }
                if self.spare.len() < SPARE_CHUNKS && chunk.bytes.capacity() <= SPARE_BYTES {
                    chunk.clear();
                    self.spare.push(chunk);
                }
            }
            match outcome.end {
                None => {}
                Some((_, _, Refused::Full(_))) => break,
                Some((topic, token, why)) => return Err(Failed { topic, token, why }),
            }
        }
        Ok(())
    }
}

/// What became of a chunk's records.
struct Outcome {
    sent: usize,
    gone: usize,
    gone_bytes: usize,
    end: Option<(Topic, usize, Refused)>,
}

impl Chunk {
    fn clear(&mut self) {
        self.records.clear();
        self.bytes.clear();
        (self.handed, self.size, self.count) = (0, 0, 0);
    }

    /// Sends what is left, up to the first record that is refused.
    fn send(
        &mut self,
        send: &mut impl FnMut(Outgoing<'_>, usize) -> Result<(), Refused>,
    ) -> Outcome {
        let mut outcome = Outcome {
            sent: 0,
            gone: 0,
            gone_bytes: 0,
            end: None,
        };
        while let Some(record) = self.records.front_mut() {
            let key_length = record.key.unwrap_or(0);
            let (key, rest) = self.bytes[self.handed..].split_at(key_length);
            let (value, copied) = match &record.value {
                Held::None => (None, 0),
                Held::Copied(length) => (Some(&rest[..*length]), *length),
                Held::Moved(value) => (Some(&value[..]), 0),
            };
            let size = key_length + value.map_or(0, <[u8]>::len) + RECORD_OVERHEAD;
            let outgoing = Outgoing {
                topic: &record.topic,
                partition: record.partition,
                key: record.key.map(|_| key),
                value,
                timestamp: record.timestamp,
                headers: record.headers.take(),
            };
            match send(outgoing, record.token) {
                Ok(()) => outcome.sent += 1,
                Err(Refused::Full(headers)) => {
                    record.headers = headers;
                    let topic = record.topic.clone();
                    outcome.end = Some((topic, record.token, Refused::Full(None)));
                    return outcome;
                }
                Err(why) => outcome.end = Some((record.topic.clone(), record.token, why)),
            }
            self.handed += key_length + copied;
            outcome.gone += 1;
            outcome.gone_bytes += size;
            self.records.pop_front();
            if outcome.end.is_some() {
                return outcome;
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An outbox with a producer that takes so many records.
    struct World {
        outbox: Outbox,
        start: Instant,
        room: usize,
        sent: Vec<(String, String, usize)>,
    }

    impl World {
        fn new(linger_ms: u64) -> Self {
            let mut config = ClientConfig::new();
            config.set("batch.size", "160000");
            Self {
                outbox: Outbox::new(&config, Duration::from_millis(linger_ms)),
                start: Instant::now(),
                room: usize::MAX,
                sent: Vec::new(),
            }
        }
        fn push(&mut self, topic: &str, value: &str, token: usize) -> bool {
            let topic = Topic::from(topic);
            let lane = self.outbox.lane(&topic);
            let sent = Sent {
                topic: &topic,
                partition: None,
                key: Some(b"k"),
                value: Some(&mut value.as_bytes().to_vec()),
                timestamp: Some(1),
                headers: None,
                token,
            };
            self.outbox.push(lane, sent, || self.start)
        }
        fn hand_over(&mut self, more: bool, after_ms: u64) -> Result<(), Failed> {
            let (room, sent) = (&mut self.room, &mut self.sent);
            let gathers = self.outbox.gathers(more);
            let now = self.start + Duration::from_millis(after_ms);
            self.outbox.hand_over(gathers, now, |outgoing, token| {
                assert_eq!(outgoing.key, Some(&b"k"[..]));
                if *room == 0 {
                    return Err(Refused::Full(outgoing.headers));
                }
                let value = outgoing.value.unwrap_or_default();
                if value == b"bad" {
                    return Err(Refused::TooLarge(connect_api::Error::fatal("bad")));
                }
                *room -= 1;
                let value = String::from_utf8_lossy(value).into_owned();
                sent.push((outgoing.topic.to_owned(), value, token));
                Ok(())
            })
        }
        fn tokens(&mut self) -> Vec<usize> {
            std::mem::take(&mut self.sent)
                .into_iter()
                .map(|(_, _, token)| token)
                .collect()
        }
    }

    #[test]
    fn a_topic_has_one_hand_over_at_a_time_with_the_producer() {
        let mut world = World::new(0);
        world.push("a", "1", 1);
        world.push("a", "2", 2);
        world.hand_over(false, 0).expect("sent");
        assert_eq!(world.tokens(), [1, 2]);
        world.push("a", "3", 3);
        world.push("b", "4", 4);
        world.push("a", "5", 5);
        world.hand_over(false, 0).expect("sent");
        assert_eq!(world.tokens(), [4], "another topic does not wait");
        world.outbox.landed(&[1, 0]);
        world.hand_over(false, 0).expect("sent");
        assert!(world.tokens().is_empty(), "half of it is still under way");
        world.outbox.landed(&[1, 1]);
        world.hand_over(false, 0).expect("sent");
        assert_eq!(world.tokens(), [3, 5]);
        assert!(world.outbox.is_empty());
    }

    #[test]
    fn what_is_not_full_lingers() {
        let mut world = World::new(20);
        world.push("a", "1", 1);
        world.hand_over(false, 19).expect("sent");
        assert!(world.tokens().is_empty());
        world.hand_over(false, 20).expect("sent");
        assert_eq!(world.tokens(), [1]);
        let mut world = World::new(0);
        world.push("a", "1", 1);
        world.hand_over(true, 4).expect("sent");
        assert!(world.tokens().is_empty(), "the source has more at hand");
        world.hand_over(true, 5).expect("sent");
        assert_eq!(world.tokens(), [1]);
    }

    #[test]
    fn what_is_full_does_not_linger_and_is_one_request() {
        let mut world = World::new(1000);
        let value = "x".repeat(1000);
        let full = (1..=200).find(|token| world.push("a", &value, *token));
        assert_eq!(full, Some(141), "151,011 of the 150,000 bytes of a chunk");
        for token in 142..=300 {
            world.push("a", &value, token);
        }
        world.hand_over(true, 0).expect("sent");
        assert_eq!(world.tokens(), (1..=141).collect::<Vec<_>>());
        world.outbox.landed(&[141]);
        world.hand_over(true, 0).expect("sent");
        assert_eq!(world.tokens(), (142..=282).collect::<Vec<_>>());
        assert!(world.sent.iter().all(|(_, sent, _)| *sent == value));
    }

    #[test]
    fn a_request_has_few_records_unless_the_batch_size_was_set() {
        let mut world = World::new(1000);
        let full = (1..).find(|token| world.push("a", "x", *token));
        assert_eq!(full, Some(2084), "2084 times 72 bytes");
        world.outbox = Outbox::new(&ClientConfig::new(), Duration::ZERO);
        let full = (1..).find(|token| world.push("a", "x", *token));
        assert_eq!(full, Some(USUAL_RECORDS));
    }

    #[test]
    fn what_the_producer_has_no_room_for_goes_first_when_it_has() {
        let mut world = World::new(0);
        for token in 1..=5 {
            world.push("a", "x", token);
        }
        world.push("b", "x", 6);
        world.room = 2;
        world.hand_over(false, 0).expect("sent");
        assert_eq!(world.tokens(), [1, 2]);
        world.room = 10;
        world.push("a", "x", 7);
        world.hand_over(true, 0).expect("sent");
        assert_eq!(world.tokens(), [3, 4, 5, 7], "begun is ended");
        world.hand_over(false, 0).expect("sent");
        assert_eq!(world.tokens(), [6]);
    }

    #[test]
    fn a_record_that_is_refused_does_not_hold_the_others() {
        let mut world = World::new(0);
        for (token, value) in [(1, "bad"), (2, "x"), (3, "bad")] {
            world.push("a", value, token);
        }
        for refused in [1, 3] {
            let failed = world.hand_over(false, 0).expect_err("refused");
            assert_eq!((&*failed.topic, failed.token), ("a", refused));
        }
        assert_eq!(world.tokens(), [2]);
        world.push("a", "x", 4);
        world.outbox.landed(&[1]);
        world.hand_over(false, 0).expect("sent");
        assert_eq!(world.tokens(), [4]);
        assert!(world.outbox.is_empty());
    }

    #[test]
    fn what_waits_is_limited_and_large_values_are_whole() {
        let mut world = World::new(0);
        let large = "y".repeat(LARGE_VALUE);
        let pushed = (0..100)
            .take_while(|token| {
                let room = world.outbox.has_room();
                if room {
                    world.push("a", &large, *token);
                    world.push("a", "small", 1000 + token);
                }
                room
            })
            .count();
        assert_eq!(pushed, MOST_WAITING / LARGE_VALUE);
        let mut handed = Vec::new();
        while !world.outbox.is_empty() {
            world.hand_over(false, 0).expect("sent");
            let under_way = u32::try_from(world.sent.len()).expect("few");
            world.outbox.landed(&[under_way]);
            handed.append(&mut world.sent);
        }
        assert_eq!(handed.len(), 2 * pushed);
        for pair in handed.chunks(2) {
            assert_eq!((&pair[0].1, &*pair[1].1), (&large, "small"));
        }
        assert!(world.outbox.has_room());
    }

    #[test]
    fn more_topics_than_lanes_share_them() {
        let mut world = World::new(0);
        for token in 0..LANES + 2 {
            world.push(&format!("t{token}"), "x", token);
        }
        world.hand_over(false, 0).expect("sent");
        assert_eq!(world.sent.len(), LANES + 2);
        assert_eq!(world.sent[0].0, "t0");
        assert_eq!(world.sent[1].0, format!("t{LANES}"));
    }
}

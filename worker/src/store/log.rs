//! A compacted topic read from its beginning to its end and on, and written to.
//!
//! A write can be waited for until it has been read back. Answers for `KafkaBasedLog`.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use connect_api::context::StopSignal;
use connect_api::error::Chain;
use connect_api::{Error, Props, Result};

use crate::kafka::admin::{Admin, TopicPlan};
use crate::kafka::consumer::{LogConsumer, LogEvent, LogRecord};
use crate::kafka::producer::{KeyValue, StoreProducer};
use crate::kafka::{API_TIMEOUT, ClientConfig};

/// How long a poll waits. Each ends with a busy fraction of a millisecond in the client, so they
/// are long; a record ends the wait at once, and stopping does not wait for it.
const POLL: Duration = Duration::from_secs(5);
/// The pause before the topic's ends are asked for again: an election takes about this long.
const ENDS_PAUSE: Duration = Duration::from_millis(50);
/// How long records may be on their way before what is left is taken for markers.
const MARKERS_PATIENCE: Duration = Duration::from_millis(200);

/// One of the worker's topics as its properties describe it.
#[derive(Clone, Debug)]
pub struct StoreTopic {
    /// Its name.
    pub name: String,
    /// The property that names it, for error texts.
    pub property: &'static str,
    /// What it holds, for error texts.
    pub holds: &'static str,
    /// Partitions where it is created.
    pub partitions: i32,
    /// Replicas where it is created.
    pub replication_factor: i32,
    /// Further settings where it is created.
    pub config: Props,
}

impl StoreTopic {
    /// Creates the topic where it is missing; checks it where it is there.
    ///
    /// # Errors
    /// It cannot be created, or is not compacted.
    pub fn ensure(&self, admin: &Admin) -> Result<()> {
        let mut config = vec![("cleanup.policy".to_owned(), "compact".to_owned())];
        config.extend(
            self.config
                .iter()
                .map(|(key, value)| (key.clone(), value.clone())),
        );
        let plan = TopicPlan {
            name: self.name.clone(),
            partitions: self.partitions,
            replication_factor: self.replication_factor,
            config,
        };
        if admin.create_topic(&plan)? {
            tracing::info!(topic = self.name, "created compacted topic");
            return Ok(());
        }
        let Some(policy) = admin.topic_setting(&self.name, "cleanup.policy")? else {
            tracing::info!(
                topic = self.name,
                "not authorized to read the topic's cleanup.policy"
            );
            return Ok(());
        };
        if policy == "compact" {
            return Ok(());
        }
        let (topic, property, holds) = (&self.name, self.property, self.holds);
        Err(Error::fatal(format!(
            "Topic '{topic}' supplied via the '{property}' property is required to have \
             'cleanup.policy=compact' to guarantee consistency and durability of {holds}, but \
             found the topic currently has 'cleanup.policy={policy}'. Continuing would likely \
             result in eventually losing {holds} and problems restarting this Connect cluster in \
             the future. Change the '{property}' property in the Connect worker configurations to \
             use a topic with 'cleanup.policy=compact'."
        )))
    }
}

#[derive(Clone, Copy, Default)]
struct Position {
    next: i64,
    /// Whether the end was reached at some time.
    ended: bool,
}

#[derive(Default)]
struct Progress {
    state: Mutex<ProgressState>,
    changed: Condvar,
}

#[derive(Default)]
struct ProgressState {
    positions: Vec<Position>,
    /// What has to be read before the log counts as read; `None` until it is known.
    ends: Option<Vec<Option<i64>>>,
    /// What reads; there once the topic is.
    consumer: Option<Arc<LogConsumer>>,
    /// Ends that were asked for later; an end that is reached after this has reached them.
    wanted: Option<Vec<Option<i64>>>,
    failure: Option<Error>,
}

impl ProgressState {
    fn is_read(&self) -> bool {
        self.ends.as_ref().is_some_and(|ends| {
            ends.iter().zip(&self.positions).all(|(end, position)| {
                // The end alone is not enough: transaction markers have offsets, too.
                end.is_none_or(|end| position.next >= end || position.ended)
            })
        })
    }
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, ProgressState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn wait_until(
        &self,
        deadline: Instant,
        done: impl Fn(&ProgressState) -> bool,
    ) -> Option<MutexGuard<'_, ProgressState>> {
        let mut state = self.lock();
        while !done(&state) && state.failure.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        Some(state)
    }
}

/// What is done with each record, on the log's thread.
pub type Handler = Box<dyn FnMut(LogRecord<'_>) + Send>;

/// Records that are read and written: a topic's, or for a worker without topics just its own.
pub struct TopicLog {
    topic: String,
    backing: Backing,
}

enum Backing {
    Topic {
        /// None where nothing is written.
        producer: Option<Arc<StoreProducer>>,
        progress: Arc<Progress>,
        stop: StopSignal,
    },
    /// What is written is handled at once; the number counts records.
    Memory(Mutex<(Handler, i64)>),
}

impl std::fmt::Debug for TopicLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicLog")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

impl TopicLog {
    /// Begins to read on a thread of its own.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        topic: &str,
        consumer: ClientConfig,
        producer: Option<Arc<StoreProducer>>,
        handler: Handler,
    ) -> Result<Self> {
        let progress = Arc::new(Progress::default());
        let stop = StopSignal::new();
        {
            let (topic, progress, stop) = (topic.to_owned(), Arc::clone(&progress), stop.clone());
            std::thread::Builder::new()
                .name(format!("log-{topic}"))
                .spawn(move || {
                    if let Err(error) = read(&topic, &consumer, &progress, &stop, handler) {
                        tracing::error!(topic, error = %Chain(&error), "reading stopped");
                        progress.lock().failure = Some(error);
                        progress.changed.notify_all();
                    }
                })
                .map_err(|error| Error::fatal("starting a thread").with_source(error))?;
        }
        Ok(Self {
            topic: topic.to_owned(),
            backing: Backing::Topic {
                producer,
                progress,
                stop,
            },
        })
    }

    /// A log that lives in memory only (`MemoryConfigBackingStore` and its like).
    pub fn memory(name: &str, handler: Handler) -> Self {
        Self {
            topic: name.to_owned(),
            backing: Backing::Memory(Mutex::new((handler, 0))),
        }
    }

    fn handle(memory: &Mutex<(Handler, i64)>, key: &[u8], value: Option<&[u8]>) {
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        let (handler, next) = &mut *memory;
        handler(LogRecord {
            partition: 0,
            offset: *next,
            key: Some(key),
            value,
        });
        *next += 1;
    }

    /// Waits until all that was there at the start has been read; answers the number of partitions.
    ///
    /// # Errors
    /// Reading failed, or took too long.
    pub fn wait_until_read(&self, limit: Duration) -> Result<usize> {
        let Backing::Topic { progress, .. } = &self.backing else {
            return Ok(1);
        };
        let Some(mut state) = progress.wait_until(Instant::now() + limit, ProgressState::is_read)
        else {
            return Err(Error::retriable(format!(
                "reading topic {} took more than {} s",
                self.topic,
                limit.as_secs()
            )));
        };
        if let Some(error) = state.failure.take() {
            return Err(error);
        }
        let (partitions, consumer) = (state.positions.len(), state.consumer.clone());
        drop(state);
        if consumer.is_some_and(|consumer| consumer.reads_committed()) {
            self.catch_up(limit)?;
        }
        Ok(partitions)
    }

    /// Waits until all that is in the topic now has been read (`KafkaBasedLog.readToEnd`).
    ///
    /// # Errors
    /// Reading failed, or took too long.
    pub fn catch_up(&self, limit: Duration) -> Result<()> {
        let Backing::Topic { progress, stop, .. } = &self.backing else {
            return Ok(());
        };
        let late = || {
            Error::retriable(format!(
                "reading topic {} to its end took more than {} s",
                self.topic,
                limit.as_secs()
            ))
        };
        let deadline = Instant::now() + limit;
        let consumer = progress
            .wait_until(deadline, |state| state.consumer.is_some())
            .and_then(|state| state.consumer.clone())
            .ok_or_else(late)?;
        if consumer.reads_committed() && !wait_for_transactions(&consumer, stop, deadline)? {
            return Err(late());
        }
        let Some(ends) = ends(&consumer, &self.topic, stop)? else {
            return Ok(());
        };
        let reached = |state: &ProgressState| {
            ends.iter()
                .zip(&state.positions)
                .all(|(end, position)| end.is_none_or(|end| position.next >= end))
        };
        if progress
            .wait_until(deadline.min(Instant::now() + MARKERS_PATIENCE), reached)
            .is_some()
        {
            return Ok(());
        }
        // What is left may be no records but markers of transactions. Reading on from where we are
        // tells of the end.
        {
            let mut state = progress.lock();
            for (index, (end, position)) in ends.iter().zip(&state.positions).enumerate() {
                if end.is_some_and(|end| position.next < end) {
                    consumer.seek(index, position.next)?;
                }
            }
            state.wanted = Some(ends.clone());
        }
        progress
            .wait_until(deadline, reached)
            .map(drop)
            .ok_or_else(late)
    }

    /// Writes records, waits until they are in Kafka and have been read back.
    ///
    /// # Errors
    /// They are not in Kafka, or not in time.
    pub fn write_and_read_back(&self, records: &[KeyValue], limit: Duration) -> Result<()> {
        let Backing::Topic { producer, .. } = &self.backing else {
            return self.write(records, limit);
        };
        let producer = producer.as_ref().ok_or_else(read_only)?;
        let deadline = Instant::now() + limit;
        let places = producer.write(&self.topic, records, limit)?;
        self.read_back(&places, deadline)
    }

    /// Waits until what lies at these places (partition, offset) has been read.
    ///
    /// # Errors
    /// It has not been in time.
    pub fn read_back(&self, places: &[(i32, i64)], deadline: Instant) -> Result<()> {
        let Backing::Topic { progress, .. } = &self.backing else {
            return Ok(());
        };
        let read_back = progress.wait_until(deadline, |state| {
            places.iter().all(|&(partition, offset)| {
                usize::try_from(partition)
                    .ok()
                    .and_then(|partition| state.positions.get(partition))
                    .is_some_and(|position| position.next > offset)
            })
        });
        match read_back {
            Some(_) => Ok(()),
            None => Err(Error::retriable(format!(
                "reading back from topic {} timed out",
                self.topic
            ))),
        }
    }

    /// Writes records and waits until they are in Kafka.
    ///
    /// # Errors
    /// They are not, or not in time.
    pub fn write(&self, records: &[KeyValue], limit: Duration) -> Result<()> {
        match &self.backing {
            Backing::Topic { producer, .. } => producer
                .as_ref()
                .ok_or_else(read_only)?
                .write(&self.topic, records, limit)
                .map(drop),
            Backing::Memory(memory) => {
                for (key, value) in records {
                    Self::handle(memory, key, value.as_deref());
                }
                Ok(())
            }
        }
    }

    /// Writes one record without waiting.
    pub fn send(&self, key: &[u8], value: Option<&[u8]>) {
        match &self.backing {
            Backing::Topic { producer, .. } => {
                if let Some(producer) = producer {
                    producer.send(&self.topic, key, value);
                }
            }
            Backing::Memory(memory) => Self::handle(memory, key, value),
        }
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Stops reading.
    pub fn stop(&self) {
        if let Backing::Topic { stop, .. } = &self.backing {
            stop.set();
        }
    }
}

fn read_only() -> Error {
    Error::fatal("the topic is only read")
}

/// Does what may fail for a while: a topic that was just created has no leader yet.
fn patiently<T>(stop: &StopSignal, mut work: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + API_TIMEOUT;
    loop {
        match work() {
            Err(error) if error.is_retriable() && Instant::now() < deadline => {
                tracing::debug!(error = %Chain(&error), "trying again");
                if stop.wait(Duration::from_millis(50)) {
                    return Err(error);
                }
            }
            result => return result,
        }
    }
}

fn read(
    topic: &str,
    config: &ClientConfig,
    progress: &Progress,
    stop: &StopSignal,
    mut handler: Handler,
) -> Result<()> {
    let consumer = Arc::new(patiently(stop, || LogConsumer::open(config, topic))?);
    let Some(ends) = ends(&consumer, topic, stop)? else {
        return Ok(());
    };
    {
        let mut state = progress.lock();
        state.positions = vec![Position::default(); consumer.partitions()];
        state.ends = Some(ends);
        state.consumer = Some(Arc::clone(&consumer));
        progress.changed.notify_all();
    }
    while !stop.is_set() {
        let polled = consumer.poll(POLL, |event| {
            let (partition, next) = match event {
                LogEvent::Record(record) => {
                    handler(record);
                    (record.partition, Some(record.offset + 1))
                }
                LogEvent::End(partition) => (partition, None),
            };
            let mut state = progress.lock();
            let Ok(partition) = usize::try_from(partition) else {
                return;
            };
            let wanted = state
                .wanted
                .as_ref()
                .and_then(|wanted| *wanted.get(partition)?);
            if let Some(position) = state.positions.get_mut(partition) {
                match next {
                    Some(next) => position.next = next,
                    None => {
                        position.ended = true;
                        position.next = position.next.max(wanted.unwrap_or(0));
                    }
                }
            }
            progress.changed.notify_all();
        });
        if let Err(error) = polled {
            // Brokers come and go; librdkafka connects again.
            tracing::warn!(topic, error = %Chain(&error), "reading");
            if !error.is_retriable() {
                stop.wait(Duration::from_secs(1));
            }
        }
    }
    Ok(())
}

/// Waits until the transactions that are under way now have ended; `false` if time ran out. Until
/// then a reader of committed records sees nothing behind the beginning of the oldest, whoever wrote
/// it: not even what was committed since (`requireAdminForOffsets` of `KafkaBasedLog`).
fn wait_for_transactions(
    consumer: &LogConsumer,
    stop: &StopSignal,
    deadline: Instant,
) -> Result<bool> {
    let written = patiently(stop, || consumer.written_ends())?;
    loop {
        let seen = patiently(stop, || consumer.ends())?;
        if seen
            .iter()
            .zip(&written)
            .all(|(seen, written)| seen >= written)
        {
            return Ok(true);
        }
        if Instant::now() >= deadline || stop.wait(ENDS_PAUSE) {
            return Ok(false);
        }
    }
}

/// The topic's ends; asks again while its leaders are being elected, as they are for a moment
/// after it was created. `None` when told to stop.
fn ends(
    consumer: &LogConsumer,
    topic: &str,
    stop: &StopSignal,
) -> Result<Option<Vec<Option<i64>>>> {
    let deadline = Instant::now() + API_TIMEOUT;
    loop {
        match consumer.ends() {
            Ok(ends) => return Ok(Some(ends)),
            Err(error) if error.is_retriable() && Instant::now() < deadline => {
                tracing::debug!(topic, error = %Chain(&error), "asking for the ends again");
                if stop.wait(ENDS_PAUSE) {
                    return Ok(None);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_once_every_partition_is_at_its_end_or_empty() {
        let mut state = ProgressState::default();
        assert!(!state.is_read(), "the ends are not known yet");
        state.positions = vec![Position::default(); 3];
        state.ends = Some(vec![None, Some(5), Some(7)]);
        assert!(!state.is_read());
        state.positions[1].next = 5;
        assert!(!state.is_read());
        // A transaction marker is the last thing in this one.
        state.positions[2] = Position {
            next: 6,
            ended: true,
        };
        assert!(state.is_read());
    }
}

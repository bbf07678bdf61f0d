//! Consumers: one that reads a topic of the worker's own from its beginning, and one that is a
//! member of a sink's consumer group.
//!
//! Rebalances do not call back into tasks from inside a poll: they are noted, and the task's loop
//! settles them once the poll has returned. Answers for `KafkaConsumer`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use connect_api::java::HashMap as JavaHashMap;
use connect_api::record::{TimestampType, Topic, TopicPartition};
use connect_api::sink::Offsets;
use connect_api::{Error, Result};
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol,
};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use super::admin::session_not_allowed;
use super::{API_TIMEOUT, ClientLog, LogContext, failed, oauth};

/// Reads all partitions of one topic from the beginning, without a group.
pub struct LogConsumer {
    consumer: BaseConsumer<LogContext>,
    config: ClientConfig,
    topic: String,
    partitions: usize,
}

impl std::fmt::Debug for LogConsumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogConsumer")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

/// A record of the worker's own topics.
#[derive(Clone, Copy, Debug)]
pub struct LogRecord<'a> {
    /// The partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// What a poll of a [`LogConsumer`] finds.
#[derive(Clone, Copy, Debug)]
pub enum LogEvent<'a> {
    /// A record.
    Record(LogRecord<'a>),
    /// All of this partition has been read.
    End(i32),
}

impl ConsumerContext for LogContext {}

impl LogConsumer {
    /// Takes all partitions of a topic that exists.
    ///
    /// # Errors
    /// The cluster does not answer, or has no such topic.
    pub fn open(config: &ClientConfig, topic: &str) -> Result<Self> {
        let mut config = config.clone();
        config.set("enable.partition.eof", "true");
        let log = ClientLog::new(config.get("client.id").unwrap_or("consumer"));
        let consumer: BaseConsumer<LogContext> = config
            .create_with_context(LogContext(log))
            .map_err(|error| failed("creating a Kafka consumer", &error, None))?;
        oauth::greet(&config, |limit| drop(consumer.poll(limit)));
        let doing = || format!("reading topic {topic}");
        let deadline = std::time::Instant::now() + API_TIMEOUT;
        // A topic that was just created may not be known everywhere yet.
        let partitions = loop {
            let log = Some(&consumer.context().0);
            let metadata = consumer
                .fetch_metadata(Some(topic), API_TIMEOUT)
                .map_err(|error| failed(doing(), &error, log))?;
            let found = metadata
                .topics()
                .iter()
                .find(|found| found.name() == topic && found.error().is_none())
                .map_or(0, |found| found.partitions().len());
            if found > 0 {
                break found;
            }
            if std::time::Instant::now() > deadline {
                return Err(Error::fatal(format!("topic {topic} does not exist")));
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let mut assignment = TopicPartitionList::with_capacity(partitions);
        for partition in 0..partitions {
            assignment
                .add_partition_offset(topic, partition_number(partition), Offset::Beginning)
                .map_err(|error| failed(doing(), &error, None))?;
        }
        consumer
            .assign(&assignment)
            .map_err(|error| failed(doing(), &error, None))?;
        Ok(Self {
            consumer,
            config,
            topic: topic.to_owned(),
            partitions,
        })
    }

    /// Whether it sees nothing of transactions that are under way, nor what lies behind their
    /// beginning.
    pub fn reads_committed(&self) -> bool {
        self.config.get("isolation.level") == Some("read_committed")
    }

    /// Reads a partition on from this offset.
    ///
    /// # Errors
    /// The client refuses.
    pub fn seek(&self, partition: usize, offset: i64) -> Result<()> {
        self.consumer
            .seek(
                &self.topic,
                partition_number(partition),
                Offset::Offset(offset),
                API_TIMEOUT,
            )
            .map_err(|error| self.failed(&error))
    }

    /// How many partitions the topic has.
    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// Whether each partition holds anything that is seen: its end offset, or `None` where it is
    /// empty.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub fn ends(&self) -> Result<Vec<Option<i64>>> {
        self.ends_for(&self.consumer)
    }

    /// The same with what belongs to transactions that are under way. A client of its own asks for
    /// it: the answer goes by the client's isolation level.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub fn written_ends(&self) -> Result<Vec<Option<i64>>> {
        let mut config = self.config.clone();
        config.set("isolation.level", "read_uncommitted");
        let log = ClientLog::new(config.get("client.id").unwrap_or("consumer"));
        let consumer: BaseConsumer<LogContext> = config
            .create_with_context(LogContext(log))
            .map_err(|error| failed("creating a Kafka consumer", &error, None))?;
        oauth::greet(&config, |limit| drop(consumer.poll(limit)));
        self.ends_for(&consumer)
    }

    fn ends_for(&self, consumer: &BaseConsumer<LogContext>) -> Result<Vec<Option<i64>>> {
        let mut asked = TopicPartitionList::with_capacity(self.partitions);
        for partition in 0..self.partitions {
            // The "time" of the end, as the ListOffsets request has it.
            asked
                .add_partition_offset(&self.topic, partition_number(partition), Offset::End)
                .map_err(|error| self.failed(&error))?;
        }
        let ends = consumer
            .offsets_for_times(asked, API_TIMEOUT)
            .map_err(|error| self.failed(&error))?;
        let mut found = vec![None; self.partitions];
        for element in ends.elements() {
            element.error().map_err(|error| self.failed(&error))?;
            if let (Offset::Offset(end), Ok(partition)) =
                (element.offset(), usize::try_from(element.partition()))
            {
                found[partition] = Some(end).filter(|end| *end > 0);
            }
        }
        Ok(found)
    }

    fn failed(&self, error: &KafkaError) -> Error {
        failed(
            format!("reading topic {}", self.topic),
            error,
            Some(&self.consumer.context().0),
        )
    }

    /// The next record or end, if there is one in time.
    ///
    /// # Errors
    /// A problem that librdkafka does not get over by itself.
    pub fn poll(&self, timeout: Duration, mut each: impl FnMut(LogEvent<'_>)) -> Result<bool> {
        match self.consumer.poll(timeout) {
            None => Ok(false),
            Some(Ok(message)) => {
                each(LogEvent::Record(LogRecord {
                    partition: message.partition(),
                    offset: message.offset(),
                    key: message.key(),
                    value: message.payload(),
                }));
                Ok(true)
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                each(LogEvent::End(partition));
                Ok(true)
            }
            Some(Err(error)) => Err(self.failed(&error)),
        }
    }
}

fn partition_number(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

/// A message in the consumer's memory.
#[derive(Debug)]
pub struct Message<'a>(BorrowedMessage<'a>);

impl Message<'_> {
    /// The topic.
    pub fn topic(&self) -> &str {
        self.0.topic()
    }
    /// The partition.
    pub fn partition(&self) -> i32 {
        self.0.partition()
    }
    /// The offset.
    pub fn offset(&self) -> i64 {
        self.0.offset()
    }
    /// The key's bytes.
    pub fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }
    /// The value's bytes.
    pub fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }
    /// Who set the timestamp, and the timestamp in milliseconds since the epoch.
    pub fn timestamp(&self) -> (TimestampType, i64) {
        match self.0.timestamp() {
            rdkafka::Timestamp::NotAvailable => (TimestampType::NoTimestamp, -1),
            rdkafka::Timestamp::CreateTime(ms) => (TimestampType::CreateTime, ms),
            rdkafka::Timestamp::LogAppendTime(ms) => (TimestampType::LogAppendTime, ms),
        }
    }
    /// Each header in turn.
    pub fn headers<T>(&self, mut each: impl FnMut(&str, Option<&[u8]>) -> T) -> Vec<T> {
        self.0.headers().map_or_else(Vec::new, |headers| {
            headers
                .iter()
                .map(|header| each(header.key, header.value))
                .collect()
        })
    }
}

/// A change of what a group member reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebalance {
    /// These partitions are new.
    Assigned(Vec<TopicPartition>),
    /// These go elsewhere.
    Revoked(Vec<TopicPartition>),
}

struct GroupContext {
    log: ClientLog,
    rebalances: Mutex<Vec<Rebalance>>,
    commit_failures: Mutex<Vec<KafkaError>>,
    closing: AtomicBool,
}

impl ClientContext for GroupContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;
    fn generate_oauth_token(
        &self,
        login: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.log.token(login)
    }
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.log.on_log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.log.on_error(&error, reason);
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        if self.closing.load(Ordering::Acquire) {
            // Nobody looks at rebalances any more, and leaving the group waits for this.
            let result = match consumer.rebalance_protocol() {
                RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
                _ => consumer.unassign(),
            };
            if let Err(error) = result {
                tracing::warn!(%error, "giving up the assignment");
            }
            return;
        }
        let partitions = from_list(partitions);
        let rebalance = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Rebalance::Assigned(partitions),
            _ => Rebalance::Revoked(partitions),
        };
        self.rebalances
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(rebalance);
    }
    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        match result {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            Err(error) => {
                self.commit_failures
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(error);
            }
        }
    }
}

fn from_list(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements()
        .iter()
        .map(|element| TopicPartition {
            topic: Topic::from(element.topic()),
            partition: element.partition(),
        })
        .collect()
}

fn to_list(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    list
}

fn to_offset_list(offsets: &Offsets) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (partition, offset) in offsets {
        list.add_partition_offset(
            &partition.topic,
            partition.partition,
            Offset::Offset(*offset),
        )?;
    }
    Ok(list)
}

/// A member of a consumer group, for one sink task's thread.
pub struct GroupConsumer {
    consumer: BaseConsumer<GroupContext>,
    group: String,
}

impl std::fmt::Debug for GroupConsumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupConsumer")
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl GroupConsumer {
    /// A consumer that is not yet subscribed.
    ///
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn new(config: &ClientConfig) -> Result<Self> {
        let context = GroupContext {
            log: ClientLog::new(config.get("client.id").unwrap_or("consumer")),
            rebalances: Mutex::default(),
            commit_failures: Mutex::default(),
            closing: AtomicBool::new(false),
        };
        let consumer: BaseConsumer<GroupContext> = config
            .create_with_context(context)
            .map_err(|error| failed("creating a Kafka consumer", &error, None))?;
        oauth::greet(config, |limit| drop(consumer.poll(limit)));
        let group = config.get("group.id").unwrap_or_default().to_owned();
        Ok(Self { consumer, group })
    }

    fn failed(&self, doing: &str, error: &KafkaError) -> Error {
        let log = &self.consumer.context().log;
        failed(
            format!("{doing} of consumer group {}", self.group),
            error,
            Some(log),
        )
    }

    /// Reads these topics from the next rebalance on.
    ///
    /// # Errors
    /// A name is impossible.
    pub fn subscribe(&self, topics: &[&str]) -> Result<()> {
        self.consumer
            .subscribe(topics)
            .map_err(|error| self.failed("subscribing", &error))
    }

    /// All topics of the cluster.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub fn topics(&self, timeout: Duration) -> Result<Vec<String>> {
        let metadata = self
            .consumer
            .fetch_metadata(None, timeout)
            .map_err(|error| self.failed("listing topics", &error))?;
        Ok(metadata
            .topics()
            .iter()
            .map(|topic| topic.name().to_owned())
            .collect())
    }

    /// The next message in time. Rebalances are found by [`Self::take_rebalances`] afterwards.
    ///
    /// # Errors
    /// A problem that librdkafka does not get over by itself.
    pub fn poll(&self, timeout: Duration) -> Result<Option<Message<'_>>> {
        match self.consumer.poll(timeout) {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(Message(message))),
            Some(Err(error)) => {
                let code = error.rdkafka_error_code();
                match code {
                    Some(RDKafkaErrorCode::AutoOffsetReset) => return Err(self.no_position()?),
                    Some(RDKafkaErrorCode::InvalidSessionTimeout) => {
                        return Err(session_not_allowed());
                    }
                    _ => {}
                }
                let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_))
                    || matches!(
                        code,
                        Some(
                            RDKafkaErrorCode::TopicAuthorizationFailed
                                | RDKafkaErrorCode::GroupAuthorizationFailed
                                | RDKafkaErrorCode::SaslAuthenticationFailed
                                | RDKafkaErrorCode::InconsistentGroupProtocol
                                | RDKafkaErrorCode::GroupMaxSizeReached
                        )
                    );
                if fatal {
                    return Err(self.failed("reading messages", &error));
                }
                // Unknown topics, brokers that are away: Java's client says so and goes on.
                tracing::warn!(group = self.group, %error, "reading messages");
                Ok(None)
            }
        }
    }

    /// Why reading has nowhere to begin under `auto.offset.reset=none`, in Java's words.
    ///
    /// # Errors
    /// The cluster does not answer.
    fn no_position(&self) -> Result<Error> {
        let failed = |error| self.failed("reading the offsets", &error);
        let assigned = self.consumer.assignment().map_err(failed)?;
        let assigned = from_list(&assigned);
        let committed = self.committed(&assigned, API_TIMEOUT)?;
        let without: JavaHashMap<&TopicPartition, ()> = assigned
            .iter()
            .filter(|partition| !committed.contains_key(*partition))
            .map(|partition| (partition, ()))
            .collect();
        if !without.is_empty() {
            let names: Vec<String> = without.keys().map(ToString::to_string).collect();
            let names = names.join(", ");
            return Ok(Error::fatal(format!(
                "Undefined offset with no reset policy for partitions: [{names}]"
            ))
            .with_class("org.apache.kafka.clients.consumer.NoOffsetForPartitionException"));
        }
        let mut outside = String::new();
        for (partition, offset) in &committed {
            let (low, high) = self
                .consumer
                .fetch_watermarks(&partition.topic, partition.partition, API_TIMEOUT)
                .map_err(failed)?;
            if !(low..=high).contains(offset) {
                outside = format!(" {offset} is out of range for partition {partition}");
                break;
            }
        }
        Ok(Error::fatal(format!("Fetch position{outside}"))
            .with_class("org.apache.kafka.clients.consumer.OffsetOutOfRangeException"))
    }

    /// Changes of the assignment since the last call, in order. Each has to be answered by
    /// [`Self::accept`].
    pub fn take_rebalances(&self) -> Vec<Rebalance> {
        let mut noted = self
            .consumer
            .context()
            .rebalances
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *noted)
    }

    /// Takes or gives up the partitions of a rebalance.
    ///
    /// # Errors
    /// librdkafka refuses.
    pub fn accept(&self, rebalance: &Rebalance) -> Result<()> {
        let cooperative = matches!(
            self.consumer.rebalance_protocol(),
            RebalanceProtocol::Cooperative
        );
        match (rebalance, cooperative) {
            (Rebalance::Assigned(partitions), false) => self.consumer.assign(&to_list(partitions)),
            (Rebalance::Assigned(partitions), true) => {
                self.consumer.incremental_assign(&to_list(partitions))
            }
            (Rebalance::Revoked(_), false) => self.consumer.unassign(),
            (Rebalance::Revoked(partitions), true) => {
                self.consumer.incremental_unassign(&to_list(partitions))
            }
        }
        .map_err(|error| self.failed("changing the assignment", &error))
    }

    /// Whether the partitions were taken away already, so that nothing can be committed.
    pub fn is_lost(&self) -> bool {
        self.consumer.assignment_lost()
    }

    /// Reads on from this offset.
    ///
    /// # Errors
    /// The partition is not ours.
    pub fn seek(&self, partition: &TopicPartition, offset: i64) -> Result<()> {
        self.consumer
            .seek(
                &partition.topic,
                partition.partition,
                Offset::Offset(offset),
                API_TIMEOUT,
            )
            .map_err(|error| self.failed("seeking", &error))
    }

    /// Stops the delivery of these partitions.
    ///
    /// # Errors
    /// A partition is not ours.
    pub fn pause(&self, partitions: &[TopicPartition]) -> Result<()> {
        self.consumer
            .pause(&to_list(partitions))
            .map_err(|error| self.failed("pausing", &error))
    }

    /// Resumes the delivery of these partitions.
    ///
    /// # Errors
    /// A partition is not ours.
    pub fn resume(&self, partitions: &[TopicPartition]) -> Result<()> {
        self.consumer
            .resume(&to_list(partitions))
            .map_err(|error| self.failed("resuming", &error))
    }

    /// Commits offsets; `wait` until the group's coordinator has them.
    ///
    /// # Errors
    /// They are not committed.
    pub fn commit(&self, offsets: &Offsets, wait: bool) -> Result<()> {
        let mode = if wait {
            CommitMode::Sync
        } else {
            CommitMode::Async
        };
        to_offset_list(offsets)
            .and_then(|list| self.consumer.commit(&list, mode))
            .map_err(|error| self.failed("committing offsets", &error))
    }

    /// What went wrong with commits that were not waited for.
    pub fn take_commit_failures(&self) -> Vec<Error> {
        let failures = std::mem::take(
            &mut *self
                .consumer
                .context()
                .commit_failures
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        failures
            .iter()
            .map(|error| self.failed("committing offsets", error))
            .collect()
    }

    /// The group's committed offsets of these partitions; those without are left out.
    ///
    /// # Errors
    /// The group's coordinator does not answer.
    pub fn committed(&self, partitions: &[TopicPartition], timeout: Duration) -> Result<Offsets> {
        let list = self
            .consumer
            .committed_offsets(to_list(partitions), timeout)
            .map_err(|error| self.failed("reading the offsets", &error))?;
        Ok(list
            .elements()
            .iter()
            .filter_map(|element| match element.offset() {
                Offset::Offset(offset) => Some((
                    TopicPartition {
                        topic: Topic::from(element.topic()),
                        partition: element.partition(),
                    },
                    offset,
                )),
                _ => None,
            })
            .collect())
    }
}

impl Drop for GroupConsumer {
    fn drop(&mut self) {
        self.consumer
            .context()
            .closing
            .store(true, Ordering::Release);
        // A rebalance that came in and was not answered would hold up the closing.
        if !self.take_rebalances().is_empty() {
            self.consumer.unassign().ok();
        }
    }
}

//! Topics that a plugin reads besides its records: the signals to a source connector.
//!
//! Partition 0 is taken without joining the group, whose committed offset says where to begin, as
//! Debezium's `KafkaSignalChannel` does. What one poll gave is committed by the next, and at the
//! end: a signal that was not carried out yet comes again after a kill.

use std::time::{Duration, Instant};

use connect_api::source::{TopicAccess, TopicReader, TopicRecord};
use connect_api::{Bytes, Error, Props, Result};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::translate::{Client, translate};
use super::{ClientLog, LogContext, failed};

/// The most records that one poll gives (Java's `max.poll.records`).
const POLL_RECORDS: usize = 500;
/// Records that are there come one by one from librdkafka's queue; this long it may take.
const POLL_TIME: Duration = Duration::from_millis(10);

/// Opens topics by Java clients' settings.
#[derive(Clone, Copy, Debug)]
pub struct KafkaTopics;

impl TopicAccess for KafkaTopics {
    fn open(&self, settings: &Props, topic: &str) -> Result<Box<dyn TopicReader>> {
        Ok(Box::new(PartitionReader::open(settings, topic)?))
    }
}

/// Reads partition 0 of a topic.
struct PartitionReader {
    consumer: BaseConsumer<LogContext>,
    topic: String,
    commits: bool,
    /// The offset after what the last poll gave, while it is not committed.
    read_up_to: Option<i64>,
}

impl PartitionReader {
    fn open(settings: &Props, topic: &str) -> Result<Self> {
        let mut settings = settings.clone();
        let mut or_default = |key: &str, value: String| {
            settings.entry(key.to_owned()).or_insert(value);
        };
        or_default("client.id", uuid::Uuid::new_v4().to_string());
        or_default("session.timeout.ms", "10000".to_owned());
        or_default("auto.offset.reset", "earliest".to_owned());
        let commits = settings
            .get("enable.auto.commit")
            .is_none_or(|text| !text.trim().eq_ignore_ascii_case("false"));
        let config = translate(Client::Consumer, &settings)?;
        let log = ClientLog::new(config.get("client.id").unwrap_or("signals"));
        let consumer: BaseConsumer<LogContext> = config
            .create_with_context(LogContext(log))
            .map_err(|error| failed("creating a Kafka consumer", &error, None))?;
        let mut assignment = TopicPartitionList::with_capacity(1);
        assignment
            .add_partition_offset(topic, 0, Offset::Stored)
            .and_then(|()| consumer.assign(&assignment))
            .map_err(|error| failed(format!("reading topic {topic}"), &error, None))?;
        Ok(Self {
            consumer,
            topic: topic.to_owned(),
            commits,
            read_up_to: None,
        })
    }

    fn failed(&self, error: &KafkaError) -> Error {
        let doing = format!("reading topic {}", self.topic);
        failed(doing, error, Some(&self.consumer.context().0))
    }

    fn commit(&mut self, mode: CommitMode) {
        let Some(offset) = self.read_up_to.take() else {
            return;
        };
        let mut list = TopicPartitionList::with_capacity(1);
        let result = list
            .add_partition_offset(&self.topic, 0, Offset::Offset(offset))
            .and_then(|()| self.consumer.commit(&list, mode));
        if let Err(error) = result {
            tracing::warn!(topic = self.topic, %error, "the position in the topic was not committed");
        }
    }
}

impl TopicReader for PartitionReader {
    fn poll(&mut self) -> Result<Vec<TopicRecord>> {
        if self.commits {
            self.commit(CommitMode::Async);
        }
        let copied = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice);
        let end = Instant::now() + POLL_TIME;
        let mut records = Vec::new();
        while records.len() < POLL_RECORDS {
            let left = end.saturating_duration_since(Instant::now());
            match self.consumer.poll(left) {
                None => break,
                Some(Ok(message)) => {
                    records.push((copied(message.key()), copied(message.payload())));
                    self.read_up_to = Some(message.offset() + 1);
                }
                // A topic that nobody has written to yet, brokers that are away: it comes back.
                Some(Err(error)) if is_fatal(&error) => return Err(self.failed(&error)),
                Some(Err(error)) => tracing::warn!(topic = self.topic, %error, "reading a topic"),
            }
        }
        Ok(records)
    }
}

fn is_fatal(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::GroupAuthorizationFailed
                    | RDKafkaErrorCode::SaslAuthenticationFailed
            )
        )
}

impl Drop for PartitionReader {
    fn drop(&mut self) {
        self.commit(CommitMode::Sync);
    }
}

//! The dead letter queue of a sink: bad messages as they came, with why in their headers.
//!
//! Answers for `DeadLetterQueueReporter`.

use connect_api::data::{ByteString, Bytes};
use connect_api::{Error, Props, Result};

use super::clients;
use super::lifecycle::TaskContext;
use super::tolerance::Failure;
use crate::kafka::admin::{Admin, TopicPlan, executed};
use crate::kafka::producer::{Outgoing, OutgoingHeaders, StoreProducer};

/// A message as it was consumed.
#[derive(Clone, Debug, Default)]
pub struct RawMessage {
    /// The topic.
    pub topic: ByteString,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The timestamp.
    pub timestamp: Option<i64>,
    /// `CreateTime` and so on.
    pub timestamp_type: &'static str,
    /// The key's bytes.
    pub key: Option<Bytes>,
    /// The value's bytes.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Vec<(ByteString, Option<Bytes>)>,
}

/// Where bad messages go.
#[derive(Debug)]
pub struct DeadLetterQueue {
    topic: String,
    with_context: bool,
    producer: StoreProducer,
    connector: String,
    task: String,
}

impl DeadLetterQueue {
    /// A sink's queue, its topic created where it is missing; `None` where the sink has none.
    ///
    /// # Errors
    /// The topic cannot be created.
    pub fn new(context: &TaskContext) -> Result<Option<Self>> {
        let props: &Props = &context.connector.props;
        let text = |key: &str| {
            props
                .get(key)
                .map(|text| text.trim())
                .filter(|text| !text.is_empty())
        };
        let Some(topic) = text("errors.deadletterqueue.topic.name") else {
            return Ok(None);
        };
        let id = &context.id;
        let worker = &context.parts.config;
        let replicas = text("errors.deadletterqueue.topic.replication.factor")
            .and_then(|text| text.parse().ok())
            .unwrap_or(3);
        let failed = |error: Error| {
            Error::fatal(format!(
                "Could not initialize dead letter queue with topic={topic}"
            ))
            .with_source(error)
        };
        let config = clients::admin(worker, &format!("connector-dlq-adminclient-{id}"), props)?;
        let admin = Admin::new(&config, context.parts.runtime.clone())?;
        if !admin
            .topics()
            .map_err(failed)?
            .iter()
            .any(|(name, _)| name == topic)
        {
            tracing::error!("Topic {topic} doesn't exist. Will attempt to create topic.");
            let plan = TopicPlan {
                name: topic.to_owned(),
                partitions: 1,
                replication_factor: replicas,
                config: Vec::new(),
            };
            admin
                .try_create_topic(&plan)
                .map_err(|error| failed(executed(error)))?;
        }
        Ok(Some(Self {
            topic: topic.to_owned(),
            with_context: text("errors.deadletterqueue.context.headers.enable")
                .is_some_and(|text| text.eq_ignore_ascii_case("true")),
            producer: StoreProducer::new(&clients::dead_letter_producer(worker, id, props)?)?,
            connector: id.connector.to_string(),
            task: id.task.to_string(),
        }))
    }

    /// Sends a bad message; what goes wrong is logged.
    pub fn send(&self, message: &RawMessage, failure: &Failure) {
        let mut headers = OutgoingHeaders::with_capacity(message.headers.len() + 10);
        for (name, value) in &message.headers {
            headers = headers.with(name, value.as_deref());
        }
        if self.with_context {
            for (name, value) in self.context(message, failure) {
                headers = headers.with(&format!("__connect.errors.{name}"), Some(value.as_bytes()));
            }
        }
        self.producer.send_record(Outgoing {
            topic: &self.topic,
            partition: None,
            key: message.key.as_deref(),
            value: message.value.as_deref(),
            timestamp: message.timestamp,
            headers: Some(headers),
        });
    }

    fn context(&self, message: &RawMessage, failure: &Failure) -> [(&'static str, String); 10] {
        [
            ("topic", message.topic.to_string()),
            ("partition", message.partition.to_string()),
            ("offset", message.offset.to_string()),
            ("connector.name", self.connector.clone()),
            ("task.id", self.task.clone()),
            ("stage", failure.stage.name().to_owned()),
            ("class.name", failure.class.to_owned()),
            (
                "exception.class.name",
                failure.error.java_class().to_owned(),
            ),
            ("exception.message", failure.error.message().to_owned()),
            ("exception.stacktrace", failure.error.trace()),
        ]
    }

    /// Waits until all that was sent is in Kafka: before offsets are committed.
    pub fn flush(&self) {
        if !self.producer.flush(std::time::Duration::from_secs(30)) {
            tracing::error!(
                topic = self.topic,
                "the dead letter queue could not be written in time"
            );
        }
    }
}

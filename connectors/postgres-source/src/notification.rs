//! Notifications: what snapshots tell of their progress.
//!
//! Into a topic (`sink`) and into the log (`log`); `jmx` is accepted and has no effect, for there is
//! no JVM. Answers for `NotificationService`, `InitialSnapshotNotificationService`,
//! `IncrementalSnapshotNotificationService` and `SinkNotificationChannel`.

use std::sync::Arc;

use connect_api::ByteString;
use connect_api::data::text::to_java_string;
use connect_api::data::{ConnectMap, Schema, SchemaAndValue, SchemaRef, Struct, Value};
use connect_api::record::{Record, SourceOffset, SourcePartition, SourceRecord};

use crate::config::PostgresConfig;
use crate::emitter::now_ns;

/// What a notification is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// The snapshot at the start, or a blocking one.
    Initial,
    /// One that runs along with the stream.
    Incremental,
}

impl Aggregate {
    const fn text(self) -> &'static str {
        match self {
            Self::Initial => "Initial Snapshot",
            Self::Incremental => "Incremental Snapshot",
        }
    }
}

/// Makes notifications and gives them to the enabled channels.
#[derive(Debug)]
pub struct Notifications {
    connector: String,
    log: bool,
    sink: Option<Sink>,
}

#[derive(Debug)]
struct Sink {
    topic: ByteString,
    partition: Arc<SourcePartition>,
    key: SchemaRef,
    value: SchemaRef,
}

impl Notifications {
    /// The channels of `notification.enabled.channels`.
    #[must_use]
    pub fn new(config: &PostgresConfig, partition: &Arc<SourcePartition>) -> Self {
        let enabled = |name: &str| {
            let mut channels = config.notification_enabled_channels.iter();
            channels.any(|channel| channel.trim() == name)
        };
        for channel in ["jmx", "http"] {
            if enabled(channel) {
                tracing::warn!("the notification channel {channel} is accepted and has no effect");
            }
        }
        let topic = config.notification_sink_topic_name.as_deref();
        Self {
            connector: config.topic_prefix.clone(),
            log: enabled("log"),
            sink: topic
                .filter(|_| enabled("sink"))
                .map(|topic| Sink::new(topic, Arc::clone(partition))),
        }
    }

    /// Sends a notification; `id` is a signal's, or none for one of its own.
    pub fn send(
        &self,
        aggregate: Aggregate,
        status: &'static str,
        id: Option<&str>,
        data: &[(&'static str, String)],
        offset: &Arc<dyn SourceOffset>,
        out: &mut Vec<SourceRecord>,
    ) {
        if !self.log && self.sink.is_none() {
            return;
        }
        let id = id.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
        let given: ConnectMap = data
            .iter()
            .map(|(name, text)| (Value::text(name), Value::from(text.as_str())))
            .collect();
        // The order of a Java map that was copied from another depends on both.
        let mut map = ConnectMap::with_capacity(given.len() * 4 / 3 + 1);
        for (name, text) in given.iter() {
            map.insert(name.clone(), text.clone());
        }
        map.insert(
            Value::text("connector_name"),
            Value::from(self.connector.as_str()),
        );
        let now_ms = now_ns() / 1_000_000;
        if self.log {
            let data = to_java_string(&Value::Map(Box::new(map.clone())));
            tracing::info!(
                "[Notification Service]  {{id='{id}', aggregateType='{}', type='{status}', \
                 additionalData={data}, timestamp={now_ms}}}",
                aggregate.text()
            );
        }
        if let Some(sink) = &self.sink {
            out.push(sink.record(aggregate, status, id, map, now_ms, offset));
        }
    }

    /// A notification of the snapshot at the start.
    pub fn initial(
        &self,
        status: &'static str,
        data: &[(&'static str, String)],
        offset: &Arc<dyn SourceOffset>,
        out: &mut Vec<SourceRecord>,
    ) {
        self.send(Aggregate::Initial, status, None, data, offset, out);
    }
}

impl Sink {
    fn new(topic: &str, partition: Arc<SourcePartition>) -> Self {
        let text = Schema::string().build();
        let named = |name: &str| {
            let name = format!("io.debezium.connector.common.{name}");
            Schema::structure().name(name).version(1)
        };
        let data = Schema::map(Arc::clone(&text), Arc::clone(&text))
            .optional()
            .build();
        Self {
            topic: topic.into(),
            partition,
            key: named("NotificationKey")
                .field("id", Arc::clone(&text))
                .build(),
            value: named("Notification")
                .field("id", Arc::clone(&text))
                .field("type", Arc::clone(&text))
                .field("aggregate_type", text)
                .field("additional_data", data)
                .field("timestamp", Schema::int64().build())
                .build(),
        }
    }

    fn record(
        &self,
        aggregate: Aggregate,
        status: &'static str,
        id: String,
        data: ConnectMap,
        now_ms: i64,
        offset: &Arc<dyn SourceOffset>,
    ) -> SourceRecord {
        let id = Value::from(id);
        let key = Struct::new(Arc::clone(&self.key), vec![id.clone()]);
        let values = vec![
            id,
            Value::text(status),
            Value::text(aggregate.text()),
            Value::Map(Box::new(data)),
            Value::Int64(now_ms),
        ];
        let value = Struct::new(Arc::clone(&self.value), values);
        SourceRecord {
            record: Record {
                topic: self.topic.clone(),
                key: SchemaAndValue::new(Arc::clone(&self.key), key),
                value: SchemaAndValue::new(Arc::clone(&self.value), value),
                ..Record::default()
            },
            source_partition: Arc::clone(&self.partition),
            source_offset: Arc::clone(offset),
        }
    }
}

//! Records on their way from a source to Kafka and from Kafka to a sink.
//!
//! Answers for `ConnectRecord`, `SourceRecord` and `SinkRecord`.

use std::fmt;
use std::sync::Arc;

use crate::data::text::to_java_string;
use crate::data::{ByteString, Headers, SchemaAndValue, Value};
use crate::java::HashMap as JavaHashMap;

/// What transformations see: the part that source and sink records share.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The topic.
    pub topic: Topic,
    /// The partition; a source leaves it open so that the partitioner decides by key.
    pub partition: Option<i32>,
    /// The key.
    pub key: SchemaAndValue,
    /// The value.
    pub value: SchemaAndValue,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// The headers.
    pub headers: Headers,
    /// Its offset in the partition, where a sink reads it.
    pub offset: Option<i64>,
}

/// The name of a topic, shared by all records that go there.
pub type Topic = ByteString;

/// A topic and one of its partitions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Topic,
    /// The partition, from 0.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Names one of the places that a source reads from, e.g. `{"server":"dbz"}`. Values are primitives.
pub type SourcePartition = OffsetMap;

/// A position in a source partition as it is stored, or a partition's name: names to primitive
/// values, in Java's order.
pub type OffsetMap = JavaHashMap<ByteString, Value>;

impl OffsetMap {
    /// The map as `HashMap.toString` writes it.
    pub fn java_text(&self) -> String {
        let entries: Vec<String> = self
            .iter()
            .map(|(key, value)| format!("{key}={}", to_java_string(value)))
            .collect();
        format!("{{{}}}", entries.join(", "))
    }
}

/// A position that a record carries. Made into a map only when offsets are flushed, so that a
/// record in the hot path carries a few numbers.
pub trait SourceOffset: Send + Sync + fmt::Debug {
    /// The position as it is stored in the offsets topic.
    fn to_map(&self) -> OffsetMap;
}

impl SourceOffset for OffsetMap {
    fn to_map(&self) -> OffsetMap {
        self.clone()
    }
}

/// A record from a source.
#[derive(Clone, Debug)]
pub struct SourceRecord {
    /// Topic, key, value, headers.
    pub record: Record,
    /// Where it was read.
    pub source_partition: Arc<SourcePartition>,
    /// The position after it: where a new task goes on once this record is in Kafka.
    pub source_offset: Arc<dyn SourceOffset>,
}

/// Who set a record's timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// The record has none.
    #[default]
    NoTimestamp,
    /// The producer.
    CreateTime,
    /// The broker.
    LogAppendTime,
}

/// A record for a sink.
#[derive(Clone, Debug)]
pub struct SinkRecord {
    /// Topic, partition (always set), key, value, headers, after the transformations.
    pub record: Record,
    /// Its offset in the partition it was read from.
    pub offset: i64,
    /// Who set the timestamp.
    pub timestamp_type: TimestampType,
    /// The topic it was read from, whatever a transformation made of [`Record::topic`].
    pub original_topic: Topic,
    /// The partition it was read from.
    pub original_partition: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_reads_as_javas_map() {
        let mut offset = OffsetMap::new();
        offset.insert("position".into(), Value::Int64(4));
        offset.insert("file".into(), Value::Null);
        assert_eq!(offset.java_text(), "{file=null, position=4}");
    }
}

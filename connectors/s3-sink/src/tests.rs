//! The whole sink against a store in memory: records in, objects and offsets out.

use std::sync::Arc;

use connect_api::data::{ByteString, SchemaAndValue, SchemaRef, Value};
use connect_api::record::{Record, SinkRecord, TimestampType};

/// A record of topic `t`, partition 0.
pub(crate) fn record(offset: i64, value: Value, schema: Option<SchemaRef>) -> SinkRecord {
    let topic = ByteString::from_static("t");
    SinkRecord {
        record: Record {
            topic: topic.clone(),
            partition: Some(0),
            key: SchemaAndValue::NULL,
            value: SchemaAndValue { schema, value },
            timestamp: None,
            headers: Vec::new(),
        },
        offset,
        timestamp_type: TimestampType::CreateTime,
        original_topic: topic,
        original_partition: 0,
    }
}

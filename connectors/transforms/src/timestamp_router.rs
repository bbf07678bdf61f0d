//! Names topics after the record's timestamp.
//!
//! ```text
//! config   {"type": "…TimestampRouter", "timestamp.format": "yyyy-MM"}
//! before   topic orders
//! after    topic orders-2023-11
//! ```
//!
//! Answers for `org.apache.kafka.connect.transforms.TimestampRouter`.

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type};
use connect_api::context::PluginContext;
use connect_api::java::DateFormat;
use connect_api::record::{Record, Topic};
use connect_api::transform::Transformation;
use connect_api::{Error, Props, Result};

use crate::operand::plugin;

plugin!(
    "TimestampRouter",
    definition,
    Transformation,
    TimestampRouter::default()
);

const TOPIC_FORMAT: &str = "topic.format";
const TIMESTAMP_FORMAT: &str = "timestamp.format";

fn definition() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new(TOPIC_FORMAT, Type::String, Importance::High)
                .default("${topic}-${timestamp}")
                .doc("The new topic; ${topic} and ${timestamp} stand for topic and timestamp."),
        )
        .define(
            ConfigKey::new(TIMESTAMP_FORMAT, Type::String, Importance::High)
                .default("yyyyMMdd")
                .doc("How the timestamp is written, as a pattern of java.text.SimpleDateFormat."),
        )
}

#[derive(Debug, Default)]
struct TimestampRouter {
    topic_format: String,
    /// The pattern is looked at when the first record comes, as in Java.
    timestamp_format: Option<Result<DateFormat, String>>,
}

impl Transformation for TimestampRouter {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let config = definition().parse(props)?;
        config
            .string(TOPIC_FORMAT)
            .clone_into(&mut self.topic_format);
        self.timestamp_format = Some(DateFormat::new(config.string(TIMESTAMP_FORMAT)));
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        let (Some(timestamp), Some(format)) = (record.timestamp, &self.timestamp_format) else {
            return Err(Error::data(format!(
                "Timestamp missing on record: ConnectRecord{{topic='{}', kafkaPartition={}}}",
                record.topic,
                record
                    .partition
                    .map_or_else(|| "null".to_owned(), |number| number.to_string())
            )));
        };
        let format = format.as_ref().map_err(|why| {
            Error::data(why.clone()).with_class("java.lang.IllegalArgumentException")
        })?;
        let topic = self
            .topic_format
            .replace("${topic}", &record.topic)
            .replace("${timestamp}", &format.format(timestamp));
        record.topic = Topic::from(topic);
        Ok(Some(record))
    }
}

//! Names topics after a timestamp in the message.
//!
//! ```text
//! config   {"type": "…MessageTimestampRouter", "message.timestamp.keys": "time,ts",
//!           "message.timestamp.format": "yyyy-MM-dd", "topic.timestamp.format": "yyyy.MM.dd"}
//! before   topic bar, value {"time": "2019-08-06"}
//! after    topic bar-2019.08.06
//! ```
//!
//! The value is a map without schema. Answers for
//! `io.confluent.connect.transforms.MessageTimestampRouter`.

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type};
use connect_api::context::PluginContext;
use connect_api::data::Value;
use connect_api::java::DateFormat;
use connect_api::plugin::{Make, Plugin};
use connect_api::record::{Record, Topic};
use connect_api::transform::Transformation;
use connect_api::{Error, Props, Result};

use crate::field_path::FieldPath;
use crate::operand::{class_name, require_map};

pub(crate) const PLUGIN: Plugin = Plugin {
    class: "io.confluent.connect.transforms.MessageTimestampRouter",
    version: super::VERSION,
    config: definition,
    make: Make::Transformation(|| Box::new(MessageTimestampRouter::default())),
};

const PURPOSE: &str = "message timestamp routing";
const TOPIC_FORMAT: &str = "topic.format";
const TOPIC_TIMESTAMP: &str = "topic.timestamp.format";
const MESSAGE_TIMESTAMP: &str = "message.timestamp.format";
const KEYS: &str = "message.timestamp.keys";

fn definition() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new(TOPIC_FORMAT, Type::String, Importance::High)
                .default("${topic}-${timestamp}")
                .doc("The new topic; ${topic} and ${timestamp} stand for topic and timestamp."),
        )
        .define(
            ConfigKey::new(MESSAGE_TIMESTAMP, Type::String, Importance::High)
                .default("yyyy-MM-dd")
                .doc("How the timestamp is written in the message, as a pattern of java.text.SimpleDateFormat."),
        )
        .define(
            ConfigKey::new(TOPIC_TIMESTAMP, Type::String, Importance::High)
                .default("yyyyMMdd")
                .doc("How it is written in the topic."),
        )
        .define(
            ConfigKey::new(KEYS, Type::List, Importance::High)
                .doc("Fields that may hold it; the first that is there counts."),
        )
}

#[derive(Debug, Default)]
struct MessageTimestampRouter {
    topic_format: String,
    formats: Option<(DateFormat, DateFormat)>,
    keys: Vec<FieldPath>,
}

impl Transformation for MessageTimestampRouter {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let config = definition().parse(props)?;
        config
            .string(TOPIC_FORMAT)
            .clone_into(&mut self.topic_format);
        let format = |key| DateFormat::new(config.string(key)).map_err(Error::config);
        self.formats = Some((format(MESSAGE_TIMESTAMP)?, format(TOPIC_TIMESTAMP)?));
        self.keys = config
            .list(KEYS)
            .iter()
            .map(|key| FieldPath::new(key, "V1"))
            .collect::<Result<_>>()?;
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        let Some((read, write)) = &self.formats else {
            return Ok(Some(record));
        };
        let map = require_map(&record.value.value, PURPOSE)?;
        let mut found = Value::Null;
        for key in &self.keys {
            found = key.in_map(map)?;
            if !found.is_null() {
                break;
            }
        }
        let timestamp = match &found {
            Value::Null => {
                return Err(Error::data(format!(
                    "None of the fields of {KEYS} is in a record of topic {}",
                    record.topic
                )));
            }
            Value::Int64(ms) => *ms,
            other => {
                let text = other.as_str().ok_or_else(|| {
                    Error::data(format!(
                        "A timestamp in a message is a text or a number, and this is a {}",
                        class_name(other)
                    ))
                })?;
                read.parse(text).ok_or_else(|| {
                    Error::data(format!(
                        "Could not parse timestamp: value ({text}) does not match pattern ({})",
                        read.pattern()
                    ))
                })?
            }
        };
        let topic = self
            .topic_format
            .replace("${topic}", &record.topic)
            .replace("${timestamp}", &write.format(timestamp));
        record.topic = Topic::from(topic);
        Ok(Some(record))
    }
}

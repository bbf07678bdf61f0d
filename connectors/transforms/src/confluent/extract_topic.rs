//! Names the topic after the key, the value, a field of theirs, or a header.
//!
//! ```text
//! config   {"type": "…ExtractTopic$Value", "field": "kind"}
//! before   topic events, value {"kind": "orders"}
//! after    topic orders
//! ```
//!
//! Answers for `io.confluent.connect.transforms.ExtractTopic`.

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type, any_of};
use connect_api::context::PluginContext;
use connect_api::data::{SchemaAndValue, Value};
use connect_api::plugin::{Make, Plugin};
use connect_api::record::{Record, Topic};
use connect_api::transform::Transformation;
use connect_api::{Error, Props, Result};

use crate::field_path::FieldPath;
use crate::operand::{class_name, require_map, require_struct};

/// Where the topic is.
#[derive(Clone, Copy, Debug)]
enum Place {
    Key,
    Value,
    Header,
}

pub(crate) const KEY: Plugin = Plugin {
    class: "io.confluent.connect.transforms.ExtractTopic$Key",
    version: super::VERSION,
    config: definition,
    make: Make::Transformation(|| Box::new(ExtractTopic::new(Place::Key))),
};
pub(crate) const VALUE: Plugin = Plugin {
    class: "io.confluent.connect.transforms.ExtractTopic$Value",
    make: Make::Transformation(|| Box::new(ExtractTopic::new(Place::Value))),
    ..KEY
};
pub(crate) const HEADER: Plugin = Plugin {
    class: "io.confluent.connect.transforms.ExtractTopic$Header",
    make: Make::Transformation(|| Box::new(ExtractTopic::new(Place::Header))),
    ..KEY
};

const PURPOSE: &str = "topic extraction";
const FIELD: &str = "field";
const FORMAT: &str = "field.format";
const SKIP: &str = "skip.missing.or.null";

fn definition() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new(FIELD, Type::String, Importance::Medium)
                .default("")
                .doc("The field that names the topic, or the header; the whole key or value where it is empty."),
        )
        .define(
            ConfigKey::new(FORMAT, Type::String, Importance::Medium)
                .default("PLAIN")
                .validator(any_of(&["JSON_PATH", "PLAIN"]))
                .doc("Whether the field is a plain name or a path like $.a.b."),
        )
        .define(
            ConfigKey::new(SKIP, Type::Boolean, Importance::Low)
                .default(false)
                .doc("Whether a record without the field keeps its topic; otherwise it fails."),
        )
}

#[derive(Debug)]
struct ExtractTopic {
    place: Place,
    field: String,
    /// None where the whole key or value is the topic.
    path: Option<FieldPath>,
    skip: bool,
}

impl ExtractTopic {
    fn new(place: Place) -> Self {
        Self {
            place,
            field: String::new(),
            path: None,
            skip: false,
        }
    }

    /// What names the topic; null where it is missing.
    fn find(&self, record: &Record) -> Result<Value> {
        let operand = match self.place {
            Place::Key => &record.key,
            Place::Value => &record.value,
            Place::Header => {
                let last = record
                    .headers
                    .iter()
                    .rev()
                    .find(|header| header.key == *self.field.as_str());
                return Ok(last
                    .map(|header| header.value.value.clone())
                    .unwrap_or_default());
            }
        };
        match (&self.path, operand) {
            (None, operand) => Ok(operand.value.clone()),
            (Some(_), operand) if operand.is_null() => Ok(Value::Null),
            (
                Some(path),
                SchemaAndValue {
                    schema: None,
                    value,
                },
            ) => path.in_map(require_map(value, PURPOSE)?),
            (
                Some(path),
                SchemaAndValue {
                    schema: Some(schema),
                    value,
                },
            ) => {
                let value = require_struct(value, PURPOSE)?;
                Ok(match path.field(schema)? {
                    Some(_) => path.in_struct(value, false),
                    None => Value::Null,
                })
            }
        }
    }
}

/// `$.a.b` and `$['a']['b']` as the dotted path of field names.
fn dotted(path: &str) -> Result<String> {
    let malformed = || {
        Error::config(format!(
            "Invalid value {path} for configuration {FIELD}: a path begins with $ and names fields"
        ))
    };
    let rest = path.trim().strip_prefix('$').ok_or_else(malformed)?;
    let rest = rest
        .replace("['", ".")
        .replace("[\"", ".")
        .replace("']", "")
        .replace("\"]", "");
    let names = rest.strip_prefix('.').ok_or_else(malformed)?;
    match names.is_empty() || names.contains(['[', ']', '*']) || names.contains("..") {
        true => Err(malformed()),
        false => Ok(names.to_owned()),
    }
}

impl Transformation for ExtractTopic {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let config = definition().parse(props)?;
        config.string(FIELD).clone_into(&mut self.field);
        self.skip = config.bool(SKIP);
        let by_path = config.string(FORMAT) == "JSON_PATH";
        self.path = match (self.place, self.field.is_empty()) {
            (Place::Header, true) => {
                return Err(Error::config(format!(
                    "Invalid value  for configuration {FIELD}: a header has to be named"
                )));
            }
            (Place::Header, false) | (_, true) => None,
            _ if by_path => Some(FieldPath::new(&dotted(&self.field)?, "V2")?),
            _ => Some(FieldPath::new(&self.field, "V1")?),
        };
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        let found = self.find(&record)?;
        let topic = match &found {
            Value::Null if self.skip => return Ok(Some(record)),
            Value::Null => {
                return Err(Error::data(format!(
                    "{:?} {} is missing or null, so that the topic of a record in {} cannot be extracted",
                    self.place, self.field, record.topic
                )));
            }
            other => other.as_str().ok_or_else(|| {
                Error::data(format!(
                    "Topic names have to be strings, and {:?} {} is a {}",
                    self.place,
                    self.field,
                    class_name(other)
                ))
            })?,
        };
        if topic.is_empty() {
            return match self.skip {
                true => Ok(Some(record)),
                false => Err(Error::data("A topic name cannot be empty")),
            };
        }
        record.topic = Topic::from(topic);
        Ok(Some(record))
    }
}

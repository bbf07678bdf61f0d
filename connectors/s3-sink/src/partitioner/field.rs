//! Folders by the values of fields: `tier=gold/is_active=true`.
//!
//! Answers for `FieldPartitioner`.

use std::fmt::Write as _;
use std::sync::Arc;

use connect_api::data::{Schema, Value};
use connect_api::record::SinkRecord;

use super::{EncodeError, EncodedPartition};

/// Reads the fields that name the folders.
#[derive(Clone, Debug)]
pub(crate) struct FieldPartitioner {
    /// Each name as configured, and its segments.
    fields: Vec<(String, Vec<String>)>,
    delim: String,
    buffer: String,
    last: Option<EncodedPartition>,
}

impl FieldPartitioner {
    pub(crate) fn new(names: &[String], delim: &str) -> Self {
        let fields = names
            .iter()
            .map(|name| {
                (
                    name.clone(),
                    name.split('.').map(ToOwned::to_owned).collect(),
                )
            })
            .collect();
        Self {
            fields,
            delim: delim.to_owned(),
            buffer: String::new(),
            last: None,
        }
    }

    /// The record's folder.
    pub(crate) fn encode(&mut self, record: &SinkRecord) -> Result<EncodedPartition, EncodeError> {
        let (Value::Struct(_), Some(schema)) =
            (&record.record.value.value, &record.record.value.schema)
        else {
            return Err(EncodeError::Partition(
                "Error encoding partition.".to_owned(),
            ));
        };
        self.buffer.clear();
        for (name, path) in &self.fields {
            if !self.buffer.is_empty() {
                self.buffer.push_str(&self.delim);
            }
            self.buffer.push_str(name);
            self.buffer.push('=');
            print_value(&record.record.value.value, schema, path, &mut self.buffer)?;
        }
        match &self.last {
            Some(last) if **last == *self.buffer => Ok(Arc::clone(last)),
            _ => {
                let folder: EncodedPartition = self.buffer.as_str().into();
                self.last = Some(Arc::clone(&folder));
                Ok(folder)
            }
        }
    }
}

fn print_value(
    root: &Value,
    schema: &Schema,
    path: &[String],
    out: &mut String,
) -> Result<(), EncodeError> {
    let (mut value, mut schema) = (Some(root), schema);
    for (depth, segment) in path.iter().enumerate() {
        let Some(field) = schema.field(segment) else {
            let last = depth + 1 == path.len();
            return Err(match last {
                true => {
                    EncodeError::Data(format!("Field '{segment}' is not present in the schema."))
                }
                false => {
                    EncodeError::Fatal(format!("Field '{segment}' is not present in the schema."))
                }
            });
        };
        value = match value {
            Some(Value::Struct(inside)) => inside.values.get(field.index).map(|value| {
                match (value, field.schema.default_value()) {
                    (Value::Null, Some(default)) => default,
                    _ => value,
                }
            }),
            _ => None,
        };
        schema = &field.schema;
    }
    let written = match value {
        None | Some(Value::Null) => write!(out, "null"),
        Some(Value::String(text)) => write!(out, "{}", &**text),
        Some(Value::Boolean(flag)) => write!(out, "{flag}"),
        Some(Value::Date(_) | Value::Time(_) | Value::Timestamp(_)) => {
            return Err(EncodeError::Fatal(
                "java.util.Date cannot be cast: a logical date or time cannot name a partition"
                    .to_owned(),
            ));
        }
        Some(other) => match other.as_i64() {
            Some(number) => write!(out, "{number}"),
            None => {
                return Err(EncodeError::Partition(
                    "Error encoding partition.".to_owned(),
                ));
            }
        },
    };
    // Writing to a String cannot fail.
    written.unwrap_or_default();
    Ok(())
}

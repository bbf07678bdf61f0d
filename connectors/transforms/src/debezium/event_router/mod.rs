//! Makes events of the rows of an outbox table: the row's payload goes to the topic that another of
//! its columns names.
//!
//! ```text
//! config   {"type": "io.debezium.transforms.outbox.EventRouter"}
//! before   {"after": {"id": "4d47", "aggregatetype": "order", "aggregateid": "7", "payload": "{…}"}, …}
//! after    topic outbox.event.order, key 7, header id = 4d47, value {…}
//! ```
//!
//! Only inserted rows make events; deletions and tombstones are dropped, updates as configured.
//! What is no change event passes unchanged. The name of an event's schema is that of the first
//! event with this payload, as in Debezium. Tracing is not done.
//!
//! Answers for `io.debezium.transforms.outbox.{EventRouter, EventRouterDelegate}`.

mod options;

use std::collections::HashMap;
use std::sync::Arc;

use connect_api::context::PluginContext;
use connect_api::data::text::to_java_string;
use connect_api::data::{Header, Schema, SchemaAndValue, SchemaRef, SchemaType, Struct, Value};
use connect_api::record::{Record, Topic};
use connect_api::transform::Transformation;
use connect_api::{ByteString, Error, Props, Result};

use self::options::{Options, Place, Unexpected, definition};
use super::{envelope_of, json_payload};
use crate::operand::{lookup, require_struct, string_field, take_struct};
use crate::regex_router::replaced;

super::plugin!(
    "io.debezium.transforms.outbox.EventRouter",
    definition,
    EventRouter::default()
);

/// How many payload schemas have a value schema remembered.
const REMEMBERED: usize = 10_000;

#[derive(Debug, Default)]
struct EventRouter {
    options: Option<Options>,
    /// The schemas of values, by the payload's.
    schemas: Vec<(SchemaRef, SchemaRef)>,
    /// The schemas of values, by the version that the row names.
    versions: HashMap<i32, SchemaRef>,
}

impl Transformation for EventRouter {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        self.options = Some(Options::parse(props)?);
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        let Some(options) = &mut self.options else {
            return Ok(Some(record));
        };
        if record.value.is_null() {
            return Ok(None);
        }
        if envelope_of(&record.value).is_none() {
            return Ok(Some(record));
        }
        let envelope = require_struct(&record.value.value, "Detect Debezium Operation")?;
        match string_field(envelope, "op")? {
            Some("d") => return Ok(None),
            Some("u") => return unexpected(options.unexpected, &record.key.value),
            _ => {}
        }
        let processed = envelope.get("ts_ms").and_then(Value::as_i64);
        let row = envelope.get("after").cloned().unwrap_or_default();
        let row = take_struct(row, "Read Outbox Event")?;
        let payload_field = row.schema.field(&options.payload).ok_or_else(|| {
            Error::data(format!(
                "Unable to find payload field {} in event",
                options.payload
            ))
            .with_class("org.apache.kafka.connect.errors.ConnectException")
        })?;
        let mut payload_schema = Some(Arc::clone(&payload_field.schema));
        let timestamp = match &options.timestamp {
            None => processed,
            Some(column) => event_time(&row, column)?.or(processed),
        };
        let event_id = column(&row, &options.event_id)?;
        let mut payload = column(&row, &options.payload)?.value;
        record.headers.push(Header {
            key: ByteString::from_static("id"),
            value: event_id,
        });
        if let Some(schemas) = &mut options.json {
            if let Value::String(text) = &payload {
                match expand(schemas, &options.payload, text, &mut payload_schema) {
                    Ok(expanded) => payload = expanded,
                    Err(error) => tracing::warn!(%error, "JSON expansion failed"),
                }
            } else if !payload.is_null() {
                tracing::warn!("Expand JSON payload is turned on but payload is not a string");
            }
        }
        let route = string_field(&row, &options.route_by)?;
        let in_envelope = options
            .additional
            .iter()
            .any(|additional| additional.place == Place::Envelope);
        let empty = is_empty(&payload);
        let mut value = SchemaAndValue {
            schema: payload_schema,
            value: payload,
        };
        if in_envelope {
            value = wrap(
                options,
                &mut self.schemas,
                &mut self.versions,
                &row,
                route,
                value,
            )?;
        }
        record.partition = None;
        for additional in &options.additional {
            if options.ignore_missing && row.schema.field(&additional.column).is_none() {
                continue;
            }
            match additional.place {
                Place::Envelope => {}
                Place::Header => record.headers.push(Header {
                    key: additional.alias.clone(),
                    value: column(&row, &additional.column)?,
                }),
                Place::Partition => record.partition = int_field(&row, &additional.column)?,
            }
        }
        record.key = column(&row, &options.event_key)?;
        record.value = match empty && options.tombstone_on_empty {
            true => SchemaAndValue::NULL,
            false => value,
        };
        record.timestamp = timestamp;
        let route = route.ok_or_else(|| {
            Error::data(format!(
                "the outbox row has no value in {}, which decides about the topic",
                options.route_by
            ))
        })?;
        record.topic = match replaced(&options.topic_regex, route, &options.topic_replacement)? {
            Some(topic) => Topic::from(topic),
            None => Topic::from(route),
        };
        Ok(Some(record))
    }
}

/// An outbox row was updated.
fn unexpected(behavior: Unexpected, key: &Value) -> Result<Option<Record>> {
    let key = to_java_string(key);
    match behavior {
        Unexpected::Warn => tracing::warn!("Unexpected update message received {key} and ignored"),
        Unexpected::Error => {
            tracing::error!("Unexpected update message received {key} and ignored");
        }
        Unexpected::Fatal => {
            return Err(
                Error::data(format!("Unexpected update message received {key}, fail."))
                    .with_class("java.lang.IllegalStateException"),
            );
        }
    }
    Ok(None)
}

/// A column with its schema, as `Struct.get` reads it.
fn column(row: &Struct, name: &str) -> Result<SchemaAndValue> {
    let field = lookup(row, name)?;
    let value = match &row.values[field.index] {
        Value::Null => field.schema.default_value().cloned().unwrap_or_default(),
        value => value.clone(),
    };
    Ok(SchemaAndValue {
        schema: Some(Arc::clone(&field.schema)),
        value,
    })
}

/// `Struct.getInt32`.
fn int_field(row: &Struct, name: &str) -> Result<Option<i32>> {
    let field = lookup(row, name)?;
    match (&row.values[field.index], field.schema.kind()) {
        (Value::Int32(value), _) => Ok(Some(*value)),
        (_, SchemaType::Int32) => Ok(None),
        _ => Err(Error::data(format!("Field '{name}' is not of type INT32"))),
    }
}

/// The time that a column holds, in milliseconds.
fn event_time(row: &Struct, name: &str) -> Result<Option<i64>> {
    let field = row
        .schema
        .field(name)
        .ok_or_else(|| Error::data(format!("Unable to find timestamp field {name} in event")))?;
    if field.schema.kind() != SchemaType::Int64 {
        return Err(Error::data(format!("Field '{name}' is not of type INT64")));
    }
    let Some(time) = row.values[field.index].as_i64() else {
        return Ok(None);
    };
    match field.schema.name() {
        Some("io.debezium.time.Timestamp") => Ok(Some(time)),
        Some("io.debezium.time.MicroTimestamp") => Ok(Some(time / 1_000)),
        Some("io.debezium.time.NanoTimestamp") => Ok(Some(time / 1_000_000)),
        Some(other) => Err(Error::data(format!(
            "Unsupported field type {other} for event timestamp"
        ))),
        None => Err(Error::data(format!(
            "Unsupported field type {} (without logical schema name) for event timestamp",
            field.schema.kind().name()
        ))),
    }
}

/// JSON text as data. The schema is taken over even where the data then fails, as in Debezium.
fn expand(
    schemas: &mut json_payload::JsonSchemas,
    name: &str,
    text: &str,
    schema: &mut Option<SchemaRef>,
) -> Result<Value> {
    let json = json_payload::parse(text)?;
    *schema = schemas.schema(Some(name), &json)?;
    let schema = schema
        .as_ref()
        .filter(|schema| schema.kind() == SchemaType::Struct)
        .ok_or_else(|| Error::data("the payload is not a JSON object"))?;
    schemas.data(&json, schema)
}

/// Null, or text that is blank.
fn is_empty(payload: &Value) -> bool {
    match payload {
        Value::Null => true,
        Value::String(text) => text.trim_matches(|character| character <= ' ').is_empty(),
        _ => false,
    }
}

/// The payload in a struct with the columns that are placed beside it.
fn wrap(
    options: &Options,
    schemas: &mut Vec<(SchemaRef, SchemaRef)>,
    versions: &mut HashMap<i32, SchemaRef>,
    row: &Struct,
    route: Option<&str>,
    payload: SchemaAndValue,
) -> Result<SchemaAndValue> {
    let payload_schema = payload
        .schema
        .ok_or_else(|| Error::data("fieldSchema for field payload cannot be null."))?;
    let version = match &options.schema_version {
        Some(column) => Some(int_field(row, column)?.unwrap_or_default()),
        None => None,
    };
    let known = match version {
        Some(version) => versions.get(&version),
        None => schemas
            .iter()
            .find(|(known, _)| *known == payload_schema)
            .map(|(_, schema)| schema),
    };
    let schema = match known {
        Some(schema) => Arc::clone(schema),
        None => {
            let schema = value_schema(options, &row.schema, route, &payload_schema, version)?;
            match version {
                Some(version) => {
                    versions.insert(version, Arc::clone(&schema));
                }
                None => {
                    if schemas.len() >= REMEMBERED {
                        schemas.clear();
                    }
                    schemas.push((payload_schema, Arc::clone(&schema)));
                }
            }
            schema
        }
    };
    let mut values = vec![Value::Null; schema.fields().len()];
    if let Some(first) = values.first_mut() {
        *first = payload.value;
    }
    for additional in &options.additional {
        if additional.place != Place::Envelope
            || (options.ignore_missing && row.schema.field(&additional.column).is_none())
        {
            continue;
        }
        let field = schema.field(&additional.alias).ok_or_else(|| {
            Error::data(format!("{} is not a valid field name", additional.alias))
        })?;
        values[field.index] = column(row, &additional.column)?.value;
    }
    Ok(SchemaAndValue {
        schema: Some(Arc::clone(&schema)),
        value: Value::Struct(Struct::new(schema, values)),
    })
}

fn value_schema(
    options: &Options,
    row: &Schema,
    route: Option<&str>,
    payload: &SchemaRef,
    version: Option<i32>,
) -> Result<SchemaRef> {
    let route = route.unwrap_or("null");
    let name = match row.name().map(|name| (name.rsplit_once('.'), name)) {
        Some((Some((before, after)), _)) => format!("{before}.{route}.{after}"),
        Some((None, name)) => format!("{route}.{name}"),
        None => route.to_owned(),
    };
    let mut builder = Schema::structure()
        .name(name)
        .field("payload", Arc::clone(payload));
    for additional in &options.additional {
        if additional.place != Place::Envelope {
            continue;
        }
        match row.field(&additional.column) {
            Some(field) => {
                builder = builder.field(additional.alias.clone(), Arc::clone(&field.schema));
            }
            None if options.ignore_missing => {}
            None => {
                return Err(Error::data(format!(
                    "Unable to find field {} in event",
                    additional.column
                )));
            }
        }
    }
    if let Some(version) = version {
        builder = builder.version(version);
    }
    Ok(builder.build())
}

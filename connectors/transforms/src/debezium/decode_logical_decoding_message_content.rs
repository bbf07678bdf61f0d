//! Makes change events of logical decoding messages whose content is JSON, so that the outbox
//! router can take them.
//!
//! ```text
//! config   {"type": "io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent"}
//! before   {"op": "m", "message": {"prefix": "outbox", "content": "eyJpZCI6MX0="}, …}
//! after    {"op": "c", "after": {"id": 1}, …}, without a key
//! ```
//!
//! Everything else passes unchanged, also tombstones, on which Debezium fails.
//!
//! Answers for `io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent`.

use std::sync::Arc;

use connect_api::config::{ConfigDef, Importance, Type, Width};
use connect_api::context::PluginContext;
use connect_api::data::{
    Schema, SchemaAndValue, SchemaCache, SchemaRef, SchemaType, Struct, Value,
};
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{Error, Props, Result};

use super::json_payload::{self, JsonSchemas};
use super::{flag, option};
use crate::operand::{SCHEMA_CACHE_SIZE, require_struct, take_struct};

super::plugin!(
    "io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent",
    definition,
    DecodeContent::default()
);

const NULLS: &str = "fields.null.include";
const MESSAGE_VALUE: &str = "io.debezium.connector.postgresql.MessageValue";
const MESSAGE: &str = "message";

fn definition() -> ConfigDef {
    ConfigDef::new().define(
        option(
            NULLS,
            Type::Boolean,
            Importance::Medium,
            Width::Medium,
            "Defines whether to include fields with null values to the decoded structure",
            "Whether nulls in the content are kept, as optional bytes.",
        )
        .default(false),
    )
}

#[derive(Debug)]
struct DecodeContent {
    json: JsonSchemas,
    /// The schemas of values, by the content's.
    schemas: SchemaCache<SchemaRef>,
}

impl Default for DecodeContent {
    fn default() -> Self {
        Self {
            json: JsonSchemas::default(),
            schemas: SchemaCache::new(SCHEMA_CACHE_SIZE),
        }
    }
}

impl Transformation for DecodeContent {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        self.json.nulls_as_bytes = flag(props, NULLS, false)?;
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        let is_message = record
            .value
            .schema
            .as_ref()
            .is_some_and(|schema| schema.name() == Some(MESSAGE_VALUE));
        if !is_message || record.value.is_null() {
            return Ok(Some(record));
        }
        let value = std::mem::take(&mut record.value.value);
        let value = take_struct(value, "Retrieve a record value")?;
        let content = self.content(&value)?;
        let schema = self
            .schemas
            .get_or_insert_with(&content.schema, || {
                event_schema(&value.schema, &content.schema)
            })
            .clone();
        let values = schema
            .fields()
            .iter()
            .map(|field| match &*field.name {
                "after" => Value::Struct(content.clone()),
                "op" => Value::text("c"),
                name => value.get(name).cloned().unwrap_or_default(),
            })
            .collect();
        record.key = SchemaAndValue::NULL;
        record.value = SchemaAndValue {
            schema: Some(Arc::clone(&schema)),
            value: Value::Struct(Struct::new(schema, values)),
        };
        Ok(Some(record))
    }
}

impl DecodeContent {
    fn content(&mut self, value: &Struct) -> Result<Struct> {
        let message = value.get(MESSAGE).cloned().unwrap_or_default();
        let message = require_struct(&message, "Retrieve content of a logical decoding message")?;
        let binary = message
            .schema
            .field("content")
            .is_some_and(|field| field.schema.kind() == SchemaType::Bytes);
        let content = match message.get("content") {
            Some(Value::Bytes(content)) if binary => String::from_utf8_lossy(content).into_owned(),
            _ => {
                return Err(Error::data(
                    "The content of a logical decoding message is non-binary",
                ));
            }
        };
        let unable = || {
            Error::data(format!(
                "Unable to parse logical decoding message content JSON string '{content}'"
            ))
        };
        let json = json_payload::parse(&content).map_err(|error| unable().with_source(error))?;
        let schema = self
            .json
            .schema(None, &json)?
            .filter(|schema| schema.kind() == SchemaType::Struct)
            .ok_or_else(unable)?;
        take_struct(self.json.data(&json, &schema)?, "content")
    }
}

/// The message's schema with the content in place of the message.
fn event_schema(message: &Schema, content: &SchemaRef) -> SchemaRef {
    let name = format!("{}.Envelope", message.name().unwrap_or_default());
    let kept = message
        .fields()
        .iter()
        .filter(|field| field.name != MESSAGE);
    kept.fold(Schema::structure().name(name), |builder, field| {
        builder.field(field.name.clone(), Arc::clone(&field.schema))
    })
    .field("after", Arc::clone(content))
    .build()
}

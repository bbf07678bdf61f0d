//! Adds fields with what is known of the record: topic, partition, timestamp; or with a fixed text.
//!
//! ```text
//! config   {"type": "…InsertField$Value", "static.field": "source", "static.value": "shop"}
//! before   {"id": 1}
//! after    {"id": 1, "source": "shop"}
//! ```
//!
//! A name that ends with `!` is a required field, with `?` or nothing an optional one.
//!
//! Answers for `org.apache.kafka.connect.transforms.InsertField`.

use std::sync::Arc;

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type};
use connect_api::context::PluginContext;
use connect_api::data::{
    Schema, SchemaBuilder, SchemaCache, SchemaRef, SchemaType, Struct, Value, logical,
};
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{ByteString, Error, Props, Result};

use crate::operand::{
    REPLACE_NULL, SCHEMA_CACHE_SIZE, Side, add_field, copy_basics, key_and_value, read_field,
    replace_null_key, require_map, require_struct, take_map, take_struct,
};

key_and_value!("InsertField", definition, InsertField::new);

const PURPOSE: &str = "field insertion";
const TOPIC: &str = "topic.field";
const PARTITION: &str = "partition.field";
const OFFSET: &str = "offset.field";
const TIMESTAMP: &str = "timestamp.field";
const STATIC_FIELD: &str = "static.field";
const STATIC_VALUE: &str = "static.value";

fn definition() -> ConfigDef {
    let key = |name, doc: &str| {
        ConfigKey::new(name, Type::String, Importance::Medium)
            .default_null()
            .doc(doc)
    };
    ConfigDef::new()
        .define(key(TOPIC, "The field for the topic."))
        .define(key(PARTITION, "The field for the partition."))
        .define(key(OFFSET, "The field for the offset; only for sinks."))
        .define(key(TIMESTAMP, "The field for the record's timestamp."))
        .define(key(STATIC_FIELD, "The field for the fixed text."))
        .define(key(STATIC_VALUE, "The fixed text."))
        .define(replace_null_key())
}

/// What goes into an inserted field.
#[derive(Clone, Debug)]
enum Source {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Static(ByteString),
}

#[derive(Clone, Debug)]
struct Insertion {
    name: ByteString,
    optional: bool,
    source: Source,
}

impl Insertion {
    fn new(text: &str, source: Source) -> Self {
        let (name, optional) = match (text.strip_suffix('!'), text.strip_suffix('?')) {
            (Some(name), _) => (name, false),
            (None, Some(name)) => (name, true),
            (None, None) => (text, true),
        };
        Self {
            name: name.into(),
            optional,
            source,
        }
    }

    fn schema(&self) -> SchemaRef {
        let builder: SchemaBuilder = match self.source {
            Source::Topic | Source::Static(_) => Schema::string(),
            Source::Partition => Schema::int32(),
            Source::Offset => Schema::int64(),
            Source::Timestamp => logical::timestamp(),
        };
        builder.optional_if(self.optional).build()
    }

    fn value(&self, record: &Record, with_schema: bool) -> Result<Value> {
        Ok(match &self.source {
            Source::Topic => Value::String(record.topic.clone()),
            Source::Partition => record.partition.into(),
            Source::Timestamp => match record.timestamp {
                None => Value::Null,
                Some(ms) if with_schema => Value::Timestamp(ms),
                Some(ms) => Value::Int64(ms),
            },
            Source::Static(text) => Value::String(text.clone()),
            Source::Offset => record.offset.map(Value::Int64).ok_or_else(|| {
                Error::data(format!(
                    "Only SinkRecord supported for [{PURPOSE}], found: \
                     org.apache.kafka.connect.source.SourceRecord"
                ))
            })?,
        })
    }
}

#[derive(Debug)]
struct InsertField {
    side: Side,
    insertions: Vec<Insertion>,
    replace_null: bool,
    schemas: SchemaCache<SchemaRef>,
}

impl InsertField {
    fn new(side: Side) -> Self {
        Self {
            side,
            insertions: Vec::new(),
            replace_null: true,
            schemas: SchemaCache::new(SCHEMA_CACHE_SIZE),
        }
    }
}

impl Transformation for InsertField {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let config = definition().parse(props)?;
        let mut insertions = Vec::new();
        for (key, source) in [
            (TOPIC, Source::Topic),
            (PARTITION, Source::Partition),
            (OFFSET, Source::Offset),
            (TIMESTAMP, Source::Timestamp),
        ] {
            insertions.extend(
                config
                    .string_opt(key)
                    .map(|name| Insertion::new(name, source)),
            );
        }
        if let Some(name) = config.string_opt(STATIC_FIELD) {
            let Some(text) = config.string_opt(STATIC_VALUE) else {
                return Err(Error::config(format!(
                    "Invalid value null for configuration {STATIC_VALUE}: No value specified for \
                     static field: {name}"
                )));
            };
            insertions.push(Insertion::new(name, Source::Static(text.into())));
        }
        if insertions.is_empty() {
            return Err(Error::config("No field insertion configured"));
        }
        self.insertions = insertions;
        self.replace_null = config.bool(REPLACE_NULL);
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        if self.side.of(&record).is_null() {
            return Ok(Some(record));
        }
        let schema = self.side.of(&record).schema.clone();
        // What is wrong with the value or its schema comes before what is wrong with the record.
        let value = &self.side.of(&record).value;
        if let Some(schema) = &schema {
            require_struct(value, PURPOSE)?;
            let insertions = &self.insertions;
            self.schemas
                .get_or_try_insert_with(schema, || with_fields(schema, insertions))?;
        } else {
            require_map(value, PURPOSE)?;
        }
        let inserted = self
            .insertions
            .iter()
            .map(|insertion| insertion.value(&record, schema.is_some()))
            .collect::<Result<Vec<_>>>()?;
        let operand = self.side.of_mut(&mut record);
        let value = std::mem::take(&mut operand.value);
        match schema {
            None => {
                let mut map = take_map(value, PURPOSE)?;
                let known = |(_, value): &(_, Value)| !value.is_null();
                for (insertion, value) in self.insertions.iter().zip(inserted).filter(known) {
                    map.insert(Value::String(insertion.name.clone()), value);
                }
                operand.value = Value::Map(map);
            }
            Some(schema) => {
                let mut value = take_struct(value, PURPOSE)?;
                let insertions = &self.insertions;
                let updated = self
                    .schemas
                    .get_or_try_insert_with(&schema, || with_fields(&schema, insertions))?;
                for (field, value) in schema.fields().iter().zip(&mut value.values) {
                    if value.is_null() {
                        *value = read_field(&field.schema, value, self.replace_null);
                    }
                }
                value.values.extend(inserted);
                value.schema = Arc::clone(updated);
                operand.schema = Some(Arc::clone(updated));
                operand.value = Value::Struct(Struct::new(value.schema, value.values));
            }
        }
        Ok(Some(record))
    }
}

fn with_fields(schema: &Schema, insertions: &[Insertion]) -> Result<SchemaRef> {
    let mut builder = copy_basics(schema, Schema::builder(SchemaType::Struct));
    let mut names = Vec::new();
    for field in schema.fields() {
        builder = add_field(&mut names, builder, &field.name, &field.schema)?;
    }
    for insertion in insertions {
        builder = add_field(&mut names, builder, &insertion.name, &insertion.schema())?;
    }
    Ok(builder.build())
}

//! Makes the key of fields of the value.
//!
//! ```text
//! config   {"type": "…ValueToKey", "fields": "id"}
//! before   key null, value {"id": 1, "name": "a"}
//! after    key {"id": 1}
//! ```
//!
//! Answers for `org.apache.kafka.connect.transforms.ValueToKey`.

use std::sync::Arc;

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type, list_rules};
use connect_api::context::PluginContext;
use connect_api::data::{
    ConnectMap, Schema, SchemaAndValue, SchemaBuilder, SchemaCache, SchemaRef, Struct, Value,
};
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{ByteString, Error, Props, Result};

use crate::operand::{
    REPLACE_NULL, SCHEMA_CACHE_SIZE, plugin, read_field, replace_null_key, require_map,
    require_struct,
};

plugin!(
    "ValueToKey",
    definition,
    Transformation,
    ValueToKey::default()
);

const PURPOSE: &str = "copying fields from value to key";
const FIELDS: &str = "fields";

fn definition() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new(FIELDS, Type::List, Importance::High)
                .validator(list_rules(false, false))
                .distinct()
                .doc("The fields of the value that make up the key."),
        )
        .define(replace_null_key())
}

#[derive(Debug)]
struct ValueToKey {
    fields: Vec<ByteString>,
    replace_null: bool,
    /// By the value's schema: the key's, and where its fields stand in the value.
    plans: SchemaCache<(SchemaRef, Vec<usize>)>,
}

impl Default for ValueToKey {
    fn default() -> Self {
        Self {
            fields: Vec::new(),
            replace_null: true,
            plans: SchemaCache::new(SCHEMA_CACHE_SIZE),
        }
    }
}

impl Transformation for ValueToKey {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let config = definition().parse(props)?;
        self.fields = config
            .list(FIELDS)
            .iter()
            .map(|name| name.as_str().into())
            .collect();
        self.replace_null = config.bool(REPLACE_NULL);
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        record.key = match &record.value.schema {
            None => {
                let map = require_map(&record.value.value, PURPOSE)?;
                let take = |name: &ByteString| {
                    (
                        Value::String(name.clone()),
                        map.get_str(name).cloned().unwrap_or_default(),
                    )
                };
                let key: ConnectMap = self.fields.iter().map(take).collect();
                SchemaAndValue {
                    schema: None,
                    value: Value::Map(Box::new(key)),
                }
            }
            Some(schema) => {
                let value = require_struct(&record.value.value, PURPOSE)?;
                let fields = &self.fields;
                let (key_schema, places) = self
                    .plans
                    .get_or_try_insert_with(schema, || plan(schema, fields))?;
                let values = key_schema
                    .fields()
                    .iter()
                    .zip(&*places)
                    .map(|(field, &at)| {
                        read_field(&field.schema, &value.values[at], self.replace_null)
                    })
                    .collect();
                SchemaAndValue {
                    schema: Some(Arc::clone(key_schema)),
                    value: Value::Struct(Struct::new(Arc::clone(key_schema), values)),
                }
            }
        };
        Ok(Some(record))
    }
}

fn plan(schema: &Schema, fields: &[ByteString]) -> Result<(SchemaRef, Vec<usize>)> {
    let mut builder: SchemaBuilder = Schema::structure();
    let mut places = Vec::with_capacity(fields.len());
    for name in fields {
        let field = schema
            .field(name)
            .ok_or_else(|| Error::data(format!("Field does not exist: {name}")))?;
        builder = builder.field(name.clone(), Arc::clone(&field.schema));
        places.push(field.index);
    }
    Ok((builder.build(), places))
}

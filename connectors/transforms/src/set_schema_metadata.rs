//! Sets the name or version of a struct's schema.
//!
//! ```text
//! config   {"type": "…SetSchemaMetadata$Value", "schema.name": "order", "schema.version": "2"}
//! before   Schema{STRUCT}
//! after    Schema{order:STRUCT}, version 2
//! ```
//!
//! Answers for `org.apache.kafka.connect.transforms.SetSchemaMetadata`.

use std::sync::Arc;

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type};
use connect_api::context::PluginContext;
use connect_api::data::{SchemaCache, SchemaRef, SchemaType, Value};
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{Error, Props, Result};

use crate::operand::{
    REPLACE_NULL, SCHEMA_CACHE_SIZE, Side, key_and_value, read_field, replace_null_key,
};

key_and_value!("SetSchemaMetadata", definition, SetSchemaMetadata::new);

const PURPOSE: &str = "updating schema metadata";
const NAME: &str = "schema.name";
const VERSION: &str = "schema.version";

fn definition() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new(NAME, Type::String, Importance::High)
                .default_null()
                .doc("The schema's new name."),
        )
        .define(
            ConfigKey::new(VERSION, Type::Int, Importance::High)
                .default_null()
                .doc("The schema's new version."),
        )
        .define(replace_null_key())
}

#[derive(Debug)]
struct SetSchemaMetadata {
    side: Side,
    name: Option<String>,
    version: Option<i32>,
    replace_null: bool,
    schemas: SchemaCache<SchemaRef>,
}

impl SetSchemaMetadata {
    fn new(side: Side) -> Self {
        Self {
            side,
            name: None,
            version: None,
            replace_null: true,
            schemas: SchemaCache::new(SCHEMA_CACHE_SIZE),
        }
    }
}

impl Transformation for SetSchemaMetadata {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let config = definition().parse(props)?;
        self.name = config.string_opt(NAME).map(str::to_owned);
        self.version = config
            .int_opt(VERSION)
            .and_then(|version| i32::try_from(version).ok());
        self.replace_null = config.bool(REPLACE_NULL);
        if self.name.is_none() && self.version.is_none() {
            return Err(Error::config("Neither schema name nor version configured"));
        }
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        let operand = self.side.of_mut(&mut record);
        let Some(schema) = operand.schema.clone() else {
            if operand.is_null() {
                return Ok(Some(record));
            }
            return Err(Error::data(format!("Schema required for [{PURPOSE}]")));
        };
        if schema.kind() != SchemaType::Struct {
            return Err(Error::data("Cannot list fields on non-struct type"));
        }
        let (name, version) = (&self.name, self.version);
        let updated = self.schemas.get_or_insert_with(&schema, || {
            let mut builder = schema.to_builder();
            if let Some(name) = name {
                builder = builder.name(name.as_str());
            }
            if let Some(version) = version {
                builder = builder.version(version);
            }
            builder.build()
        });
        if let Value::Struct(value) = &mut operand.value {
            for (field, value) in updated.fields().iter().zip(&mut value.values) {
                if value.is_null() {
                    *value = read_field(&field.schema, value, self.replace_null);
                }
            }
            value.schema = Arc::clone(updated);
        }
        operand.schema = Some(Arc::clone(updated));
        Ok(Some(record))
    }
}

//! Wraps the whole key or value in a struct or map of one field.
//!
//! ```text
//! config   {"type": "…HoistField$Value", "field": "line"}
//! before   "a"
//! after    {"line": "a"}
//! ```
//!
//! Answers for `org.apache.kafka.connect.transforms.HoistField`.

use std::sync::Arc;

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type};
use connect_api::context::PluginContext;
use connect_api::data::{
    ConnectMap, Schema, SchemaAndValue, SchemaCache, SchemaRef, Struct, Value,
};
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{ByteString, Props, Result};

use crate::operand::{SCHEMA_CACHE_SIZE, Side, check_field_name, key_and_value};

key_and_value!("HoistField", definition, HoistField::new);

const FIELD: &str = "field";

fn definition() -> ConfigDef {
    ConfigDef::new().define(
        ConfigKey::new(FIELD, Type::String, Importance::Medium).doc("The name of the one field."),
    )
}

#[derive(Debug)]
struct HoistField {
    side: Side,
    field: ByteString,
    schemas: SchemaCache<SchemaRef>,
}

impl HoistField {
    fn new(side: Side) -> Self {
        Self {
            side,
            field: ByteString::new(),
            schemas: SchemaCache::new(SCHEMA_CACHE_SIZE),
        }
    }
}

impl Transformation for HoistField {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        self.field = definition().parse(props)?.string(FIELD).into();
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        let operand = self.side.of_mut(&mut record);
        let SchemaAndValue { schema, value } = std::mem::take(operand);
        *operand = match schema {
            None => {
                let map: ConnectMap = [(Value::String(self.field.clone()), value)]
                    .into_iter()
                    .collect();
                SchemaAndValue {
                    schema: None,
                    value: Value::Map(Box::new(map)),
                }
            }
            Some(schema) => {
                let field = &self.field;
                check_field_name(field)?;
                let hoisted = self.schemas.get_or_insert_with(&schema, || {
                    Schema::structure()
                        .field(field.clone(), Arc::clone(&schema))
                        .build()
                });
                SchemaAndValue {
                    schema: Some(Arc::clone(hoisted)),
                    value: Value::Struct(Struct::new(Arc::clone(hoisted), vec![value])),
                }
            }
        };
        Ok(Some(record))
    }
}

//! One field takes the place of the whole key or value.
//!
//! ```text
//! config   {"type": "…ExtractField$Key", "field": "id"}
//! before   {"id": 1}
//! after    1
//! ```
//!
//! Answers for `org.apache.kafka.connect.transforms.ExtractField`.

use std::sync::Arc;

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type};
use connect_api::context::PluginContext;
use connect_api::data::{SchemaAndValue, Value};
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{Error, Props, Result};

use crate::field_path::{FieldPath, SYNTAX, syntax_key};
use crate::operand::{
    REPLACE_NULL, Side, key_and_value, replace_null_key, require_map, require_struct,
};

key_and_value!("ExtractField", definition, ExtractField::new);

const PURPOSE: &str = "field extraction";
const FIELD: &str = "field";

fn definition() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new(FIELD, Type::String, Importance::Medium).doc("The field to extract."),
        )
        .define(replace_null_key())
        .define(syntax_key())
}

#[derive(Debug)]
struct ExtractField {
    side: Side,
    path: FieldPath,
    replace_null: bool,
}

impl ExtractField {
    fn new(side: Side) -> Self {
        Self {
            side,
            path: FieldPath::default(),
            replace_null: true,
        }
    }
}

impl Transformation for ExtractField {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let config = definition().parse(props)?;
        self.path = FieldPath::new(config.string(FIELD), config.string(SYNTAX))?;
        self.replace_null = config.bool(REPLACE_NULL);
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        let operand = self.side.of_mut(&mut record);
        *operand = match &operand.schema {
            None if operand.is_null() => SchemaAndValue::NULL,
            None => SchemaAndValue {
                schema: None,
                value: self.path.in_map(require_map(&operand.value, PURPOSE)?)?,
            },
            Some(schema) => {
                let value = match &operand.value {
                    Value::Null => None,
                    other => Some(require_struct(other, PURPOSE)?),
                };
                let field = self.path.field(schema)?.ok_or_else(|| {
                    Error::data(format!("Unknown field: {}", self.path.text))
                        .with_class("java.lang.IllegalArgumentException")
                })?;
                SchemaAndValue {
                    schema: Some(Arc::clone(&field.schema)),
                    value: value
                        .map(|value| self.path.in_struct(value, self.replace_null))
                        .unwrap_or_default(),
                }
            }
        };
        Ok(Some(record))
    }
}

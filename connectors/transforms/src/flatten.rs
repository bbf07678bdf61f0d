//! Takes nested structs and maps apart: their fields get names that name the way to them.
//!
//! ```text
//! config   {"type": "…Flatten$Value", "delimiter": "_"}
//! before   {"id": 1, "address": {"city": "Bern"}}
//! after    {"id": 1, "address_city": "Bern"}
//! ```
//!
//! Answers for `org.apache.kafka.connect.transforms.Flatten`.

use std::sync::Arc;

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type};
use connect_api::context::PluginContext;
use connect_api::data::{
    ConnectMap, Schema, SchemaBuilder, SchemaCache, SchemaRef, SchemaType, Struct, Value,
};
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{ByteString, Error, Props, Result};

use crate::operand::{
    SCHEMA_CACHE_SIZE, Side, add_field, copy_basics, key_and_value, read_field, require_map,
    require_struct,
};

key_and_value!("Flatten", definition, Flatten::new);

const PURPOSE: &str = "flattening";
const DELIMITER: &str = "delimiter";

fn definition() -> ConfigDef {
    ConfigDef::new().define(
        ConfigKey::new(DELIMITER, Type::String, Importance::Medium)
            .default(".")
            .doc("What stands between the names of a field and of its parent."),
    )
}

#[derive(Debug)]
struct Flatten {
    side: Side,
    delimiter: String,
    schemas: SchemaCache<SchemaRef>,
}

impl Flatten {
    fn new(side: Side) -> Self {
        Self {
            side,
            delimiter: ".".to_owned(),
            schemas: SchemaCache::new(SCHEMA_CACHE_SIZE),
        }
    }
}

impl Transformation for Flatten {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        definition()
            .parse(props)?
            .string(DELIMITER)
            .clone_into(&mut self.delimiter);
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        let operand = self.side.of_mut(&mut record);
        if operand.is_null() {
            return Ok(Some(record));
        }
        match operand.schema.clone() {
            None => {
                let mut flat = ConnectMap::linked();
                let map = require_map(&operand.value, PURPOSE)?;
                flatten_map(map, "", &self.delimiter, &mut flat)?;
                operand.value = Value::Map(Box::new(flat));
            }
            Some(schema) => {
                let value = require_struct(&operand.value, PURPOSE)?;
                let delimiter = &self.delimiter;
                let flat = self.schemas.get_or_try_insert_with(&schema, || {
                    let builder = copy_basics(&schema, Schema::builder(SchemaType::Struct));
                    let mut flattening = Flattening {
                        delimiter,
                        names: Vec::new(),
                    };
                    flattening
                        .fields(&schema, "", builder, schema.is_optional(), None)
                        .map(SchemaBuilder::build)
                })?;
                let mut values = Vec::with_capacity(flat.fields().len());
                flatten_struct(&schema, Some(value), &mut values);
                operand.schema = Some(Arc::clone(flat));
                operand.value = Value::Struct(Struct::new(Arc::clone(flat), values));
            }
        }
        Ok(Some(record))
    }
}

fn joined(prefix: &str, delimiter: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}{delimiter}{name}")
    }
}

fn flatten_map(
    map: &ConnectMap,
    prefix: &str,
    delimiter: &str,
    flat: &mut ConnectMap,
) -> Result<()> {
    for (key, value) in map.iter() {
        let name = joined(prefix, delimiter, key.as_str().unwrap_or_default());
        match value {
            Value::Map(inner) => flatten_map(inner, &name, delimiter, flat)?,
            Value::Struct(_)
            | Value::Decimal(_)
            | Value::Date(_)
            | Value::Time(_)
            | Value::Timestamp(_) => {
                return Err(Error::data(format!(
                    "Flatten transformation does not support class {} for record without schemas \
                     (for field {name}).",
                    value.java_class().unwrap_or("null")
                )));
            }
            plain => {
                flat.insert(Value::from(name), plain.clone());
            }
        }
    }
    Ok(())
}

/// The making of one flat schema.
struct Flattening<'a> {
    delimiter: &'a str,
    names: Vec<ByteString>,
}

impl Flattening<'_> {
    fn fields(
        &mut self,
        schema: &Schema,
        prefix: &str,
        mut builder: SchemaBuilder,
        optional: bool,
        parent_default: Option<&Struct>,
    ) -> Result<SchemaBuilder> {
        for field in schema.fields() {
            let name = joined(prefix, self.delimiter, &field.name);
            let optional = optional || field.schema.is_optional();
            let default = field
                .schema
                .default_value()
                .or_else(|| parent_default.and_then(|parent| parent.get(&field.name)))
                .filter(|default| !default.is_null());
            builder = match field.schema.kind() {
                SchemaType::Struct => {
                    let default = default.and_then(Value::as_struct);
                    self.fields(&field.schema, &name, builder, optional, default)?
                }
                SchemaType::Map => {
                    return Err(Error::data(format!(
                        "Flatten transformation does not support MAP for record with schemas (for \
                         field {name})."
                    )));
                }
                _ => {
                    let mut copy = field.schema.to_builder().no_default().optional_if(optional);
                    if let Some(default) = default {
                        copy = copy.default_value(default.clone());
                    }
                    add_field(&mut self.names, builder, &name.into(), &copy.build())?
                }
            };
        }
        Ok(builder)
    }
}

/// The values in the order of the flat schema; those of a missing struct are null.
fn flatten_struct(schema: &Schema, value: Option<&Struct>, values: &mut Vec<Value>) {
    for field in schema.fields() {
        let inner = value.map(|value| &value.values[field.index]);
        if field.schema.kind() == SchemaType::Struct {
            let inner = match inner {
                Some(Value::Null) | None => {
                    field.schema.default_value().filter(|_| value.is_some())
                }
                given => given,
            };
            flatten_struct(&field.schema, inner.and_then(Value::as_struct), values);
        } else {
            values.push(match inner {
                Some(inner) => read_field(&field.schema, inner, true),
                None => Value::Null,
            });
        }
    }
}

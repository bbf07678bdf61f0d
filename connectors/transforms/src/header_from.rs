//! Moves or copies fields of the key or value into headers.
//!
//! ```text
//! config   {"type": "…HeaderFrom$Value", "fields": "a", "headers": "h", "operation": "move"}
//! before   {"a": 1, "b": 2}
//! after    {"b": 2}, header h = 1
//! ```
//!
//! Answers for `org.apache.kafka.connect.transforms.HeaderFrom`.

use std::sync::Arc;

use connect_api::config::{ConfigDef, ConfigKey, Importance, Parsed, Type, Validator, any_of};
use connect_api::context::PluginContext;
use connect_api::data::{
    Header, Schema, SchemaAndValue, SchemaCache, SchemaRef, SchemaType, Struct, Value,
};
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{ByteString, Error, Props, Result};

use crate::operand::{
    REPLACE_NULL, SCHEMA_CACHE_SIZE, Side, copy_basics, key_and_value, read_field,
    replace_null_key, take_map, take_struct,
};

key_and_value!("HeaderFrom", definition, HeaderFrom::new);

const FIELDS: &str = "fields";
const HEADERS: &str = "headers";
const OPERATION: &str = "operation";

fn definition() -> ConfigDef {
    let list = |name| ConfigKey::new(name, Type::List, Importance::High).validator(not_empty());
    ConfigDef::new()
        .define(list(FIELDS).doc("The fields that go into headers."))
        .define(list(HEADERS).doc("The headers' names, one for each field."))
        .define(
            ConfigKey::new(OPERATION, Type::String, Importance::High)
                .validator(any_of(&["move", "copy"]))
                .doc("move takes the fields out of the key or value, copy leaves them there."),
        )
        .define(replace_null_key())
}

/// A list with something in it (`NonEmptyListValidator`).
pub(crate) fn not_empty() -> Validator {
    Arc::new(|name, value| match value {
        Some(Parsed::List(items)) if !items.is_empty() => Ok(()),
        Some(_) => Err(format!(
            "Invalid value [] for configuration {name}: Empty list"
        )),
        None => Err(format!(
            "Invalid value null for configuration {name}: Empty list"
        )),
    })
}

#[derive(Debug)]
struct HeaderFrom {
    side: Side,
    fields: Vec<String>,
    headers: Vec<ByteString>,
    moves: bool,
    replace_null: bool,
    moved: SchemaCache<SchemaRef>,
}

impl HeaderFrom {
    fn new(side: Side) -> Self {
        Self {
            side,
            fields: Vec::new(),
            headers: Vec::new(),
            moves: false,
            replace_null: true,
            moved: SchemaCache::new(SCHEMA_CACHE_SIZE),
        }
    }
}

impl Transformation for HeaderFrom {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let config = definition().parse(props)?;
        self.fields = config.list(FIELDS).to_vec();
        self.headers = config
            .list(HEADERS)
            .iter()
            .map(|name| name.as_str().into())
            .collect();
        self.moves = config.string(OPERATION) == "move";
        self.replace_null = config.bool(REPLACE_NULL);
        if self.fields.len() != self.headers.len() {
            return Err(Error::config(
                "'fields' config must have the same number of elements as 'headers' config.",
            ));
        }
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        let purpose = if self.moves {
            "header move"
        } else {
            "header copy"
        };
        let mut headers = std::mem::take(&mut record.headers);
        let mut add = |key: &ByteString, schema, value| {
            headers.push(Header {
                key: key.clone(),
                value: SchemaAndValue { schema, value },
            });
        };
        let operand = self.side.of_mut(&mut record);
        let value = std::mem::take(&mut operand.value);
        let pairs = self.fields.iter().zip(&self.headers);
        match operand.schema.clone() {
            None => {
                let mut map = take_map(value, purpose)?;
                for (field, header) in pairs {
                    add(
                        header,
                        None,
                        map.get_str(field).cloned().unwrap_or_default(),
                    );
                }
                // Afterwards: a field may be named twice.
                for field in self.fields.iter().filter(|_| self.moves) {
                    map.remove(&Value::from(field.as_str()));
                }
                operand.value = Value::Map(map);
            }
            Some(schema) => {
                let value = take_struct(value, purpose)?;
                for (name, header) in pairs {
                    let field = schema.field(name).ok_or_else(|| {
                        Error::data(
                            "Cannot invoke \"org.apache.kafka.connect.data.Field.schema()\" \
                                 because the return value of \"org.apache.kafka.connect.data.\
                                 Schema.field(String)\" is null",
                        )
                        .with_class("java.lang.NullPointerException")
                    })?;
                    let value =
                        read_field(&field.schema, &value.values[field.index], self.replace_null);
                    add(header, Some(Arc::clone(&field.schema)), value);
                }
                if !self.moves {
                    operand.value = Value::Struct(value);
                } else {
                    let fields = &self.fields;
                    let moved = self
                        .moved
                        .get_or_insert_with(&schema, || without(&schema, fields));
                    let values = schema
                        .fields()
                        .iter()
                        .zip(value.values)
                        .filter(|(field, _)| !fields.contains(&field.name.to_string()))
                        .map(|(field, value)| match value {
                            Value::Null => read_field(&field.schema, &value, self.replace_null),
                            value => value,
                        })
                        .collect();
                    operand.schema = Some(Arc::clone(moved));
                    operand.value = Value::Struct(Struct::new(Arc::clone(moved), values));
                }
            }
        }
        record.headers = headers;
        Ok(Some(record))
    }
}

fn without(schema: &Schema, fields: &[String]) -> SchemaRef {
    let kept = schema
        .fields()
        .iter()
        .filter(|field| !fields.contains(&field.name.to_string()));
    kept.fold(
        copy_basics(schema, Schema::builder(SchemaType::Struct)),
        |builder, field| builder.field(field.name.clone(), Arc::clone(&field.schema)),
    )
    .build()
}

//! Replaces fields with an empty value of their type, or with a given text or number.
//!
//! ```text
//! config   {"type": "…MaskField$Value", "fields": "card", "replacement": "****"}
//! before   {"id": 1, "card": "1234"}
//! after    {"id": 1, "card": "****"}
//! ```
//!
//! Answers for `org.apache.kafka.connect.transforms.MaskField`.

use std::sync::Arc;

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type, list_rules, non_empty};
use connect_api::context::PluginContext;
use connect_api::data::{ConnectMap, Decimal, Value};
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{ByteString, Error, Props, Result};

use crate::operand::{
    REPLACE_NULL, Side, key_and_value, read_field, replace_null_key, take_map, take_struct,
};

key_and_value!("MaskField", definition, MaskField::new);

const PURPOSE: &str = "mask fields";
const FIELDS: &str = "fields";
const REPLACEMENT: &str = "replacement";

fn definition() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new(FIELDS, Type::List, Importance::High)
                .validator(list_rules(false, false))
                .distinct()
                .doc("The fields to mask."),
        )
        .define(
            ConfigKey::new(REPLACEMENT, Type::String, Importance::Low)
                .default_null()
                .validator(non_empty())
                .doc("What takes the place of numbers and texts; without it, 0 or nothing."),
        )
        .define(replace_null_key())
}

#[derive(Debug)]
struct MaskField {
    side: Side,
    fields: Vec<String>,
    replacement: Option<ByteString>,
    replace_null: bool,
}

impl MaskField {
    fn new(side: Side) -> Self {
        Self {
            side,
            fields: Vec::new(),
            replacement: None,
            replace_null: true,
        }
    }

    fn mask(&self, value: &Value) -> Result<Value> {
        match &self.replacement {
            _ if value.is_null() => Ok(Value::Null),
            None => empty(value),
            Some(replacement) => replaced(value, replacement),
        }
    }
}

/// The empty value of the same type.
fn empty(value: &Value) -> Result<Value> {
    Ok(match value {
        Value::Boolean(_) => Value::Boolean(false),
        Value::Int8(_) => Value::Int8(0),
        Value::Int16(_) => Value::Int16(0),
        Value::Int32(_) => Value::Int32(0),
        Value::Int64(_) => Value::Int64(0),
        Value::Float32(_) => Value::Float32(0.0),
        Value::Float64(_) => Value::Float64(0.0),
        Value::String(_) => Value::text(""),
        Value::Decimal(_) => Value::Decimal(Decimal::new(0, 0)),
        Value::Date(_) => Value::Date(0),
        Value::Time(_) => Value::Time(0),
        Value::Timestamp(_) => Value::Timestamp(0),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Map(_) => Value::Map(Box::new(ConnectMap::new())),
        Value::Null | Value::Bytes(_) | Value::Struct(_) => {
            return Err(Error::data(format!(
                "Cannot mask value of type: class {}",
                value.java_class().unwrap_or("null")
            )));
        }
    })
}

/// The replacement as a value of the same type.
fn replaced(value: &Value, replacement: &ByteString) -> Result<Value> {
    let not_a_number = || {
        Error::data(format!(
            "Unable to convert {replacement} (class java.lang.String) to a number"
        ))
    };
    let decimal = || Decimal::parse(replacement.as_bytes().as_ref()).ok_or_else(not_a_number);
    // Fractions are cut off, high bits too, as by BigDecimal.longValue.
    let integer = || -> Result<i64> {
        let plain = decimal()?.to_plain_string();
        let whole = plain
            .split_once('.')
            .map_or(plain.as_str(), |(whole, _)| whole);
        whole
            .parse::<i128>()
            .map(|wide| wide as i64)
            .map_err(|_| not_a_number())
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "Java's narrowing casts wrap"
    )]
    Ok(match value {
        Value::Int8(_) => Value::Int8(integer()? as i8),
        Value::Int16(_) => Value::Int16(integer()? as i16),
        Value::Int32(_) => Value::Int32(integer()? as i32),
        Value::Int64(_) => Value::Int64(integer()?),
        Value::Float32(_) => Value::Float32(decimal()?.to_f64() as f32),
        Value::Float64(_) => Value::Float64(decimal()?.to_f64()),
        Value::Decimal(_) => Value::Decimal(decimal().map_err(|_| {
            Error::data(format!(
                "Unable to convert {replacement} (class java.lang.String) to number"
            ))
        })?),
        Value::String(_) => Value::String(replacement.clone()),
        other => {
            return Err(Error::data(format!(
                "Cannot mask value of type class {} with custom replacement.",
                other.java_class().unwrap_or("null")
            )));
        }
    })
}

impl Transformation for MaskField {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let config = definition().parse(props)?;
        self.fields = config.list(FIELDS).to_vec();
        self.replacement = config.string_opt(REPLACEMENT).map(ByteString::from);
        self.replace_null = config.bool(REPLACE_NULL);
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        let operand = self.side.of_mut(&mut record);
        let value = std::mem::take(&mut operand.value);
        operand.value = match &operand.schema {
            None => {
                let mut map = take_map(value, PURPOSE)?;
                for field in &self.fields {
                    let masked = map
                        .get_str(field)
                        .map(|value| self.mask(value))
                        .transpose()?;
                    map.insert(Value::from(field.as_str()), masked.unwrap_or_default());
                }
                Value::Map(map)
            }
            Some(_) => {
                let mut value = take_struct(value, PURPOSE)?;
                let schema = Arc::clone(&value.schema);
                for (field, value) in schema.fields().iter().zip(&mut value.values) {
                    if value.is_null() {
                        *value = read_field(&field.schema, value, self.replace_null);
                    }
                    if self.fields.iter().any(|name| field.name == *name.as_str()) {
                        *value = self.mask(value)?;
                    }
                }
                Value::Struct(value)
            }
        };
        Ok(Some(record))
    }
}

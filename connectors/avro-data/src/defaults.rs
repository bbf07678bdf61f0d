//! Defaults: Connect's as Avro's JSON, Avro's JSON as Connect's, and what Avro accepts as one.

use std::sync::Arc;

use connect_api::data::logical::Logical;
use connect_api::data::{
    Bytes, ConnectMap, Decimal, Schema, SchemaRef, SchemaType, Struct, Value as ConnectValue,
};
use connect_api::java::float_to_string;
use connect_api::{Error, Result};
use serde_json::{Value, json};

use crate::schema::{Avro, Shape};

/// A default as Avro writes it in JSON: bytes as ISO-8859-1 text, dates and times as numbers.
///
/// # Errors
/// Kind Data: the default is not of the schema.
pub fn default_json(schema: &Schema, value: &ConnectValue) -> Result<Value> {
    let text = |bytes: &[u8]| Value::String(bytes.iter().map(|&byte| char::from(byte)).collect());
    Ok(match value {
        ConnectValue::Null => Value::Null,
        ConnectValue::Boolean(flag) => json!(flag),
        ConnectValue::Int8(number) => json!(number),
        ConnectValue::Int16(number) => json!(number),
        ConnectValue::Int32(number) | ConnectValue::Date(number) | ConnectValue::Time(number) => {
            json!(number)
        }
        ConnectValue::Int64(number) | ConnectValue::Timestamp(number) => json!(number),
        // By its own digits: widened to a double it would show digits that it does not have.
        ConnectValue::Float32(number) => float(float_to_string(*number).parse().ok(), *number),
        ConnectValue::Float64(number) => float(Some(*number), *number as f32),
        ConnectValue::String(string) => json!(&**string),
        ConnectValue::Bytes(bytes) => text(bytes),
        ConnectValue::Decimal(decimal) => decimal.with_signed_bytes_be(text),
        ConnectValue::Array(items) => items
            .iter()
            .map(|item| default_json(value_schema(schema)?, item))
            .collect::<Result<_>>()?,
        ConnectValue::Map(map) => {
            let keys = schema
                .key_schema()
                .ok_or_else(|| Error::data("a map schema has no key schema"))?;
            let values = value_schema(schema)?;
            let plain = keys.kind() == SchemaType::String && !keys.is_optional();
            if plain {
                let entries = map.iter().map(|(key, item)| {
                    Ok((
                        key.as_str().unwrap_or_default().to_owned(),
                        default_json(values, item)?,
                    ))
                });
                Value::Object(entries.collect::<Result<_>>()?)
            } else {
                map.iter()
                    .map(|(key, item)| {
                        Ok(json!([
                            default_json(keys, key)?,
                            default_json(values, item)?
                        ]))
                    })
                    .collect::<Result<_>>()?
            }
        }
        ConnectValue::Struct(structure) => {
            let entries = structure.schema.fields().iter().zip(&structure.values);
            Value::Object(
                entries
                    .map(|(field, item)| {
                        Ok((field.name.to_string(), default_json(&field.schema, item)?))
                    })
                    .collect::<Result<_>>()?,
            )
        }
    })
}

/// A number, or what Jackson quotes because JSON has no number for it.
fn float(number: Option<f64>, narrow: f32) -> Value {
    match number.filter(|number| number.is_finite()) {
        Some(number) => json!(number),
        None if narrow.is_nan() => json!("NaN"),
        None if narrow > 0.0 => json!("Infinity"),
        None => json!("-Infinity"),
    }
}

fn value_schema(schema: &Schema) -> Result<&SchemaRef> {
    schema
        .value_schema()
        .ok_or_else(|| Error::data("an array or map schema has no value schema"))
}

/// Whether Avro's library takes this default for this type: any branch of a union will do.
pub fn is_valid(avro: &Avro, default: &Value) -> bool {
    match &avro.shape {
        Shape::Null => default.is_null(),
        Shape::Boolean => default.is_boolean(),
        Shape::Int => default.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        Shape::Long => default.is_i64(),
        Shape::Float | Shape::Double => default.is_number(),
        Shape::Bytes | Shape::String | Shape::Enum { .. } | Shape::Fixed { .. } => {
            default.is_string()
        }
        Shape::Array(items) => default
            .as_array()
            .is_some_and(|all| all.iter().all(|item| is_valid(items, item))),
        Shape::Map(values) => default
            .as_object()
            .is_some_and(|all| all.values().all(|value| is_valid(values, value))),
        Shape::Record { fields, .. } => default.as_object().is_some_and(|members| {
            fields.iter().all(|field| {
                let member = members.get(&field.name).or(field.default.as_ref());
                member.is_some_and(|member| is_valid(&field.schema, member))
            })
        }),
        Shape::Union(branches) => branches.iter().any(|branch| is_valid(branch, default)),
        Shape::Reference(_) => default.is_object(),
    }
}

/// Bytes that stand in JSON as a text, a character for each; `None` where it is none.
pub(crate) fn latin(json: &Value) -> Option<Vec<u8>> {
    let characters = json.as_str()?.chars();
    characters.map(|one| u8::try_from(one).ok()).collect()
}

/// An Avro default as a value of the Connect schema; `None` where it is none of it.
pub fn to_connect(schema: &SchemaRef, default: &Value) -> Option<ConnectValue> {
    let bytes = || latin(default);
    let int = || default.as_i64().and_then(|n| i32::try_from(n).ok());
    if default.is_null() {
        return schema.is_optional().then_some(ConnectValue::Null);
    }
    match schema.logical() {
        Some(Logical::Decimal) => {
            let scale = schema.parameter("scale")?.parse().ok()?;
            let bytes = bytes()?;
            return Some(ConnectValue::Decimal(Decimal::from_signed_bytes_be(
                &bytes, scale,
            )));
        }
        Some(Logical::Date) => return int().map(ConnectValue::Date),
        Some(Logical::Time) => return int().map(ConnectValue::Time),
        Some(Logical::Timestamp) => return default.as_i64().map(ConnectValue::Timestamp),
        None => {}
    }
    Some(match schema.kind() {
        SchemaType::Int8 => ConnectValue::Int8(i8::try_from(default.as_i64()?).ok()?),
        SchemaType::Int16 => ConnectValue::Int16(i16::try_from(default.as_i64()?).ok()?),
        SchemaType::Int32 => ConnectValue::Int32(int()?),
        SchemaType::Int64 => ConnectValue::Int64(default.as_i64()?),
        SchemaType::Float32 => ConnectValue::Float32(number(default)? as f32),
        SchemaType::Float64 => ConnectValue::Float64(number(default)?),
        SchemaType::Boolean => ConnectValue::Boolean(default.as_bool()?),
        SchemaType::String => ConnectValue::from(default.as_str()?),
        SchemaType::Bytes => ConnectValue::Bytes(Bytes::from(bytes()?)),
        SchemaType::Array => {
            let items = schema.value_schema()?;
            let values = default.as_array()?.iter();
            ConnectValue::Array(
                values
                    .map(|value| to_connect(items, value))
                    .collect::<Option<_>>()?,
            )
        }
        SchemaType::Map => ConnectValue::Map(Box::new(map(schema, default)?)),
        SchemaType::Struct => structure(schema, default)?,
    })
}

fn number(default: &Value) -> Option<f64> {
    match default.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        _ => default.as_f64(),
    }
}

fn map(schema: &Schema, default: &Value) -> Option<ConnectMap> {
    let (keys, values) = (schema.key_schema()?, schema.value_schema()?);
    match default {
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| {
                Some((ConnectValue::from(key.as_str()), to_connect(values, value)?))
            })
            .collect(),
        Value::Array(entries) => entries
            .iter()
            .map(|entry| match entry.as_array().map(Vec::as_slice) {
                Some([key, value]) => Some((to_connect(keys, key)?, to_connect(values, value)?)),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

fn structure(schema: &SchemaRef, default: &Value) -> Option<ConnectValue> {
    let is_union = schema.name() == Some(crate::from_connect::UNION)
        || schema
            .parameter(crate::from_connect::GENERIC_UNION)
            .is_some();
    let mut values = vec![ConnectValue::Null; schema.fields().len()];
    if is_union {
        // The default of a union is one of its first branch.
        let first = schema.fields().first()?;
        values[0] = to_connect(&first.schema, default)?;
    } else {
        let members = default.as_object()?;
        for (field, value) in schema.fields().iter().zip(&mut values) {
            *value = match members.get(&*field.name) {
                Some(member) => to_connect(&field.schema, member)?,
                None => field.schema.default_value().cloned().unwrap_or_default(),
            };
        }
    }
    Some(ConnectValue::Struct(Struct::new(
        Arc::clone(schema),
        values,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_shows_its_own_digits() {
        let json = default_json(&Schema::float32().build(), &ConnectValue::Float32(0.1));
        assert_eq!(json.expect("a number"), json!(0.1));
        let nan = default_json(&Schema::float64().build(), &ConnectValue::Float64(f64::NAN));
        assert_eq!(nan.expect("quoted"), json!("NaN"));
    }

    #[test]
    fn bytes_are_latin_text_both_ways() {
        let schema = Schema::bytes().build();
        let value = ConnectValue::Bytes(Bytes::from_static(&[1, 0xff]));
        let json = default_json(&schema, &value).expect("a text");
        assert_eq!(json, json!("\u{1}ÿ"));
        assert_eq!(to_connect(&schema, &json), Some(value));
        assert_eq!(to_connect(&schema, &json!("€")), None);
    }
}

//! Nodes as values, with every leniency of `JsonConverter.convertToConnect`.

use std::sync::Arc;

use super::JsonOptions;
use super::node::Node;
use super::parse::{double, low_bits};
use super::text::decode_base64;
use crate::data::logical::{Logical, SCALE};
use crate::data::{Bytes, ConnectMap, Decimal, Schema, SchemaRef, SchemaType, Struct, Value};
use crate::{Error, Result};

/// The value of a node; `None` where a struct's member is missing.
pub(super) fn to_connect(
    schema: Option<&SchemaRef>,
    node: Option<&Node>,
    options: JsonOptions,
) -> Result<Value> {
    let Some(schema) = schema else {
        return node.map_or(Ok(Value::Null), |node| Ok(schemaless(node)));
    };
    let node = match node {
        None | Some(Node::Null) => return null(schema, options),
        Some(node) => node,
    };
    match schema.logical() {
        Some(Logical::Decimal) => return decimal(schema, node),
        Some(Logical::Date) => {
            return Ok(Value::Date(
                int32(node).ok_or_else(|| not_integer("Date", "integer", node))?,
            ));
        }
        Some(Logical::Time) => {
            let ms = int32(node).ok_or_else(|| not_integer("Time", "integer", node))?;
            if !(0..=86_400_000).contains(&ms) {
                return Err(Error::data(
                    "Time values must use number of milliseconds greater than 0 and less than \
                     86400000",
                ));
            }
            return Ok(Value::Time(ms));
        }
        Some(Logical::Timestamp) => {
            return match node {
                Node::Integer(_) | Node::BigInteger(_) => Ok(Value::Timestamp(long_value(node))),
                _ => Err(not_integer("Timestamp", "integral", node)),
            };
        }
        None => {}
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "Java's narrowing casts wrap"
    )]
    Ok(match schema.kind() {
        SchemaType::Boolean => Value::Boolean(matches!(node, Node::Boolean(true))),
        SchemaType::Int8 => Value::Int8(long_value(node) as i8),
        SchemaType::Int16 => Value::Int16(long_value(node) as i16),
        SchemaType::Int32 => Value::Int32(long_value(node) as i32),
        SchemaType::Int64 => Value::Int64(long_value(node)),
        SchemaType::Float32 => Value::Float32(match node {
            Node::Integer(n) => *n as f32,
            Node::BigInteger(digits) => digits.parse().unwrap_or(0.0),
            Node::Fraction(number) => decimal_text(number).parse().unwrap_or(0.0),
            _ => 0.0,
        }),
        SchemaType::Float64 => Value::Float64(double_value(node)),
        SchemaType::String => node.as_text().cloned().map_or(Value::Null, Value::String),
        SchemaType::Bytes => match node {
            Node::Text(text) => Value::Bytes(Bytes::from(
                decode_base64(text).ok_or_else(|| Error::data("Invalid bytes field"))?,
            )),
            _ => Value::Null,
        },
        SchemaType::Array => {
            let element = schema.value_schema();
            let convert = |node| to_connect(element, Some(node), options);
            Value::Array(match node {
                Node::Array(items) => items.iter().map(convert).collect::<Result<_>>()?,
                Node::Object(members) => members.values().map(convert).collect::<Result<_>>()?,
                _ => Vec::new(),
            })
        }
        SchemaType::Map => map(schema, node, options)?,
        SchemaType::Struct => structure(schema, node, options)?,
    })
}

fn null(schema: &Schema, options: JsonOptions) -> Result<Value> {
    match schema.default_value() {
        Some(default) if options.replace_null_with_default => Ok(default.clone()),
        _ if schema.is_optional() => Ok(Value::Null),
        _ => Err(Error::data(format!(
            "Invalid null value for required {} field",
            schema.kind().name()
        ))),
    }
}

fn not_integer(logical: &str, wanted: &str, node: &Node) -> Error {
    Error::data(format!(
        "Invalid type for {logical}, underlying representation should be {wanted} but was {}",
        node.kind()
    ))
}

fn int32(node: &Node) -> Option<i32> {
    match node {
        Node::Integer(n) => i32::try_from(*n).ok(),
        _ => None,
    }
}

/// `JsonNode.longValue`; its low bits are `intValue`.
fn long_value(node: &Node) -> i64 {
    match node {
        Node::Integer(n) => *n,
        Node::BigInteger(digits) => low_bits(digits),
        Node::Fraction(number) => decimal_long(number),
        _ => 0,
    }
}

/// `BigDecimal.longValue`: the fraction is cut off, the low 64 bits are kept.
fn decimal_long(number: &Decimal) -> i64 {
    // 10^64 is a multiple of 2^64; and a number of at most 1000 digits has nothing left of the
    // point that many places down.
    if number.scale() <= -64 || number.scale() > 2000 {
        return 0;
    }
    let plain = number.to_plain_string();
    let whole = plain
        .split_once('.')
        .map_or(plain.as_str(), |(whole, _)| whole);
    whole.parse().unwrap_or_else(|_| low_bits(whole))
}

/// A text that the standard parser reads whatever the exponent is.
fn decimal_text(number: &Decimal) -> String {
    format!("{}e{}", number.unscaled(), -i64::from(number.scale()))
}

fn double_value(node: &Node) -> f64 {
    match node {
        Node::Integer(n) => *n as f64,
        Node::BigInteger(digits) => double(digits),
        Node::Fraction(number) => double(&decimal_text(number)),
        _ => 0.0,
    }
}

fn decimal(schema: &Schema, node: &Node) -> Result<Value> {
    let invalid =
        |why: &'static str| Error::data("Invalid bytes for Decimal field").with_source(why);
    Ok(Value::Decimal(match node {
        Node::Integer(n) => Decimal::new(*n, 0),
        Node::BigInteger(digits) => Decimal::parse(digits.as_bytes())
            .ok_or_else(|| invalid("the number has too many digits"))?,
        Node::Fraction(number) => number.clone(),
        Node::Text(text) => {
            let scale = schema
                .parameter(SCALE)
                .ok_or_else(|| invalid("Invalid Decimal schema: scale parameter not found."))?;
            let scale = scale
                .parse()
                .map_err(|_| invalid("Invalid scale parameter found in Decimal schema: "))?;
            let bytes = decode_base64(text).ok_or_else(|| invalid("the text is not base64"))?;
            if bytes.is_empty() {
                return Err(invalid("Zero length BigInteger"));
            }
            Decimal::from_signed_bytes_be(&bytes, scale)
        }
        other => {
            return Err(Error::data(format!(
                "Invalid type for Decimal, underlying representation should be numeric or bytes \
                 but was {}",
                other.kind()
            )));
        }
    }))
}

fn map(schema: &Schema, node: &Node, options: JsonOptions) -> Result<Value> {
    let (key_schema, value_schema) = (schema.key_schema(), schema.value_schema());
    let mut map = ConnectMap::new();
    if key_schema.is_some_and(|key| key.kind() == SchemaType::String) {
        let Node::Object(members) = node else {
            return Err(Error::data(format!(
                "Maps with string fields should be encoded as JSON objects, but found {}",
                node.kind()
            )));
        };
        for (name, member) in members {
            map.insert(
                name.clone().into(),
                to_connect(value_schema, Some(member), options)?,
            );
        }
        return Ok(Value::Map(Box::new(map)));
    }
    let Node::Array(entries) = node else {
        return Err(Error::data(format!(
            "Maps with non-string fields should be encoded as JSON array of tuples, but found {}",
            node.kind()
        )));
    };
    for entry in entries {
        match entry {
            Node::Array(pair) => match pair.as_slice() {
                [key, value] => {
                    map.insert(
                        to_connect(key_schema, Some(key), options)?,
                        to_connect(value_schema, Some(value), options)?,
                    );
                }
                other => {
                    return Err(Error::data(format!(
                        "Found invalid map entry, expected length 2 but found :{}",
                        other.len()
                    )));
                }
            },
            other => {
                return Err(Error::data(format!(
                    "Found invalid map entry instead of array tuple: {}",
                    other.kind()
                )));
            }
        }
    }
    Ok(Value::Map(Box::new(map)))
}

fn structure(schema: &SchemaRef, node: &Node, options: JsonOptions) -> Result<Value> {
    if !matches!(node, Node::Object(_)) {
        return Err(Error::data(format!(
            "Structs should be encoded as JSON objects, but found {}",
            node.kind()
        )));
    }
    let mut values = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let value = to_connect(Some(&field.schema), node.get(&field.name), options)?;
        if value.is_null() && !field.schema.is_optional() {
            return Err(Error::data(format!(
                "Invalid value: null used for required field: \"{}\", schema type: {}",
                field.name,
                field.schema.kind().name()
            )));
        }
        values.push(value);
    }
    Ok(Value::Struct(Struct::new(Arc::clone(schema), values)))
}

fn schemaless(node: &Node) -> Value {
    match node {
        Node::Null => Value::Null,
        Node::Boolean(value) => Value::Boolean(*value),
        Node::Integer(_) | Node::BigInteger(_) => Value::Int64(long_value(node)),
        Node::Fraction(_) => Value::Float64(double_value(node)),
        Node::Text(text) => Value::String(text.clone()),
        Node::Array(items) => Value::Array(items.iter().map(schemaless).collect()),
        Node::Object(members) => Value::Map(Box::new(
            members
                .iter()
                .map(|(name, member)| (Value::String(name.clone()), schemaless(member)))
                .collect(),
        )),
    }
}

//! Casts fields, or the whole key or value, to other primitive types.
//!
//! ```text
//! config   {"type": "…Cast$Value", "spec": "id:string,price:float64"}
//! before   {"id": 1, "price": "9.5"}
//! after    {"id": "1", "price": 9.5}
//! ```
//!
//! Answers for `org.apache.kafka.connect.transforms.Cast`.

use std::sync::Arc;

use base64::Engine as _;
use connect_api::config::{ConfigDef, ConfigKey, Importance, Parsed, Type};
use connect_api::context::PluginContext;
use connect_api::data::text::{iso_text, to_java_string};
use connect_api::data::{Decimal, Schema, SchemaCache, SchemaRef, SchemaType, Struct, Value};
use connect_api::java::parsable;
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{Error, Props, Result};

use crate::operand::{
    REPLACE_NULL, SCHEMA_CACHE_SIZE, Side, copy_basics, key_and_value, read_field,
    replace_null_key, take_map, take_struct,
};

key_and_value!("Cast", definition, Cast::new);

const PURPOSE: &str = "cast types";
const SPEC: &str = "spec";
const MS_PER_DAY: i64 = 86_400_000;
const OUTPUT_TYPES: &str = "[INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING]";
const INPUT_TYPES: &str = "[INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING, BYTES]";

fn definition() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new(SPEC, Type::List, Importance::High)
                .validator(Arc::new(|_, value| match value {
                    Some(Parsed::List(items)) => Spec::parse(items).map(|_| ()),
                    _ => Err("Must specify at least one field to cast.".to_owned()),
                }))
                .doc(
                    "Fields and their types as field:type, or one type for the whole value. Types \
                     are int8, int16, int32, int64, float32, float64, boolean and string.",
                ),
        )
        .define(replace_null_key())
}

/// What is cast to what.
#[derive(Clone, Debug, PartialEq)]
enum Spec {
    Whole(SchemaType),
    Fields(Vec<(String, SchemaType)>),
}

impl Spec {
    fn parse(items: &[String]) -> Result<Self, String> {
        let mut fields: Vec<(String, SchemaType)> = Vec::new();
        let mut whole = None;
        for item in items {
            // As in Java, empty parts at the end do not count.
            let parts = item.trim_end_matches(':').split(':');
            match parts.collect::<Vec<_>>().as_slice() {
                [name] => whole = Some(output_type(name.trim())?),
                [field, name] => {
                    let (field, kind) = (field.trim().to_owned(), output_type(name.trim())?);
                    fields.retain(|(known, _)| *known != field);
                    fields.push((field, kind));
                }
                _ => {
                    return Err(format!(
                        "Invalid value [{}] for configuration renames: Invalid rename mapping: \
                         {item}",
                        items.join(", ")
                    ));
                }
            }
        }
        match whole {
            Some(_) if items.len() > 1 => Err("Cast transformations that specify a type to cast \
                 the entire value to may only specify a single cast in their spec"
                .to_owned()),
            Some(kind) => Ok(Self::Whole(kind)),
            None if fields.is_empty() => Err("Must specify at least one field to cast.".to_owned()),
            None => Ok(Self::Fields(fields)),
        }
    }
}

fn output_type(name: &str) -> Result<SchemaType, String> {
    use SchemaType::{
        Array, Boolean, Bytes, Float32, Float64, Int8, Int16, Int32, Int64, Map, String, Struct,
    };
    let upper = name.to_uppercase();
    let all = [
        Int8, Int16, Int32, Int64, Float32, Float64, Boolean, String, Bytes, Array, Map, Struct,
    ];
    match all.into_iter().find(|kind| kind.name() == upper) {
        None => Err(format!(
            "Invalid value java.lang.IllegalArgumentException: No enum constant \
             org.apache.kafka.connect.data.Schema.Type.{upper} for configuration Invalid type \
             found in casting spec: {name}"
        )),
        Some(kind @ (Bytes | Array | Map | Struct)) => Err(format!(
            "Cast transformation does not support casting to {}; supported types are {OUTPUT_TYPES}",
            kind.name()
        )),
        Some(kind) => Ok(kind),
    }
}

#[derive(Debug)]
struct Cast {
    side: Side,
    spec: Spec,
    replace_null: bool,
    schemas: SchemaCache<SchemaRef>,
}

impl Cast {
    fn new(side: Side) -> Self {
        Self {
            side,
            spec: Spec::Fields(Vec::new()),
            replace_null: true,
            schemas: SchemaCache::new(SCHEMA_CACHE_SIZE),
        }
    }
}

impl Transformation for Cast {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let config = definition().parse(props)?;
        self.spec = Spec::parse(config.list(SPEC)).map_err(Error::config)?;
        self.replace_null = config.bool(REPLACE_NULL);
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        let operand = self.side.of_mut(&mut record);
        if operand.is_null() {
            return Ok(Some(record));
        }
        let value = std::mem::take(&mut operand.value);
        match (operand.schema.clone(), &self.spec) {
            (None, Spec::Whole(kind)) => operand.value = cast(None, value, *kind)?,
            (None, Spec::Fields(fields)) => {
                let mut map = take_map(value, PURPOSE)?;
                for (field, kind) in fields {
                    let value = map.get_str(field).cloned().unwrap_or_default();
                    map.insert(Value::from(field.as_str()), cast(None, value, *kind)?);
                }
                operand.value = Value::Map(map);
            }
            (Some(schema), spec) => {
                let updated = self
                    .schemas
                    .get_or_try_insert_with(&schema, || cast_schema(&schema, spec))?;
                operand.value = match spec {
                    Spec::Whole(kind) => cast(Some(&schema), value, *kind)?,
                    Spec::Fields(_) => {
                        let value = take_struct(value, PURPOSE)?;
                        let pairs = schema.fields().iter().zip(updated.fields());
                        let values = pairs
                            .zip(value.values)
                            .map(|((old, new), value)| {
                                let value = match value {
                                    Value::Null => {
                                        read_field(&old.schema, &value, self.replace_null)
                                    }
                                    value => value,
                                };
                                match Arc::ptr_eq(&old.schema, &new.schema) {
                                    true => Ok(value),
                                    false => cast(Some(&old.schema), value, new.schema.kind()),
                                }
                            })
                            .collect::<Result<_>>()?;
                        Value::Struct(Struct::new(Arc::clone(updated), values))
                    }
                };
                operand.schema = Some(Arc::clone(updated));
            }
        }
        Ok(Some(record))
    }
}

fn cast_schema(schema: &Schema, spec: &Spec) -> Result<SchemaRef> {
    let mut builder = match spec {
        Spec::Whole(kind) => copy_basics(schema, Schema::builder(*kind)),
        Spec::Fields(_) => copy_basics(schema, Schema::builder(SchemaType::Struct)),
    };
    match spec {
        Spec::Whole(kind) => {
            if let Some(default) = schema.default_value() {
                builder = builder.default_value(cast(Some(schema), default.clone(), *kind)?);
            }
        }
        Spec::Fields(_) if schema.kind() != SchemaType::Struct => {
            return Err(Error::data("Cannot list fields on non-struct type"));
        }
        Spec::Fields(fields) => {
            for field in schema.fields() {
                let target = fields.iter().find(|(name, _)| field.name == *name.as_str());
                let field_schema = match target {
                    None => Arc::clone(&field.schema),
                    Some((_, kind)) => {
                        let mut copy =
                            Schema::builder(*kind).optional_if(field.schema.is_optional());
                        if let Some(default) = field.schema.default_value() {
                            let default = cast(Some(&field.schema), default.clone(), *kind)?;
                            copy = copy.default_value(default);
                        }
                        copy.build()
                    }
                };
                builder = builder.field(field.name.clone(), field_schema);
            }
        }
    }
    Ok(builder.optional_if(schema.is_optional()).build())
}

/// A value of a primitive type as one of another.
fn cast(schema: Option<&Schema>, value: Value, target: SchemaType) -> Result<Value> {
    let unsupported = |kind: &str| {
        Err(Error::data(format!(
            "Cast transformation does not support casting from {kind}; supported types are \
             {INPUT_TYPES}"
        )))
    };
    match &value {
        Value::Null => return Ok(Value::Null),
        Value::Array(_) => return unsupported("ARRAY"),
        Value::Map(_) => return unsupported("MAP"),
        Value::Struct(_) => return unsupported("STRUCT"),
        Value::Decimal(_) | Value::Date(_) | Value::Time(_) | Value::Timestamp(_)
            if schema.is_none() =>
        {
            return Err(Error::data(format!(
                "Cast transformation was passed a value of type class {} which is not supported by \
                 Connect's data API",
                value.java_class().unwrap_or("null")
            )));
        }
        _ => {}
    }
    let unexpected = || {
        Error::data(format!(
            "Unexpected type in Cast transformation: class {}",
            value.java_class().unwrap_or("null")
        ))
    };
    let out_of_range = |text: &str| {
        Error::data(format!(
            "Value ({text}) was out of range for requested data type"
        ))
        .with_source(
            Error::data(not_a_number(text, target)).with_class("java.lang.NumberFormatException"),
        )
    };
    // Java's narrowing: floats stop at the limits of int (long for a long), integers wrap.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "that is what the cast is for"
    )]
    let integer = |min: i64, max: i64| -> Result<i64> {
        let wide = max == i64::MAX;
        let float = |number: f64| {
            if wide {
                number as i64
            } else {
                i64::from(number as i32)
            }
        };
        Ok(match &value {
            Value::Boolean(yes) => i64::from(*yes),
            Value::Float32(number) => float(f64::from(*number)),
            Value::Float64(number) => float(*number),
            Value::Decimal(number) => truncated(number),
            Value::Date(days) => i64::from(*days),
            Value::Time(ms) => i64::from(*ms),
            Value::Timestamp(ms) => *ms,
            Value::String(text) => text
                .strip_prefix('+')
                .filter(|rest| !rest.starts_with('-'))
                .unwrap_or(text)
                .parse::<i64>()
                .ok()
                .filter(|number| (min..=max).contains(number))
                .ok_or_else(|| out_of_range(text))?,
            other => other.as_i64().ok_or_else(unexpected)?,
        })
    };
    let float = || -> Result<f64> {
        Ok(match &value {
            Value::Boolean(yes) => f64::from(u8::from(*yes)),
            Value::Float32(number) => f64::from(*number),
            Value::Float64(number) => *number,
            Value::Decimal(number) => number.to_f64(),
            Value::Date(days) => f64::from(*days),
            Value::Time(ms) => f64::from(*ms),
            Value::Timestamp(ms) => *ms as f64,
            Value::String(text) => parsable(text)
                .and_then(|number| number.parse().ok())
                .ok_or_else(|| out_of_range(text))?,
            other => other.as_i64().ok_or_else(unexpected)? as f64,
        })
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "Java's narrowing casts wrap"
    )]
    Ok(match target {
        SchemaType::Int8 => Value::Int8(integer(i8::MIN.into(), i8::MAX.into())? as i8),
        SchemaType::Int16 => Value::Int16(integer(i16::MIN.into(), i16::MAX.into())? as i16),
        SchemaType::Int32 => Value::Int32(integer(i32::MIN.into(), i32::MAX.into())? as i32),
        SchemaType::Int64 => Value::Int64(integer(i64::MIN, i64::MAX)?),
        SchemaType::Float32 => Value::Float32(match &value {
            Value::String(text) => parsable(text)
                .and_then(|number| number.parse().ok())
                .ok_or_else(|| out_of_range(text))?,
            _ => float()? as f32,
        }),
        SchemaType::Float64 => Value::Float64(float()?),
        SchemaType::Boolean => Value::Boolean(match &value {
            Value::Boolean(yes) => *yes,
            Value::String(text) => text.eq_ignore_ascii_case("true"),
            Value::Float32(number) => *number as i64 != 0,
            Value::Float64(number) => *number as i64 != 0,
            _ => integer(i64::MIN, i64::MAX)? != 0,
        }),
        _ => match &value {
            Value::String(_) => value,
            Value::Date(days) => iso_text(i64::from(*days) * MS_PER_DAY).into(),
            Value::Time(ms) => iso_text(i64::from(*ms)).into(),
            Value::Timestamp(ms) => iso_text(*ms).into(),
            Value::Bytes(bytes) => base64::engine::general_purpose::STANDARD
                .encode(bytes)
                .into(),
            other => to_java_string(other).into(),
        },
    })
}

/// What Java's parser of the target's type says of a text that is none of it.
fn not_a_number(text: &str, target: SchemaType) -> String {
    let is_integer = text
        .strip_prefix(['-', '+'])
        .unwrap_or(text)
        .parse::<i128>()
        .is_ok_and(|number| number <= i128::from(i32::MAX));
    match target {
        SchemaType::Float32 | SchemaType::Float64 if text.trim().is_empty() => {
            "empty String".to_owned()
        }
        SchemaType::Int8 | SchemaType::Int16 if is_integer => {
            format!("Value out of range. Value:\"{text}\" Radix:10")
        }
        _ => format!("For input string: \"{text}\""),
    }
}

/// `BigDecimal.longValue` of a number with at most 38 digits before the point.
fn truncated(number: &Decimal) -> i64 {
    // 10^64 is a multiple of 2^64; and nobody writes thousands of decimal places.
    if number.scale() <= -64 || number.scale() > 2000 {
        return 0;
    }
    let plain = number.to_plain_string();
    let whole = plain
        .split_once('.')
        .map_or(plain.as_str(), |(whole, _)| whole);
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are kept")]
    whole.parse::<i128>().map_or(0, |wide| wide as i64)
}

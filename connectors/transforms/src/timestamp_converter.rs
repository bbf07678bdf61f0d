//! Converts timestamps between texts, numbers and Connect's logical types.
//!
//! ```text
//! config   {"type": "…TimestampConverter$Value", "field": "at", "target.type": "string",
//!           "format": "yyyy-MM-dd"}
//! before   {"at": 1700000000123}
//! after    {"at": "2023-11-14"}
//! ```
//!
//! Answers for `org.apache.kafka.connect.transforms.TimestampConverter`.

use std::sync::Arc;

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type, any_of};
use connect_api::context::PluginContext;
use connect_api::data::logical::{self, Logical};
use connect_api::data::{Schema, SchemaCache, SchemaRef, SchemaType, Struct, Value};
use connect_api::java::DateFormat;
use connect_api::record::Record;
use connect_api::transform::Transformation;
use connect_api::{Error, Props, Result};

use crate::operand::{
    REPLACE_NULL, SCHEMA_CACHE_SIZE, Side, class_name, copy_basics, key_and_value, read_field,
    replace_null_key, take_map, take_struct,
};

key_and_value!("TimestampConverter", definition, TimestampConverter::new);

const PURPOSE: &str = "converting timestamp formats";
const FIELD: &str = "field";
const TARGET_TYPE: &str = "target.type";
const FORMAT: &str = "format";
const UNIX_PRECISION: &str = "unix.precision";
const MS_PER_DAY: i64 = 86_400_000;

fn definition() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new(FIELD, Type::String, Importance::High)
                .default("")
                .doc("The field with the timestamp; empty if the whole value is one."),
        )
        .define(
            ConfigKey::new(TARGET_TYPE, Type::String, Importance::High)
                .validator(any_of(&["string", "unix", "Date", "Time", "Timestamp"]))
                .doc("What the timestamp becomes: string, unix, Date, Time or Timestamp."),
        )
        .define(
            ConfigKey::new(FORMAT, Type::String, Importance::Medium)
                .default("")
                .doc("How texts are written, as a pattern of java.text.SimpleDateFormat."),
        )
        .define(
            ConfigKey::new(UNIX_PRECISION, Type::String, Importance::Low)
                .default("milliseconds")
                .validator(any_of(&[
                    "nanoseconds",
                    "microseconds",
                    "milliseconds",
                    "seconds",
                ]))
                .doc("What a number counts: seconds, or milli-, micro- or nanoseconds."),
        )
        .define(replace_null_key())
}

/// A form of a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Unix,
    Date,
    Time,
    Timestamp,
}

impl Form {
    fn of_schema(schema: &Schema) -> Result<Self> {
        Ok(match (schema.logical(), schema.kind()) {
            (Some(Logical::Date), _) => Self::Date,
            (Some(Logical::Time), _) => Self::Time,
            (Some(Logical::Timestamp), _) => Self::Timestamp,
            (_, SchemaType::String) => Self::Text,
            (_, SchemaType::Int64) => Self::Unix,
            (_, kind) => {
                let name = schema
                    .name()
                    .map_or_else(String::new, |name| format!("{name}:"));
                return Err(Error::fatal(format!(
                    "Schema Schema{{{name}{}}} does not correspond to a known timestamp type format",
                    kind.name()
                )));
            }
        })
    }

    fn of_value(value: &Value) -> Result<Self> {
        Ok(match value {
            Value::Date(_) | Value::Time(_) | Value::Timestamp(_) => Self::Timestamp,
            Value::Int64(_) => Self::Unix,
            Value::String(_) => Self::Text,
            other => {
                return Err(Error::data(format!(
                    "TimestampConverter does not support class {} objects as timestamps",
                    class_name(other)
                )));
            }
        })
    }

    fn schema(self, optional: bool) -> SchemaRef {
        let builder = match self {
            Self::Text => Schema::string(),
            Self::Unix => Schema::int64(),
            Self::Date => logical::date(),
            Self::Time => logical::time(),
            Self::Timestamp => logical::timestamp(),
        };
        builder.optional_if(optional).build()
    }
}

/// What a Unix number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Precision {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl Precision {
    fn to_ms(self, number: i64) -> i64 {
        match self {
            Self::Seconds => number.saturating_mul(1000),
            Self::Milliseconds => number,
            Self::Microseconds => number / 1000,
            Self::Nanoseconds => number / 1_000_000,
        }
    }
    fn of_ms(self, ms: i64) -> i64 {
        match self {
            Self::Seconds => ms / 1000,
            Self::Milliseconds => ms,
            Self::Microseconds => ms.saturating_mul(1000),
            Self::Nanoseconds => ms.saturating_mul(1_000_000),
        }
    }
}

#[derive(Debug)]
struct TimestampConverter {
    side: Side,
    field: String,
    target: Form,
    format: Option<DateFormat>,
    precision: Precision,
    replace_null: bool,
    schemas: SchemaCache<SchemaRef>,
}

impl TimestampConverter {
    fn new(side: Side) -> Self {
        Self {
            side,
            field: String::new(),
            target: Form::Timestamp,
            format: None,
            precision: Precision::Milliseconds,
            replace_null: true,
            schemas: SchemaCache::new(SCHEMA_CACHE_SIZE),
        }
    }

    fn format(&self) -> Result<&DateFormat> {
        self.format.as_ref().ok_or_else(|| {
            Error::data(
                "Cannot invoke \"java.text.SimpleDateFormat.parse(String)\" because \
                 \"config.format\" is null",
            )
            .with_class("java.lang.NullPointerException")
        })
    }

    /// A timestamp in the target's form. `form` is the one it has; `None` asks the value itself.
    fn convert(&self, value: &Value, form: Option<Form>) -> Result<Value> {
        if value.is_null() {
            return Ok(Value::Null);
        }
        let form = form.map_or_else(|| Form::of_value(value), Ok)?;
        let expected = |what: &str, kind: &str| {
            Error::data(format!(
                "Expected {what} to be a {kind}, but found class {}",
                class_name(value)
            ))
        };
        let ms = match (form, value) {
            (Form::Text, Value::String(text)) => {
                let format = self.format()?;
                format.parse(text).ok_or_else(|| {
                    Error::data(format!(
                        "Could not parse timestamp: value ({text}) does not match pattern ({})",
                        format.pattern()
                    ))
                    .with_source(
                        Error::data(format!("Unparseable date: \"{text}\""))
                            .with_class("java.text.ParseException"),
                    )
                })?
            }
            (Form::Text, _) => return Err(expected("string timestamp", "String")),
            (Form::Unix, Value::Int64(number)) => self.precision.to_ms(*number),
            (Form::Unix, _) => return Err(expected("Unix timestamp", "Long")),
            (_, Value::Date(days)) => i64::from(*days) * MS_PER_DAY,
            (_, Value::Time(ms)) => i64::from(*ms),
            (_, Value::Timestamp(ms)) => *ms,
            (form, _) => return Err(expected(&format!("{form:?}"), "java.util.Date")),
        };
        Ok(match self.target {
            Form::Text => self.format()?.format(ms).into(),
            Form::Unix => Value::Int64(self.precision.of_ms(ms)),
            Form::Date => Value::Date(date(ms)?),
            Form::Time => Value::Time(i32::try_from(ms.rem_euclid(MS_PER_DAY)).unwrap_or(0)),
            Form::Timestamp => Value::Timestamp(ms),
        })
    }
}

/// The day of a time: its low 32 bits, as Java has it; a day that begins before the first
/// millisecond of Java's calendar cannot be told from a time.
fn date(ms: i64) -> Result<i32> {
    let days = ms.div_euclid(MS_PER_DAY);
    if days.checked_mul(MS_PER_DAY).is_none() {
        return Err(Error::data(
            "Kafka Connect Date type should not have any time fields set to non-zero values.",
        ));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "Java casts to int; timestamps that are infinite come here"
    )]
    let days = days as i32;
    Ok(days)
}

impl Transformation for TimestampConverter {
    fn configure(&mut self, _context: &PluginContext, props: &Props) -> Result<()> {
        let config = definition().parse(props)?;
        config.string(FIELD).clone_into(&mut self.field);
        self.target = match config.string(TARGET_TYPE) {
            "string" => Form::Text,
            "unix" => Form::Unix,
            "Date" => Form::Date,
            "Time" => Form::Time,
            _ => Form::Timestamp,
        };
        self.precision = match config.string(UNIX_PRECISION) {
            "seconds" => Precision::Seconds,
            "microseconds" => Precision::Microseconds,
            "nanoseconds" => Precision::Nanoseconds,
            _ => Precision::Milliseconds,
        };
        let pattern = config.string(FORMAT);
        if self.target == Form::Text && pattern.trim().is_empty() {
            return Err(Error::config(
                "TimestampConverter requires format option to be specified when using string \
                 timestamps",
            ));
        }
        self.format = match pattern.trim() {
            "" => None,
            _ => Some(DateFormat::new(pattern).map_err(|why| {
                Error::config(format!(
                    "Invalid value java.lang.IllegalArgumentException: {why} for configuration \
                     TimestampConverter requires a SimpleDateFormat-compatible pattern for string \
                     timestamps: {pattern}"
                ))
            })?),
        };
        self.replace_null = config.bool(REPLACE_NULL);
        Ok(())
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>> {
        let side = self.side;
        let operand = side.of_mut(&mut record);
        let value = std::mem::take(&mut operand.value);
        match operand.schema.clone() {
            None if value.is_null() || self.field.is_empty() => {
                operand.value = self.convert(&value, None)?;
            }
            None => {
                let mut map = take_map(value, PURPOSE)?;
                let converted = match map.get_str(&self.field) {
                    Some(value) => self.convert(value, None)?,
                    None => Value::Null,
                };
                map.insert(Value::from(self.field.as_str()), converted);
                operand.value = Value::Map(map);
            }
            Some(schema) if self.field.is_empty() => {
                operand.value = self.convert(&value, Some(Form::of_schema(&schema)?))?;
                let target = self.target;
                let updated = self
                    .schemas
                    .get_or_insert_with(&schema, || target.schema(schema.is_optional()));
                operand.schema = Some(Arc::clone(updated));
            }
            Some(schema) => {
                let (field, target) = (&self.field, self.target);
                let updated = Arc::clone(
                    self.schemas
                        .get_or_insert_with(&schema, || converted_schema(&schema, field, target)),
                );
                if !value.is_null() {
                    let mut value = take_struct(value, PURPOSE)?;
                    for (field, value) in schema.fields().iter().zip(&mut value.values) {
                        if value.is_null() {
                            *value = read_field(&field.schema, value, self.replace_null);
                        }
                        if field.name == *self.field.as_str() {
                            *value = self.convert(value, Some(Form::of_schema(&field.schema)?))?;
                        }
                    }
                    operand.value = Value::Struct(Struct::new(Arc::clone(&updated), value.values));
                }
                operand.schema = Some(updated);
            }
        }
        Ok(Some(record))
    }
}

fn converted_schema(schema: &Schema, name: &str, target: Form) -> SchemaRef {
    let basics = copy_basics(schema, Schema::builder(SchemaType::Struct));
    let builder = schema.fields().iter().fold(basics, |builder, field| {
        let field_schema = match field.name == *name {
            true => target.schema(field.schema.is_optional()),
            false => Arc::clone(&field.schema),
        };
        builder.field(field.name.clone(), field_schema)
    });
    builder.optional_if(schema.is_optional()).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_infinite_times_are_java_s() {
        assert_eq!(date(-1).ok(), Some(-1));
        assert_eq!(date(9_223_372_036_825_200_000).ok(), Some(-622_191_234));
        assert!(date(-9_223_372_036_832_400_000).is_err());
    }
}

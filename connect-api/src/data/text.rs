//! Values as text and back, as Java and Connect write them: `Object.toString`, and the notation of
//! `org.apache.kafka.connect.data.Values` that headers use by default.

mod parse;

use std::fmt::Write as _;

pub use parse::parse_string;

use super::{ByteString, Schema, SchemaAndValue, Value};
use crate::java::{DateFormat, civil_from_days, double_to_string, float_to_string};
use base64::Engine as _;

const MS_PER_DAY: i64 = 86_400_000;

/// `String.valueOf(value)`: what `StringConverter` writes. Structs leave out what is null. Of bytes only
/// the length is shown, as of the `ByteBuffer` that Debezium makes of them (an array's text would be its
/// identity, which is another each time).
pub fn to_java_string(value: &Value) -> String {
    let mut out = String::new();
    append_java(value, &mut out);
    out
}

fn append_java(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(value) => push(out, value),
        Value::Int8(n) => push(out, n),
        Value::Int16(n) => push(out, n),
        Value::Int32(n) => push(out, n),
        Value::Int64(n) => push(out, n),
        Value::Float32(n) => out.push_str(&float_to_string(*n)),
        Value::Float64(n) => out.push_str(&double_to_string(*n)),
        Value::String(text) => out.push_str(text),
        Value::Bytes(bytes) => {
            let length = bytes.len();
            push(
                out,
                format_args!("java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]"),
            );
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                append_java(item, out);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (index, (key, value)) in map.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                append_java(key, out);
                out.push('=');
                append_java(value, out);
            }
            out.push('}');
        }
        Value::Struct(value) => {
            out.push_str("Struct{");
            let mut first = true;
            for (field, value) in value.schema.fields().iter().zip(&value.values) {
                if value.is_null() {
                    continue;
                }
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                out.push_str(&field.name);
                out.push('=');
                append_java(value, out);
            }
            out.push('}');
        }
        Value::Decimal(number) => push(out, number),
        Value::Date(_) | Value::Time(_) | Value::Timestamp(_) => {
            let format = date_format("EEE MMM dd HH:mm:ss z yyyy");
            out.push_str(&format.format(date_ms(value)));
        }
    }
}

fn push(out: &mut String, value: impl std::fmt::Display) {
    // A String takes every text.
    let _always = write!(out, "{value}");
}

fn date_format(pattern: &str) -> DateFormat {
    DateFormat::new(pattern).expect("the patterns here are well-formed")
}

/// The milliseconds of a Date, Time or Timestamp; 0 for other values.
fn date_ms(value: &Value) -> i64 {
    match value {
        Value::Date(days) => i64::from(*days) * MS_PER_DAY,
        Value::Time(ms) => i64::from(*ms),
        Value::Timestamp(ms) => *ms,
        _ => 0,
    }
}

/// `Values.convertToString`: strings as they are, everything inside of others in JSON's manner.
pub fn convert_to_string(value: &Value) -> String {
    let mut out = String::new();
    append(value, false, &mut out);
    out
}

fn append(value: &Value, embedded: bool, out: &mut String) {
    match value {
        Value::String(text) if embedded => {
            out.push('"');
            for character in text.chars() {
                if matches!(character, '"' | '\\') {
                    out.push('\\');
                }
                out.push(character);
            }
            out.push('"');
        }
        Value::Bytes(bytes) => {
            let quote = if embedded { "\"" } else { "" };
            out.push_str(quote);
            out.push_str(&base64::engine::general_purpose::STANDARD.encode(bytes));
            out.push_str(quote);
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                append(item, true, out);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (index, (key, value)) in map.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                append(key, true, out);
                out.push(':');
                append(value, true, out);
            }
            out.push('}');
        }
        Value::Struct(value) => {
            out.push('{');
            for (index, (field, value)) in
                value.schema.fields().iter().zip(&value.values).enumerate()
            {
                if index > 0 {
                    out.push(',');
                }
                append(&Value::String(field.name.clone()), true, out);
                out.push(':');
                let value = match value {
                    Value::Null => field.schema.default_value().unwrap_or(value),
                    _ => value,
                };
                append(value, true, out);
            }
            out.push('}');
        }
        Value::Date(_) | Value::Time(_) | Value::Timestamp(_) => {
            out.push_str(&iso_text(date_ms(value)));
        }
        other => append_java(other, out),
    }
}

/// A `java.util.Date` as `Values` writes it: the shape follows from the number, not from the type.
pub fn iso_text(ms: i64) -> String {
    if ms < MS_PER_DAY {
        return date_format("HH:mm:ss.SSS'Z'").format(ms);
    }
    let (year, month, day) = civil_from_days(ms.div_euclid(MS_PER_DAY));
    if ms % MS_PER_DAY == 0 {
        return format!("{year:04}-{month:02}-{day:02}");
    }
    date_format("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'").format(ms)
}

/// A text as a value of its own (`new SchemaAndValue(STRING_SCHEMA, text)`).
pub fn string_value(text: impl Into<ByteString>) -> SchemaAndValue {
    SchemaAndValue {
        schema: Some(Schema::string().build()),
        value: Value::String(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{SchemaType, Struct};

    fn parsed(text: &str) -> (Option<SchemaType>, Value) {
        let data = parse_string(text).expect(text);
        (data.schema.map(|schema| schema.kind()), data.value)
    }

    #[test]
    fn texts_are_parsed_to_the_smallest_type() {
        for (text, kind, value) in [
            ("", SchemaType::String, Value::text("")),
            ("5", SchemaType::Int8, Value::Int8(5)),
            ("128", SchemaType::Int16, Value::Int16(128)),
            ("40000", SchemaType::Int32, Value::Int32(40000)),
            ("3000000000", SchemaType::Int64, Value::Int64(3_000_000_000)),
            ("1.0", SchemaType::Int8, Value::Int8(1)),
            ("1e5", SchemaType::Int32, Value::Int32(100_000)),
            ("1.5", SchemaType::Float32, Value::Float32(1.5)),
            ("007", SchemaType::Int8, Value::Int8(7)),
            ("+5", SchemaType::Int8, Value::Int8(5)),
            (" 5 ", SchemaType::Int8, Value::Int8(5)),
            ("12:00", SchemaType::Int8, Value::Int8(12)),
            ("NaN", SchemaType::String, Value::text("NaN")),
            ("true", SchemaType::Boolean, Value::Boolean(true)),
            ("True", SchemaType::String, Value::text("True")),
            ("2020-01-02", SchemaType::Int32, Value::Date(18263)),
            ("03:04:05.006Z", SchemaType::Int32, Value::Time(11_045_006)),
            (
                "2020-01-02T03:04:05.006Z",
                SchemaType::Int64,
                Value::Timestamp(1_577_934_245_006),
            ),
            ("\"q\"", SchemaType::String, Value::text("\"q\"")),
            ("a,b", SchemaType::String, Value::text("a,b")),
            ("[1,", SchemaType::String, Value::text("[1,")),
        ] {
            assert_eq!(parsed(text), (Some(kind), value), "{text}");
        }
        assert_eq!(parsed("null"), (None, Value::Null));
    }

    #[test]
    fn lists_and_maps_have_the_schema_that_fits_all_their_parts() {
        let list = parse_string("[1,2,300]").expect("a list");
        let schema = list.schema.expect("a schema");
        assert_eq!(
            schema.value_schema().map(|element| element.kind()),
            Some(SchemaType::Int16)
        );
        assert_eq!(
            list.value,
            Value::Array(vec![1i16.into(), 2i16.into(), 300i16.into()])
        );
        let mixed = parse_string("[1,\"a\"]")
            .expect("a list")
            .schema
            .expect("a schema");
        assert_eq!(mixed.value_schema(), None);
        assert_eq!(
            parse_string("[1,]").expect("a list").value,
            Value::Array(vec![1i8.into()])
        );
        let map = parse_string("{\"a\":1}").expect("a map");
        assert_eq!(
            map.value.as_map().and_then(|map| map.get_str("a")),
            Some(&Value::Int8(1))
        );
    }

    #[test]
    fn values_are_written_as_values_writes_them() {
        let schema = Schema::structure()
            .field(
                "a",
                Schema::int32()
                    .optional()
                    .default_value(7i32.into())
                    .build(),
            )
            .field("arr", Schema::array(Schema::string().build()).build())
            .build();
        let value = Value::Struct(Struct::new(
            schema,
            vec![Value::Null, Value::Array(vec!["x\"y".into()])],
        ));
        assert_eq!(convert_to_string(&value), r#"{"a":7,"arr":["x\"y"]}"#);
        assert_eq!(to_java_string(&value), "Struct{arr=[x\"y]}");
        assert_eq!(
            to_java_string(&Value::Array(vec![Value::Bytes(b"abc"[..].into())])),
            "[java.nio.HeapByteBuffer[pos=0 lim=3 cap=3]]"
        );
        assert_eq!(convert_to_string(&Value::Date(1)), "1970-01-02");
        assert_eq!(
            convert_to_string(&Value::Timestamp(1_700_000_000_123)),
            "2023-11-14T22:13:20.123Z"
        );
        assert_eq!(
            to_java_string(&Value::Date(0)),
            "Thu Jan 01 00:00:00 UTC 1970"
        );
        assert_eq!(
            convert_to_string(&Value::text("raw \"text\"")),
            "raw \"text\""
        );
    }
}

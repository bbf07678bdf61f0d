//! Values as text and back, as Java and Connect write them: `Object.toString`, and the notation of
//! `org.apache.kafka.connect.data.Values` that headers use by default.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{
    ByteString, ConnectMap, Decimal, Schema, SchemaAndValue, SchemaRef, SchemaType, Value, logical,
};
use crate::java::{DateFormat, civil_from_days, double_to_string, float_to_string, string_hash};
use crate::{Error, Result};
use base64::Engine as _;

const MS_PER_DAY: i64 = 86_400_000;

/// `String.valueOf(value)`: what `StringConverter` writes. Structs leave out what is null; bytes
/// are not shown, as in Java, where the text names the array's identity.
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
            let identity = string_hash(&base64::engine::general_purpose::STANDARD.encode(bytes));
            push(out, format_args!("[B@{identity:x}"));
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

/// `Values.parseString`: the value that a text seems to be, with the schema that fits.
///
/// # Errors
/// The text breaks off inside a list or map.
pub fn parse_string(text: &str) -> Result<SchemaAndValue> {
    if text.is_empty() {
        return Ok(SchemaAndValue::new(Schema::string().build(), ""));
    }
    let mut parser = Parser::new(text);
    parser.parse(false)
}

/// Splits a text at the characters that mean something, and goes back where a guess was wrong.
struct Parser<'a> {
    original: &'a str,
    tokens: Vec<&'a str>,
    next: usize,
    depth: usize,
}

/// Lists in lists deeper than this are text.
const MAX_DEPTH: usize = 100;

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        let mut tokens = Vec::new();
        let (mut start, mut escaped) = (0, false);
        for (at, character) in text.char_indices() {
            if escaped {
                escaped = false;
                continue;
            }
            match character {
                '\\' => escaped = true,
                ',' | ':' | '[' | ']' | '{' | '}' | '"' => {
                    if at > start {
                        tokens.extend(text.get(start..at));
                    }
                    tokens.extend(text.get(at..at + 1));
                    start = at + 1;
                }
                _ => {}
            }
        }
        tokens.extend(text.get(start..).filter(|rest| !rest.is_empty()));
        Self {
            original: text,
            tokens,
            next: 0,
            depth: 0,
        }
    }

    fn has_next(&self) -> bool {
        self.next < self.tokens.len()
    }
    fn take(&mut self) -> Option<&'a str> {
        let token = self.tokens.get(self.next).copied()?;
        self.next += 1;
        Some(token)
    }
    /// Passes over the token if it is the next one, white space around it and blank tokens left out.
    fn can_consume(&mut self, expected: &str) -> bool {
        let start = self.next;
        while let Some(token) = self.take() {
            if token.trim() == expected {
                return true;
            }
            if !token.trim().is_empty() {
                break;
            }
        }
        self.next = start;
        false
    }
    fn literal(&mut self, expected: &str, embedded: bool) -> bool {
        let start = self.next;
        if self.can_consume(expected) && (embedded || !self.has_next()) {
            return true;
        }
        self.next = start;
        false
    }

    fn parse(&mut self, embedded: bool) -> Result<SchemaAndValue> {
        if embedded && self.can_consume("\"") {
            let mut content = String::new();
            while self.has_next() && !self.can_consume("\"") {
                content.push_str(self.take().unwrap_or_default());
            }
            let parsed = parse_string(&content)?;
            let temporal = parsed.schema.as_ref().is_some_and(|schema| {
                matches!(
                    schema.logical(),
                    Some(
                        logical::Logical::Date
                            | logical::Logical::Time
                            | logical::Logical::Timestamp
                    )
                )
            });
            return Ok(match temporal {
                true => parsed,
                false => SchemaAndValue::new(Schema::string().build(), content),
            });
        }
        if self.literal("null", embedded) {
            return Ok(SchemaAndValue::NULL);
        }
        for (text, value) in [("true", true), ("false", false)] {
            if self.literal(text, embedded) {
                return Ok(SchemaAndValue::new(Schema::boolean().build(), value));
            }
        }
        let start = self.next;
        if self.depth < MAX_DEPTH {
            self.depth += 1;
            let composite = if self.can_consume("[") {
                self.array()
            } else if self.can_consume("{") {
                self.map()
            } else {
                None
            };
            self.depth -= 1;
            if let Some(composite) = composite {
                return Ok(composite);
            }
        }
        self.next = start;
        let Some(token) = self.take() else {
            return Err(Error::data("the text of a value ends too early"));
        };
        if token.trim().is_empty() {
            return Ok(SchemaAndValue::new(Schema::string().build(), token));
        }
        let token = token.trim();
        if let Some(found) = self.plain(token) {
            return Ok(found);
        }
        if embedded {
            return Err(Error::data("Failed to parse embedded value"));
        }
        Ok(SchemaAndValue::new(Schema::string().build(), self.original))
    }

    /// A date or a number.
    fn plain(&mut self, token: &str) -> Option<SchemaAndValue> {
        let first = token.chars().next()?;
        if first.is_ascii_digit() {
            // Colons split times into five tokens.
            if let Some(more) = self.tokens.get(self.next..self.next + 4)
                && let Some(found) = temporal(&format!("{token}{}", more.concat()))
            {
                self.next += 4;
                return Some(found);
            }
            if let Some(found) = temporal(token) {
                return Some(found);
            }
        }
        if first.is_ascii_digit() || first == '+' || first == '-' {
            return number(token);
        }
        None
    }

    fn array(&mut self) -> Option<SchemaAndValue> {
        let mut items = Vec::new();
        let mut element: Option<SchemaRef> = None;
        let mut common = true;
        while self.has_next() {
            if self.can_consume("]") {
                let schema = match element.filter(|_| common) {
                    // A null has no place in a list of another type: the text stays a text.
                    Some(_) if items.iter().any(Value::is_null) => return None,
                    Some(element) => {
                        items = items
                            .into_iter()
                            .map(|item| align(&element, item))
                            .collect();
                        Schema::array(element).build()
                    }
                    None => Schema::builder(SchemaType::Array).build(),
                };
                return Some(SchemaAndValue::new(schema, items));
            }
            if self.can_consume(",") {
                return None;
            }
            let item = self.parse(true).ok()?;
            (element, common) = common_schema(element, common, &item);
            items.push(item.value);
            let end = self.next;
            if self.can_consume("]") {
                self.next = end;
            } else if !self.can_consume(",") {
                return None;
            }
        }
        None
    }

    fn map(&mut self) -> Option<SchemaAndValue> {
        let mut entries: Vec<(Value, Value)> = Vec::new();
        let (mut keys, mut values): (Option<SchemaRef>, Option<SchemaRef>) = (None, None);
        let (mut common_keys, mut common_values) = (true, true);
        while self.has_next() {
            if self.can_consume("}") {
                let (keys, values) = (
                    keys.filter(|_| common_keys),
                    values.filter(|_| common_values),
                );
                if values.is_some() && entries.iter().any(|(_, value)| value.is_null()) {
                    return None;
                }
                let aligned = |schema: &Option<SchemaRef>, value| match schema {
                    Some(schema) => align(schema, value),
                    None => value,
                };
                let mut map = ConnectMap::linked();
                for (key, value) in entries {
                    map.insert(aligned(&keys, key), aligned(&values, value));
                }
                let schema = match (keys, values) {
                    (Some(keys), Some(values)) => Schema::map(keys, values).build(),
                    _ => Schema::builder(SchemaType::Map).build(),
                };
                return Some(SchemaAndValue::new(schema, Value::Map(Box::new(map))));
            }
            if self.can_consume(",") {
                return None;
            }
            let key = self.parse(true).ok().filter(|key| !key.is_null())?;
            if !self.can_consume(":") {
                return None;
            }
            let value = self.parse(true).ok()?;
            self.can_consume(",");
            (keys, common_keys) = common_schema(keys, common_keys, &key);
            (values, common_values) = common_schema(values, common_values, &value);
            entries.push((key.value, value.value));
        }
        None
    }
}

/// The schema that holds both the earlier values and this one; `false` where there is none.
fn common_schema(
    previous: Option<SchemaRef>,
    common: bool,
    latest: &SchemaAndValue,
) -> (Option<SchemaRef>, bool) {
    use SchemaType::{Float32, Float64, Int8, Int16, Int32, Int64};
    let Some(schema) = &latest.schema else {
        return (previous, common);
    };
    let Some(previous) = previous else {
        return (Some(Arc::clone(schema)), common);
    };
    let wider = |a: SchemaType, b: SchemaType| {
        let order = [Int8, Int16, Int32, Int64, Float32, Float64];
        let rank = |kind| order.iter().position(|&known| known == kind);
        rank(a).zip(rank(b)).map(|(a, b)| a < b)
    };
    if previous.kind() == schema.kind() {
        let same = *previous == **schema || !previous.kind().is_primitive();
        return (Some(previous), common && same);
    }
    match wider(previous.kind(), schema.kind()) {
        Some(true) => (Some(Arc::clone(schema)), common),
        Some(false) => (Some(previous), common),
        None => (Some(previous), false),
    }
}

/// A number widened to the schema of its list.
fn align(schema: &Schema, value: Value) -> Value {
    let Some(number) = value.as_i64() else {
        return match (schema.kind(), value) {
            (SchemaType::Float64, Value::Float32(number)) => Value::Float64(number.into()),
            (_, value) => value,
        };
    };
    match schema.kind() {
        SchemaType::Int16 => i16::try_from(number).map_or(value, Value::Int16),
        SchemaType::Int32 => i32::try_from(number).map_or(value, Value::Int32),
        SchemaType::Int64 => Value::Int64(number),
        SchemaType::Float32 => Value::Float32(number as f32),
        SchemaType::Float64 => Value::Float64(number as f64),
        _ => value,
    }
}

fn temporal(token: &str) -> Option<SchemaAndValue> {
    let token = token.replace("\\:", ":");
    let parse = |pattern: &str| date_format(pattern).parse(&token);
    match token.len() {
        10 => {
            let ms = parse("yyyy-MM-dd")?;
            let days = i32::try_from(ms.div_euclid(MS_PER_DAY)).ok()?;
            Some(SchemaAndValue::new(
                logical::date().build(),
                Value::Date(days),
            ))
        }
        13 => {
            let ms = i32::try_from(parse("HH:mm:ss.SSS'Z'")?).ok()?;
            Some(SchemaAndValue::new(
                logical::time().build(),
                Value::Time(ms),
            ))
        }
        24 => {
            let ms = parse("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'")?;
            Some(SchemaAndValue::new(
                logical::timestamp().build(),
                Value::Timestamp(ms),
            ))
        }
        _ => None,
    }
}

/// The smallest type that holds the number.
fn number(token: &str) -> Option<SchemaAndValue> {
    let decimal = Decimal::parse(token.as_bytes())?;
    // Far exponents are no integers of 64 bits; without this, zeros would be written out.
    let whole = (-40..=400)
        .contains(&decimal.scale())
        .then(|| decimal.with_scale(0))
        .flatten();
    if let Some(value) = whole.and_then(|whole| whole.unscaled_i64()) {
        return Some(if let Ok(value) = i8::try_from(value) {
            SchemaAndValue::new(Schema::int8().build(), value)
        } else if let Ok(value) = i16::try_from(value) {
            SchemaAndValue::new(Schema::int16().build(), value)
        } else if let Ok(value) = i32::try_from(value) {
            SchemaAndValue::new(Schema::int32().build(), value)
        } else {
            SchemaAndValue::new(Schema::int64().build(), value)
        });
    }
    if decimal.scale() != 0 {
        let text = format!("{}e{}", decimal.unscaled(), -i64::from(decimal.scale()));
        let single: f32 = text.parse().ok()?;
        if single.is_finite() {
            return Some(SchemaAndValue::new(Schema::float32().build(), single));
        }
        let double: f64 = text.parse().ok()?;
        if double.is_finite() {
            return Some(SchemaAndValue::new(Schema::float64().build(), double));
        }
    }
    let schema = logical::decimal(decimal.scale()).build();
    Some(SchemaAndValue::new(schema, decimal))
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
    use crate::data::Struct;

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

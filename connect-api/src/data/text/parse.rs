//! Texts as values: the type that a header's text looks like.

use std::sync::Arc;

use super::{MS_PER_DAY, date_format};
use crate::data::{
    ConnectMap, Decimal, Schema, SchemaAndValue, SchemaRef, SchemaType, Value, logical,
};
use crate::{Error, Result};

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

//! What an expression works on: numbers, texts, and parts of the record.

use std::borrow::Cow;
use std::cmp::Ordering;

use connect_api::data::text::to_java_string;
use connect_api::data::{ConnectMap, Field, Headers, Schema, SchemaAndValue, Struct, Value};
use connect_api::java::double_to_string;

/// A value on the way through an expression.
#[derive(Clone, Debug)]
pub(super) enum Item<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Item<'a>>),
    Struct(&'a Struct),
    Map(&'a ConnectMap),
    Schema(&'a Schema),
    Field(&'a Field),
    Headers(&'a Headers),
    Header(&'a SchemaAndValue),
    /// Bytes and what else has no form of its own here.
    Other(&'a Value),
}

impl<'a> Item<'a> {
    pub(super) fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Boolean(value) => Self::Boolean(*value),
            Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => {
                Self::Integer(value.as_i64().unwrap_or_default())
            }
            Value::Date(days) => Self::Integer(i64::from(*days)),
            Value::Time(ms) => Self::Integer(i64::from(*ms)),
            Value::Timestamp(ms) => Self::Integer(*ms),
            Value::Float32(number) => Self::Float((*number).into()),
            Value::Float64(number) => Self::Float(*number),
            Value::Decimal(number) => match (number.scale(), number.unscaled_i64()) {
                (0, Some(integer)) => Self::Integer(integer),
                _ => Self::Float(number.to_f64()),
            },
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Array(items) => Self::List(items.iter().map(Item::of).collect()),
            Value::Map(map) => Self::Map(map),
            Value::Struct(value) => Self::Struct(value),
            Value::Bytes(_) => Self::Other(value),
        }
    }

    pub(super) fn owned(text: impl Into<String>) -> Self {
        Self::Text(Cow::Owned(text.into()))
    }

    pub(super) fn borrowed(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// Groovy's truth: neither null nor zero nor empty.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Boolean(value) => *value,
            Self::Integer(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Headers(headers) => !headers.is_empty(),
            _ => true,
        }
    }

    /// The item as `toString` shows it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Boolean(value) => value.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => double_to_string(*number),
            Self::Text(text) => text.to_string(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Item::text).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Struct(value) => to_java_string(&Value::Struct((*value).clone())),
            Self::Map(map) => to_java_string(&Value::Map(Box::new((*map).clone()))),
            Self::Schema(schema) => match schema.name() {
                Some(name) => format!("Schema{{{name}:{}}}", schema.kind().name()),
                None => format!("Schema{{{}}}", schema.kind().name()),
            },
            Self::Field(field) => field.name.to_string(),
            Self::Headers(_) => "the headers".to_owned(),
            Self::Header(header) => to_java_string(&header.value),
            Self::Other(value) => to_java_string(value),
        }
    }

    /// What it is, for errors.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a Boolean",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a String",
            Self::List(_) => "a List",
            Self::Struct(_) => "a Struct",
            Self::Map(_) => "a Map",
            Self::Schema(_) => "a Schema",
            Self::Field(_) => "a Field",
            Self::Headers(_) => "the headers",
            Self::Header(_) => "a header",
            Self::Other(_) => "bytes",
        }
    }

    /// `<=>`; `None` where the two cannot be compared.
    pub(super) fn compare(&self, other: &Item<'_>) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::Null, Item::Null) => Ordering::Equal,
            (Self::Null, _) => Ordering::Less,
            (_, Item::Null) => Ordering::Greater,
            (Self::Integer(a), Item::Integer(b)) => a.cmp(b),
            (Self::Integer(_) | Self::Float(_), Item::Integer(_) | Item::Float(_)) => {
                self.number()?.partial_cmp(&other.number()?)?
            }
            (Self::Text(a), Item::Text(b)) => a.encode_utf16().cmp(b.encode_utf16()),
            (Self::Boolean(a), Item::Boolean(b)) => a.cmp(b),
            _ => return None,
        })
    }

    /// `==`.
    pub(super) fn equals(&self, other: &Item<'_>) -> bool {
        match (self, other) {
            (Self::List(a), Item::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.equals(b))
            }
            (Self::Struct(a), Item::Struct(b)) => a == b,
            (Self::Map(a), Item::Map(b)) => a == b,
            (Self::Schema(a), Item::Schema(b)) => a == b,
            (Self::Other(a), Item::Other(b)) => a == b,
            _ => self.compare(other) == Some(Ordering::Equal),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "as Java widens a long")]
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }
}

//! How one type's text becomes a value: chosen once per column, one match per value.
//!
//! It knows no schema but those that structs have to carry. Answers for the `ValueConverter`s that
//! `PostgresValueConverter.converter` gives.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::Bytes;
use connect_api::ByteString;
use connect_api::data::json;
use connect_api::data::{ConnectMap, SchemaRef, Value};

use super::geometry::{self, Geometry, Vector};
use super::modes::BinaryMode;
use super::numeric::{self, Numeric};
use super::temporal::Temporal;
use super::text::{self, Element};
use crate::change::{Phase, Text};

/// How one type's text becomes a value.
#[derive(Clone, Debug)]
pub(super) enum Decoder {
    Boolean,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Text,
    /// A `name` column: its value is lost in the stream.
    Name,
    Numeric(Numeric),
    Temporal(Temporal),
    Binary(BinaryMode),
    /// The text itself as bytes, for types that are not known.
    Opaque(BinaryMode),
    Bit,
    Bits,
    HstoreJson,
    HstoreMap,
    Geometry(Geometry),
    Vector(Vector),
    Array(Box<ArrayDecoder>),
    /// Numbers apart by blanks: `int2vector` and `oidvector`.
    Spaced(Box<Decoder>),
    /// Always null: the schema of an array of bits is that of one of them.
    Null,
}

#[derive(Clone, Debug)]
pub(super) struct ArrayDecoder {
    pub(super) element: Decoder,
    pub(super) delimiter: u8,
    /// Its elements may not be null.
    pub(super) required: bool,
}

/// What became of an array.
#[derive(Debug)]
pub(super) struct DecodedArray {
    pub(super) value: Value,
    /// Elements are missing in it.
    pub(super) lossy: bool,
}

/// The text as a shared slice of its row.
#[inline]
pub(super) fn shared_text(text: Text<'_>) -> Option<Value> {
    ByteString::try_from(text.to_shared())
        .ok()
        .map(Value::String)
}

/// A float as Postgres prints it.
pub(super) fn parse_float(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// An integer that fits, or none.
#[inline]
fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    // Downwards, since there is one negative number more.
    let mut value: i64 = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_sub(i64::from(digit))?;
    }
    if negative {
        Some(value)
    } else {
        value.checked_neg()
    }
}

/// Whether a text is how an integer of at most so many digits is printed.
#[inline]
fn is_plain_integer(text: &[u8], most: usize) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        [b'0'] => text.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.len() < most && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn binary(octets: Vec<u8>, mode: BinaryMode) -> Value {
    match mode {
        BinaryMode::Bytes => Value::Bytes(Bytes::from(octets)),
        BinaryMode::Base64 => Value::from(STANDARD.encode(octets)),
        BinaryMode::Base64Url => Value::from(URL_SAFE.encode(octets)),
        BinaryMode::Hex => Value::from(text::hex(&octets)),
    }
}

/// Bytes of no known type, as `binary.handling.mode` shows them.
#[must_use]
pub fn opaque(octets: Bytes, mode: BinaryMode) -> Value {
    match mode {
        BinaryMode::Bytes => Value::Bytes(octets),
        _ => binary(octets.to_vec(), mode),
    }
}

pub(super) fn hstore_map(map: &text::Hstore) -> Value {
    let mut out = ConnectMap::new();
    for (key, value) in map.iter() {
        out.insert(geometry::map_key(key.clone()), Value::from(value.clone()));
    }
    Value::Map(Box::new(out))
}

impl Decoder {
    /// The value of a text; none where there is none in this form.
    #[inline]
    pub(super) fn decode(&self, text: Text<'_>, phase: Phase) -> Option<Value> {
        let bytes = text.as_bytes();
        Some(match self {
            Self::Text => return shared_text(text),
            Self::Int32 => Value::Int32(i32::try_from(parse_integer(bytes)?).ok()?),
            Self::Int64 => Value::Int64(parse_integer(bytes)?),
            Self::Int16 => Value::Int16(i16::try_from(parse_integer(bytes)?).ok()?),
            Self::Boolean => match bytes {
                b"t" | b"true" => Value::Boolean(true),
                b"f" | b"false" => Value::Boolean(false),
                _ => return None,
            },
            Self::Numeric(form) => return form.decode(text, phase),
            Self::Temporal(form) => return form.decode(bytes, phase),
            Self::Float32 => Value::Float32(std::str::from_utf8(bytes).ok()?.parse().ok()?),
            Self::Float64 => Value::Float64(parse_float(bytes)?),
            Self::Name => match phase {
                Phase::Snapshot => return shared_text(text),
                Phase::Stream => Value::Null,
            },
            // Already the digits that are asked for.
            Self::Binary(BinaryMode::Hex) if bytes.starts_with(b"\\x") => {
                Value::String(ByteString::try_from(text.to_shared().slice(2..)).ok()?)
            }
            Self::Binary(mode) => binary(text::parse_bytea(bytes)?, *mode),
            Self::Opaque(mode) => opaque(text.to_shared(), *mode),
            Self::Bit => match bytes {
                b"0" | b"1" => Value::Boolean(bytes == b"1"),
                _ => return None,
            },
            Self::Bits => Value::Bytes(numeric::bits(bytes)?),
            Self::HstoreJson => {
                let map = text::parse_hstore(std::str::from_utf8(bytes).ok()?)?;
                Value::from(text::hstore_json(&map))
            }
            Self::HstoreMap => hstore_map(&text::parse_hstore(std::str::from_utf8(bytes).ok()?)?),
            Self::Geometry(form) => return form.decode(bytes),
            Self::Vector(form) => return form.decode(bytes),
            Self::Array(array) => return array.decode(text).map(|array| array.value),
            Self::Spaced(element) => {
                let words = bytes.split(|byte| *byte == b' ');
                let words = words.filter(|word| !word.is_empty());
                let numbers: Option<Vec<Value>> = words
                    .map(|word| element.decode(Text::of(&Bytes::copy_from_slice(word)), phase))
                    .collect();
                Value::Array(numbers?)
            }
            Self::Null => Value::Null,
        })
    }

    /// Appends the JSON of a value whose text needs no more than to be copied; otherwise answers
    /// `false` and appends nothing.
    #[inline]
    pub(super) fn write_plain(&self, text: &[u8], out: &mut Vec<u8>) -> bool {
        // So many digits are always within the type's range.
        let number = |most: usize| is_plain_integer(text, most).then_some(text);
        let literal = match self {
            Self::Text => {
                let Ok(text) = std::str::from_utf8(text) else {
                    return false;
                };
                json::write_string(text, out);
                return true;
            }
            Self::Temporal(form) => return form.write_plain(text, out),
            Self::Int16 => number(4),
            Self::Int32 => number(9),
            Self::Int64 => number(18),
            Self::Boolean => match text {
                b"t" => Some(&b"true"[..]),
                b"f" => Some(&b"false"[..]),
                _ => None,
            },
            _ => None,
        };
        if let Some(literal) = literal {
            out.extend_from_slice(literal);
        }
        literal.is_some()
    }

    /// Takes the column's finished schema: a struct has to carry the very schema of its field.
    pub(super) fn adopt(&mut self, schema: &SchemaRef) {
        match self {
            Self::Numeric(Numeric::Variable(own)) | Self::Vector(Vector::Sparse(own)) => {
                *own = Arc::clone(schema);
            }
            Self::Temporal(form) => form.adopt(schema),
            Self::Geometry(form) => form.adopt(schema),
            Self::Array(array) => {
                if let Some(element) = schema.value_schema() {
                    array.element.adopt(element);
                }
            }
            _ => {}
        }
    }

    /// What stands for a null that may not be.
    pub(super) fn fallback(&self, modifier: i32) -> Option<Value> {
        Some(match self {
            Self::Boolean | Self::Bit => Value::Boolean(false),
            Self::Int16 => Value::Int16(0),
            Self::Int32 => Value::Int32(0),
            Self::Int64 => Value::Int64(0),
            Self::Float32 => Value::Float32(0.0),
            Self::Float64 => Value::Float64(0.0),
            Self::Text | Self::Name => Value::text(""),
            Self::Numeric(form) => return form.fallback(modifier),
            Self::Temporal(form) => return form.fallback(),
            Self::Binary(BinaryMode::Bytes) | Self::Opaque(BinaryMode::Bytes) | Self::Bits => {
                Value::Bytes(Bytes::new())
            }
            Self::Binary(_) | Self::Opaque(_) => Value::text(""),
            Self::HstoreJson => Value::text("{}"),
            Self::HstoreMap => Value::Map(Box::default()),
            Self::Geometry(form) => return form.fallback(),
            Self::Vector(form) => return form.fallback(),
            Self::Array(_) | Self::Spaced(_) => Value::Array(Vec::new()),
            Self::Null => return None,
        })
    }
}

impl ArrayDecoder {
    /// The array of a text; none where its elements cannot be told apart, or where one is null
    /// that may not be.
    pub(super) fn decode(&self, text: Text<'_>) -> Option<DecodedArray> {
        let elements = text::parse_array(&text.to_shared(), self.delimiter)?;
        let mut values = Vec::with_capacity(elements.len());
        let mut lossy = false;
        for element in elements {
            let value = match (element, &self.element) {
                (Element::Null, _) => Value::Null,
                // The schema knows one dimension. Texts can hold the others as a literal.
                (Element::Nested(literal), Decoder::Text) => {
                    shared_text(Text::of(&literal)).unwrap_or_default()
                }
                (Element::Nested(_), _) => {
                    lossy = true;
                    Value::Null
                }
                // Elements are read by the driver's rules in both phases.
                (Element::Text(text), element) => element
                    .decode(Text::of(&text), Phase::Snapshot)
                    .unwrap_or_else(|| {
                        lossy = true;
                        Value::Null
                    }),
            };
            if self.required && value.is_null() {
                return None;
            }
            values.push(value);
        }
        Some(DecodedArray {
            value: Value::Array(values),
            lossy,
        })
    }
}

//! The short way: a payload of the usual shape straight into values of its schema.
//!
//! Answers `None` for whatever is not exactly what a JsonConverter writes (a number in place of a
//! text, a missing required field, a syntax error): then the long way over the tree of nodes
//! decides, which knows all leniencies and error texts.

use std::sync::Arc;

use super::parse::{Number, Parser, double};
use super::text::decode_base64;
use crate::data::logical::{Logical, SCALE};
use crate::data::{Bytes, ConnectMap, Decimal, Schema, SchemaRef, SchemaType, Struct, Value};

/// Deeper values take the long way, which has the limit's error.
const MAX_DEPTH: usize = 200;

/// Reads the value at the parser's place.
pub(super) fn read(
    parser: &mut Parser<'_>,
    schema: &SchemaRef,
    replace_null_with_default: bool,
) -> Option<Value> {
    Payload {
        parser,
        replace_null_with_default,
        depth: 0,
    }
    .value(schema)
}

struct Payload<'p, 'a> {
    parser: &'p mut Parser<'a>,
    replace_null_with_default: bool,
    depth: usize,
}

impl Payload<'_, '_> {
    fn value(&mut self, schema: &SchemaRef) -> Option<Value> {
        let first = self.parser.peek_token()?;
        if first == b'n' {
            return self.parser.eat(b"null").then(|| self.null(schema))?;
        }
        if let Some(logical) = schema.logical() {
            return self.logical(logical, schema, first);
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "Java's narrowing casts wrap"
        )]
        Some(match schema.kind() {
            SchemaType::String => Value::String(self.text(first)?),
            SchemaType::Int64 => Value::Int64(self.integer(first)?),
            SchemaType::Int32 => Value::Int32(self.integer(first)? as i32),
            SchemaType::Int16 => Value::Int16(self.integer(first)? as i16),
            SchemaType::Int8 => Value::Int8(self.integer(first)? as i8),
            SchemaType::Boolean => match first {
                b't' if self.parser.eat(b"true") => Value::Boolean(true),
                b'f' if self.parser.eat(b"false") => Value::Boolean(false),
                _ => return None,
            },
            SchemaType::Float64 => Value::Float64(match self.number(first)? {
                Number::Integer(value) => value as f64,
                Number::BigInteger(text) | Number::Fraction(text) => double(text),
            }),
            SchemaType::Float32 => Value::Float32(match self.number(first)? {
                Number::Integer(value) => value as f32,
                Number::BigInteger(text) | Number::Fraction(text) => {
                    let value: f32 = text.parse().ok()?;
                    if value == 0.0 { 0.0 } else { value }
                }
            }),
            SchemaType::Bytes => Value::Bytes(Bytes::from(decode_base64(&self.text(first)?)?)),
            SchemaType::Struct => self.nested(|this| this.structure(schema, first))?,
            SchemaType::Array => self.nested(|this| this.array(schema, first))?,
            SchemaType::Map => self.nested(|this| this.map(schema, first))?,
        })
    }

    fn null(&self, schema: &Schema) -> Option<Value> {
        match schema.default_value() {
            Some(default) if self.replace_null_with_default => Some(default.clone()),
            _ => schema.is_optional().then_some(Value::Null),
        }
    }

    fn text(&mut self, first: u8) -> Option<crate::data::ByteString> {
        if first != b'"' {
            return None;
        }
        self.parser.pos += 1;
        self.parser.string().ok()
    }

    fn number(&mut self, first: u8) -> Option<Number<'_>> {
        matches!(first, b'-' | b'0'..=b'9').then(|| self.parser.number().ok())?
    }

    fn integer(&mut self, first: u8) -> Option<i64> {
        match self.number(first)? {
            Number::Integer(value) => Some(value),
            _ => None,
        }
    }

    fn logical(&mut self, logical: Logical, schema: &Schema, first: u8) -> Option<Value> {
        Some(match logical {
            Logical::Date => Value::Date(i32::try_from(self.integer(first)?).ok()?),
            Logical::Timestamp => Value::Timestamp(self.integer(first)?),
            Logical::Time => {
                let ms = i32::try_from(self.integer(first)?).ok()?;
                (0..=86_400_000).contains(&ms).then_some(Value::Time(ms))?
            }
            Logical::Decimal if first == b'"' => {
                let bytes = decode_base64(&self.text(first)?)?;
                if bytes.is_empty() {
                    return None;
                }
                let scale = schema.parameter(SCALE)?.parse().ok()?;
                Value::Decimal(Decimal::from_signed_bytes_be(&bytes, scale))
            }
            Logical::Decimal => Value::Decimal(match self.number(first)? {
                Number::Integer(value) => Decimal::new(value, 0),
                Number::BigInteger(text) | Number::Fraction(text) => {
                    Decimal::parse(text.as_bytes())?
                }
            }),
        })
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Option<Value>) -> Option<Value> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn structure(&mut self, schema: &SchemaRef, first: u8) -> Option<Value> {
        if first != b'{' {
            return None;
        }
        self.parser.pos += 1;
        let fields = schema.fields();
        // Fields come in the schema's order: the next one is looked for first, and its value stands
        // where it is put. From the first that comes otherwise on there is a place for each.
        let mut values = Vec::with_capacity(fields.len());
        let mut next = 0;
        let mut in_order = true;
        if self.parser.peek_token()? == b'}' {
            self.parser.pos += 1;
        } else {
            loop {
                if self.parser.peek_token()? != b'"' {
                    return None;
                }
                self.parser.pos += 1;
                let expected = fields.get(next).filter(|field| self.eat_name(&field.name));
                let field = match expected {
                    Some(field) => Some(field),
                    None => {
                        in_order = false;
                        let name = self.parser.raw_string().ok()?;
                        if name.escaped {
                            return None;
                        }
                        fields.iter().find(|field| field.name == *name.raw)
                    }
                };
                if self.parser.peek_token()? != b':' {
                    return None;
                }
                self.parser.pos += 1;
                match field {
                    Some(field) => {
                        let value = self.value(&field.schema)?;
                        if field.index == values.len() {
                            values.push(value);
                        } else {
                            values.resize(fields.len(), Value::Null);
                            *values.get_mut(field.index)? = value;
                        }
                        next = field.index + 1;
                    }
                    None => self.parser.skip_value().ok()?,
                }
                match self.parser.peek_token()? {
                    b',' => self.parser.pos += 1,
                    b'}' => {
                        self.parser.pos += 1;
                        break;
                    }
                    _ => return None,
                }
            }
        }
        if !in_order || next < fields.len() {
            values.resize(fields.len(), Value::Null);
            for (field, value) in fields.iter().zip(&mut values) {
                if value.is_null() {
                    *value = self.null(&field.schema)?;
                }
            }
        }
        Some(Value::Struct(Struct::new(Arc::clone(schema), values)))
    }

    /// Passes over this name and its closing quote if they come next. A name that needs escapes
    /// never does, since the text has it escaped.
    fn eat_name(&mut self, name: &str) -> bool {
        let rest = self.parser.rest();
        let found = rest.get(name.len()) == Some(&b'"')
            && rest.get(..name.len()) == Some(name.as_bytes())
            && !name.contains(['"', '\\']);
        if found {
            self.parser.pos += name.len() + 1;
        }
        found
    }

    fn array(&mut self, schema: &Schema, first: u8) -> Option<Value> {
        if first != b'[' {
            return None;
        }
        self.parser.pos += 1;
        let element = schema.value_schema()?;
        let mut items = Vec::new();
        if self.parser.peek_token()? == b']' {
            self.parser.pos += 1;
            return Some(Value::Array(items));
        }
        loop {
            items.push(self.value(element)?);
            match self.parser.peek_token()? {
                b',' => self.parser.pos += 1,
                b']' => {
                    self.parser.pos += 1;
                    return Some(Value::Array(items));
                }
                _ => return None,
            }
        }
    }

    fn map(&mut self, schema: &Schema, first: u8) -> Option<Value> {
        // Arrays of pairs are rare enough for the long way.
        if first != b'{' || schema.key_schema()?.kind() != SchemaType::String {
            return None;
        }
        self.parser.pos += 1;
        let value_schema = schema.value_schema()?;
        let mut map = ConnectMap::new();
        if self.parser.peek_token()? == b'}' {
            self.parser.pos += 1;
            return Some(Value::Map(Box::new(map)));
        }
        loop {
            let quote = self.parser.peek_token()?;
            let name = self.text(quote)?;
            if self.parser.peek_token()? != b':' {
                return None;
            }
            self.parser.pos += 1;
            let value = self.value(value_schema)?;
            map.insert(Value::String(name), value);
            match self.parser.peek_token()? {
                b',' => self.parser.pos += 1,
                b'}' => {
                    self.parser.pos += 1;
                    return Some(Value::Map(Box::new(map)));
                }
                _ => return None,
            }
        }
    }
}

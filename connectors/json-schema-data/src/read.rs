//! JSON straight into values of a Connect schema, without a tree.

use std::sync::Arc;

use connect_api::data::json::{Failure, Number, Parser, decode_base64, valid_text};
use connect_api::data::logical::{Logical, SCALE};
use connect_api::data::{
    ByteString, Bytes, ConnectMap, Decimal, Schema, SchemaRef, SchemaType, Struct, Value,
};
use connect_api::{Error, Result};

use crate::from_connect::is_object;
use crate::{JsonSchemaOptions, KEY, MAX_DEPTH, VALUE, is_union};

/// The value of a JSON text that this Connect schema describes. Texts share `bytes`.
///
/// # Errors
/// The text is not JSON, or not of the schema.
pub fn read(bytes: &Bytes, schema: &SchemaRef, options: &JsonSchemaOptions) -> Result<Value> {
    let text = valid_text(bytes);
    let mut reader = Reader {
        parser: Parser::new(&text),
        text: &text,
        keep_nulls: options.ignore_default_for_nullables,
        depth: 0,
    };
    reader.value(schema).map_err(|problem| match problem {
        Problem::Syntax(failure) => {
            Error::data("the payload is not JSON").with_source(failure.located_in(&text))
        }
        Problem::Value(message) => Error::data(message),
    })
}

enum Problem {
    Syntax(Box<Failure>),
    Value(String),
}

impl From<Box<Failure>> for Problem {
    fn from(failure: Box<Failure>) -> Self {
        Self::Syntax(failure)
    }
}

type Read<T> = Result<T, Problem>;

struct Reader<'a> {
    parser: Parser<'a>,
    text: &'a ByteString,
    keep_nulls: bool,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, schema: &SchemaRef) -> Read<Value> {
        let Some(first) = self.parser.peek_token() else {
            return Err(self.syntax());
        };
        if first == b'n' && self.parser.eat(b"null") {
            return Ok(match schema.default_value() {
                Some(default) if !(self.keep_nulls && schema.is_optional()) => default.clone(),
                _ => Value::Null,
            });
        }
        if let Some(logical) = schema.logical() {
            return self.logical(logical, schema, first);
        }
        if schema.is_recursive() {
            let whole = schema.recursion();
            let whole = whole.ok_or_else(|| self.unexpected(schema))?;
            return self.nested(|this| this.value(&whole));
        }
        Ok(match schema.kind() {
            SchemaType::String if first == b'"' => Value::String(self.string()?),
            // What an enum lists or an empty schema allows need not be a text.
            SchemaType::String => Value::String(self.raw()?),
            SchemaType::Int64 => Value::Int64(self.integer(schema, first)?),
            SchemaType::Int32 => Value::Int32(self.narrow(schema, first)?),
            SchemaType::Int16 => Value::Int16(self.narrow(schema, first)?),
            SchemaType::Int8 => Value::Int8(self.narrow(schema, first)?),
            SchemaType::Boolean => match first {
                b't' if self.parser.eat(b"true") => Value::Boolean(true),
                b'f' if self.parser.eat(b"false") => Value::Boolean(false),
                _ => return Err(self.unexpected(schema)),
            },
            SchemaType::Float64 => match first {
                b'"' => Value::Float64(self.not_finite(schema)?),
                _ => Value::Float64(match self.number(schema, first)? {
                    Number::Integer(value) => value as f64,
                    Number::BigInteger(text) | Number::Fraction(text) => {
                        text.parse().unwrap_or(f64::NAN)
                    }
                }),
            },
            #[expect(clippy::cast_possible_truncation, reason = "NaN and infinities only")]
            SchemaType::Float32 => match first {
                b'"' => Value::Float32(self.not_finite(schema)? as f32),
                _ => Value::Float32(match self.number(schema, first)? {
                    Number::Integer(value) => value as f32,
                    Number::BigInteger(text) | Number::Fraction(text) => {
                        text.parse().unwrap_or(f32::NAN)
                    }
                }),
            },
            SchemaType::Bytes => Value::Bytes(Bytes::from(self.base64(schema, first)?)),
            SchemaType::Array => self.nested(|this| this.array(schema, first))?,
            SchemaType::Map => self.nested(|this| this.map(schema, first))?,
            SchemaType::Struct if is_union(schema) => {
                self.nested(|this| this.union(schema, first))?
            }
            SchemaType::Struct => self.nested(|this| this.structure(schema, first))?,
        })
    }

    /// What the parser says of a text that goes on in no way.
    fn syntax(&mut self) -> Problem {
        match self.parser.skip_value() {
            Err(failure) => Problem::Syntax(failure),
            Ok(()) => Problem::Value("the payload ends early".to_owned()),
        }
    }

    fn unexpected(&mut self, schema: &Schema) -> Problem {
        let start = self.parser.pos;
        if let Err(failure) = self.parser.skip_value() {
            return Problem::Syntax(failure);
        }
        let found = self.text.get(start..self.parser.pos).unwrap_or_default();
        let found: String = found.chars().take(60).collect();
        let name = schema.name().map(|name| format!(" ({name})"));
        Problem::Value(format!(
            "expected {}{} but found {found} at character {start} of the payload",
            schema.kind().name(),
            name.unwrap_or_default()
        ))
    }

    fn string(&mut self) -> Read<ByteString> {
        self.parser.pos += 1;
        Ok(self.parser.string()?)
    }

    /// The text of any value.
    fn raw(&mut self) -> Read<ByteString> {
        let start = self.parser.pos;
        self.parser.skip_value()?;
        let raw = self.text.get(start..self.parser.pos).unwrap_or_default();
        Ok(self.text.slice_ref(raw))
    }

    fn number(&mut self, schema: &Schema, first: u8) -> Read<Number<'a>> {
        if !matches!(first, b'-' | b'0'..=b'9') {
            return Err(self.unexpected(schema));
        }
        Ok(self.parser.number()?)
    }

    fn integer(&mut self, schema: &Schema, first: u8) -> Read<i64> {
        let start = self.parser.pos;
        match self.number(schema, first)? {
            Number::Integer(value) => Ok(value),
            // 3.0 and 3e2 are integers.
            Number::Fraction(text) => Decimal::parse(text.as_bytes())
                .filter(|decimal| decimal.scale() > -20)
                .and_then(|decimal| decimal.with_scale(0)?.unscaled_i64())
                .ok_or_else(|| self.beyond(schema, start)),
            Number::BigInteger(_) => Err(self.beyond(schema, start)),
        }
    }

    fn narrow<T: TryFrom<i64>>(&mut self, schema: &Schema, first: u8) -> Read<T> {
        let start = self.parser.pos;
        let value = self.integer(schema, first)?;
        T::try_from(value).map_err(|_| self.beyond(schema, start))
    }

    fn beyond(&self, schema: &Schema, start: usize) -> Problem {
        let number = self.text.get(start..self.parser.pos).unwrap_or_default();
        Problem::Value(format!(
            "{number} at character {start} of the payload is no {}",
            schema.kind().name()
        ))
    }

    /// What JSON has no number for, as Jackson writes it.
    fn not_finite(&mut self, schema: &Schema) -> Read<f64> {
        let start = self.parser.pos;
        let text = self.string()?;
        match &*text {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => {
                self.parser.pos = start;
                Err(self.unexpected(schema))
            }
        }
    }

    fn base64(&mut self, schema: &Schema, first: u8) -> Read<Vec<u8>> {
        if first != b'"' {
            return Err(self.unexpected(schema));
        }
        let start = self.parser.pos;
        let text = self.string()?;
        decode_base64(&text).ok_or_else(|| {
            Problem::Value(format!(
                "the text at character {start} of the payload is no base64"
            ))
        })
    }

    fn logical(&mut self, logical: Logical, schema: &SchemaRef, first: u8) -> Read<Value> {
        Ok(match logical {
            Logical::Date => Value::Date(self.narrow(schema, first)?),
            Logical::Time => Value::Time(self.narrow(schema, first)?),
            Logical::Timestamp => Value::Timestamp(self.integer(schema, first)?),
            Logical::Decimal => Value::Decimal(self.decimal(schema, first)?),
        })
    }

    fn decimal(&mut self, schema: &Schema, first: u8) -> Read<Decimal> {
        let scale: Option<i32> = schema.parameter(SCALE).and_then(|scale| scale.parse().ok());
        if first == b'"' {
            let bytes = self.base64(schema, first)?;
            if bytes.is_empty() {
                return Err(Problem::Value("a Decimal has no bytes".to_owned()));
            }
            let scale = scale.ok_or_else(|| {
                Problem::Value("Invalid Decimal schema: scale parameter not found.".to_owned())
            })?;
            return Ok(Decimal::from_signed_bytes_be(&bytes, scale));
        }
        let start = self.parser.pos;
        let decimal = match self.number(schema, first)? {
            Number::Integer(value) => Some(Decimal::new(value, 0)),
            Number::BigInteger(text) | Number::Fraction(text) => Decimal::parse(text.as_bytes()),
        };
        let decimal = decimal.ok_or_else(|| self.beyond(schema, start))?;
        // JSON does not tell 1.5 from 1.50; beyond sane exponents the number stays as it is.
        let near = |scale: i32| (i64::from(scale) - i64::from(decimal.scale())).abs() < 1000;
        Ok(scale
            .filter(|&scale| near(scale))
            .and_then(|scale| decimal.with_scale(scale))
            .unwrap_or(decimal))
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Problem::Value(format!(
                "the payload is nested more than {MAX_DEPTH} levels deep"
            )));
        }
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    /// Whether another item follows in the list whose end is `close`; passes over the comma.
    fn more(&mut self, close: u8) -> Read<bool> {
        match self.parser.peek_token() {
            Some(b',') => {
                self.parser.pos += 1;
                Ok(true)
            }
            Some(end) if end == close => {
                self.parser.pos += 1;
                Ok(false)
            }
            _ => Err(Problem::Value(format!(
                "expected ',' or '{}' at character {} of the payload",
                char::from(close),
                self.parser.pos
            ))),
        }
    }

    /// Passes over the opening bracket; answers whether anything is inside.
    fn open(&mut self, close: u8) -> bool {
        self.parser.pos += 1;
        let empty = self.parser.peek_token() == Some(close);
        self.parser.pos += usize::from(empty);
        !empty
    }

    /// Passes over the colon after a name.
    fn colon(&mut self) -> Read<()> {
        if self.parser.peek_token() != Some(b':') {
            return Err(Problem::Value(format!(
                "expected ':' at character {} of the payload",
                self.parser.pos
            )));
        }
        self.parser.pos += 1;
        Ok(())
    }

    /// Passes over the quote before a name.
    fn quote(&mut self) -> Read<()> {
        if self.parser.peek_token() != Some(b'"') {
            return Err(Problem::Value(format!(
                "expected a name at character {} of the payload",
                self.parser.pos
            )));
        }
        self.parser.pos += 1;
        Ok(())
    }

    fn array(&mut self, schema: &SchemaRef, first: u8) -> Read<Value> {
        let (b'[', Some(element)) = (first, schema.value_schema()) else {
            return Err(self.unexpected(schema));
        };
        let mut items = Vec::new();
        if self.open(b']') {
            loop {
                items.push(self.value(element)?);
                if !self.more(b']')? {
                    break;
                }
            }
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self, schema: &SchemaRef, first: u8) -> Read<Value> {
        let (Some(key), Some(value)) = (schema.key_schema(), schema.value_schema()) else {
            return Err(self.unexpected(schema));
        };
        let mut map = ConnectMap::new();
        match first {
            b'{' if is_object(schema) => {
                if self.open(b'}') {
                    loop {
                        self.quote()?;
                        let name = self.parser.string()?;
                        self.colon()?;
                        map.insert(Value::String(name), self.value(value)?);
                        if !self.more(b'}')? {
                            break;
                        }
                    }
                }
            }
            b'[' => {
                if self.open(b']') {
                    loop {
                        let (key, value) = self.entry(key, value)?;
                        map.insert(key, value);
                        if !self.more(b']')? {
                            break;
                        }
                    }
                }
            }
            _ => return Err(self.unexpected(schema)),
        }
        Ok(Value::Map(Box::new(map)))
    }

    /// `{"key":…,"value":…}`.
    fn entry(&mut self, key: &SchemaRef, value: &SchemaRef) -> Read<(Value, Value)> {
        let mut entry = (Value::Null, Value::Null);
        if self.parser.peek_token() != Some(b'{') {
            return Err(Problem::Value(format!(
                "expected a map's entry at character {} of the payload",
                self.parser.pos
            )));
        }
        if self.open(b'}') {
            loop {
                self.quote()?;
                let name = self.parser.string()?;
                self.colon()?;
                match &*name {
                    KEY => entry.0 = self.value(key)?,
                    VALUE => entry.1 = self.value(value)?,
                    _ => self.parser.skip_value()?,
                }
                if !self.more(b'}')? {
                    break;
                }
            }
        }
        Ok(entry)
    }

    fn structure(&mut self, schema: &SchemaRef, first: u8) -> Read<Value> {
        if first != b'{' {
            return Err(self.unexpected(schema));
        }
        let fields = schema.fields();
        let mut values = vec![Value::Null; fields.len()];
        // Members come in the schema's order where a converter wrote them: the next is tried first.
        let mut next = 0;
        let mut in_order = true;
        if self.open(b'}') {
            loop {
                self.quote()?;
                let expected = fields.get(next).filter(|field| self.eat_name(&field.name));
                let field = match expected {
                    Some(field) => Some(field),
                    None => {
                        in_order = false;
                        let name = self.parser.string()?;
                        fields.iter().find(|field| field.name == name)
                    }
                };
                self.colon()?;
                match field.and_then(|field| Some((field, values.get_mut(field.index)?))) {
                    Some((field, slot)) => {
                        *slot = self.value(&field.schema)?;
                        next = field.index + 1;
                    }
                    None => self.parser.skip_value()?,
                }
                if !self.more(b'}')? {
                    break;
                }
            }
        }
        if !in_order || next < fields.len() {
            for (field, value) in fields.iter().zip(&mut values) {
                // A null that was read has taken its default already, or keeps none.
                if value.is_null()
                    && let Some(default) = field.schema.default_value()
                    && !(self.keep_nulls && field.schema.is_optional())
                {
                    *value = default.clone();
                }
            }
        }
        Ok(Value::Struct(Struct::new(Arc::clone(schema), values)))
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

    /// The struct in which the field is set that fits the value.
    fn union(&mut self, schema: &SchemaRef, first: u8) -> Read<Value> {
        let token = match first {
            b'"' => Token::Text,
            b't' | b'f' => Token::Boolean,
            b'[' => Token::Array,
            b'{' => Token::Object(self.names()?),
            b'-' | b'0'..=b'9' => {
                let start = self.parser.pos;
                let number = self.parser.number()?;
                self.parser.pos = start;
                match number {
                    Number::Fraction(_) => Token::Fraction,
                    _ => Token::Integer,
                }
            }
            _ => return Err(self.unexpected(schema)),
        };
        let mut best: Option<(usize, usize)> = None;
        for field in schema.fields() {
            if let Some(score) = token.fits(&field.schema, 0)
                && best.is_none_or(|(known, _)| score > known)
            {
                best = Some((score, field.index));
            }
        }
        let Some(field) = best.and_then(|(_, index)| schema.fields().get(index)) else {
            return Err(Problem::Value(format!(
                "Did not find matching oneof field for the data at character {} of the payload",
                self.parser.pos
            )));
        };
        let mut values = vec![Value::Null; schema.fields().len()];
        let value = self.value(&field.schema)?;
        if let Some(slot) = values.get_mut(field.index) {
            *slot = value;
        }
        Ok(Value::Struct(Struct::new(Arc::clone(schema), values)))
    }

    /// The names of the members of the object that comes next; the place stays.
    fn names(&mut self) -> Read<Vec<ByteString>> {
        let start = self.parser.pos;
        let mut names = Vec::new();
        if self.open(b'}') {
            loop {
                self.quote()?;
                names.push(self.parser.string()?);
                self.colon()?;
                self.parser.skip_value()?;
                if !self.more(b'}')? {
                    break;
                }
            }
        }
        self.parser.pos = start;
        Ok(names)
    }
}

/// What kind of value comes next, to choose among a union's fields.
enum Token {
    Text,
    Boolean,
    Integer,
    Fraction,
    Array,
    /// With the names of its members.
    Object(Vec<ByteString>),
}

impl Token {
    /// How well a schema fits; `None` where it does not.
    fn fits(&self, schema: &Schema, depth: usize) -> Option<usize> {
        use SchemaType as T;
        let kind = schema.kind();
        if kind == T::Struct && is_union(schema) && depth < MAX_DEPTH {
            let members = schema.fields().iter();
            return members
                .filter_map(|field| self.fits(&field.schema, depth + 1))
                .max();
        }
        let integer = matches!(kind, T::Int8 | T::Int16 | T::Int32 | T::Int64);
        let number =
            matches!(kind, T::Float32 | T::Float64) || schema.logical() == Some(Logical::Decimal);
        let yes = |fits: bool| fits.then_some(1);
        match self {
            Self::Text => yes(matches!(kind, T::String | T::Bytes)),
            Self::Boolean => yes(kind == T::Boolean),
            Self::Integer if integer => Some(2),
            Self::Integer | Self::Fraction => yes(number),
            Self::Array => yes(kind == T::Array || (kind == T::Map && !is_object(schema))),
            Self::Object(names) => match kind {
                T::Struct => {
                    let known = |name: &&ByteString| schema.field(name).is_some();
                    Some(1 + names.iter().filter(known).count())
                }
                T::Map => yes(is_object(schema)),
                _ => None,
            },
        }
    }
}

//! Avro's binary form straight into Connect values, by a plan made once per schema: no tree of
//! generic records in between, texts and byte strings share the message's buffer.
//!
//! Whatever the bytes say is bounded: by what is left of them, by a depth, and where items take no
//! bytes by a count. Answers for `GenericDatumReader` and `AvroData.toConnectData`.

use std::sync::Arc;

use connect_api::data::{
    ByteString, Bytes, ConnectMap, Decimal, SchemaAndValue, SchemaRef, Struct, Value,
};
use connect_api::{Error, Result};

use crate::from_connect::Options;
use crate::schema::AvroRef;
use crate::to_connect;

/// Deeper values are an attack on the stack.
const MAX_DEPTH: usize = 200;
/// How many items that take no bytes a list may have.
const MAX_EMPTY_ITEMS: usize = 1 << 20;

/// Reads messages of one schema.
#[derive(Debug)]
pub struct Reader {
    pub(crate) plan: Plan,
    /// The Connect schema of what is read; `None` for data without a schema.
    pub(crate) schema: Option<SchemaRef>,
    /// Records by number.
    pub(crate) records: Vec<RecordPlan>,
    /// Whether the whole message is one byte string, without its length.
    pub(crate) raw_bytes: bool,
}

/// How values of one type are read.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    Null,
    Boolean,
    Int8,
    Int16,
    Int32,
    Date,
    Time,
    Int64,
    Timestamp,
    Float32,
    Float64,
    Bytes,
    String,
    /// Bytes with this scale.
    Decimal(i32),
    Fixed(usize),
    /// As many bytes, with this scale.
    FixedDecimal(usize, i32),
    Enum(Arc<[ByteString]>),
    Array(Box<Self>),
    Map(Box<Self>),
    /// A list of pairs of key and value.
    Entries(Box<(Self, Self)>),
    /// The record of this number.
    Record(usize),
    /// A union with null: which branch is null, how the other is read.
    Nullable(u64, Box<Self>),
    /// A union whose values are structs with one field for each type: by branch the field and how
    /// it is read, or nothing for null.
    Union(SchemaRef, Vec<Option<(usize, Self)>>),
    /// `io.confluent.connect.avro.Anything`.
    Anything,
}

#[derive(Clone, Debug)]
pub(crate) struct RecordPlan {
    pub(crate) schema: SchemaRef,
    pub(crate) fields: Arc<[Plan]>,
}

impl Reader {
    /// A plan for messages of this schema; `version` is the schema's under its subject.
    ///
    /// # Errors
    /// Kind Data: the schema's annotations contradict each other.
    pub fn new(avro: &AvroRef, options: &Options, version: Option<i32>) -> Result<Self> {
        Self::counting(avro, options, version, &mut 0)
    }

    /// The same where `unions` counts generalized unions over all schemas that one converter reads.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn counting(
        avro: &AvroRef,
        options: &Options,
        version: Option<i32>,
        unions: &mut usize,
    ) -> Result<Self> {
        to_connect::reader(avro, options, version, unions)
    }

    /// The same, where bytes at the root have their length before them.
    #[must_use]
    pub fn with_length(mut self) -> Self {
        self.raw_bytes = false;
        self
    }

    /// The Connect schema of what is read.
    pub fn schema(&self) -> Option<&SchemaRef> {
        self.schema.as_ref()
    }

    /// Reads one message. Null in place of a value of an optional schema is neither schema nor
    /// value, as there.
    ///
    /// # Errors
    /// Kind Data: the bytes are none of this schema, or with `whole`, more than it takes.
    pub fn read(&self, bytes: &Bytes, whole: bool) -> Result<SchemaAndValue> {
        if self.raw_bytes {
            let value = match &self.plan {
                Plan::Decimal(scale) => {
                    Value::Decimal(Decimal::from_signed_bytes_be(bytes, *scale))
                }
                _ => Value::Bytes(bytes.clone()),
            };
            return Ok(SchemaAndValue::new(self.schema.clone(), value));
        }
        let mut input = Input::new(bytes, &self.records);
        let value = input.value(&self.plan)?;
        if whole && input.at < bytes.len() {
            return Err(Error::data(format!(
                "Found {} bytes of trailing data in Avro payload",
                bytes.len() - input.at
            )));
        }
        if value.is_null() {
            return Ok(SchemaAndValue::NULL);
        }
        Ok(SchemaAndValue::new(self.schema.clone(), value))
    }
}

pub(crate) struct Input<'a> {
    bytes: &'a Bytes,
    at: usize,
    depth: usize,
    records: &'a [RecordPlan],
}

fn cut_off() -> Error {
    Error::data("the Avro payload is cut off").with_class("java.io.EOFException")
}

fn malformed(why: String) -> Error {
    Error::data(why).with_class("org.apache.avro.AvroRuntimeException")
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a Bytes, records: &'a [RecordPlan]) -> Self {
        Self {
            bytes,
            at: 0,
            depth: 0,
            records,
        }
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> Result<&[u8]> {
        let end = self.at.checked_add(length).ok_or_else(cut_off)?;
        let taken = self.bytes.get(self.at..end).ok_or_else(cut_off)?;
        self.at = end;
        Ok(taken)
    }

    #[inline]
    pub(crate) fn long(&mut self) -> Result<i64> {
        let mut value = 0_u64;
        let mut shift = 0;
        loop {
            let byte = *self.bytes.get(self.at).ok_or_else(cut_off)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
            shift += 7;
            if shift > 63 {
                return Err(malformed("Invalid long encoding".to_owned()));
            }
        }
    }

    #[inline]
    fn int(&mut self) -> Result<i32> {
        i32::try_from(self.long()?).map_err(|_| malformed("Invalid int encoding".to_owned()))
    }

    pub(crate) fn length(&mut self) -> Result<usize> {
        let length = self.long()?;
        usize::try_from(length)
            .map_err(|_| malformed(format!("Malformed data. Length is negative: {length}")))
    }

    /// A byte string that shares the message's buffer.
    #[inline]
    fn shared(&mut self) -> Result<Bytes> {
        let length = self.length()?;
        let start = self.at;
        self.take(length)?;
        Ok(self.bytes.slice(start..start + length))
    }

    #[inline]
    fn text(&mut self) -> Result<ByteString> {
        let length = self.length()?;
        let start = self.at;
        self.take(length)?;
        let range = start..start + length;
        Ok(ByteString::try_from(self.bytes.slice(range.clone()))
            .unwrap_or_else(|_| lossy(&self.bytes[range])))
    }

    /// One level deeper; whoever returns well goes back up.
    pub(crate) fn enter(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::data(format!(
                "the Avro payload is nested deeper than {MAX_DEPTH}"
            )));
        }
        Ok(())
    }

    fn value(&mut self, plan: &Plan) -> Result<Value> {
        Ok(match plan {
            Plan::Null => Value::Null,
            Plan::Boolean => Value::Boolean(self.take(1)?[0] != 0),
            #[expect(clippy::cast_possible_truncation, reason = "Java's narrowing wraps")]
            Plan::Int8 => Value::Int8(self.int()? as i8),
            #[expect(clippy::cast_possible_truncation, reason = "Java's narrowing wraps")]
            Plan::Int16 => Value::Int16(self.int()? as i16),
            Plan::Int32 => Value::Int32(self.int()?),
            Plan::Date => Value::Date(self.int()?),
            Plan::Time => Value::Time(self.int()?),
            Plan::Int64 => Value::Int64(self.long()?),
            Plan::Timestamp => Value::Timestamp(self.long()?),
            Plan::Float32 => {
                let bytes = self.take(4)?.first_chunk::<4>().ok_or_else(cut_off)?;
                Value::Float32(f32::from_le_bytes(*bytes))
            }
            Plan::Float64 => {
                let bytes = self.take(8)?.first_chunk::<8>().ok_or_else(cut_off)?;
                Value::Float64(f64::from_le_bytes(*bytes))
            }
            Plan::Bytes => Value::Bytes(self.shared()?),
            Plan::String => Value::String(self.text()?),
            Plan::Nullable(null, inner) => {
                return match self.branch()? {
                    branch if branch == *null => Ok(Value::Null),
                    0 | 1 => self.value(inner),
                    branch => Err(no_branch(branch)),
                };
            }
            Plan::Record(number) => return self.record(*number),
            Plan::Array(_) | Plan::Map(_) | Plan::Entries(_) => return self.list(plan),
            Plan::Union(schema, branches) => return self.union(schema, branches),
            Plan::Anything => return self.anything(),
            other => return self.scalar(other),
        })
    }

    /// What is rarer and holds nothing.
    #[inline(never)]
    fn scalar(&mut self, plan: &Plan) -> Result<Value> {
        Ok(match plan {
            Plan::Decimal(scale) => {
                let length = self.length()?;
                let bytes = self.take(length)?;
                if bytes.is_empty() {
                    return Err(malformed("Zero length BigInteger".to_owned()));
                }
                Value::Decimal(Decimal::from_signed_bytes_be(bytes, *scale))
            }
            Plan::Fixed(size) => {
                let start = self.at;
                self.take(*size)?;
                Value::Bytes(self.bytes.slice(start..start + size))
            }
            Plan::FixedDecimal(size, scale) => {
                Value::Decimal(Decimal::from_signed_bytes_be(self.take(*size)?, *scale))
            }
            Plan::Enum(symbols) => {
                let index = self.long()?;
                let symbol = usize::try_from(index)
                    .ok()
                    .and_then(|index| symbols.get(index));
                Value::String(
                    symbol
                        .ok_or_else(|| malformed(format!("no enum symbol has the number {index}")))?
                        .clone(),
                )
            }
            _ => Value::Null,
        })
    }

    #[inline(never)]
    fn record(&mut self, number: usize) -> Result<Value> {
        self.enter()?;
        let record = &self.records[number];
        let mut values = Vec::with_capacity(record.fields.len());
        for field in &*record.fields {
            values.push(self.value(field)?);
        }
        self.leave();
        Ok(Value::Struct(Struct::new(
            Arc::clone(&record.schema),
            values,
        )))
    }

    #[inline(never)]
    fn list(&mut self, plan: &Plan) -> Result<Value> {
        self.enter()?;
        let value = match plan {
            Plan::Array(items) => {
                let mut values = Vec::new();
                self.blocks(|input| {
                    values.push(input.value(items)?);
                    Ok(())
                })?;
                Value::Array(values)
            }
            Plan::Map(values) => {
                let mut map = ConnectMap::new();
                self.blocks(|input| {
                    let key = Value::String(input.text()?);
                    map.insert(key, input.value(values)?);
                    Ok(())
                })?;
                Value::Map(Box::new(map))
            }
            Plan::Entries(pair) => {
                let mut map = ConnectMap::new();
                self.blocks(|input| {
                    let key = input.value(&pair.0)?;
                    map.insert(key, input.value(&pair.1)?);
                    Ok(())
                })?;
                Value::Map(Box::new(map))
            }
            _ => Value::Null,
        };
        self.leave();
        Ok(value)
    }

    #[inline(never)]
    fn union(&mut self, schema: &SchemaRef, branches: &[Option<(usize, Plan)>]) -> Result<Value> {
        let branch = self.branch()?;
        let chosen = usize::try_from(branch)
            .ok()
            .and_then(|branch| branches.get(branch))
            .ok_or_else(|| no_branch(branch))?;
        let Some((field, plan)) = chosen else {
            return Ok(Value::Null);
        };
        self.enter()?;
        let inside = self.value(plan)?;
        self.leave();
        let mut values = vec![Value::Null; schema.fields().len()];
        values[*field] = inside;
        Ok(Value::Struct(Struct::new(Arc::clone(schema), values)))
    }

    /// Back up again.
    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    #[inline]
    pub(crate) fn branch(&mut self) -> Result<u64> {
        let branch = self.long()?;
        u64::try_from(branch).map_err(|_| malformed(format!("no union branch {branch}")))
    }

    /// Blocks of items, until an empty one.
    pub(crate) fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let mut empty_items = 0;
        loop {
            let mut count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                // The block's size in bytes follows; nobody skips here.
                count = count
                    .checked_neg()
                    .ok_or_else(|| malformed("Malformed data. No such count".to_owned()))?;
                self.long()?;
            }
            for _ in 0..count {
                let before = self.left();
                item(self)?;
                if self.left() == before {
                    empty_items += 1;
                    if empty_items > MAX_EMPTY_ITEMS {
                        return Err(Error::data(format!(
                            "the Avro payload has a list of more than {MAX_EMPTY_ITEMS} items \
                             without content"
                        )));
                    }
                }
            }
        }
    }

    /// Data without a schema: of the record's optional fields one has the value.
    fn anything(&mut self) -> Result<Value> {
        self.enter()?;
        let mut value = Value::Null;
        for field in 0..9 {
            match self.branch()? {
                0 => continue,
                1 => {}
                branch => return Err(no_branch(branch)),
            }
            value = match field {
                0 => self.value(&Plan::Boolean)?,
                1 => self.value(&Plan::Bytes)?,
                2 => self.value(&Plan::Float64)?,
                3 => self.value(&Plan::Float32)?,
                4 => self.value(&Plan::Int32)?,
                5 => self.value(&Plan::Int64)?,
                6 => self.value(&Plan::String)?,
                7 => self.value(&Plan::Array(Box::new(Plan::Anything)))?,
                _ => self.value(&Plan::Entries(Box::new((Plan::Anything, Plan::Anything))))?,
            };
        }
        self.leave();
        Ok(value)
    }
}

/// As Java: what is no text becomes replacement characters.
#[cold]
fn lossy(bytes: &[u8]) -> ByteString {
    ByteString::from(String::from_utf8_lossy(bytes).into_owned())
}

pub(crate) fn no_branch(branch: u64) -> Error {
    malformed(format!("the union has no branch {branch}"))
}

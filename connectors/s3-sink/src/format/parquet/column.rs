//! Rows as columns: plain vectors of values with Dremel's levels, before anything is encoded.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher};

use connect_api::data::Value;
use connect_api::{Error, Result};

use super::plan::PAGE_BYTES;

/// Fewer values say nothing about those to come.
const MIN_SAMPLE: usize = 512;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Int32,
    Int64,
    Float,
    Double,
    /// Bytes, text and decimals of this scale; of this length where it is fixed.
    Bytes {
        scale: Option<i32>,
        length: Option<usize>,
    },
}

/// A column of the file's schema.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) kind: Kind,
    /// The definition level of a value; 0 where none is ever missing.
    pub(super) max_definition: i16,
    /// The repetition level; 0 where a row has one value.
    pub(super) max_repetition: i16,
}

/// The values of a column.
#[derive(Debug)]
pub(super) enum Data {
    Boolean(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes {
        bytes: Vec<u8>,
        ends: Vec<usize>,
        scale: Option<i32>,
        length: Option<usize>,
    },
}

/// One column.
#[derive(Debug)]
pub(super) struct Column {
    data: Data,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
    max_definition: i16,
    max_repetition: i16,
}

impl Column {
    fn new(shape: Shape) -> Self {
        let data = match shape.kind {
            Kind::Boolean => Data::Boolean(Vec::new()),
            Kind::Int32 => Data::Int32(Vec::new()),
            Kind::Int64 => Data::Int64(Vec::new()),
            Kind::Float => Data::Float(Vec::new()),
            Kind::Double => Data::Double(Vec::new()),
            Kind::Bytes { scale, length } => Data::Bytes {
                bytes: Vec::new(),
                ends: Vec::new(),
                scale,
                length,
            },
        };
        Self {
            data,
            definitions: Vec::new(),
            repetitions: Vec::new(),
            max_definition: shape.max_definition,
            max_repetition: shape.max_repetition,
        }
    }

    pub(super) fn data(&self) -> &Data {
        &self.data
    }
    /// The definition levels, where the column has any.
    pub(super) fn definitions(&self) -> Option<&[i16]> {
        (self.max_definition > 0).then_some(&self.definitions)
    }
    /// The repetition levels, where the column has any.
    pub(super) fn repetitions(&self) -> Option<&[i16]> {
        (self.max_repetition > 0).then_some(&self.repetitions)
    }

    /// Bytes of its values as plain encoding would write them.
    pub(super) fn size(&self) -> usize {
        match &self.data {
            Data::Boolean(data) => data.len() / 8,
            Data::Int32(data) => data.len() * 4,
            Data::Int64(data) => data.len() * 8,
            Data::Float(data) => data.len() * 4,
            Data::Double(data) => data.len() * 8,
            Data::Bytes { bytes, ends, .. } => bytes.len() + ends.len() * 4,
        }
    }

    /// Whether a dictionary makes the column smaller, by what would be its first page: the same
    /// question that Java's writer asks after that page. Building one for nothing is the larger
    /// part of encoding a column.
    pub(super) fn is_worth_a_dictionary(&self) -> bool {
        match &self.data {
            Data::Boolean(_) => false,
            Data::Int32(data) => is_repetitive(data.iter().map(|value| (4, *value as u64))),
            Data::Int64(data) => is_repetitive(data.iter().map(|value| (8, value.cast_unsigned()))),
            Data::Float(data) => {
                is_repetitive(data.iter().map(|value| (4, value.to_bits().into())))
            }
            Data::Double(data) => is_repetitive(data.iter().map(|value| (8, value.to_bits()))),
            Data::Bytes { bytes, ends, .. } => {
                let mut start = 0;
                is_repetitive(ends.iter().map(|&end| {
                    let value = bytes.get(start..end).unwrap_or_default();
                    start = end;
                    let mut hasher = DefaultHasher::new();
                    hasher.write(value);
                    (value.len() + 4, hasher.finish())
                }))
            }
        }
    }

    /// Cuts off what follows the first `rows` rows.
    fn truncate(&mut self, rows: usize) {
        let levels = match self.max_repetition {
            0 => rows,
            _ => {
                let starts = self
                    .repetitions
                    .iter()
                    .enumerate()
                    .filter(|(_, level)| **level == 0);
                starts
                    .map(|(at, _)| at)
                    .nth(rows)
                    .unwrap_or(self.repetitions.len())
            }
        };
        self.repetitions.truncate(levels);
        let values = match self.max_definition {
            0 => levels,
            max => {
                self.definitions.truncate(levels);
                self.definitions
                    .iter()
                    .filter(|&&level| level == max)
                    .count()
            }
        };
        match &mut self.data {
            Data::Boolean(data) => data.truncate(values),
            Data::Int32(data) => data.truncate(values),
            Data::Int64(data) => data.truncate(values),
            Data::Float(data) => data.truncate(values),
            Data::Double(data) => data.truncate(values),
            Data::Bytes { bytes, ends, .. } => {
                ends.truncate(values);
                bytes.truncate(ends.last().copied().unwrap_or(0));
            }
        }
    }
}

/// Whether values, given by size and identity, are smaller as a dictionary and references to it.
fn is_repetitive(values: impl Iterator<Item = (usize, u64)>) -> bool {
    let (mut count, mut plain, mut dictionary) = (0usize, 0usize, 0usize);
    let mut distinct = HashSet::new();
    for (size, identity) in values {
        count += 1;
        plain += size;
        if distinct.insert(identity) {
            dictionary += size;
        }
        if plain >= PAGE_BYTES {
            break;
        }
    }
    let bits = usize::BITS - distinct.len().leading_zeros();
    count < MIN_SAMPLE || dictionary + count * bits as usize / 8 < plain
}

/// Numbers as bytes and back, in the machine's own order: they never leave it.
macro_rules! plain {
    ($put:ident, $take:ident, $type:ty) => {
        fn $put(values: &[$type], out: &mut Vec<u8>) {
            out.extend_from_slice(&values.len().to_ne_bytes());
            out.reserve(size_of_val(values));
            for value in values {
                out.extend_from_slice(&value.to_ne_bytes());
            }
        }
        fn $take(values: &mut Vec<$type>, bytes: &mut &[u8]) -> Option<()> {
            let count = take_length(bytes)?;
            let (own, rest) = bytes.split_at_checked(count.checked_mul(size_of::<$type>())?)?;
            let chunks = own.as_chunks::<{ size_of::<$type>() }>().0;
            values.extend(chunks.iter().map(|chunk| <$type>::from_ne_bytes(*chunk)));
            *bytes = rest;
            Some(())
        }
    };
}
plain!(put_i16, take_i16, i16);
plain!(put_i32, take_i32, i32);
plain!(put_i64, take_i64, i64);
plain!(put_f32, take_f32, f32);
plain!(put_f64, take_f64, f64);
plain!(put_u8, take_u8, u8);

fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    let (length, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(usize::from_ne_bytes(*length))
}

impl Column {
    fn held(&self) -> usize {
        let values = match &self.data {
            Data::Boolean(data) => data.capacity(),
            Data::Int32(data) => data.capacity() * 4,
            Data::Int64(data) => data.capacity() * 8,
            Data::Float(data) => data.capacity() * 4,
            Data::Double(data) => data.capacity() * 8,
            Data::Bytes { bytes, ends, .. } => bytes.capacity() + ends.capacity() * 8,
        };
        values + (self.definitions.capacity() + self.repetitions.capacity()) * 2
    }

    /// Appends everything that waits to `out`.
    fn dump(&self, out: &mut Vec<u8>) {
        put_i16(&self.definitions, out);
        put_i16(&self.repetitions, out);
        match &self.data {
            Data::Boolean(data) => {
                let bytes: Vec<u8> = data.iter().map(|&flag| u8::from(flag)).collect();
                put_u8(&bytes, out);
            }
            Data::Int32(data) => put_i32(data, out),
            Data::Int64(data) => put_i64(data, out),
            Data::Float(data) => put_f32(data, out),
            Data::Double(data) => put_f64(data, out),
            Data::Bytes { bytes, ends, .. } => {
                let mut start = 0;
                let lengths: Vec<i64> = ends
                    .iter()
                    .map(|&end| (end - std::mem::replace(&mut start, end)) as i64)
                    .collect();
                put_i64(&lengths, out);
                put_u8(bytes, out);
            }
        }
    }

    /// Appends what was dumped to what waits.
    fn load(&mut self, from: &mut &[u8]) -> Option<()> {
        take_i16(&mut self.definitions, from)?;
        take_i16(&mut self.repetitions, from)?;
        match &mut self.data {
            Data::Boolean(data) => {
                let mut bytes = Vec::new();
                take_u8(&mut bytes, from)?;
                data.extend(bytes.iter().map(|&byte| byte != 0));
            }
            Data::Int32(data) => take_i32(data, from)?,
            Data::Int64(data) => take_i64(data, from)?,
            Data::Float(data) => take_f32(data, from)?,
            Data::Double(data) => take_f64(data, from)?,
            Data::Bytes { bytes, ends, .. } => {
                let mut lengths = Vec::new();
                take_i64(&mut lengths, from)?;
                let mut end = bytes.len();
                for length in lengths {
                    end += usize::try_from(length).ok()?;
                    ends.push(end);
                }
                take_u8(bytes, from)?;
            }
        }
        Some(())
    }
}

/// All columns of a file, and the rows that wait in them.
#[derive(Debug)]
pub(super) struct Columns {
    list: Vec<Column>,
    rows: usize,
    bytes: usize,
}

impl Columns {
    pub(super) fn new(shapes: &[Shape]) -> Self {
        Self {
            list: shapes.iter().map(|&shape| Column::new(shape)).collect(),
            rows: 0,
            bytes: 0,
        }
    }
    pub(super) fn column(&self, index: usize) -> &Column {
        &self.list[index]
    }
    pub(super) fn rows(&self) -> usize {
        self.rows
    }
    /// Bytes of texts and byte strings that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
    pub(super) fn row_finished(&mut self) {
        self.rows += 1;
    }
    /// Forgets what a row that turned out bad has left.
    pub(super) fn drop_unfinished_row(&mut self) {
        for column in &mut self.list {
            column.truncate(self.rows);
        }
    }
    /// What they take of the memory.
    pub(super) fn held(&self) -> usize {
        self.list.iter().map(Column::held).sum()
    }
    /// Appends all rows to `out`, and forgets them and their memory.
    pub(super) fn dump(&mut self, shapes: &[Shape], out: &mut Vec<u8>) {
        for column in &self.list {
            column.dump(out);
        }
        *self = Self::new(shapes);
    }
    /// The rows of `dumps` of so many rows and bytes of text, and behind them those that wait.
    pub(super) fn load(&mut self, shapes: &[Shape], mut dumps: &[u8], rows: usize) -> Option<()> {
        let mut own = Vec::new();
        let (own_rows, own_bytes) = (self.rows, self.bytes);
        self.dump(shapes, &mut own);
        let mut own = own.as_slice();
        while !dumps.is_empty() {
            for column in &mut self.list {
                column.load(&mut dumps)?;
            }
        }
        for column in &mut self.list {
            column.load(&mut own)?;
        }
        self.rows = rows + own_rows;
        self.bytes = own_bytes;
        Some(())
    }
    /// Forgets all rows; keeps the memory.
    pub(super) fn clear(&mut self) {
        for column in &mut self.list {
            column.definitions.clear();
            column.repetitions.clear();
            match &mut column.data {
                Data::Boolean(data) => data.clear(),
                Data::Int32(data) => data.clear(),
                Data::Int64(data) => data.clear(),
                Data::Float(data) => data.clear(),
                Data::Double(data) => data.clear(),
                Data::Bytes { bytes, ends, .. } => {
                    bytes.clear();
                    ends.clear();
                }
            }
        }
        self.rows = 0;
        self.bytes = 0;
    }

    /// A level without a value, in each of these columns.
    pub(super) fn push_null(
        &mut self,
        columns: std::ops::Range<usize>,
        definition: i16,
        repetition: i16,
    ) {
        for column in &mut self.list[columns] {
            column.definitions.push(definition);
            if column.max_repetition > 0 {
                column.repetitions.push(repetition);
            }
        }
    }

    /// A value. `type_name` is for the error's text.
    pub(super) fn push(
        &mut self,
        index: usize,
        value: &Value,
        repetition: i16,
        type_name: &str,
    ) -> Result<()> {
        let column = &mut self.list[index];
        match (&mut column.data, value) {
            (Data::Boolean(data), Value::Boolean(value)) => data.push(*value),
            (Data::Int32(data), Value::Int32(value) | Value::Date(value) | Value::Time(value)) => {
                data.push(*value);
            }
            (Data::Int32(data), Value::Int16(value)) => data.push(i32::from(*value)),
            (Data::Int32(data), Value::Int8(value)) => data.push(i32::from(*value)),
            (Data::Int64(data), Value::Int64(value) | Value::Timestamp(value)) => data.push(*value),
            (Data::Float(data), Value::Float32(value)) => data.push(*value),
            (Data::Double(data), Value::Float64(value)) => data.push(*value),
            (
                Data::Bytes {
                    bytes,
                    ends,
                    scale: None,
                    ..
                },
                Value::String(text),
            ) => {
                bytes.extend_from_slice(text.as_bytes());
                ends.push(bytes.len());
                self.bytes += text.len();
            }
            (
                Data::Bytes {
                    bytes,
                    ends,
                    scale: None,
                    length,
                },
                Value::Bytes(value),
            ) => {
                if length.is_some_and(|length| length != value.len()) {
                    return Err(Error::data(format!(
                        "Fixed size mismatch: {} bytes where {} are declared",
                        value.len(),
                        length.unwrap_or_default()
                    )));
                }
                bytes.extend_from_slice(value);
                ends.push(bytes.len());
                self.bytes += value.len();
            }
            (
                Data::Bytes {
                    bytes,
                    ends,
                    scale: Some(scale),
                    length,
                },
                Value::Decimal(decimal),
            ) => {
                if decimal.scale() != *scale {
                    return Err(Error::data(
                        "Decimal value has mismatching scale for given Decimal schema",
                    ));
                }
                let length = *length;
                let fits = decimal.with_signed_bytes_be(|unscaled| {
                    let is_negative = unscaled.first().is_some_and(|first| first & 0x80 != 0);
                    let padding = length.map_or(0, |length| length.saturating_sub(unscaled.len()));
                    bytes.extend(std::iter::repeat_n(
                        if is_negative { 0xff } else { 0 },
                        padding,
                    ));
                    bytes.extend_from_slice(unscaled);
                    length.is_none_or(|length| unscaled.len() <= length)
                });
                if !fits {
                    return Err(Error::data("a decimal is too long for its fixed type"));
                }
                ends.push(bytes.len());
                self.bytes += 8;
            }
            (_, other) => {
                return Err(Error::data(format!(
                    "Invalid type for {type_name}: class {}",
                    other.java_class().unwrap_or("null")
                )));
            }
        }
        if column.max_definition > 0 {
            column.definitions.push(column.max_definition);
            if column.max_repetition > 0 {
                column.repetitions.push(repetition);
            }
        }
        Ok(())
    }
}

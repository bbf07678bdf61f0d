//! Avro container files over AvroData's schema.
//!
//! Knows no registry: a file carries its schema. Answers for
//! `io.confluent.connect.s3.format.avro.AvroFormat` and `org.apache.avro.file.DataFileWriter`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use avro_data::binary::{write_bytes, write_long};
use avro_data::{Avro, AvroRef, Options as AvroOptions, Shape, anything, from_connect_schema};
use bzip2::write::BzEncoder;
use connect_api::data::{Schema, SchemaAndValue, SchemaRef, SchemaType, Value};
use connect_api::{Error, Result};
use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::{Format, FormatSettings, RecordWriter};
use crate::config::invalid;
use crate::spill::{Spool, Waiting};
use crate::storage::object::ObjectWriter;

/// A block is ended when it holds this much, as Java's writer does by default.
const BLOCK_BYTES: usize = 64_000;

/// `avro.codec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    Null,
    Deflate,
    Snappy,
    Bzip2,
}

/// Makes Avro files.
#[derive(Debug)]
pub(crate) struct AvroFormat {
    codec: Codec,
    options: AvroOptions,
    /// Schemas seen, the last used at the end.
    schemas: Mutex<Vec<(SchemaRef, AvroRef)>>,
    max_schemas: usize,
}

impl AvroFormat {
    /// # Errors
    /// Kind Config: there is no such codec.
    pub(crate) fn new(settings: &FormatSettings) -> Result<Self> {
        let codec = match settings.avro_codec.as_str() {
            "null" => Codec::Null,
            "deflate" => Codec::Deflate,
            "snappy" => Codec::Snappy,
            "bzip2" => Codec::Bzip2,
            other => {
                let why = "String must be one of: null, deflate, snappy, bzip2";
                return Err(Error::config(invalid("avro.codec", other, why)));
            }
        };
        Ok(Self {
            codec,
            options: settings.avro,
            schemas: Mutex::default(),
            max_schemas: settings.schema_cache_size.max(1),
        })
    }

    fn schema(&self, schema: &SchemaRef) -> Result<AvroRef> {
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        let known = schemas
            .iter()
            .rfind(|(known, _)| Arc::ptr_eq(known, schema))
            .or_else(|| schemas.iter().rfind(|(known, _)| known == schema));
        if let Some((_, avro)) = known {
            return Ok(Arc::clone(avro));
        }
        let avro = from_connect_schema(schema, self.options)?;
        if schemas.len() >= self.max_schemas {
            schemas.remove(0);
        }
        schemas.push((Arc::clone(schema), Arc::clone(&avro)));
        Ok(avro)
    }
}

impl Format for AvroFormat {
    fn extension(&self) -> String {
        ".avro".to_owned()
    }
    fn puts_headers_in_record(&self) -> bool {
        false
    }

    fn open(
        &self,
        first: &SchemaAndValue,
        mut object: ObjectWriter,
    ) -> Result<Box<dyn RecordWriter>> {
        let typed = match &first.schema {
            Some(schema) => Some((Arc::clone(schema), self.schema(schema)?)),
            None => None,
        };
        let text = match &typed {
            Some((_, avro)) => avro.to_text(),
            None => anything::SCHEMA.to_owned(),
        };
        let sync = sync_marker(object.key(), &text);
        let out = object.buffer();
        out.extend_from_slice(b"Obj\x01");
        write_long(2, out);
        for (key, value) in [
            ("avro.codec", self.codec.name()),
            ("avro.schema", text.as_str()),
        ] {
            write_bytes(key.as_bytes(), out);
            write_bytes(value.as_bytes(), out);
        }
        write_long(0, out);
        out.extend_from_slice(&sync);
        Ok(Box::new(AvroRecordWriter {
            codec: self.codec,
            typed,
            sync,
            block: Waiting::default(),
            count: 0,
            object,
        }))
    }
}

impl Codec {
    fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Deflate => "deflate",
            Self::Snappy => "snappy",
            Self::Bzip2 => "bzip2",
        }
    }

    fn compress(self, block: &[u8]) -> Result<Option<Vec<u8>>> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::fatal("compressing an Avro block").with_source(error)
        };
        match self {
            Self::Null => Ok(None),
            Self::Deflate => {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
                encoder
                    .write_all(block)
                    .map_err(|error| failed(error.into()))?;
                encoder
                    .finish()
                    .map(Some)
                    .map_err(|error| failed(error.into()))
            }
            Self::Bzip2 => {
                let mut encoder = BzEncoder::new(Vec::new(), bzip2::Compression::best());
                encoder
                    .write_all(block)
                    .map_err(|error| failed(error.into()))?;
                encoder
                    .finish()
                    .map(Some)
                    .map_err(|error| failed(error.into()))
            }
            Self::Snappy => {
                let mut out = snap::raw::Encoder::new()
                    .compress_vec(block)
                    .map_err(|error| failed(error.into()))?;
                let mut checksum = flate2::Crc::new();
                checksum.update(block);
                out.extend_from_slice(&checksum.sum().to_be_bytes());
                Ok(Some(out))
            }
        }
    }
}

/// Sixteen bytes that do not stand in the data by chance. From the object's name and schema, so
/// that the same records make the same bytes.
fn sync_marker(key: &str, schema: &str) -> [u8; 16] {
    let mut marker = [0; 16];
    for (salt, half) in marker.chunks_mut(8).enumerate() {
        let mut hasher = DefaultHasher::new();
        (salt, key, schema).hash(&mut hasher);
        half.copy_from_slice(&hasher.finish().to_be_bytes());
    }
    marker
}

#[derive(Debug)]
struct AvroRecordWriter {
    codec: Codec,
    /// The schema; without one, values are of any type.
    typed: Option<(SchemaRef, AvroRef)>,
    sync: [u8; 16],
    block: Waiting,
    count: i64,
    object: ObjectWriter,
}

impl AvroRecordWriter {
    fn end_block(&mut self) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let mut block = self.block.take()?;
        let compressed = self.codec.compress(&block)?;
        let out = self.object.buffer();
        write_long(self.count, out);
        write_bytes(compressed.as_deref().unwrap_or(&block), out);
        out.extend_from_slice(&self.sync);
        block.clear();
        self.block.bytes = block;
        self.count = 0;
        self.object.appended()
    }
}

impl RecordWriter for AvroRecordWriter {
    fn write(&mut self, record: &SchemaAndValue) -> Result<()> {
        let block = &mut self.block.bytes;
        let start = block.len();
        let encoded = match &self.typed {
            Some((schema, avro)) => encode(avro, schema, &record.value, block),
            None => anything::encode(&record.value, block),
        };
        if let Err(error) = encoded {
            block.truncate(start);
            return Err(error);
        }
        self.count += 1;
        if self.block.len() >= BLOCK_BYTES {
            self.end_block()?;
        }
        Ok(())
    }

    fn written(&self) -> u64 {
        self.object.written() + self.block.len() as u64
    }
    fn held(&self) -> usize {
        self.object.held() + self.block.held()
    }
    fn relieve(&mut self, spool: &Arc<Spool>, _may_cut: bool) -> Result<()> {
        if let Err(error) = self.block.spill(spool) {
            tracing::warn!(%error, "spilling open files to disk");
        }
        self.object.relieve(spool)
    }

    fn close(mut self: Box<Self>) -> Result<ObjectWriter> {
        self.end_block()?;
        Ok(self.object)
    }
}

fn mismatch(schema: &Schema, value: &Value) -> Error {
    match value {
        Value::Null => Error::data(format!(
            "Invalid value: null used for required field of schema type {}",
            schema.kind().name()
        )),
        other => Error::data(format!(
            "Invalid type for {}: class {}",
            schema.kind().name(),
            other.java_class().unwrap_or("null")
        )),
    }
}

/// Appends a value in its schema's binary form.
fn encode(avro: &Avro, schema: &Schema, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    let value = match value {
        Value::Null => schema.default_value().unwrap_or(value),
        _ => value,
    };
    match (&avro.shape, value) {
        (Shape::Union(branches), value) => encode_union(branches, schema, value, out)?,
        (Shape::Boolean, Value::Boolean(flag)) => out.push(u8::from(*flag)),
        (Shape::Int, Value::Int32(number) | Value::Date(number) | Value::Time(number)) => {
            write_long(i64::from(*number), out);
        }
        (Shape::Int, Value::Int8(number)) => write_long(i64::from(*number), out),
        (Shape::Int, Value::Int16(number)) => write_long(i64::from(*number), out),
        (Shape::Long, Value::Int64(number) | Value::Timestamp(number)) => write_long(*number, out),
        (Shape::Float, Value::Float32(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (Shape::Double, Value::Float64(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (Shape::String, Value::String(text)) => write_bytes(text.as_bytes(), out),
        (Shape::Bytes, Value::Bytes(bytes)) => write_bytes(bytes, out),
        (Shape::Bytes, Value::Decimal(decimal)) => {
            decimal.with_signed_bytes_be(|bytes| write_bytes(bytes, out));
        }
        (Shape::Fixed { size, .. }, Value::Bytes(bytes)) if bytes.len() == *size => {
            out.extend_from_slice(bytes);
        }
        (Shape::Enum { symbols, .. }, Value::String(text)) => {
            let index = symbols.iter().position(|symbol| *symbol == **text);
            let index =
                index.ok_or_else(|| Error::data(format!("not an enum symbol: {}", &**text)))?;
            write_long(index as i64, out);
        }
        (Shape::Record { fields, .. }, Value::Struct(inside)) => {
            if inside.values.len() != fields.len() {
                return Err(Error::data("Mismatching struct schema"));
            }
            for ((field, own), value) in fields.iter().zip(schema.fields()).zip(&inside.values) {
                encode(&field.schema, &own.schema, value, out)?;
            }
        }
        (Shape::Array(items), Value::Array(values)) => {
            let item_schema = schema
                .value_schema()
                .ok_or_else(|| mismatch(schema, value))?;
            if !values.is_empty() {
                write_long(values.len() as i64, out);
            }
            for item in values {
                encode(items, item_schema, item, out)?;
            }
            out.push(0);
        }
        (Shape::Map(_) | Shape::Array(_), Value::Map(map)) => {
            let (Some(keys), Some(values)) = (schema.key_schema(), schema.value_schema()) else {
                return Err(mismatch(schema, value));
            };
            if !map.is_empty() {
                write_long(map.len() as i64, out);
            }
            for (key, item) in map.iter() {
                encode_entry(&avro.shape, (keys, key), (values, item), out)?;
            }
            out.push(0);
        }
        (_, value) => return Err(mismatch(schema, value)),
    }
    Ok(())
}

fn encode_entry(
    shape: &Shape,
    (keys, key): (&Schema, &Value),
    (values, item): (&Schema, &Value),
    out: &mut Vec<u8>,
) -> Result<()> {
    match shape {
        Shape::Map(value_avro) => {
            write_bytes(
                key.as_str().ok_or_else(|| mismatch(keys, key))?.as_bytes(),
                out,
            );
            encode(value_avro, values, item, out)
        }
        Shape::Array(entry) => match &entry.shape {
            Shape::Record { fields, .. } if fields.len() == 2 => {
                encode(&fields[0].schema, keys, key, out)?;
                encode(&fields[1].schema, values, item, out)
            }
            _ => Err(Error::fatal("the entries of a map are no pairs")),
        },
        _ => Err(Error::fatal("a map is neither map nor list in Avro")),
    }
}

fn encode_union(
    branches: &[AvroRef],
    schema: &Schema,
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<()> {
    let null = branches
        .iter()
        .position(|branch| branch.shape == Shape::Null);
    let index = match value {
        Value::Null => null.ok_or_else(|| mismatch(schema, value))?,
        // A struct stands for a union of several types: its first field with a value is the union's.
        Value::Struct(inside)
            if schema.kind() == SchemaType::Struct
                && schema.name() == Some(avro_data::from_connect::UNION) =>
        {
            let chosen = inside.values.iter().position(|value| !value.is_null());
            let chosen = chosen.ok_or_else(|| mismatch(schema, &Value::Null))?;
            let index = match null {
                Some(null) if null <= chosen => chosen + 1,
                _ => chosen,
            };
            write_long(index as i64, out);
            let branch = branches.get(index).ok_or_else(|| mismatch(schema, value))?;
            return encode(
                branch,
                &schema.fields()[chosen].schema,
                &inside.values[chosen],
                out,
            );
        }
        _ => branches
            .iter()
            .position(|branch| branch.shape != Shape::Null)
            .ok_or_else(|| mismatch(schema, value))?,
    };
    write_long(index as i64, out);
    match value {
        Value::Null => Ok(()),
        value => encode(&branches[index], schema, value, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longs_are_zigzag_varints() {
        for (value, bytes) in [
            (0, vec![0]),
            (-1, vec![1]),
            (1, vec![2]),
            (64, vec![0x80, 1]),
            (
                i64::MIN,
                vec![255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
            ),
        ] {
            let mut out = Vec::new();
            write_long(value, &mut out);
            assert_eq!(out, bytes, "{value}");
        }
    }

    #[test]
    fn values_follow_their_schema() {
        let schema = Schema::structure()
            .name("R")
            .field("a", Schema::int32().optional().build())
            .field(
                "b",
                Schema::string()
                    .optional()
                    .default_value(Value::text("x"))
                    .build(),
            )
            .field("c", Schema::array(Schema::boolean().build()).build())
            .build();
        let avro = from_connect_schema(&schema, AvroOptions::default()).expect("legal");
        let encoded = |values| {
            let value = Value::Struct(connect_api::data::Struct::new(Arc::clone(&schema), values));
            let mut out = Vec::new();
            encode(&avro, &schema, &value, &mut out).map(|()| out)
        };
        let list =
            |flags: &[bool]| Value::Array(flags.iter().map(|&flag| Value::Boolean(flag)).collect());
        assert_eq!(
            encoded(vec![Value::Int32(3), Value::Null, list(&[true])]).expect("fits"),
            [2, 6, 0, 2, b'x', 2, 1, 0]
        );
        assert_eq!(
            encoded(vec![Value::Null, Value::text("y"), list(&[])]).expect("fits"),
            [0, 0, 2, b'y', 0]
        );
        encoded(vec![Value::text("no"), Value::Null, list(&[])]).expect_err("not an int");
        encoded(vec![Value::Null, Value::Null, Value::Null]).expect_err("required");
    }
}

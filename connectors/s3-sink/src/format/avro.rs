//! Avro container files over AvroData's schema.
//!
//! Knows no registry: a file carries its schema. Answers for
//! `io.confluent.connect.s3.format.avro.AvroFormat` and `org.apache.avro.file.DataFileWriter`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use avro_data::binary::{write_bytes, write_long};
use avro_data::{AvroRef, Options as AvroOptions, Writer, anything};
use bzip2::write::BzEncoder;
use connect_api::data::{SchemaAndValue, SchemaRef};
use connect_api::{Error, Result};
use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::{Format, FormatSettings, RecordWriter, avro_schema};
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
        let avro = avro_schema(schema, self.options)?;
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
        let (writer, text) = match &first.schema {
            Some(schema) => {
                let avro = self.schema(schema)?;
                (Writer::new(schema, &avro, &self.options)?, avro.to_text())
            }
            None => (Writer::schemaless(), anything::SCHEMA.to_owned()),
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
            writer,
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
    writer: Writer,
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
        if let Err(error) = self.writer.write_datum(&record.value, block) {
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

#[cfg(test)]
mod tests {
    use connect_api::Props;
    use connect_api::data::Schema;

    use super::*;
    use crate::config::definition;
    use crate::settings::format_settings;

    fn format(cache: &str) -> AvroFormat {
        let props: Props = [
            ("format.class", super::super::AVRO_CLASS),
            ("flush.size", "1"),
            ("s3.bucket.name", "b"),
            ("storage.class", crate::config::STORAGE_CLASS),
            ("schemas.cache.config", cache),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
        let config = definition().parse(&props).expect("valid");
        AvroFormat::new(&format_settings(&config)).expect("a codec")
    }

    #[test]
    fn as_many_schemas_are_kept_as_the_option_says() {
        for (limit, kept) in [("2", 2), ("1000", 4)] {
            let format = format(limit);
            for name in ["a", "b", "c", "d", "d"] {
                let schema = Schema::structure().name(name).build();
                format.schema(&schema).expect("legal");
            }
            assert_eq!(format.schemas.lock().expect("no panic").len(), kept);
        }
    }

    #[test]
    fn one_name_for_two_types_is_refused() {
        let of = |key: SchemaRef| Schema::map(key, Schema::int32().build()).build();
        let schema = Schema::structure()
            .field("a", of(Schema::int32().build()))
            .field("b", of(Schema::int64().build()))
            .build();
        let error = format("1000").schema(&schema).expect_err("two entries");
        assert_eq!(
            error.message(),
            "Can't redefine: io.confluent.connect.avro.MapEntry"
        );
    }
}

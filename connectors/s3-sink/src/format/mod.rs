//! How records become an object's bytes. One file per format and one line in [`FORMATS`].
//!
//! A format knows neither offsets nor rotation. Answers for
//! `io.confluent.connect.storage.format.{Format, RecordWriter}`.

mod avro;
mod byte_array;
mod json;
mod parquet;

use std::fmt::Debug;
use std::sync::Arc;

use avro_data::from_connect::name_of_two_types;
use avro_data::{AvroRef, Options as AvroOptions, from_connect_schema};
use connect_api::data::json::DecimalFormat;
use connect_api::data::{Schema, SchemaAndValue};
use connect_api::{Error, Result};

use crate::config::invalid;
use crate::spill::Spool;
use crate::storage::object::ObjectWriter;

/// The options of all formats.
#[derive(Clone, Debug)]
pub(crate) struct FormatSettings {
    /// `s3.compression.type` is gzip; its level.
    pub(crate) gzip: Option<u32>,
    pub(crate) decimal_format: DecimalFormat,
    pub(crate) schema_cache_size: usize,
    pub(crate) parquet_codec: String,
    pub(crate) avro_codec: String,
    pub(crate) byte_array_extension: String,
    pub(crate) byte_array_separator: Vec<u8>,
    pub(crate) avro: AvroOptions,
}

/// Opens files of one kind.
pub(crate) trait Format: Send + Sync + Debug {
    /// What object names end with.
    fn extension(&self) -> String;
    /// Whether a key has to be put into a record of its own.
    fn needs_record(&self) -> bool {
        false
    }
    /// Whether a list of headers stands in a record of its own.
    fn puts_headers_in_record(&self) -> bool {
        true
    }
    /// Takes schemaless objects as BYTES that hold their text from now on; answers whether it does.
    fn take_json_text(&self) -> bool {
        false
    }
    /// A writer for records like this first one, which it does not write yet.
    ///
    /// # Errors
    /// Kind Data: the format cannot hold such a record.
    fn open(&self, first: &SchemaAndValue, object: ObjectWriter) -> Result<Box<dyn RecordWriter>>;
}

/// Writes records to one object.
pub(crate) trait RecordWriter: Send + Debug {
    /// # Errors
    /// Kind Data: the format cannot hold the record; the object is as it was.
    fn write(&mut self, record: &SchemaAndValue) -> Result<()>;
    /// How large the object is so far, what waits to be encoded included as well as it can be told.
    fn written(&self) -> u64;
    /// What it takes of the memory.
    fn held(&self) -> usize;
    /// Lets go of memory: to the store or to disk. What the object holds in the end is not changed,
    /// but that it may be cut into more row groups where that is allowed.
    ///
    /// # Errors
    /// As for writing.
    fn relieve(&mut self, spool: &Arc<Spool>, may_cut: bool) -> Result<()>;
    /// Writes what is left; the object is complete.
    ///
    /// # Errors
    /// The format's library refuses; nothing becomes visible.
    fn close(self: Box<Self>) -> Result<ObjectWriter>;
}

/// A format in the list.
struct Entry {
    /// The Java class.
    class: &'static str,
    make: fn(&FormatSettings) -> Result<Arc<dyn Format>>,
}

/// The class of the JSON format.
pub(crate) const JSON_CLASS: &str = "io.confluent.connect.s3.format.json.JsonFormat";
/// The class of the byte array format.
pub(crate) const BYTE_ARRAY_CLASS: &str =
    "io.confluent.connect.s3.format.bytearray.ByteArrayFormat";
/// The class of the Avro format.
pub(crate) const AVRO_CLASS: &str = "io.confluent.connect.s3.format.avro.AvroFormat";
/// The class of the Parquet format.
pub(crate) const PARQUET_CLASS: &str = "io.confluent.connect.s3.format.parquet.ParquetFormat";

/// The formats.
const FORMATS: &[Entry] = &[
    Entry {
        class: AVRO_CLASS,
        make: |settings| Ok(Arc::new(avro::AvroFormat::new(settings)?)),
    },
    Entry {
        class: JSON_CLASS,
        make: |settings| Ok(Arc::new(json::JsonFormat::new(settings))),
    },
    Entry {
        class: BYTE_ARRAY_CLASS,
        make: |settings| Ok(Arc::new(byte_array::ByteArrayFormat::new(settings))),
    },
    Entry {
        class: PARQUET_CLASS,
        make: |settings| Ok(Arc::new(parquet::ParquetFormat::new(settings)?)),
    },
];

/// What forms offer for keys.
pub(crate) const CLASSES: &[&str] = &[AVRO_CLASS, JSON_CLASS, BYTE_ARRAY_CLASS, PARQUET_CLASS];
/// What forms offer for headers.
pub(crate) const HEADER_CLASSES: &[&str] = &[AVRO_CLASS, JSON_CLASS, PARQUET_CLASS];

/// Whether there is a format of this class or simple name.
pub(crate) fn is_known(class: &str) -> bool {
    find(class).is_some()
}

/// Whether objects of this class may be compressed as a whole.
pub(crate) fn takes_gzip(class: &str) -> bool {
    find(class).is_some_and(|entry| matches!(entry.class, JSON_CLASS | BYTE_ARRAY_CLASS))
}

fn find(class: &str) -> Option<&'static Entry> {
    FORMATS
        .iter()
        .find(|entry| entry.class == class || entry.class.rsplit('.').next() == Some(class))
}

/// The format that `option` names.
///
/// # Errors
/// Kind Config: there is none, or an option of its own is wrong.
pub(crate) fn make(
    option: &str,
    class: &str,
    settings: &FormatSettings,
) -> Result<Arc<dyn Format>> {
    match find(class) {
        Some(entry) => (entry.make)(settings),
        None => Err(Error::config(invalid(
            option,
            class,
            &format!("Class {class} could not be found."),
        ))),
    }
}

/// The Avro schema that files of a Connect schema carry.
///
/// # Errors
/// Kind Data: a name is none in Avro, or stands for two types.
fn avro_schema(schema: &Schema, options: AvroOptions) -> Result<AvroRef> {
    let avro = from_connect_schema(schema, options)?;
    match name_of_two_types(&avro) {
        None => Ok(avro),
        Some(name) => Err(Error::data(format!("Can't redefine: {name}"))
            .with_class(avro_data::names::PARSE_ERROR)),
    }
}

#[cfg(test)]
pub(crate) use parquet::tests::rows as parquet_rows;

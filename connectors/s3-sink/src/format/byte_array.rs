//! Bytes as they are, with a separator after each record; and the output that byte-wise formats
//! share, compressed or not.
//!
//! Answers for `io.confluent.connect.s3.format.bytearray.ByteArrayFormat`.

use std::io::Write as _;
use std::sync::Arc;

use connect_api::data::{SchemaAndValue, SchemaType, Value};
use connect_api::{Error, Result};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Format, FormatSettings, RecordWriter};
use crate::spill::Spool;
use crate::storage::object::ObjectWriter;

/// What an encoder of gzip holds.
const GZIP_BYTES: usize = 320 * 1024;

/// An object's bytes, compressed or not.
#[derive(Debug)]
pub(crate) enum Output {
    /// As they are.
    Plain(ObjectWriter),
    /// One gzip member.
    Gzip(Box<GzEncoder<ObjectWriter>>),
}

impl Output {
    pub(crate) fn new(object: ObjectWriter, gzip: Option<u32>) -> Self {
        match gzip {
            Some(level) => Self::Gzip(Box::new(GzEncoder::new(object, Compression::new(level)))),
            None => Self::Plain(object),
        }
    }
    fn object(&self) -> &ObjectWriter {
        match self {
            Self::Plain(object) => object,
            Self::Gzip(encoder) => encoder.get_ref(),
        }
    }
    pub(crate) fn written(&self) -> u64 {
        self.object().written()
    }
    pub(crate) fn held(&self) -> usize {
        let encoder = match self {
            Self::Plain(_) => 0,
            Self::Gzip(_) => GZIP_BYTES,
        };
        self.object().held() + encoder
    }
    pub(crate) fn relieve(&mut self, spool: &Arc<Spool>) -> Result<()> {
        match self {
            Self::Plain(object) => object.relieve(spool),
            Self::Gzip(encoder) => encoder.get_mut().relieve(spool),
        }
    }
    pub(crate) fn finish(self) -> Result<ObjectWriter> {
        match self {
            Self::Plain(object) => Ok(object),
            Self::Gzip(encoder) => encoder
                .finish()
                .map_err(|error| Error::retriable("ending gzip").with_source(error)),
        }
    }
}

/// Makes files of bytes.
#[derive(Debug)]
pub(crate) struct ByteArrayFormat {
    extension: String,
    separator: Arc<[u8]>,
    gzip: Option<u32>,
}

impl ByteArrayFormat {
    pub(crate) fn new(settings: &FormatSettings) -> Self {
        Self {
            extension: settings.byte_array_extension.clone(),
            separator: settings.byte_array_separator.as_slice().into(),
            gzip: settings.gzip,
        }
    }
}

impl Format for ByteArrayFormat {
    fn extension(&self) -> String {
        format!(
            "{}{}",
            self.extension,
            if self.gzip.is_some() { ".gz" } else { "" }
        )
    }
    fn open(&self, _first: &SchemaAndValue, object: ObjectWriter) -> Result<Box<dyn RecordWriter>> {
        Ok(Box::new(ByteArrayRecordWriter {
            output: Output::new(object, self.gzip),
            separator: Arc::clone(&self.separator),
        }))
    }
}

#[derive(Debug)]
struct ByteArrayRecordWriter {
    output: Output,
    separator: Arc<[u8]>,
}

impl RecordWriter for ByteArrayRecordWriter {
    fn write(&mut self, record: &SchemaAndValue) -> Result<()> {
        if let Some(schema) = &record.schema
            && schema.kind() != SchemaType::Bytes
        {
            return Err(Error::data(format!(
                "Invalid schema type for ByteArrayConverter: {}",
                schema.kind().name()
            )));
        }
        let bytes: &[u8] = match &record.value {
            Value::Bytes(bytes) => bytes,
            Value::Null => &[],
            other => {
                return Err(Error::data(format!(
                    "ByteArrayConverter is not compatible with objects of type class {}",
                    other.java_class().unwrap_or("null")
                )));
            }
        };
        match &mut self.output {
            Output::Plain(object) => {
                object.buffer().extend_from_slice(bytes);
                object.buffer().extend_from_slice(&self.separator);
                object.appended()
            }
            Output::Gzip(encoder) => encoder
                .write_all(bytes)
                .and_then(|()| encoder.write_all(&self.separator))
                .map_err(|error| Error::retriable("compressing bytes").with_source(error)),
        }
    }
    fn written(&self) -> u64 {
        self.output.written()
    }
    fn held(&self) -> usize {
        self.output.held()
    }
    fn relieve(&mut self, spool: &Arc<Spool>, _may_cut: bool) -> Result<()> {
        self.output.relieve(spool)
    }
    fn close(self: Box<Self>) -> Result<ObjectWriter> {
        self.output.finish()
    }
}

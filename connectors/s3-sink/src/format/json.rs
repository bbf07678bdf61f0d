//! JSON lines: one record per line, gzip over the whole object where configured.
//!
//! Answers for `io.confluent.connect.s3.format.json.JsonFormat`.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use connect_api::data::json::{JsonOptions, JsonWriter, write_schemaless};
use connect_api::data::{SchemaAndValue, Value};
use connect_api::{Error, Result};

use super::{Format, FormatSettings, RecordWriter};
use crate::format::byte_array::Output;
use crate::spill::Spool;
use crate::storage::object::ObjectWriter;

/// Makes JSON files.
#[derive(Debug)]
pub(crate) struct JsonFormat {
    gzip: Option<u32>,
    options: JsonOptions,
    /// Schemaless BYTES are objects' text.
    takes_text: AtomicBool,
    /// Writers between two files: they hold the plans of schemas seen.
    idle: Arc<Mutex<Vec<JsonWriter>>>,
}

impl JsonFormat {
    pub(crate) fn new(settings: &FormatSettings) -> Self {
        Self {
            gzip: settings.gzip,
            options: JsonOptions {
                schemas_cache_size: settings.schema_cache_size,
                decimal_format: settings.decimal_format,
                ..JsonOptions::schemaless()
            },
            takes_text: AtomicBool::new(false),
            idle: Arc::default(),
        }
    }
}

impl Format for JsonFormat {
    fn extension(&self) -> String {
        if self.gzip.is_some() {
            ".json.gz"
        } else {
            ".json"
        }
        .to_owned()
    }

    fn take_json_text(&self) -> bool {
        self.takes_text.store(true, Ordering::Relaxed);
        true
    }

    fn open(&self, _first: &SchemaAndValue, object: ObjectWriter) -> Result<Box<dyn RecordWriter>> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        Ok(Box::new(JsonRecordWriter {
            output: Output::new(object, self.gzip),
            line: Vec::new(),
            takes_text: self.takes_text.load(Ordering::Relaxed),
            writer: Some(idle.unwrap_or_else(|| JsonWriter::new(self.options))),
            idle: Arc::clone(&self.idle),
        }))
    }
}

#[derive(Debug)]
struct JsonRecordWriter {
    output: Output,
    /// The line under way, where the output is compressed.
    line: Vec<u8>,
    takes_text: bool,
    writer: Option<JsonWriter>,
    idle: Arc<Mutex<Vec<JsonWriter>>>,
}

impl RecordWriter for JsonRecordWriter {
    fn write(&mut self, record: &SchemaAndValue) -> Result<()> {
        if self.takes_text
            && record.schema.is_none()
            && let Value::Bytes(text) = &record.value
        {
            return self.write_text(text);
        }
        let writer = self.writer.as_mut().expect("taken only when dropped");
        match &mut self.output {
            Output::Plain(object) => {
                write_line(writer, record, object.buffer())?;
                object.appended()
            }
            Output::Gzip(encoder) => {
                self.line.clear();
                write_line(writer, record, &mut self.line)?;
                encoder
                    .write_all(&self.line)
                    .map_err(|error| Error::retriable("compressing JSON").with_source(error))
            }
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
    fn close(mut self: Box<Self>) -> Result<ObjectWriter> {
        if let Some(writer) = self.writer.take() {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(writer);
        }
        self.output.finish()
    }
}

impl JsonRecordWriter {
    fn write_text(&mut self, text: &[u8]) -> Result<()> {
        match &mut self.output {
            Output::Plain(object) => {
                let out = object.buffer();
                out.extend_from_slice(text);
                out.push(b'\n');
                object.appended()
            }
            Output::Gzip(encoder) => encoder
                .write_all(text)
                .and_then(|()| encoder.write_all(b"\n"))
                .map_err(|error| Error::retriable("compressing JSON").with_source(error)),
        }
    }
}

/// Structs go by their schema, anything else as the plain Java object that it would be.
fn write_line(writer: &mut JsonWriter, record: &SchemaAndValue, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    let written = match &record.value {
        Value::Struct(_) => writer.write(record, out).map(|_| ()),
        other => write_schemaless(other, out),
    };
    match written {
        Ok(()) => out.push(b'\n'),
        Err(_) => out.truncate(start),
    }
    written
}

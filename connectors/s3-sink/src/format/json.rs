//! JSON lines: one record per line, gzip over the whole object where configured.
//!
//! Answers for `io.confluent.connect.s3.format.json.JsonFormat`.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use connect_api::data::json::{JsonOptions, JsonWriter, write_schemaless, write_string};
use connect_api::data::text::to_java_string;
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
        other => write_object(other, out),
    };
    match written {
        Ok(()) => out.push(b'\n'),
        Err(_) => out.truncate(start),
    }
    written
}

/// A value as Jackson prints the Java object that it is there, whatever its schema says: dates as
/// milliseconds, decimals as numbers, any map as an object.
fn write_object(value: &Value, out: &mut Vec<u8>) -> Result<()> {
    const DAY_MS: i64 = 86_400_000;
    match value {
        Value::Date(days) => write_schemaless(&Value::Int64(i64::from(*days) * DAY_MS), out),
        Value::Time(ms) => write_schemaless(&Value::Int32(*ms), out),
        Value::Timestamp(ms) => write_schemaless(&Value::Int64(*ms), out),
        Value::Decimal(number) => {
            out.extend_from_slice(number.to_string().as_bytes());
            Ok(())
        }
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_object(item, out)?;
            }
            out.push(b']');
            Ok(())
        }
        Value::Map(map) => {
            out.push(b'{');
            for (index, (key, item)) in map.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                match key {
                    Value::String(key) => write_string(key, out),
                    Value::Null => {
                        return Err(Error::fatal(
                            "Null key for a Map not allowed in JSON (use a converting \
                             NullKeySerializer?)",
                        ));
                    }
                    other => write_string(&to_java_string(other), out),
                }
                out.push(b':');
                write_object(item, out)?;
            }
            out.push(b'}');
            Ok(())
        }
        Value::Struct(_) => Err(Error::fatal(
            "No serializer found for class org.apache.kafka.connect.data.Struct and no properties \
             discovered to create BeanSerializer",
        )),
        plain => write_schemaless(plain, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::data::{ConnectMap, Decimal, Schema, Struct};

    fn printed(value: &Value) -> Result<String> {
        let mut out = Vec::new();
        write_object(value, &mut out)?;
        Ok(String::from_utf8(out).expect("text"))
    }

    #[test]
    fn values_outside_of_structs_print_as_javas_objects() {
        let map: ConnectMap = [(Value::Int32(7), Value::Decimal(Decimal::new(12345, 2)))]
            .into_iter()
            .collect();
        let list = Value::Array(vec![
            Value::Date(19_000),
            Value::Time(5),
            Value::Timestamp(-1),
            Value::Map(Box::new(map)),
            Value::Null,
            Value::text("ü\""),
        ]);
        assert_eq!(
            printed(&list).expect("printed"),
            r#"[1641600000000,5,-1,{"7":123.45},null,"ü\""]"#
        );
    }

    #[test]
    fn a_struct_inside_of_a_list_fails_the_task() {
        let schema = Schema::structure().build();
        let list = Value::Array(vec![Struct::new(schema, Vec::new()).into()]);
        let error = printed(&list).expect_err("refused");
        assert!(
            error.message().starts_with("No serializer found"),
            "{error}"
        );
        assert_eq!(error.kind(), connect_api::ErrorKind::Fatal);
    }
}

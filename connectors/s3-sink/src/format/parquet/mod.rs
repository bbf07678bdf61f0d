//! Parquet files as parquet-avro writes them over AvroData's schema.
//!
//! ```text
//! records --plan--> columns (plain vectors) --8192 rows--> encoders (pages) --row group--> object
//! ```
//!
//! Rows wait in plain vectors first, so that a file with few rows costs little more than they do;
//! encoders are opened when there are many. Answers for
//! `io.confluent.connect.s3.format.parquet.ParquetFormat` and `org.apache.parquet.avro.AvroParquetWriter`.

mod column;
mod encoder;
mod node;
mod plan;

use std::sync::{Arc, Mutex, PoisonError};

use connect_api::data::{SchemaAndValue, SchemaRef, Value};
use connect_api::{Error, Result};
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::file::writer::SerializedFileWriter;

use self::column::Columns;
use self::encoder::Encoder;
use self::plan::{FileOptions, Plan};
use super::{Format, FormatSettings, RecordWriter};
use crate::config::invalid;
use crate::spill::{Spool, Waiting};
use crate::storage::object::ObjectWriter;

/// Rows that wait before encoders are opened: enough to make a batch worth its call.
const BATCH_ROWS: usize = 8192;
/// The same in bytes, for long rows.
const BATCH_BYTES: usize = 1024 * 1024;
/// What a row group may hold, before encoding. Java's 128 MiB would be held in memory, encoded,
/// per open file; half of it keeps some 100,000 to 1,000,000 rows in a group, which readers want.
const ROW_GROUP_BYTES: usize = 64 * 1024 * 1024;

/// Makes Parquet files.
#[derive(Debug)]
pub(crate) struct ParquetFormat {
    extension: &'static str,
    options: FileOptions,
    /// Plans by schema, the last used at the end.
    plans: Mutex<Vec<Arc<Plan>>>,
    max_plans: usize,
}

impl ParquetFormat {
    /// # Errors
    /// Kind Config: the codec is one that this build cannot write.
    pub(crate) fn new(settings: &FormatSettings) -> Result<Self> {
        let codec = settings.parquet_codec.as_str();
        let refuse = || {
            Error::config(invalid(
                "parquet.codec",
                codec,
                "this codec cannot be written: use none, snappy, gzip, zstd, lz4 or lz4_raw",
            ))
        };
        let (compression, extension) = match codec {
            "none" => (Compression::UNCOMPRESSED, ".parquet"),
            "snappy" => (Compression::SNAPPY, ".snappy.parquet"),
            "gzip" => (Compression::GZIP(GzipLevel::default()), ".gz.parquet"),
            // Framed as Hadoop frames it.
            "lz4" => (Compression::LZ4, ".lz4hadoop.parquet"),
            "lz4_raw" => (Compression::LZ4_RAW, ".lz4raw.parquet"),
            // The level that Java's codec takes.
            "zstd" => (
                Compression::ZSTD(ZstdLevel::try_new(3).map_err(|_| refuse())?),
                ".zstd.parquet",
            ),
            // Confluent's image has no codec for brotli and lzo either: the task fails there, too.
            _ => return Err(refuse()),
        };
        Ok(Self {
            extension,
            options: FileOptions {
                compression,
                avro: settings.avro,
            },
            plans: Mutex::default(),
            max_plans: settings.schema_cache_size.max(1),
        })
    }

    fn plan(&self, schema: &SchemaRef) -> Result<Arc<Plan>> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let known = plans
            .iter()
            .rposition(|plan| Arc::ptr_eq(&plan.schema, schema))
            .or_else(|| plans.iter().rposition(|plan| plan.schema == *schema));
        if let Some(known) = known.and_then(|index| plans.get(index)) {
            return Ok(Arc::clone(known));
        }
        let plan = Arc::new(Plan::new(schema, &self.options)?);
        if plans.len() >= self.max_plans {
            plans.remove(0);
        }
        plans.push(Arc::clone(&plan));
        Ok(plan)
    }
}

impl Format for ParquetFormat {
    fn extension(&self) -> String {
        self.extension.to_owned()
    }
    fn needs_record(&self) -> bool {
        true
    }
    fn open(&self, first: &SchemaAndValue, object: ObjectWriter) -> Result<Box<dyn RecordWriter>> {
        let Some(schema) = &first.schema else {
            return Err(Error::fatal(format!(
                "writing {}: Parquet needs records with a schema; use a converter that gives one",
                object.key()
            )));
        };
        let plan = self.plan(schema)?;
        Ok(Box::new(ParquetRecordWriter {
            columns: Columns::new(&plan.shapes),
            spilled: Waiting::default(),
            spilled_rows: 0,
            spilled_bytes: 0,
            encoders: Vec::new(),
            encoded: 0,
            plan,
            file: File::Unopened(object),
        }))
    }
}

#[derive(Debug)]
struct ParquetRecordWriter {
    plan: Arc<Plan>,
    columns: Columns,
    /// Rows before those, on disk.
    spilled: Waiting,
    spilled_rows: usize,
    /// Their texts' and byte strings' bytes.
    spilled_bytes: usize,
    /// Open from the first batch of a row group to its end; empty before and after.
    encoders: Vec<Encoder>,
    /// Bytes of the row group that are with the encoders, before encoding.
    encoded: usize,
    file: File,
}

/// A file's footer is begun with its first row group.
enum File {
    Unopened(ObjectWriter),
    Open(Box<SerializedFileWriter<ObjectWriter>>),
    /// Between the two, and after an error there.
    Gone,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unopened(_) => "Unopened",
            Self::Open(_) => "Open",
            Self::Gone => "Gone",
        })
    }
}

/// The library's errors: a full upload budget comes back as the retriable error that it was.
fn failure(action: &'static str, error: parquet::errors::ParquetError) -> Error {
    Error::fatal(action).with_source(error)
}

impl RecordWriter for ParquetRecordWriter {
    fn write(&mut self, record: &SchemaAndValue) -> Result<()> {
        let Value::Struct(row) = &record.value else {
            return Err(Error::data(format!(
                "Invalid type for STRUCT: class {}",
                record.value.java_class().unwrap_or("null")
            )));
        };
        let schema = &row.schema;
        if !Arc::ptr_eq(schema, &self.plan.schema) && !self.plan.takes(schema) {
            return Err(Error::data("Mismatching struct schema"));
        }
        if let Err(error) = self.plan.write_row(&row.values, &mut self.columns) {
            self.columns.drop_unfinished_row();
            return Err(error);
        }
        self.columns.row_finished();
        if self.columns.rows() + self.spilled_rows >= BATCH_ROWS
            || self.columns.bytes() + self.spilled_bytes >= BATCH_BYTES
        {
            self.encode()?;
        }
        Ok(())
    }

    fn written(&self) -> u64 {
        let object = match &self.file {
            File::Unopened(object) => object.written(),
            File::Open(file) => file.inner().written(),
            File::Gone => 0,
        };
        let encoded: usize = self.encoders.iter().map(Encoder::encoded).sum();
        // What waits shrinks as what went before it has.
        let waiting = (self.columns.bytes() + self.spilled_bytes) as u64;
        let waiting = match self.encoded as u64 {
            0 => waiting,
            raw => waiting * encoded as u64 / raw,
        };
        object + encoded as u64 + waiting
    }

    fn held(&self) -> usize {
        let object = match &self.file {
            File::Unopened(object) => object.held(),
            File::Open(file) => file.inner().held(),
            File::Gone => 0,
        };
        let open: usize = self.encoders.iter().map(Encoder::held).sum();
        object + open + self.columns.held()
    }

    fn relieve(&mut self, spool: &Arc<Spool>, may_cut: bool) -> Result<()> {
        if !self.encoders.is_empty() && may_cut {
            // Readers see one row group more; what the file holds stays.
            self.flush_row_group()?;
        } else if self.encoders.is_empty() && self.columns.rows() > 0 {
            self.spilled_rows += self.columns.rows();
            self.spilled_bytes += self.columns.bytes();
            self.columns
                .dump(&self.plan.shapes, &mut self.spilled.bytes);
            if let Err(error) = self.spilled.spill(spool) {
                tracing::warn!(%error, "spilling open files to disk");
            }
        }
        match &mut self.file {
            File::Unopened(object) => object.relieve(spool),
            File::Open(file) => file.inner_mut().relieve(spool),
            File::Gone => Ok(()),
        }
    }

    fn close(mut self: Box<Self>) -> Result<ObjectWriter> {
        self.flush_row_group()?;
        let File::Open(file) = std::mem::replace(&mut self.file, File::Gone) else {
            return Err(Error::fatal("closing a Parquet file without rows"));
        };
        file.into_inner()
            .map_err(|error| failure("writing a Parquet footer", error))
    }
}

impl ParquetRecordWriter {
    /// Fetches rows that went to disk.
    fn unspill(&mut self) -> Result<()> {
        if self.spilled_rows == 0 {
            return Ok(());
        }
        let dumps = self.spilled.take()?;
        let rows = std::mem::take(&mut self.spilled_rows);
        self.spilled_bytes = 0;
        self.columns
            .load(&self.plan.shapes, &dumps, rows)
            .ok_or_else(|| Error::fatal("what was spilled to disk is damaged"))
    }

    /// Encodes the waiting rows.
    fn encode(&mut self) -> Result<()> {
        self.unspill()?;
        for index in 0..self.plan.shapes.len() {
            let column = self.columns.column(index);
            if self.encoders.len() == index {
                self.encoders.push(Encoder::new(&self.plan, index, column));
            }
            if let Some(encoder) = self.encoders.get_mut(index) {
                encoder
                    .write(column)
                    .map_err(|error| failure("encoding a Parquet column", error))?;
            }
            self.encoded += column.size();
        }
        self.columns.clear();
        if self.encoded >= ROW_GROUP_BYTES {
            self.flush_row_group()?;
        }
        Ok(())
    }

    /// Ends the row group, column by column, so that a small file has one encoder open at a time.
    fn flush_row_group(&mut self) -> Result<()> {
        self.unspill()?;
        let mut file = match std::mem::replace(&mut self.file, File::Gone) {
            File::Open(file) => file,
            File::Unopened(object) => Box::new(
                SerializedFileWriter::new(
                    object,
                    Arc::clone(&self.plan.parquet_schema),
                    Arc::clone(&self.plan.properties),
                )
                .map_err(|error| failure("beginning a Parquet file", error))?,
            ),
            File::Gone => return Err(Error::fatal("writing on after a failed Parquet file")),
        };
        let is_empty = self.columns.rows() == 0 && self.encoders.is_empty();
        if !is_empty {
            self.write_row_group(&mut file)
                .map_err(|error| failure("writing a Parquet row group", error))?;
        }
        self.columns.clear();
        self.encoded = 0;
        self.file = File::Open(file);
        Ok(())
    }

    fn write_row_group(
        &mut self,
        file: &mut SerializedFileWriter<ObjectWriter>,
    ) -> parquet::errors::Result<()> {
        let mut group = file.next_row_group()?;
        let mut open = std::mem::take(&mut self.encoders).into_iter();
        for index in 0..self.plan.shapes.len() {
            let column = self.columns.column(index);
            let mut encoder = open
                .next()
                .unwrap_or_else(|| Encoder::new(&self.plan, index, column));
            encoder.write(column)?;
            let (pages, closed) = encoder.finish()?;
            group.append_column(&pages, closed)?;
        }
        group.close().map(|_| ())
    }
}

#[cfg(test)]
pub(super) mod tests;

//! Encodes one column of one row group into pages that are held in memory until the group ends.
//!
//! The library writes a row group's columns one after the other; rows come with all columns at
//! once. So each column writes its pages to a buffer of its own.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::column::page::{CompressedPage, PageWriteSpec, PageWriter};
use parquet::column::writer::{ColumnCloseResult, ColumnWriter, get_column_writer};
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::{ParquetError, Result};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};

use super::column::{Column, Data};
use super::plan::{PAGE_BYTES, Plan};

/// What a column takes beside its finished pages, roughly.
const OPEN_BYTES: usize = 2 * PAGE_BYTES;

/// The pages of a column chunk.
#[derive(Clone, Debug, Default)]
struct Pages(Arc<Mutex<Vec<u8>>>);

impl Write for Pages {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes pages one after the other, as into a file.
struct BufferedPages(TrackedWrite<Pages>);

impl PageWriter for BufferedPages {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec> {
        SerializedPageWriter::new(&mut self.0).write_page(page)
    }
    fn close(&mut self) -> Result<()> {
        Ok(self.0.flush()?)
    }
}

/// The encoder of one column.
pub(super) struct Encoder {
    writer: ColumnWriter<'static>,
    pages: Pages,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder")
    }
}

impl Encoder {
    /// An encoder for a column of which `first` are the first values.
    pub(super) fn new(plan: &Plan, column: usize, first: &Column) -> Self {
        let pages = Pages::default();
        let properties = match first.is_worth_a_dictionary() {
            true => &plan.properties,
            false => &plan.plain_properties,
        };
        let writer = get_column_writer(
            plan.descriptor.column(column),
            Arc::clone(properties),
            Box::new(BufferedPages(TrackedWrite::new(pages.clone()))),
        );
        Self { writer, pages }
    }

    /// Encodes a column's rows.
    pub(super) fn write(&mut self, column: &Column) -> Result<()> {
        let definitions = column.definitions();
        let repetitions = column.repetitions();
        match (&mut self.writer, column.data()) {
            (ColumnWriter::BoolColumnWriter(writer), Data::Boolean(values)) => {
                writer.write_batch(values, definitions, repetitions)
            }
            (ColumnWriter::Int32ColumnWriter(writer), Data::Int32(values)) => {
                writer.write_batch(values, definitions, repetitions)
            }
            (ColumnWriter::Int64ColumnWriter(writer), Data::Int64(values)) => {
                writer.write_batch(values, definitions, repetitions)
            }
            (ColumnWriter::FloatColumnWriter(writer), Data::Float(values)) => {
                writer.write_batch(values, definitions, repetitions)
            }
            (ColumnWriter::DoubleColumnWriter(writer), Data::Double(values)) => {
                writer.write_batch(values, definitions, repetitions)
            }
            (ColumnWriter::ByteArrayColumnWriter(writer), Data::Bytes { bytes, ends, .. }) => {
                let values: Vec<ByteArray> = slices(bytes, ends).map(ByteArray::from).collect();
                writer.write_batch(&values, definitions, repetitions)
            }
            (
                ColumnWriter::FixedLenByteArrayColumnWriter(writer),
                Data::Bytes { bytes, ends, .. },
            ) => {
                let values: Vec<FixedLenByteArray> = slices(bytes, ends)
                    .map(|slice| ByteArray::from(slice).into())
                    .collect();
                writer.write_batch(&values, definitions, repetitions)
            }
            _ => {
                return Err(ParquetError::General(
                    "a column and its values differ".to_owned(),
                ));
            }
        }
        .map(|_| ())
    }

    /// Bytes of finished pages.
    pub(super) fn encoded(&self) -> usize {
        self.pages
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// What it takes of the memory: finished pages, the one under way, a dictionary.
    pub(super) fn held(&self) -> usize {
        self.pages
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .capacity()
            + OPEN_BYTES
    }

    /// The column chunk's bytes, and what the row group has to know of it.
    pub(super) fn finish(self) -> Result<(Bytes, ColumnCloseResult)> {
        let closed = self.writer.close()?;
        let pages =
            std::mem::take(&mut *self.pages.0.lock().unwrap_or_else(PoisonError::into_inner));
        Ok((Bytes::from(pages), closed))
    }
}

/// Values that share one buffer; the encoder keeps some of them, in its dictionary.
fn slices<'a>(bytes: &[u8], ends: &'a [usize]) -> impl Iterator<Item = Bytes> + 'a {
    let shared = Bytes::copy_from_slice(bytes);
    let mut start = 0;
    ends.iter()
        .map(move |&end| shared.slice(std::mem::replace(&mut start, end)..end))
}

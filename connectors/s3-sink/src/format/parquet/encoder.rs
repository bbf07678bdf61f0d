//! Encodes one column of one row group into pages that are held in memory until the group ends.
//!
//! The library writes a row group's columns one after the other; rows come with all columns at
//! once. So each column writes its pages to a buffer of its own.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use parquet::column::page::{CompressedPage, PageWriteSpec, PageWriter};
use parquet::column::writer::{ColumnCloseResult, ColumnWriter, get_column_writer};
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};

use super::column::{Column, Data};
use super::plan::{PAGE_BYTES, Plan};

/// What a column takes beside its finished pages, roughly.
const OPEN_BYTES: usize = 2 * PAGE_BYTES;

/// Smaller writes share a piece.
const PIECE_BYTES: usize = 64 * 1024;

/// The pages of a column chunk, in pieces of just their size: none moves to grow, and each is let go
/// of when it has been read.
#[derive(Debug, Default)]
pub(super) struct Pages {
    pieces: VecDeque<Bytes>,
    piece_bytes: usize,
    /// The end, while it is small.
    end: Vec<u8>,
}

impl Pages {
    fn len(&self) -> usize {
        self.piece_bytes + self.end.len()
    }

    fn held(&self) -> usize {
        self.piece_bytes + self.end.capacity()
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.end.len() + bytes.len() <= PIECE_BYTES {
            return self.end.extend_from_slice(bytes);
        }
        if !self.end.is_empty() {
            self.push(Bytes::copy_from_slice(&self.end));
            self.end.clear();
        }
        self.push(Bytes::copy_from_slice(bytes));
    }

    fn push(&mut self, piece: Bytes) {
        self.piece_bytes += piece.len();
        self.pieces.push_back(piece);
    }
}

impl Read for Pages {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.pieces.is_empty() && !self.end.is_empty() {
            let end = std::mem::take(&mut self.end);
            self.push(end.into());
        }
        let Some(piece) = self.pieces.front_mut() else {
            return Ok(0);
        };
        let count = piece.len().min(out.len());
        let taken = piece.split_to(count);
        out[..count].copy_from_slice(&taken);
        self.piece_bytes -= count;
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        Ok(count)
    }
}

/// Pages that their encoder and its owner share.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedPages(Arc<Mutex<Pages>>);

impl SharedPages {
    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for SharedPages {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().append(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Length for SharedPages {
    fn len(&self) -> u64 {
        self.lock().len() as u64
    }
}

/// Read once, from the start, as a row group takes its columns.
impl ChunkReader for SharedPages {
    type T = Pages;

    fn get_read(&self, start: u64) -> Result<Pages> {
        match start {
            0 => Ok(std::mem::take(&mut *self.lock())),
            _ => Err(ParquetError::General(
                "a column's pages are read from their start".to_owned(),
            )),
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = vec![0; length];
        self.get_read(start)?.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Writes pages one after the other, as into a file.
struct BufferedPages(TrackedWrite<SharedPages>);

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
    pages: SharedPages,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder")
    }
}

impl Encoder {
    /// An encoder for a column of which `first` are the first values.
    pub(super) fn new(plan: &Plan, column: usize, first: &Column) -> Self {
        let pages = SharedPages::default();
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
        self.pages.lock().len()
    }

    /// What it takes of the memory: finished pages, the one under way, a dictionary.
    pub(super) fn held(&self) -> usize {
        self.pages.lock().held() + OPEN_BYTES
    }

    /// The column chunk's bytes, and what the row group has to know of it.
    pub(super) fn finish(self) -> Result<(SharedPages, ColumnCloseResult)> {
        let closed = self.writer.close()?;
        Ok((self.pages, closed))
    }
}

/// Values that share one buffer; the encoder keeps some of them, in its dictionary.
fn slices<'a>(bytes: &[u8], ends: &'a [usize]) -> impl Iterator<Item = Bytes> + 'a {
    let shared = Bytes::copy_from_slice(bytes);
    let mut start = 0;
    ends.iter()
        .map(move |&end| shared.slice(std::mem::replace(&mut start, end)..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_back_whole_and_let_go_of_what_was_read() {
        let mut pages = Pages::default();
        let mut all = Vec::new();
        for size in [10, 70_000, 3, PIECE_BYTES - 3, 1, 500_000, 0, 20] {
            let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            pages.append(&bytes);
            all.extend_from_slice(&bytes);
        }
        assert_eq!(pages.len(), all.len());
        assert!(pages.held() < all.len() + 2 * PIECE_BYTES);
        let mut front = vec![0; 100_000];
        pages.read_exact(&mut front).expect("there is as much");
        assert_eq!(front, all[..100_000]);
        assert_eq!(pages.len(), all.len() - 100_000);
        let mut rest = Vec::new();
        pages.read_to_end(&mut rest).expect("read");
        assert_eq!(rest, all[100_000..]);
        assert_eq!(pages.len(), 0);
    }
}

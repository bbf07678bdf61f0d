//! Rows of `COPY … TO STDOUT` in text format, taken apart into cells.
//!
//! Pure; a value without escapes stays where it lies in the buffer.

use std::ops::Range;

use bytes::Bytes;
use memchr::{memchr, memchr_iter};

use crate::change::Cell;
use crate::error::PgError;

/// Splits a row of `COPY`'s text format into cells, one for each column of the table. Values with
/// escapes are copied into a buffer of the row's own, which is then returned.
pub(crate) fn split_row(
    buffer: &Bytes,
    range: Range<usize>,
    columns: &[Option<usize>],
    width: usize,
    cells: &mut Vec<Cell>,
) -> Result<Option<Bytes>, PgError> {
    let malformed = || PgError::Protocol("a malformed row of COPY".to_owned());
    cells.clear();
    cells.resize(width, Cell::Null);
    let row = buffer.get(range.clone()).ok_or_else(malformed)?;
    let row = row.strip_suffix(b"\n").unwrap_or(row);
    // Nulls are escapes too, but nothing that needs another buffer.
    let is_escaped = |field: &[u8]| memchr(b'\\', field).is_some() && field != b"\\N";
    let mut own = (memchr(b'\\', row).is_some() && fields(row).any(is_escaped))
        .then(|| Vec::with_capacity(row.len()));
    let mut start = range.start;
    let mut fields = fields(row);
    // A table without captured columns has empty rows.
    let columns = if columns.is_empty() && row.is_empty() {
        &[None][..]
    } else {
        columns
    };
    for &column in columns {
        let field = fields.next().ok_or_else(malformed)?;
        let place = start;
        start += field.len() + 1;
        let Some(cell) = column.and_then(|column| cells.get_mut(column)) else {
            continue;
        };
        if field == b"\\N" {
            continue;
        }
        *cell = match &mut own {
            Some(own) => {
                let from = own.len();
                unescape(field, own);
                cell_at(from, own.len())?
            }
            None => cell_at(place, place + field.len())?,
        };
    }
    Ok(own.map(Bytes::from))
}

/// What stands between tabs; one field where there is none.
fn fields(row: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr_iter(b'\t', row).chain([row.len()]);
    ends.scan(0, |start, end| {
        row.get(std::mem::replace(start, end + 1)..end)
    })
}

fn cell_at(start: usize, end: usize) -> Result<Cell, PgError> {
    let position = |at: usize| {
        u32::try_from(at).map_err(|_| PgError::Protocol("a row beyond 4 GiB".to_owned()))
    };
    Ok(Cell::Text(position(start)?..position(end)?))
}

/// Undoes `COPY`'s escapes.
fn unescape(field: &[u8], into: &mut Vec<u8>) {
    let mut bytes = field.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'\\' {
            into.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'b') => into.push(0x08),
            Some(b'f') => into.push(0x0c),
            Some(b'n') => into.push(b'\n'),
            Some(b'r') => into.push(b'\r'),
            Some(b't') => into.push(b'\t'),
            Some(b'v') => into.push(0x0b),
            Some(&other) => into.push(other),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::TupleRef;

    fn split(row: &'static str, columns: &[Option<usize>], width: usize) -> Vec<Option<String>> {
        let buffer = Bytes::from(format!("junk{row}\n"));
        let mut cells = Vec::new();
        let own = split_row(&buffer, 4..buffer.len(), columns, width, &mut cells).unwrap();
        let tuple = TupleRef::new(own.as_ref().unwrap_or(&buffer), &cells);
        (0..width)
            .map(|index| match tuple.get(index) {
                crate::change::ColumnValue::Text(text) => {
                    Some(String::from_utf8(text.as_bytes().to_vec()).unwrap())
                }
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_row_without_escapes_is_sliced() {
        let found = split("1\tab\t", &[Some(0), Some(1), Some(2)], 3);
        assert_eq!(
            found,
            [Some("1".into()), Some("ab".into()), Some(String::new())]
        );
    }

    #[test]
    fn nulls_and_escapes_are_told_apart() {
        let found = split(
            "\\N\ta\\tb\\\\N\t\\\\N\tplain",
            &[Some(0), Some(1), Some(2), Some(3)],
            4,
        );
        let expected = [
            None,
            Some("a\tb\\N".into()),
            Some("\\N".into()),
            Some("plain".into()),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn columns_that_are_not_captured_read_as_null() {
        assert_eq!(
            split("1\t2", &[Some(2), None], 3),
            [None, None, Some("1".into())]
        );
    }

    #[test]
    fn a_short_row_is_an_error() {
        let buffer = Bytes::from_static(b"1\n");
        let mut cells = Vec::new();
        assert!(split_row(&buffer, 0..2, &[Some(0), Some(1)], 2, &mut cells).is_err());
    }
}

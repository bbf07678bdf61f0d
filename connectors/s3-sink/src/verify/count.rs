//! How many records an object holds, by its own bytes: a footer where the format has one.

use std::io::Read;

use bytes::Bytes;
use connect_api::{Error, Result};
use flate2::read::MultiGzDecoder;
use parquet::file::metadata::ParquetMetaDataReader;

use crate::storage::bucket::{Bucket, StoreError, Stored};

/// What follows each record where it is not a line's end.
pub(super) struct Counting<'a> {
    pub(super) byte_array_extension: &'a str,
    pub(super) byte_array_separator: &'a [u8],
}

/// The length and the magic at the end of a Parquet file.
const PARQUET_TAIL: u64 = 8;

/// The records of an object.
///
/// # Errors
/// It cannot be read, or is none of the sink's formats.
pub(super) async fn records(
    bucket: &dyn Bucket,
    object: &Stored,
    counting: &Counting<'_>,
) -> Result<i64> {
    let key = object.key.as_str();
    let failed = |error: StoreError| Error::fatal(format!("reading {key}")).with_source(error);
    if key.ends_with(".parquet") {
        let start = object.size.saturating_sub(PARQUET_TAIL);
        let tail = bucket
            .get(key, Some((start, object.size)))
            .await
            .map_err(failed)?;
        let length = parquet_footer(key, &tail)?;
        let footer = start.checked_sub(length).ok_or_else(|| broken(key))?;
        let bytes = bucket
            .get(key, Some((footer, start)))
            .await
            .map_err(failed)?;
        let metadata = ParquetMetaDataReader::decode_metadata(&bytes)
            .map_err(|error| broken(key).with_source(error))?;
        return Ok(metadata.file_metadata().num_rows());
    }
    let body = bucket.get(key, None).await.map_err(failed)?;
    let (name, body) = match key.strip_suffix(".gz") {
        Some(name) => (name, unzipped(key, &body)?),
        None => (key, body),
    };
    if name.ends_with(".avro") {
        avro(&body).ok_or_else(|| broken(key))
    } else if name.ends_with(".json") {
        Ok(count(&body, b"\n"))
    } else if name.ends_with(counting.byte_array_extension) {
        Ok(count(&body, counting.byte_array_separator))
    } else {
        Err(Error::fatal(format!("{key} is none of the sink's formats")))
    }
}

fn broken(key: &str) -> Error {
    Error::fatal(format!("{key} is damaged: its records cannot be counted"))
}

fn parquet_footer(key: &str, tail: &[u8]) -> Result<u64> {
    match tail {
        [a, b, c, d, b'P', b'A', b'R', b'1'] => Ok(u32::from_le_bytes([*a, *b, *c, *d]).into()),
        _ => Err(broken(key)),
    }
}

fn unzipped(key: &str, body: &[u8]) -> Result<Bytes> {
    let mut out = Vec::new();
    MultiGzDecoder::new(body)
        .read_to_end(&mut out)
        .map_err(|error| broken(key).with_source(error))?;
    Ok(out.into())
}

fn count(body: &[u8], separator: &[u8]) -> i64 {
    let found = match separator {
        [] => 0,
        [one] => body.iter().filter(|byte| *byte == one).count(),
        many => {
            let (mut at, mut found) = (0, 0);
            while at + many.len() <= body.len() {
                match body[at..].starts_with(many) {
                    true => {
                        found += 1;
                        at += many.len();
                    }
                    false => at += 1,
                }
            }
            found
        }
    };
    i64::try_from(found).unwrap_or(i64::MAX)
}

/// The sum of the blocks' counts of an Avro container file.
fn avro(body: &[u8]) -> Option<i64> {
    let mut rest = body.strip_prefix(b"Obj\x01")?;
    loop {
        let entries = long(&mut rest)?;
        if entries == 0 {
            break;
        }
        if entries < 0 {
            long(&mut rest)?;
        }
        for _ in 0..entries.unsigned_abs() * 2 {
            let length = usize::try_from(long(&mut rest)?).ok()?;
            rest = rest.get(length..)?;
        }
    }
    let sync = rest.get(..16)?;
    rest = rest.get(16..)?;
    let mut records = 0;
    while !rest.is_empty() {
        records += long(&mut rest)?;
        let length = usize::try_from(long(&mut rest)?).ok()?;
        rest = rest.get(length..)?.strip_prefix(sync)?;
    }
    Some(records)
}

fn long(bytes: &mut &[u8]) -> Option<i64> {
    let (mut value, mut shift) = (0u64, 0);
    loop {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -((value & 1).cast_signed()));
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_of_any_length_are_counted() {
        assert_eq!(count(b"a\nb\n", b"\n"), 2);
        assert_eq!(count(b"a||b||", b"||"), 2);
        assert_eq!(count(b"", b"\n"), 0);
    }

    #[test]
    fn the_blocks_of_an_avro_file_say_how_many_records_they_hold() {
        let sync = [7u8; 16];
        let mut file = b"Obj\x01\x02\x02k\x02v\x00".to_vec();
        file.extend_from_slice(&sync);
        for (count, bytes) in [(3, &b"abc"[..]), (2, b"d")] {
            file.extend_from_slice(&[count * 2, (bytes.len() * 2) as u8]);
            file.extend_from_slice(bytes);
            file.extend_from_slice(&sync);
        }
        assert_eq!(avro(&file), Some(5));
        assert_eq!(avro(&file[..file.len() - 1]), None);
    }
}

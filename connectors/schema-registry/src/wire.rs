//! How a message says which schema it was written with. Pure functions over bytes.
//!
//! A magic byte 0 and the id stand before the payload, for Protobuf followed by the message's
//! indexes; or a header carries magic byte 1, the schema's GUID and the indexes, and the payload
//! stands alone. Answers for `SchemaId`, `PrefixSchemaIdSerializer`, `HeaderSchemaIdSerializer`,
//! `DualSchemaIdDeserializer` and `MessageIndexes`.

use connect_api::data::{Header, Headers, SchemaAndValue, Value};
use connect_api::{ByteString, Bytes};
use uuid::Uuid;

/// Length of magic byte and id.
pub const PREFIX: usize = 5;
const MAGIC_ID: u8 = 0;
const MAGIC_GUID: u8 = 1;
/// Indexes are few; more are no message of ours.
const MAX_INDEXES: i64 = 1024;

/// Which schema a message was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SchemaId {
    /// By the registry's number.
    Id(i32),
    /// By the GUID.
    Guid(Uuid),
}

impl std::fmt::Display for SchemaId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Guid(guid) => write!(f, "{guid}"),
        }
    }
}

/// Name of the header that carries the GUID of a key's or value's schema.
pub fn header_name(is_key: bool) -> &'static str {
    if is_key {
        "__key_schema_id"
    } else {
        "__value_schema_id"
    }
}

/// Appends magic byte and id.
pub fn write_prefix(id: i32, out: &mut Vec<u8>) {
    out.push(MAGIC_ID);
    out.extend_from_slice(&id.to_be_bytes());
}

/// Sets the header that carries the GUID; `indexes` are a Protobuf message's, encoded, or empty.
pub fn write_header(guid: Uuid, indexes: &[u8], is_key: bool, headers: &mut Headers) {
    let mut value = Vec::with_capacity(17 + indexes.len());
    value.push(MAGIC_GUID);
    value.extend_from_slice(guid.as_bytes());
    value.extend_from_slice(indexes);
    let name = header_name(is_key);
    headers.retain(|header| &*header.key != name);
    headers.push(Header {
        key: ByteString::from_static(name),
        value: SchemaAndValue::new(
            connect_api::data::Schema::bytes().build(),
            Value::Bytes(value.into()),
        ),
    });
}

/// A message taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its schema.
    pub id: SchemaId,
    /// The rest of the header's value: a Protobuf message's indexes. `None` where the id stood
    /// before the payload, in which case the indexes do, too.
    pub header_rest: Option<Bytes>,
    /// What follows the id.
    pub payload: Bytes,
}

/// Takes a message apart: by its header where there is one (`from_header`), or else by its prefix.
///
/// # Errors
/// The text of the exception.
pub fn read(
    bytes: &Bytes,
    headers: &Headers,
    is_key: bool,
    from_header: bool,
) -> Result<Message, &'static str> {
    if from_header
        && let Some(value) = headers
            .iter()
            .rev()
            .find(|header| &*header.key == header_name(is_key))
            .and_then(|header| header_bytes(&header.value.value))
    {
        let (id, length) = read_id(&value)?;
        return Ok(Message {
            id,
            header_rest: Some(value.slice(length..)),
            payload: bytes.clone(),
        });
    }
    let (id, length) = read_id(bytes)?;
    Ok(Message {
        id,
        header_rest: None,
        payload: bytes.slice(length..),
    })
}

/// A header's bytes, whatever header converter read them: one that knows text makes text of them.
fn header_bytes(value: &Value) -> Option<Bytes> {
    match value {
        Value::Bytes(bytes) => Some(bytes.clone()),
        Value::String(text) => Some(text.as_bytes().clone()),
        _ => None,
    }
}

/// The id at the start of `bytes`, and how many bytes it takes.
fn read_id(bytes: &[u8]) -> Result<(SchemaId, usize), &'static str> {
    match bytes.split_first() {
        Some((&MAGIC_ID, rest)) => {
            let id = rest.first_chunk::<4>().ok_or(UNDERFLOW)?;
            Ok((SchemaId::Id(i32::from_be_bytes(*id)), PREFIX))
        }
        Some((&MAGIC_GUID, rest)) => {
            let guid = rest.first_chunk::<16>().ok_or(UNDERFLOW)?;
            Ok((SchemaId::Guid(Uuid::from_bytes(*guid)), 17))
        }
        Some(_) => Err("Unknown magic byte!"),
        None => Err(UNDERFLOW),
    }
}

/// What Java's buffers say; the exception has no text of its own there.
const UNDERFLOW: &str = "the message is shorter than its schema id";

/// Appends a Protobuf message's indexes: their count and themselves, zigzag. The first message of
/// a file, by far the most frequent, is a single 0.
pub fn write_indexes(indexes: &[i32], out: &mut Vec<u8>) {
    if indexes == [0] {
        out.push(0);
        return;
    }
    write_varint(indexes.len() as i64, out);
    for &index in indexes {
        write_varint(i64::from(index), out);
    }
}

/// A Protobuf message's indexes, and how many bytes they take; `None` where they are cut off or
/// senseless.
pub fn read_indexes(bytes: &[u8]) -> Option<(Vec<i32>, usize)> {
    let mut at = 0;
    let count = read_varint(bytes, &mut at)?;
    if count == 0 {
        return Some((vec![0], at));
    }
    if !(0..=MAX_INDEXES).contains(&count) {
        return None;
    }
    let mut indexes = Vec::new();
    for _ in 0..count {
        indexes.push(i32::try_from(read_varint(bytes, &mut at)?).ok()?);
    }
    Some((indexes, at))
}

fn write_varint(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn read_varint(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..35).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_a_zero_and_the_id() {
        let mut out = Vec::new();
        write_prefix(33, &mut out);
        out.push(9);
        let message = read(&out.into(), &Headers::new(), false, true).expect("framed");
        assert_eq!(message.id, SchemaId::Id(33));
        assert_eq!(&*message.payload, [9]);
    }

    #[test]
    fn a_header_goes_before_a_prefix_and_the_last_one_counts() {
        let mut headers = Headers::new();
        let guid = Uuid::from_u128(7);
        write_header(guid, &[2, 4], false, &mut headers);
        let payload = Bytes::from_static(&[0, 0, 0, 0, 1]);
        let message = read(&payload, &headers, false, true).expect("framed");
        assert_eq!(message.id, SchemaId::Guid(guid));
        assert_eq!(message.header_rest.as_deref(), Some(&[2, 4][..]));
        assert_eq!(message.payload, payload);
        let key = read(&payload, &headers, true, true).expect("framed");
        assert_eq!(key.id, SchemaId::Id(1));
    }

    #[test]
    fn other_bytes_are_refused() {
        let refused = |bytes: &'static [u8]| {
            read(&Bytes::from_static(bytes), &Headers::new(), false, true).expect_err("no id")
        };
        assert_eq!(refused(&[7, 0, 0, 0, 1]), "Unknown magic byte!");
        refused(&[]);
        refused(&[0, 0, 0]);
        refused(&[1, 2, 3]);
    }

    #[test]
    fn indexes_are_zigzag_and_the_first_message_is_one_zero() {
        let mut out = Vec::new();
        write_indexes(&[0], &mut out);
        write_indexes(&[7], &mut out);
        write_indexes(&[1, 0, 300], &mut out);
        assert_eq!(out, [0, 2, 14, 6, 2, 0, 0xd8, 4]);
        assert_eq!(read_indexes(&out), Some((vec![0], 1)));
        assert_eq!(read_indexes(&out[1..]), Some((vec![7], 2)));
        assert_eq!(read_indexes(&out[3..]), Some((vec![1, 0, 300], 5)));
        assert_eq!(read_indexes(&[6, 2]), None);
        assert_eq!(read_indexes(&[0xff; 12]), None);
        assert_eq!(read_indexes(&[1]), None, "a negative count");
    }
}

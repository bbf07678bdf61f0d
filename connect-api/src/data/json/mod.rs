//! Connect values as JSON, as `JsonConverter` maps them: with an envelope of schema and payload,
//! or bare.
//!
//! This is the hot path of both directions. Writing: the text of a schema is rendered once per
//! schema pointer and copied, values go by a plan that is made once per schema ([`JsonWriter`]).
//! Reading: a schema whose text was seen before is not parsed again, and the payload is parsed
//! straight into values of its schema ([`JsonReader`]). What is not of the usual shape takes the
//! long way over a tree of nodes, which does everything as Jackson and `JsonConverter` do.
//!
//! Answers for `org.apache.kafka.connect.json.{JsonConverter, JsonSchema, JsonConverterConfig}` and
//! the Jackson that they use.

mod convert;
mod error;
mod escape;
mod node;
mod parse;
mod payload;
mod plain;
mod read;
mod schema;
pub(crate) mod text;
mod write;

pub use error::{Failure, JsonError};
pub use parse::{Number, Parser, RawString};
pub use plain::PlainJson;
pub use read::JsonReader;
pub use text::{decode_base64, write_string};
pub use write::{JsonWriter, ValuePlan, ValueStyle, write_schemaless};

use super::{ByteString, Bytes, ConnectMap, Value};
use crate::record::OffsetMap;
use crate::{Error, Result};

/// How Decimals are written (`decimal.format`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DecimalFormat {
    /// Base64 of the unscaled value.
    #[default]
    Base64,
    /// A JSON number.
    Numeric,
}

/// The options of `JsonConverter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonOptions {
    /// `schemas.enable`: messages are envelopes of schema and payload.
    pub schemas_enable: bool,
    /// `schemas.cache.size`: how many schemas are remembered in each direction.
    pub schemas_cache_size: usize,
    /// `decimal.format`.
    pub decimal_format: DecimalFormat,
    /// `replace.null.with.default`: a null takes its schema's default.
    pub replace_null_with_default: bool,
}

impl Default for JsonOptions {
    fn default() -> Self {
        Self {
            schemas_enable: true,
            schemas_cache_size: 1000,
            decimal_format: DecimalFormat::Base64,
            replace_null_with_default: true,
        }
    }
}

impl JsonOptions {
    /// The defaults with `schemas.enable=false`.
    pub fn schemaless() -> Self {
        Self {
            schemas_enable: false,
            ..Self::default()
        }
    }
}

/// The schemaless value of a JSON text: integers as INT64, fractions as FLOAT64, objects as maps.
/// Strings share `bytes`. No bytes at all are a null.
///
/// # Errors
/// The text is not JSON.
pub fn parse_schemaless(bytes: &Bytes) -> Result<Value> {
    parse::schemaless(bytes).map_err(not_json)
}

/// A source partition or offset as JSON, in Java's order of keys.
///
/// # Errors
/// A value has no JSON form.
pub fn write_offset_map(map: &OffsetMap, out: &mut Vec<u8>) -> Result<()> {
    out.push(b'{');
    for (index, (key, value)) in map.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(key, out);
        out.push(b':');
        write_schemaless(value, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// A source partition or offset from JSON; `None` for a JSON null.
///
/// # Errors
/// The text is not a JSON object.
pub fn parse_offset_map(bytes: &Bytes) -> Result<Option<OffsetMap>> {
    match parse_schemaless(bytes)? {
        Value::Null => Ok(None),
        Value::Map(map) => offset_map(&map).map(Some),
        _ => Err(Error::data(
            "a source partition or offset is not a JSON object",
        )),
    }
}

/// A schemaless map whose keys are strings as a source partition or offset.
///
/// # Errors
/// A key is no string.
pub fn offset_map(map: &ConnectMap) -> Result<OffsetMap> {
    map.iter()
        .map(|(key, value)| match key {
            Value::String(key) => Ok((key.clone(), value.clone())),
            _ => Err(Error::data(
                "a source partition or offset has a key that is no string",
            )),
        })
        .collect()
}

/// The error of a converter for what is not JSON.
fn not_json(error: error::JsonError) -> Error {
    Error::data("Converting byte[] to Kafka Connect data failed due to serialization error: ")
        .with_source(error)
}

/// The text of a whole message; what follows the last valid UTF-8 is cut off.
pub fn valid_text(bytes: &Bytes) -> ByteString {
    ByteString::try_from(bytes.clone()).unwrap_or_else(|_| {
        let valid = match std::str::from_utf8(bytes) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        ByteString::try_from(bytes.slice(..valid)).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests;

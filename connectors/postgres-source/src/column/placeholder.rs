//! What stands for a toasted value that an update left alone and the log does not hold.
//!
//! Answers for `UnchangedToastedPlaceholder` and `UnchangedToastedReplicationMessageColumn`.

use connect_api::data::Value;

use super::decoder::{Decoder, hstore_map};
use super::modes::{BinaryMode, Modes};
use super::numeric::Numeric;
use super::temporal::{DateForm, Temporal};
use super::text;
use crate::change::{TypeInfo, TypeKind};

/// What an unchanged toasted value becomes, by type; none where there is no placeholder.
pub(super) fn unchanged(info: &TypeInfo, decoder: &Decoder, modes: &Modes) -> Option<Value> {
    let (text, octets) = (&modes.placeholder.text, &modes.placeholder.bytes);
    let array = |value| Some(Value::Array(vec![value]));
    match decoder {
        Decoder::Array(array_decoder) => {
            let TypeKind::Array(element) = &info.kind else {
                return None;
            };
            match (element.name.as_str(), &array_decoder.element) {
                ("text" | "varchar" | "bpchar" | "json" | "jsonb", _) => {
                    array(Value::String(text.clone()))
                }
                ("bytea", Decoder::Binary(BinaryMode::Bytes)) => {
                    array(Value::Bytes(octets.clone()))
                }
                ("bytea", Decoder::Binary(_)) => array(Value::String(text.clone())),
                // Java's bytes have a sign.
                ("int4", _) => Some(Value::Array(
                    octets
                        .iter()
                        .map(|&octet| Value::Int32(octet.cast_signed().into()))
                        .collect(),
                )),
                ("int8", _) => Some(Value::Array(
                    octets
                        .iter()
                        .map(|&octet| Value::Int64(octet.cast_signed().into()))
                        .collect(),
                )),
                ("date", Decoder::Temporal(Temporal::Date(DateForm::Days))) => Some(Value::Array(
                    octets
                        .iter()
                        .map(|&octet| Value::Int32(octet.cast_signed().into()))
                        .collect(),
                )),
                ("uuid", _) => array(Value::from(name_uuid(octets))),
                _ => None,
            }
        }
        Decoder::Binary(BinaryMode::Bytes) => Some(Value::Bytes(octets.clone())),
        // In every encoding the text itself, which is what consumers look for.
        Decoder::Text | Decoder::Name | Decoder::Binary(_) | Decoder::Numeric(Numeric::Text(_)) => {
            Some(Value::String(text.clone()))
        }
        Decoder::HstoreJson | Decoder::HstoreMap => {
            let mut map = text::Hstore::new();
            map.insert(text.clone(), Some(text.to_string()));
            Some(match decoder {
                Decoder::HstoreJson => Value::from(text::hstore_json(&map)),
                _ => hstore_map(&map),
            })
        }
        _ => None,
    }
}

/// `UUID.nameUUIDFromBytes`.
fn name_uuid(octets: &[u8]) -> String {
    use sha2::digest::Digest as _;
    let mut hash: [u8; 16] = md5::Md5::digest(octets).into();
    hash[6] = hash[6] & 0x0f | 0x30;
    hash[8] = hash[8] & 0x3f | 0x80;
    let digits = text::hex(&hash);
    let part = |range: std::ops::Range<usize>| digits.get(range).unwrap_or_default();
    [
        part(0..8),
        part(8..12),
        part(12..16),
        part(16..20),
        part(20..32),
    ]
    .join("-")
}

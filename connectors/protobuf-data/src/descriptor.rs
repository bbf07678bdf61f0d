//! A schema that is no text but a `FileDescriptorProto` in base64, as clients in other languages
//! register it: the same declarations from its bytes.

use connect_api::data::json::decode_base64;

use crate::syntax::{Enum, Field, File, Label, Message, Syntax};
use crate::wire::{DELIMITED, Reader, Truncated, VARINT};

/// The number of `(confluent.field_meta)` among a field's options, and of `params` in it.
const FIELD_META: u32 = 1088;
const META_PARAMS: u32 = 2;
/// The edition numbers that stand for the older languages.
const EDITION_PROTO2: u64 = 998;
const EDITION_PROTO3: u64 = 999;

/// Messages inside messages, at most.
const MAX_DEPTH: usize = 64;

/// The declarations, if the text is such a file.
pub(crate) fn parse(text: &str) -> Option<File> {
    let bytes = decode_base64(text.trim())?;
    if bytes.is_empty() {
        return None;
    }
    let file = file(&bytes).ok()?;
    (!file.messages.is_empty() || !file.enums.is_empty()).then_some(file)
}

type Read<T> = Result<T, Truncated>;

/// Hands each field of a message to `use_field`: its number, its bytes or its number's value.
fn fields<'a>(
    bytes: &'a [u8],
    mut use_field: impl FnMut(u32, &'a [u8], u64) -> Read<()>,
) -> Read<()> {
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let (number, wire) = reader.tag()?;
        match wire {
            VARINT => use_field(number, &[], reader.varint()?)?,
            DELIMITED => {
                let (start, end) = reader.delimited()?;
                use_field(number, bytes.get(start..end).ok_or(Truncated)?, 0)?;
            }
            _ => reader.skip(number, wire)?,
        }
    }
    Ok(())
}

fn text(bytes: &[u8]) -> Read<String> {
    std::str::from_utf8(bytes)
        .map(ToOwned::to_owned)
        .map_err(|_| Truncated)
}

fn file(bytes: &[u8]) -> Read<File> {
    let mut file = File::default();
    fields(bytes, |number, part, value| {
        match number {
            2 => file.package = text(part)?,
            3 => file.imports.push(text(part)?),
            4 => file.messages.push(message(part, 0)?),
            5 => file.enums.push(enumeration(part)?),
            12 => {
                file.syntax = match part {
                    b"proto3" => Syntax::Proto3,
                    b"editions" => Syntax::Edition,
                    _ => Syntax::Proto2,
                };
            }
            14 => {
                file.syntax = match value {
                    EDITION_PROTO2 => Syntax::Proto2,
                    EDITION_PROTO3 => Syntax::Proto3,
                    _ => Syntax::Edition,
                };
            }
            _ => {}
        }
        Ok(())
    })?;
    if file.syntax == Syntax::Proto2 {
        file.messages.iter_mut().for_each(label_optional);
    }
    Ok(file)
}

/// What is neither required nor repeated in proto2 is `optional`.
fn label_optional(message: &mut Message) {
    for field in &mut message.fields {
        if field.label == Label::None && field.oneof.is_none() {
            field.label = Label::Optional;
        }
    }
    message.messages.iter_mut().for_each(label_optional);
}

fn message(bytes: &[u8], depth: usize) -> Read<Message> {
    if depth > MAX_DEPTH {
        return Err(Truncated);
    }
    let mut message = Message::default();
    let mut synthetic = Vec::new();
    fields(bytes, |number, part, _| {
        match number {
            1 => message.name = text(part)?,
            2 => {
                let (field, optional) = field(part)?;
                synthetic.extend(field.oneof.filter(|_| optional));
                message.fields.push(field);
            }
            3 => message.messages.push(self::message(part, depth + 1)?),
            4 => message.enums.push(enumeration(part)?),
            7 => fields(part, |number, _, value| {
                message.map_entry |= number == 7 && value == 1;
                Ok(())
            })?,
            8 => fields(part, |number, part, _| {
                if number == 1 {
                    message.oneofs.push(text(part)?);
                }
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    // Proto3's `optional` is a `oneof` of one field here, and these come last.
    for field in &mut message.fields {
        if field.oneof.is_some_and(|oneof| synthetic.contains(&oneof)) {
            field.oneof = None;
        }
    }
    let kept = message.oneofs.len().saturating_sub(synthetic.len());
    message.oneofs.truncate(kept);
    Ok(message)
}

/// A field, and whether it is proto3's `optional`.
fn field(bytes: &[u8]) -> Read<(Field, bool)> {
    let mut field = Field::default();
    let mut optional = false;
    let mut label = 0;
    fields(bytes, |number, part, value| {
        match number {
            1 => field.name = text(part)?,
            3 => field.number = u32::try_from(value).map_err(|_| Truncated)?,
            4 => label = value,
            5 => match value {
                10 => field.group = true,
                11 | 14 => {}
                value => field.type_name = scalar(value).ok_or(Truncated)?.to_owned(),
            },
            6 => field.type_name = text(part)?,
            8 => fields(part, |number, part, _| {
                if number == FIELD_META {
                    fields(part, |number, part, _| {
                        if number == META_PARAMS {
                            field.params.push(entry(part)?);
                        }
                        Ok(())
                    })?;
                }
                Ok(())
            })?,
            9 => field.oneof = Some(usize::try_from(value).map_err(|_| Truncated)?),
            17 => optional = value == 1,
            _ => {}
        }
        Ok(())
    })?;
    field.label = match label {
        2 => Label::Required,
        3 => Label::Repeated,
        // Proto3 writes this label for everything; what it means there is said apart.
        _ if optional => Label::Optional,
        _ => Label::None,
    };
    Ok((field, optional))
}

fn entry(bytes: &[u8]) -> Read<(String, String)> {
    let mut entry = (String::new(), String::new());
    fields(bytes, |number, part, _| {
        match number {
            1 => entry.0 = text(part)?,
            2 => entry.1 = text(part)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(entry)
}

fn enumeration(bytes: &[u8]) -> Read<Enum> {
    let mut list = Enum::default();
    fields(bytes, |number, part, _| {
        match number {
            1 => list.name = text(part)?,
            2 => {
                let mut value = (String::new(), 0);
                fields(part, |number, part, varint| {
                    match number {
                        1 => value.0 = text(part)?,
                        #[expect(clippy::cast_possible_truncation, reason = "an int32")]
                        2 => value.1 = varint as i32,
                        _ => {}
                    }
                    Ok(())
                })?;
                list.values.push(value);
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(list)
}

/// The name of a scalar type by its number.
fn scalar(number: u64) -> Option<&'static str> {
    Some(match number {
        1 => "double",
        2 => "float",
        3 => "int64",
        4 => "uint64",
        5 => "int32",
        6 => "fixed64",
        7 => "fixed32",
        8 => "bool",
        9 => "string",
        12 => "bytes",
        13 => "uint32",
        15 => "sfixed32",
        16 => "sfixed64",
        17 => "sint32",
        18 => "sint64",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `syntax = "proto3"; package shop; message Item { int64 id = 1; string name = 2; double price
    /// = 3; repeated string tags = 4; Inner inner = 5; message Inner { int32 q = 1; } }`, as a
    /// client in Python registers it.
    const ITEM: &str = "CgppdGVtLnByb3RvEgRzaG9wInIKBEl0ZW0SCgoCaWQYASABKAMSDAoEbmFtZRgCIAEoCRINCgVwcmljZRgDIAEoARIMCgR0YWdzGAQgAygJEh8KBWlubmVyGAUgASgLMhAuc2hvcC5JdGVtLklubmVyGhIKBUlubmVyEgkKAXEYASABKAViBnByb3RvMw==";

    #[test]
    fn a_descriptor_in_base64_is_the_same_file() {
        let file = parse(ITEM).expect("a descriptor");
        assert_eq!(
            (file.package.as_str(), file.syntax),
            ("shop", Syntax::Proto3)
        );
        let message = &file.messages[0];
        let fields: Vec<_> = message
            .fields
            .iter()
            .map(|field| {
                (
                    field.name.as_str(),
                    field.type_name.as_str(),
                    field.number,
                    field.label,
                )
            })
            .collect();
        assert_eq!(
            fields,
            [
                ("id", "int64", 1, Label::None),
                ("name", "string", 2, Label::None),
                ("price", "double", 3, Label::None),
                ("tags", "string", 4, Label::Repeated),
                ("inner", ".shop.Item.Inner", 5, Label::None),
            ]
        );
        assert_eq!(message.messages[0].name, "Inner");
        crate::Pool::new(ITEM, &[]).expect("a schema");
        assert_eq!(
            crate::message_name(ITEM, &[0, 0]).as_deref(),
            Some("shop.Item.Inner")
        );
    }

    #[test]
    fn other_texts_are_none() {
        for text in ["", "syntax = \"proto3\";", "{}", "AAAA", "CgppdGVt"] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}

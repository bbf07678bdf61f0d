//! The fields that a Connect struct has as a message: names, numbers, which `oneof`, which type.
//! One rule for the text that is registered and for the bytes that are written.

use connect_api::data::logical::Logical;
use connect_api::data::{Schema, SchemaRef, SchemaType};
use connect_api::{Error, Result};

use crate::scalar::Scalar;
use crate::{ENUM, GENERAL_ENUM, ProtobufOptions, TAG, TYPE, union_name};

/// A field of a message, and where its value is in the struct.
#[derive(Debug)]
pub(crate) struct FieldLayout<'a> {
    /// The place in the struct.
    pub(crate) place: usize,
    /// The place in the struct that stands for a `oneof`, and that one's place among them.
    pub(crate) choice: Option<(usize, usize)>,
    pub(crate) name: String,
    pub(crate) number: u32,
    pub(crate) schema: &'a SchemaRef,
}

/// The fields and the names of the `oneof`s.
pub(crate) fn fields<'a>(
    schema: &'a Schema,
    options: &ProtobufOptions,
) -> Result<(Vec<FieldLayout<'a>>, Vec<String>)> {
    let mut layout = Vec::new();
    let mut oneofs = Vec::new();
    for field in schema.fields() {
        let union = union_name(&field.schema).filter(|_| field.schema.kind() == SchemaType::Struct);
        let Some(oneof) = union else {
            layout.push(FieldLayout {
                place: field.index,
                choice: None,
                name: scrubbed(&field.name, options),
                number: 0,
                schema: &field.schema,
            });
            continue;
        };
        oneofs.push(scrubbed(oneof, options));
        layout.extend(field.schema.fields().iter().map(|member| FieldLayout {
            place: field.index,
            choice: Some((member.index, oneofs.len() - 1)),
            name: scrubbed(&member.name, options),
            number: 0,
            schema: &member.schema,
        }));
    }
    number(&mut layout)?;
    Ok((layout, oneofs))
}

/// Numbers by the parameter, or else in order, those left out that are taken.
fn number(layout: &mut [FieldLayout<'_>]) -> Result<()> {
    let mut taken = Vec::with_capacity(layout.len());
    for field in layout.iter_mut() {
        if let Some(tag) = field.schema.parameter(TAG) {
            field.number = tag
                .parse()
                .ok()
                .filter(|tag| (1..1 << 29).contains(tag))
                .ok_or_else(|| {
                    Error::data(format!(
                        "{tag} is no field number: it is the {TAG} of {}",
                        field.name
                    ))
                })?;
            taken.push(field.number);
        }
    }
    taken.sort_unstable();
    if let Some(twice) = taken.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::data(format!(
            "Field number {} has already been used: two fields have it as their {TAG}",
            twice[0]
        )));
    }
    let mut next = 1;
    for field in layout.iter_mut().filter(|field| field.number == 0) {
        while taken.binary_search(&next).is_ok() {
            next += 1;
        }
        field.number = next;
        next += 1;
    }
    Ok(())
}

/// What a value is in Protobuf.
#[derive(Debug)]
pub(crate) enum Type<'a> {
    Scalar(Scalar),
    /// The wrapper message of a scalar.
    Wrapper(Scalar),
    /// By its name and symbols.
    Enum(&'a str),
    Decimal,
    Date,
    TimeOfDay,
    Timestamp,
    Message,
    /// The message that stands for an entry, with the schemas of its parts.
    Map(&'a SchemaRef, &'a SchemaRef),
    Repeated(&'a SchemaRef),
}

/// The type of a schema; `element` where it is one of an array.
pub(crate) fn type_of<'a>(
    schema: &'a Schema,
    options: &ProtobufOptions,
    element: bool,
) -> Result<Type<'a>> {
    match schema.logical() {
        Some(Logical::Decimal) => return Ok(Type::Decimal),
        Some(Logical::Date) => return Ok(Type::Date),
        Some(Logical::Time) => return Ok(Type::TimeOfDay),
        Some(Logical::Timestamp) => return Ok(Type::Timestamp),
        None => {}
    }
    let not_nested =
        || Error::data("Array cannot be nested").with_class("java.lang.IllegalArgumentException");
    Ok(match schema.kind() {
        SchemaType::Array | SchemaType::Map if element => return Err(not_nested()),
        SchemaType::Array => Type::Repeated(schema.value_schema().ok_or_else(not_nested)?),
        SchemaType::Map => match (schema.key_schema(), schema.value_schema()) {
            (Some(key), Some(value)) => Type::Map(key, value),
            _ => return Err(not_nested()),
        },
        SchemaType::Struct => Type::Message,
        kind => {
            let symbols = matches!(kind, SchemaType::String)
                || (kind == SchemaType::Int32 && options.int_for_enums);
            if let Some(name) = enum_name(schema).filter(|_| symbols) {
                return Ok(Type::Enum(name));
            }
            let told = schema.parameter(TYPE).and_then(Scalar::of);
            let scalar = told
                .filter(|told| told.connect() == kind)
                .or_else(|| Scalar::usual(kind));
            let scalar = scalar.unwrap_or(Scalar::String);
            if options.wrapper_for_nullables && schema.is_optional() && scalar.wrapper().is_some() {
                return Ok(Type::Wrapper(scalar));
            }
            Type::Scalar(scalar)
        }
    })
}

/// The name of the enum that a text is a symbol of.
pub(crate) fn enum_name(schema: &Schema) -> Option<&str> {
    schema
        .parameter(ENUM)
        .or_else(|| schema.parameter(GENERAL_ENUM))
}

/// The symbols and numbers of an enum, in the order of the parameters.
pub(crate) fn symbols(schema: &Schema) -> Vec<(String, i32)> {
    let prefix = match schema.parameter(ENUM) {
        Some(_) => ENUM,
        None => GENERAL_ENUM,
    };
    let symbol = |key: &str| Some(key.strip_prefix(prefix)?.strip_prefix('.')?.to_owned());
    let parameters = schema.parameters().iter();
    parameters
        .filter_map(|(key, value)| Some((symbol(key)?, value.parse().ok()?)))
        .collect()
}

/// A name as Protobuf knows them, where that is asked for: what is none of its characters is
/// percent-encoded, and the percent signs become `_`.
pub(crate) fn scrubbed(name: &str, options: &ProtobufOptions) -> String {
    if !options.scrub_invalid_names {
        return name.to_owned();
    }
    let parts: Vec<String> = name.split('.').map(scrub_part).collect();
    parts.join(".")
}

fn scrub_part(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts_wrong = |name: &str| name.starts_with(|c: char| c.is_ascii_digit() || c == '_');
    if name.chars().all(plain) && !starts_wrong(name) {
        return name.to_owned();
    }
    let mut encoded = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    if starts_wrong(&encoded) {
        encoded.insert(0, 'x');
    }
    encoded.replace(|c| !plain(c), "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_scrubbed_as_the_jvm_did() {
        for (name, scrubbed) in [
            ("_u", "x_u"),
            ("2x", "x2x"),
            ("é", "_C3_A9"),
            ("a-b", "a_b"),
            ("T 1", "T_1"),
            ("plain", "plain"),
        ] {
            assert_eq!(scrub_part(name), scrubbed);
        }
    }

    #[test]
    fn numbers_that_are_given_are_passed_over() {
        let tagged = |tag: &'static str| Schema::int32().parameter(TAG, tag).build();
        let schema = Schema::structure()
            .field("a", tagged("2"))
            .field("b", Schema::int32().build())
            .field("c", Schema::int32().build())
            .build();
        let (layout, _) = fields(&schema, &ProtobufOptions::default()).expect("numbered");
        let numbers: Vec<u32> = layout.iter().map(|field| field.number).collect();
        assert_eq!(numbers, [2, 1, 3]);
        let twice = Schema::structure()
            .field("a", tagged("2"))
            .field("b", tagged("2"))
            .build();
        fields(&twice, &ProtobufOptions::default()).expect_err("twice");
        let zero = Schema::structure().field("a", tagged("0")).build();
        fields(&zero, &ProtobufOptions::default()).expect_err("no number");
    }
}

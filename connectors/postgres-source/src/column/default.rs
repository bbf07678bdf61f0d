//! A column's default expression as its schema's default, without evaluating it.
//!
//! Literals are taken, calls of functions become the type's zero, everything else has no default.
//! Answers for `PostgresDefaultValueConverter`, with its accidents.

use bytes::Bytes;
use connect_api::data::Value;

use super::decoder::Decoder;
use super::modes::BinaryMode;
use super::temporal::defaults;
use crate::change::{Phase, Text, TypeInfo, TypeKind};

/// The default that an expression means; none where it means none.
pub(super) fn value(
    expression: &str,
    declared: &TypeInfo,
    modifier: i32,
    decoder: &Decoder,
) -> Option<Value> {
    // Domains have no parser there, even over types that do.
    if let TypeKind::Enum(_) = declared.kind {
        return enum_label(expression, &declared.name).map(Value::from);
    }
    if declared.kind != TypeKind::Base {
        return None;
    }
    let literal = literal(expression.trim(), zero_of(&declared.name)?)?;
    match decoder {
        Decoder::Boolean => Some(Value::Boolean(literal.eq_ignore_ascii_case("true"))),
        Decoder::Bit => Some(Value::Boolean(literal == "1")),
        Decoder::Numeric(form) => form.default_value(&literal, modifier),
        // A struct cannot be a default.
        Decoder::Temporal(form) => {
            defaults::value(form, &literal).filter(|value| !matches!(value, Value::Struct(_)))
        }
        // Java takes a sign and blanks, but no letters.
        Decoder::Float32 => literal.trim().parse().ok().map(Value::Float32),
        Decoder::Float64 => literal.trim().parse().ok().map(Value::Float64),
        Decoder::Text
        | Decoder::Int16
        | Decoder::Int32
        | Decoder::Int64
        | Decoder::Bits
        | Decoder::Binary(BinaryMode::Bytes) => {
            decoder.decode(Text::of(&Bytes::from(literal)), Phase::Stream)
        }
        _ => None,
    }
}

/// What a function's result counts as, for the types that may have a default at all.
fn zero_of(type_name: &str) -> Option<&'static str> {
    Some(match type_name {
        "bit" => "00",
        "varbit" | "int2" | "int4" | "int8" => "0",
        "bool" => "false",
        "bpchar" | "varchar" | "text" | "xml" => "",
        "numeric" | "float4" | "float8" => "0.0",
        "json" | "jsonb" => "{}",
        "uuid" => "00000000-0000-0000-0000-000000000000",
        "date" | "timestamp" | "timestamptz" => "1970-01-01",
        "time" => "00:00",
        "interval" => "00:00:00",
        _ => return None,
    })
}

/// The first literal of an expression, or all of it where there is none; `zero` for a function.
fn literal(expression: &str, zero: &str) -> Option<String> {
    const CLOCKS: [&str; 5] = [
        "current_timestamp",
        "current_time",
        "current_date",
        "localtime",
        "localtimestamp",
    ];
    if is_call(expression)
        || CLOCKS
            .iter()
            .any(|clock| expression.eq_ignore_ascii_case(clock))
    {
        return Some(zero.to_owned());
    }
    if expression.starts_with("NULL::") {
        return None;
    }
    let Some((_, quoted)) = expression.split_once('\'') else {
        return Some(expression.to_owned());
    };
    // Two quotes are one that belongs to the text.
    let mut text = String::new();
    let mut characters = quoted.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\'' && characters.next_if_eq(&'\'').is_none() {
            return Some(text);
        }
        text.push(character);
    }
    None
}

/// Whether an expression begins with the call of a function, a bracket before it allowed.
fn is_call(expression: &str) -> bool {
    let expression = expression.strip_prefix('(').unwrap_or(expression);
    let name = expression
        .find(|character: char| !(character.is_ascii_alphanumeric() || "_.".contains(character)))
        .unwrap_or(expression.len());
    let rest = expression.get(name..).unwrap_or_default();
    name > 0 && rest.starts_with('(') && rest.contains(')')
}

/// The label of `'ok'::mood`, also where the type is written with its schema.
fn enum_label<'a>(expression: &'a str, type_name: &str) -> Option<&'a str> {
    let (label, cast) = expression.rsplit_once("::")?;
    let cast = cast.rsplit('.').next().unwrap_or(cast).trim_matches('"');
    if cast != type_name {
        return None;
    }
    label.strip_prefix('\'')?.strip_suffix('\'')
}

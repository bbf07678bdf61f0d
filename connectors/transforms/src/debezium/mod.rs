//! Debezium's own transformations, and what they share: how their options are declared and
//! checked, what counts as a change event.
//!
//! Debezium's definitions carry no validators, so that validation lets everything pass; what is
//! wrong is refused when the task starts, in the words of its `Field` validations. Answers for
//! `io.debezium.transforms` and its `SmtManager`.

pub(crate) mod content;
pub(crate) mod decode_logical_decoding_message_content;
pub(crate) mod enforce_record_size;
pub(crate) mod event_router;
pub(crate) mod extract_changed_record_state;
pub(crate) mod extract_schema_to_new_record;
pub(crate) mod geometry;
pub(crate) mod header_to_value;
mod json_payload;
pub(crate) mod murmur;
pub(crate) mod partition_routing;
pub(crate) mod schema_change_event_filter;
pub(crate) mod shared_headers;
pub(crate) mod timezone_converter;
pub(crate) mod topic_router;
pub(crate) mod vector_to_json_converter;

#[cfg(test)]
mod tests;

use connect_api::config::{ConfigKey, Importance, Type, Width};
use connect_api::data::{Schema, SchemaAndValue, SchemaRef};
use connect_api::java::Regex;
use connect_api::{Error, Props, Result};

/// The version of Debezium whose transformations these are.
pub(crate) const DEBEZIUM: &str = "3.7.0.Final";

/// The plugin of one of Debezium's transformations.
macro_rules! plugin {
    ($class:literal, $definition:expr, $make:expr) => {
        pub(crate) const PLUGIN: connect_api::plugin::Plugin = connect_api::plugin::Plugin {
            class: $class,
            version: crate::debezium::DEBEZIUM,
            config: $definition,
            make: connect_api::plugin::Make::Transformation(|| Box::new($make)),
        };
    };
}
use plugin;

/// An option as `Field.group` declares it without a group: each is the first.
fn option(
    name: &str,
    kind: Type,
    importance: Importance,
    width: Width,
    display: &str,
    doc: &str,
) -> ConfigKey {
    let mut key = ConfigKey::new(name, kind, importance)
        .display(width, display)
        .doc(doc)
        .default_null();
    key.order_in_group = 1;
    key
}

/// "valid envelope": the schema's name says so.
pub(crate) fn is_envelope(schema: &Schema) -> bool {
    schema
        .name()
        .is_some_and(|name| name.ends_with(".Envelope"))
}

/// The schema of a value that is a change event.
fn envelope_of(value: &SchemaAndValue) -> Option<&SchemaRef> {
    value
        .schema
        .as_ref()
        .filter(|schema| !value.is_null() && is_envelope(schema))
}

/// The error of an option's value (`ConfigException` around a `Field` validation).
fn invalid(key: &str, value: Option<&str>, problem: &str) -> Error {
    Error::config(format!(
        "Invalid value {} for configuration {key}: The '{key}' value is invalid: {problem}",
        value.unwrap_or("null")
    ))
}

/// The text of an option that is not blank.
fn text<'a>(props: &'a Props, key: &str) -> Option<&'a str> {
    props
        .get(key)
        .map(|text| text.trim())
        .filter(|text| !text.is_empty())
}

/// The text of an option that has to be there.
fn required<'a>(props: &'a Props, key: &str) -> Result<&'a str> {
    text(props, key).ok_or_else(|| {
        invalid(
            key,
            props.get(key).map(String::as_str),
            "A value is required",
        )
    })
}

/// One of several named values, in any case; the default where nothing is given.
fn choice<T: Copy>(props: &Props, key: &str, choices: &[(&str, T)], default: T) -> Result<T> {
    let Some(given) = props.get(key) else {
        return Ok(default);
    };
    choices
        .iter()
        .find_map(|&(name, value)| name.eq_ignore_ascii_case(given.trim()).then_some(value))
        .ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|&(name, _)| name).collect();
            let problem = format!("Value must be one of {}", names.join(", "));
            invalid(key, Some(given), &problem)
        })
}

/// A boolean option.
fn flag(props: &Props, key: &str, default: bool) -> Result<bool> {
    match props.get(key).map(|text| text.trim()) {
        None => Ok(default),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(other) => Err(invalid(
            key,
            Some(other),
            "Either 'true' or 'false' is expected",
        )),
    }
}

/// A positive number.
fn positive(props: &Props, key: &str) -> Result<i32> {
    let given = required(props, key)?;
    match given.parse::<i32>() {
        Ok(number) if number > 0 => Ok(number),
        Ok(_) => Err(invalid(
            key,
            Some(given),
            "A positive, non-zero integer value is expected",
        )),
        Err(_) => Err(invalid(key, Some(given), "An integer is expected")),
    }
}

/// The items of a list option.
fn list(props: &Props, key: &str) -> Vec<String> {
    let Some(given) = text(props, key) else {
        return Vec::new();
    };
    given
        .split(',')
        .map(|item| item.trim().to_owned())
        .collect()
}

/// A list option that has to be there, without empty items; without blanks inside them if asked.
fn required_list(props: &Props, key: &str, no_blanks: bool) -> Result<Vec<String>> {
    let given = required(props, key)?;
    let items = list(props, key);
    if no_blanks && items.iter().any(|item| item.contains(char::is_whitespace)) {
        return Err(invalid(
            key,
            Some(given),
            "Space is not allowed in any element",
        ));
    }
    if items.iter().any(String::is_empty) {
        return Err(invalid(key, Some(given), "Empty elements are not allowed"));
    }
    Ok(items)
}

/// A regular expression option, if it is given.
fn regex(props: &Props, key: &str) -> Result<Option<Regex>> {
    let Some(given) = text(props, key) else {
        return Ok(None);
    };
    match Regex::new(given) {
        Ok(regex) => Ok(Some(regex)),
        Err(error) => Err(invalid(
            key,
            Some(given),
            &format!("A valid regular expression is expected, but {error}"),
        )),
    }
}

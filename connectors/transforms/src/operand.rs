//! What many transformations share: the side of the record that they work on, what they require of
//! it, and schemas rebuilt from others.
//!
//! Answers for `org.apache.kafka.connect.transforms.util.{Requirements, SchemaUtil}`.

use std::sync::Arc;

use connect_api::config::{ConfigKey, Importance, Type};
use connect_api::data::{
    ConnectMap, Schema, SchemaAndValue, SchemaBuilder, SchemaRef, SchemaType, Struct, Value,
};
use connect_api::record::Record;
use connect_api::{ByteString, Error, Result};

/// How many schemas a transformation remembers.
pub(crate) const SCHEMA_CACHE_SIZE: usize = 1024;

/// The part of a record that a transformation works on: `$Key` or `$Value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Key,
    Value,
}

impl Side {
    pub(crate) fn of(self, record: &Record) -> &SchemaAndValue {
        match self {
            Self::Key => &record.key,
            Self::Value => &record.value,
        }
    }
    pub(crate) fn of_mut(self, record: &mut Record) -> &mut SchemaAndValue {
        match self {
            Self::Key => &mut record.key,
            Self::Value => &mut record.value,
        }
    }
}

/// The class of a value as `Requirements` names it.
pub(crate) fn class_name(value: &Value) -> &'static str {
    value.java_class().unwrap_or("null")
}

/// The struct that a value with schema has to be.
pub(crate) fn require_struct<'a>(value: &'a Value, purpose: &str) -> Result<&'a Struct> {
    value
        .as_struct()
        .ok_or_else(|| not_a_struct(value, purpose))
}

/// The same, taken out of the value.
pub(crate) fn take_struct(value: Value, purpose: &str) -> Result<Struct> {
    match value {
        Value::Struct(value) => Ok(value),
        other => Err(not_a_struct(&other, purpose)),
    }
}

fn not_a_struct(value: &Value, purpose: &str) -> Error {
    Error::data(format!(
        "Only Struct objects supported for [{purpose}], found: {}",
        class_name(value)
    ))
}

/// The map that a value without schema has to be.
pub(crate) fn require_map<'a>(value: &'a Value, purpose: &str) -> Result<&'a ConnectMap> {
    value.as_map().ok_or_else(|| not_a_map(value, purpose))
}

/// The same, taken out of the value.
pub(crate) fn take_map(value: Value, purpose: &str) -> Result<Box<ConnectMap>> {
    match value {
        Value::Map(map) => Ok(map),
        other => Err(not_a_map(&other, purpose)),
    }
}

fn not_a_map(value: &Value, purpose: &str) -> Error {
    Error::data(format!(
        "Only Map objects supported in absence of schema for [{purpose}], found: {}",
        class_name(value)
    ))
}

/// A builder of `kind` with the name, version, documentation and parameters of `schema`
/// (`SchemaUtil.copySchemaBasics`): neither optional nor with a default.
pub(crate) fn copy_basics(schema: &Schema, builder: SchemaBuilder) -> SchemaBuilder {
    let mut builder = builder;
    if let Some(name) = schema.name() {
        builder = builder.name(name.to_owned());
    }
    if let Some(version) = schema.version() {
        builder = builder.version(version);
    }
    if let Some(doc) = schema.doc() {
        builder = builder.doc(doc.to_owned());
    }
    for (key, value) in schema.parameters() {
        builder = builder.parameter(key.clone(), value.clone());
    }
    builder
}

/// The schema as it is, but without a default and optional.
pub(crate) fn optional_copy(schema: &Schema) -> SchemaRef {
    schema.to_builder().no_default().optional().build()
}

fn schema_error(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::data(message).with_class("org.apache.kafka.connect.errors.SchemaBuilderException")
}

/// Refuses the name that no field can have.
pub(crate) fn check_field_name(name: &str) -> Result<()> {
    match name.is_empty() {
        true => Err(schema_error("fieldName cannot be null.")),
        false => Ok(()),
    }
}

/// Adds a field to a struct's builder that has these fields already.
pub(crate) fn add_field(
    names: &mut Vec<ByteString>,
    builder: SchemaBuilder,
    name: &ByteString,
    schema: &SchemaRef,
) -> Result<SchemaBuilder> {
    check_field_name(name)?;
    if names.contains(name) {
        return Err(schema_error(format!(
            "Cannot create field because of field name duplication {name}"
        )));
    }
    names.push(name.clone());
    Ok(builder.field(name.clone(), Arc::clone(schema)))
}

/// The value of a field as SMTs read it: a null may read as the schema's default.
pub(crate) fn read_field(schema: &Schema, value: &Value, replace_null: bool) -> Value {
    match value {
        Value::Null if replace_null => schema.default_value().cloned().unwrap_or_default(),
        _ => value.clone(),
    }
}

/// The field's schema or `Struct`'s error.
pub(crate) fn lookup<'a>(value: &'a Struct, field: &str) -> Result<&'a connect_api::data::Field> {
    value
        .schema
        .field(field)
        .ok_or_else(|| Error::data(format!("{field} is not a valid field name")))
}

/// `Struct.getString`: without defaults.
pub(crate) fn string_field<'a>(value: &'a Struct, name: &str) -> Result<Option<&'a str>> {
    let field = lookup(value, name)?;
    if field.schema.kind() != SchemaType::String {
        return Err(Error::data(format!("Field '{name}' is not of type STRING")));
    }
    Ok(value.values[field.index].as_str())
}

/// The option `replace.null.with.default`.
pub(crate) fn replace_null_key() -> ConfigKey {
    ConfigKey::new(REPLACE_NULL, Type::Boolean, Importance::Medium)
        .default(true)
        .doc("Whether a field that is null is read as its schema's default, where it has one.")
}

pub(crate) const REPLACE_NULL: &str = "replace.null.with.default";

/// The version of Kafka whose transformations these are.
pub(crate) const KAFKA: &str = "4.3.1";

/// The plugins of a transformation's `$Key` and `$Value`.
macro_rules! key_and_value {
    ($class:literal, $definition:expr, $make:expr) => {
        pub(crate) const KEY: connect_api::plugin::Plugin = connect_api::plugin::Plugin {
            class: concat!("org.apache.kafka.connect.transforms.", $class, "$Key"),
            version: crate::operand::KAFKA,
            config: $definition,
            make: connect_api::plugin::Make::Transformation(|| {
                Box::new($make(crate::operand::Side::Key))
            }),
        };
        pub(crate) const VALUE: connect_api::plugin::Plugin = connect_api::plugin::Plugin {
            class: concat!("org.apache.kafka.connect.transforms.", $class, "$Value"),
            version: crate::operand::KAFKA,
            config: $definition,
            make: connect_api::plugin::Make::Transformation(|| {
                Box::new($make(crate::operand::Side::Value))
            }),
        };
    };
}
pub(crate) use key_and_value;

/// The plugin of a transformation or predicate that has no sides.
macro_rules! plugin {
    ($class:literal, $definition:expr, $kind:ident, $make:expr) => {
        pub(crate) const PLUGIN: connect_api::plugin::Plugin = connect_api::plugin::Plugin {
            class: concat!("org.apache.kafka.connect.transforms.", $class),
            version: crate::operand::KAFKA,
            config: $definition,
            make: connect_api::plugin::Make::$kind(|| Box::new($make)),
        };
    };
}
pub(crate) use plugin;

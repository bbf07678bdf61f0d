//! Converters whose schemas are in a registry: JSON Schema and Protobuf. Thin: what a schema or a
//! value is in either language is `json-schema-data` and `protobuf-data`, what the registry is asked
//! is `schema-registry`; here they meet, and what was found out is kept.
//!
//! | file | Java class |
//! | --- | --- |
//! | `json_schema` | `io.confluent.connect.json.JsonSchemaConverter` |
//! | `protobuf` | `io.confluent.connect.protobuf.ProtobufConverter` |

mod json_schema;
mod protobuf;

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type, at_least};
use connect_api::plugin::Plugin;
use connect_api::{Error, Result};
use schema_registry::{Reference, RegistrySchema, SchemaKind, Serde};

/// The converters of this crate.
pub const PLUGINS: &[Plugin] = &[
    json_schema::CONVERTER,
    protobuf::CONVERTER,
    protobuf::APICURIO_CONVERTER,
];

const CACHE_SIZE: &str = "schemas.cache.config";
const GENERALIZED: &str = "generalized.sum.type.support";
const IGNORE_DEFAULT: &str = "ignore.default.for.nullables";

/// The options that every converter of a language with a registry has.
fn definition() -> ConfigDef {
    schema_registry::config::definition()
        .define(
            ConfigKey::new(CACHE_SIZE, Type::Int, Importance::Low)
                .default(1000)
                .validator(at_least(1))
                .doc("How many schemas the converter remembers."),
        )
        .define(flag(
            GENERALIZED,
            false,
            "Whether unions and enums have the names that all formats share.",
        ))
        .define(flag(
            IGNORE_DEFAULT,
            false,
            "Whether a null stays a null where the schema allows it, though it has a default.",
        ))
}

fn flag(name: &str, default: bool, doc: &str) -> ConfigKey {
    ConfigKey::new(name, Type::Boolean, Importance::Low)
        .default(default)
        .doc(doc)
}

/// A schema's references with their texts, as the languages resolve them.
fn references(
    serde: &mut Serde,
    topic: &str,
    schema: &RegistrySchema,
) -> Result<Vec<(String, String)>> {
    if schema.references.is_empty() {
        return Ok(Vec::new());
    }
    let resolved = serde.resolve(schema);
    let resolved = resolved.map_err(|error| {
        serde
            .reading(topic)
            .registry("Error retrieving a schema's references", &error)
    })?;
    let text = |(reference, schema): (Reference, RegistrySchema)| {
        (reference.name.to_string(), schema.text.to_string())
    };
    Ok(resolved.into_iter().map(text).collect())
}

/// A value without a schema: these languages have none for it.
fn no_schema() -> Error {
    Error::data("a value without a schema cannot be written")
        .with_class("java.lang.NullPointerException")
}

/// A schema's text and language.
fn schema_of(kind: SchemaKind, text: &str) -> RegistrySchema {
    RegistrySchema::new(kind, text)
}

#[cfg(test)]
mod tests;

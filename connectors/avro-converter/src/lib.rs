//! Avro with a schema registry: between Connect data and Avro's bytes behind a schema's id.
//!
//! The mapping itself is `avro-data`, the registry `schema-registry`; this crate puts them together
//! and remembers what came of it. Answers for `io.confluent.connect.avro.{AvroConverter,
//! AvroConverterConfig, AvroDataConfig}`, and under Apicurio's name for its converter where that
//! writes what Confluent's writes.

mod config;
mod converter;

use connect_api::plugin::{Make, Plugin};
use schema_registry::VERSION;
use schema_registry::converter::apicurio_definition;

/// The converters.
pub const PLUGINS: &[Plugin] = &[
    Plugin {
        class: "io.confluent.connect.avro.AvroConverter",
        version: VERSION,
        config: config::definition,
        make: Make::Converter(|| Box::new(converter::AvroConverter::confluent())),
    },
    Plugin {
        class: "io.apicurio.registry.utils.converter.AvroConverter",
        version: VERSION,
        config: apicurio_definition::<converter::Avro>,
        make: Make::Converter(|| Box::new(converter::AvroConverter::apicurio())),
    },
];

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

//! The converter's options: those of every converter with a registry, and AvroData's.

use avro_data::Options;
use connect_api::config::{Config, ConfigDef, ConfigKey, Importance, Type, at_least};

/// All options of `AvroConverter`.
pub(crate) fn definition() -> ConfigDef {
    let mut definition = schema_registry::config::definition();
    let flag = |name, default: bool, doc| {
        ConfigKey::new(name, Type::Boolean, Importance::Low)
            .default(default)
            .doc(doc)
    };
    definition.add(
        ConfigKey::new("schemas.cache.config", Type::Int, Importance::Low)
            .default(1000)
            .validator(at_least(1))
            .doc("How many schemas the converter remembers in each direction."),
    );
    for key in [
        flag(
            "enhanced.avro.schema.support",
            false,
            "Whether enums are written as such, and types of a union are told apart by full names.",
        ),
        flag(
            "connect.meta.data",
            true,
            "Whether Connect's names, versions, parameters and documentation are kept as properties.",
        ),
        flag(
            "generalized.sum.type.support",
            false,
            "Whether enums and unions are marked as those of all formats.",
        ),
        flag(
            "ignore.default.for.nullables",
            false,
            "Whether a null stays null where its schema has a default.",
        ),
        flag(
            "scrub.invalid.names",
            false,
            "Whether names that Avro does not allow are changed instead of refused.",
        ),
        flag(
            "discard.type.doc.default",
            false,
            "Whether documentation is a field's instead of its type's.",
        ),
        flag(
            "allow.optional.map.keys",
            false,
            "Whether maps with optional text keys are maps in Avro.",
        ),
        flag(
            "flatten.singleton.unions",
            true,
            "Whether a union of one type is read as that type.",
        ),
        flag(
            "avro.use.logical.type.converters",
            false,
            "Taken and passed over: for Java's own records.",
        ),
        flag(
            "avro.reflection.allow.null",
            false,
            "Taken and passed over: for Java's own records.",
        ),
        flag(
            "avro.remove.java.properties",
            false,
            "Taken and passed over: no Java types are read.",
        ),
        flag(
            "specific.avro.reader",
            false,
            "Taken and passed over: for Java's own records.",
        ),
        flag(
            "avro.fail.on.trailing.data",
            false,
            "Whether bytes after a message's data are an error.",
        ),
    ] {
        definition.add(key);
    }
    definition
}

/// The options of the mapping.
pub(crate) fn options(config: &Config) -> Options {
    Options {
        connect_meta_data: config.bool("connect.meta.data"),
        enhanced_schema_support: config.bool("enhanced.avro.schema.support"),
        allow_optional_map_keys: config.bool("allow.optional.map.keys"),
        generalized_sum_types: config.bool("generalized.sum.type.support"),
        discard_type_doc_default: config.bool("discard.type.doc.default"),
        scrub_invalid_names: config.bool("scrub.invalid.names"),
        flatten_singleton_unions: config.bool("flatten.singleton.unions"),
        ignore_default_for_nullables: config.bool("ignore.default.for.nullables"),
    }
}

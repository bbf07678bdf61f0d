//! Connect data as JSON Schema and JSON, and back. No I/O: texts and bytes in, texts and bytes out.
//!
//! Answers for the data mapping of `io.confluent.connect.json.JsonSchemaConverter` (`JsonSchemaData`)
//! and for the text that its JSON Schema library prints.
//!
//! | file | what it does |
//! | --- | --- |
//! | `from_connect` | a Connect schema as the text that is registered |
//! | `write` | values as JSON, by a plan made once per schema |
//! | `documents` | schema texts, what `$ref` points to |
//! | `to_connect` | a JSON Schema as a Connect schema |
//! | `read` | JSON straight into values of a Connect schema |
//! | `compatible` | whether one schema reads what another one writes |
//! | `validate` | whether a JSON text is what its schema says |

mod compatible;
mod documents;
mod from_connect;
mod read;
mod to_connect;
mod validate;
mod write;

pub use compatible::compatible;
pub use documents::{Documents, title};
pub use from_connect::schema_text;
pub use read::read;
pub use to_connect::connect_schema;
pub use validate::Validator;
pub use write::Writer;

use connect_api::data::Schema;
use connect_api::data::json::DecimalFormat;

/// The options of the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonSchemaOptions {
    /// `object.additional.properties`: objects may have members that the schema does not know.
    pub object_additional_properties: bool,
    /// `use.optional.for.nonrequired`: what is not in `required` may be null.
    pub use_optional_for_nonrequired: bool,
    /// `decimal.format`.
    pub decimal_format: DecimalFormat,
    /// `ignore.default.for.nullables`: a null stays one where the schema allows it.
    pub ignore_default_for_nullables: bool,
    /// `generalized.sum.type.support`: unions and enums by the names that all converters share.
    pub generalized_sum_types: bool,
    /// `flatten.singleton.unions`: one choice is no choice.
    pub flatten_singleton_unions: bool,
    /// `json.indent.output`: objects over several lines.
    pub indent_output: bool,
}

impl Default for JsonSchemaOptions {
    fn default() -> Self {
        Self {
            object_additional_properties: true,
            use_optional_for_nonrequired: false,
            decimal_format: DecimalFormat::Base64,
            ignore_default_for_nullables: false,
            generalized_sum_types: false,
            flatten_singleton_unions: true,
            indent_output: false,
        }
    }
}

/// Name of the structs that stand for one of several types, and of their fields' prefix.
const ONE_OF: &str = "io.confluent.connect.json.OneOf";
const ONE_OF_FIELD: &str = "io.confluent.connect.json.OneOf.field.";
/// Parameter of texts that are one of a list; with `.SYMBOL`, one of the list.
const ENUM: &str = "io.confluent.connect.json.Enum";
/// Parameter that holds what a `$ref` names.
const ID: &str = "io.confluent.connect.json.Id";
/// Parameters of this prefix are no `connect.parameters`.
const OWN_PREFIX: &str = "io.confluent.connect.json";
/// The same for all converters (`generalized.sum.type.support`).
const GENERAL_UNION: &str = "org.apache.kafka.connect.data.Union";
const GENERAL_ENUM: &str = "org.apache.kafka.connect.data.Enum";
/// The symbol that stands for a null.
const NULL_SYMBOL: &str = "<NULL>";

/// Properties that carry what JSON Schema has no word for.
const CONNECT_TYPE: &str = "connect.type";
const CONNECT_INDEX: &str = "connect.index";
const CONNECT_VERSION: &str = "connect.version";
const CONNECT_PARAMETERS: &str = "connect.parameters";
/// Names of the members of a map's entry.
const KEY: &str = "key";
const VALUE: &str = "value";

/// Schemas deeper than this are refused.
const MAX_DEPTH: usize = 200;

/// Whether a struct schema stands for one of several types.
fn is_union(schema: &Schema) -> bool {
    schema.name() == Some(ONE_OF) || schema.parameter(GENERAL_UNION).is_some()
}

#[cfg(test)]
mod tests;

//! Connect data as Protocol Buffers, and back. No I/O: texts and bytes in, texts and bytes out.
//!
//! Answers for the data mapping of `io.confluent.connect.protobuf.ProtobufConverter`
//! (`ProtobufData`), for the text in which its client prints schemas, and for protobuf-java's
//! `DynamicMessage`.
//!
//! | file | what it does |
//! | --- | --- |
//! | `syntax`, `parse`, `print` | `.proto` files: what they declare, reading and printing them |
//! | `descriptor` | the same declarations from a serialized descriptor |
//! | `known` | the files that everybody has: wrappers, timestamps, decimals |
//! | `pool` | what the names in a file and its imports mean |
//! | `layout` | the fields that a Connect struct has as a message |
//! | `from_connect` | a Connect schema as the text that is registered |
//! | `encode` | values as bytes, by a plan made once per schema |
//! | `to_connect` | a message type as a Connect schema, with the plan to read it |
//! | `decode` | bytes straight into values, by that plan |

mod decode;
mod descriptor;
mod encode;
mod from_connect;
mod known;
mod layout;
mod parse;
mod pool;
mod print;
mod scalar;
mod syntax;
mod to_connect;
mod wire;

pub use encode::Encoder;
pub use from_connect::{MessageSchema, message_schema};
pub use known::is_known;
pub use pool::{Pool, message_name};
pub use to_connect::Decoder;

use connect_api::data::Schema;

/// The options of the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtobufOptions {
    /// `enhanced.protobuf.schema.support`: names keep their package.
    pub enhanced_schema_support: bool,
    /// `scrub.invalid.names`: names become ones that Protobuf knows.
    pub scrub_invalid_names: bool,
    /// `int.for.enums`: enums are their numbers.
    pub int_for_enums: bool,
    /// `optional.for.nullables`: what may be null is `optional`.
    pub optional_for_nullables: bool,
    /// `optional.for.proto2`: so is what proto2 says is.
    pub optional_for_proto2: bool,
    /// `wrapper.for.nullables`: what may be null is a wrapper message.
    pub wrapper_for_nullables: bool,
    /// `wrapper.for.raw.primitives`: a wrapper message as the root is its value.
    pub wrapper_for_raw_primitives: bool,
    /// `generate.struct.for.nulls`: a message that is missing is an empty struct.
    pub generate_struct_for_nulls: bool,
    /// `generate.index.for.unions`: a `oneof`'s field has its number in its name.
    pub generate_index_for_unions: bool,
    /// `flatten.unions`: a `oneof`'s members are fields like others.
    pub flatten_unions: bool,
    /// `generalized.sum.type.support`: unions and enums by the names that all converters share.
    pub generalized_sum_types: bool,
    /// `ignore.default.for.nullables`: a null stays one where the schema allows it.
    pub ignore_default_for_nullables: bool,
}

impl Default for ProtobufOptions {
    fn default() -> Self {
        Self {
            enhanced_schema_support: false,
            scrub_invalid_names: false,
            int_for_enums: false,
            optional_for_nullables: false,
            optional_for_proto2: true,
            wrapper_for_nullables: false,
            wrapper_for_raw_primitives: true,
            generate_struct_for_nulls: false,
            generate_index_for_unions: true,
            flatten_unions: false,
            generalized_sum_types: false,
            ignore_default_for_nullables: false,
        }
    }
}

/// Parameter that holds a field's number.
const TAG: &str = "io.confluent.connect.protobuf.Tag";
/// Parameter that holds a number's type where Connect's says less.
const TYPE: &str = "io.confluent.connect.protobuf.Type";
/// Parameter that holds an enum's name; with `.SYMBOL`, a symbol's number.
const ENUM: &str = "io.confluent.connect.protobuf.Enum";
/// Names of structs that stand for a `oneof` begin with this.
const UNION_PREFIX: &str = "io.confluent.connect.protobuf.Union.";
/// The same for all converters (`generalized.sum.type.support`).
const GENERAL_UNION: &str = "org.apache.kafka.connect.data.Union";
const GENERAL_ENUM: &str = "org.apache.kafka.connect.data.Enum";
/// Parameter that holds a Decimal's precision.
const PRECISION: &str = "connect.decimal.precision";
/// What unnamed structs and maps are called.
const DEFAULT_NAME: &str = "ConnectDefault";

/// Messages inside messages, in schemas and in data, at most: the limit of protobuf-java.
const MAX_DEPTH: usize = 100;

/// The name of the `oneof` that a struct stands for, if it does.
fn union_name(schema: &Schema) -> Option<&str> {
    schema
        .name()
        .and_then(|name| name.strip_prefix(UNION_PREFIX))
        .or_else(|| schema.parameter(GENERAL_UNION))
}

#[cfg(test)]
mod tests;

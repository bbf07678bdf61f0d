//! Converters between Connect data and the bytes in Kafka, for keys, values and headers.
//!
//! One file per class. To add a converter: write its file, add one line to [`PLUGINS`].
//!
//! | file | Java class |
//! | --- | --- |
//! | `json` | `org.apache.kafka.connect.json.JsonConverter` |
//! | `string` | `org.apache.kafka.connect.storage.StringConverter` |
//! | `byte_array` | `org.apache.kafka.connect.converters.ByteArrayConverter` |
//! | `boolean` | `org.apache.kafka.connect.converters.BooleanConverter` |
//! | `number` | `org.apache.kafka.connect.converters.{Short,Integer,Long,Float,Double}Converter` |
//! | `binary_data` | `io.debezium.converters.{BinaryDataConverter, ByteArrayConverter}` |
//! | `cloud_events` | `io.debezium.converters.CloudEventsConverter` |
//! | `simple_header` | `org.apache.kafka.connect.storage.SimpleHeaderConverter` |

mod binary_data;
mod boolean;
mod byte_array;
mod cloud_events;
mod json;
mod number;
mod simple_header;
mod string;

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type, any_of};
use connect_api::plugin::Plugin;
use connect_api::{Props, Result};

/// All converters and header converters.
pub const PLUGINS: &[Plugin] = &[
    boolean::CONVERTER,
    byte_array::CONVERTER,
    binary_data::BINARY_DATA,
    binary_data::BYTE_ARRAY,
    cloud_events::CONVERTER,
    number::DOUBLE,
    number::FLOAT,
    number::INTEGER,
    number::LONG,
    number::SHORT,
    json::CONVERTER,
    string::CONVERTER,
    boolean::HEADER_CONVERTER,
    binary_data::BINARY_DATA_HEADER,
    binary_data::BYTE_ARRAY_HEADER,
    byte_array::HEADER_CONVERTER,
    number::DOUBLE_HEADER,
    number::FLOAT_HEADER,
    number::INTEGER_HEADER,
    number::LONG_HEADER,
    number::SHORT_HEADER,
    json::HEADER_CONVERTER,
    simple_header::HEADER_CONVERTER,
    string::HEADER_CONVERTER,
];

/// The version of Kafka whose converters these are.
const KAFKA: &str = "4.3.1";
/// The version of Debezium whose converters these are.
const DEBEZIUM: &str = "3.7.0.Final";

const CONVERTER_TYPE: &str = "converter.type";

/// The option that every converter has (`ConverterConfig`).
fn converter_definition() -> ConfigDef {
    ConfigDef::new().define(
        ConfigKey::new(CONVERTER_TYPE, Type::String, Importance::Low)
            .validator(any_of(&["key", "value", "header"]))
            .doc("What the converter is used for: key, value or header."),
    )
}

/// The given options with the use that the runtime knows.
fn with_type(props: &Props, converter_type: &str) -> Props {
    let mut props = props.clone();
    props.insert(CONVERTER_TYPE.to_owned(), converter_type.to_owned());
    props
}

fn side(is_key: bool) -> &'static str {
    if is_key { "key" } else { "value" }
}

/// Checks options of a converter that has none of its own.
fn check(props: &Props, converter_type: &str) -> Result<()> {
    converter_definition()
        .parse(&with_type(props, converter_type))
        .map(|_| ())
}

/// Makes a header converter of a converter: header values are converted as values are
/// (`toConnectHeader` calls `toConnectData`).
macro_rules! header_converter_of_converter {
    ($type:ty) => {
        impl connect_api::converter::HeaderConverter for $type {
            fn configure(
                &mut self,
                _context: &connect_api::context::PluginContext,
                props: &connect_api::Props,
            ) -> connect_api::Result<()> {
                self.configure_as(props, "header")
            }
            fn from_connect_header(
                &mut self,
                topic: &str,
                _key: &str,
                data: &connect_api::data::SchemaAndValue,
                out: &mut Vec<u8>,
            ) -> connect_api::Result<bool> {
                let mut headers = connect_api::data::Headers::new();
                connect_api::converter::Converter::from_connect_data(
                    self,
                    topic,
                    &mut headers,
                    data,
                    out,
                )
            }
            fn to_connect_header(
                &mut self,
                topic: &str,
                _key: &str,
                bytes: Option<&connect_api::Bytes>,
            ) -> connect_api::Result<connect_api::data::SchemaAndValue> {
                let headers = connect_api::data::Headers::new();
                connect_api::converter::Converter::to_connect_data(self, topic, &headers, bytes)
            }
        }
    };
}
use header_converter_of_converter;

#[cfg(test)]
mod tests;

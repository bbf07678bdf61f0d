//! `SimpleHeaderConverter`: header values as text, read back to the type that the text looks like.
//!
//! Answers for `org.apache.kafka.connect.storage.SimpleHeaderConverter`.

use connect_api::config::ConfigDef;
use connect_api::context::PluginContext;
use connect_api::converter::HeaderConverter;
use connect_api::data::text::{convert_to_string, parse_string};
use connect_api::data::{Schema, SchemaAndValue, Value};
use connect_api::plugin::{Make, Plugin};
use connect_api::{Bytes, Error, Props, Result};

use crate::KAFKA;

pub(crate) const HEADER_CONVERTER: Plugin = Plugin {
    class: "org.apache.kafka.connect.storage.SimpleHeaderConverter",
    version: KAFKA,
    config: ConfigDef::new,
    make: Make::HeaderConverter(|| Box::new(SimpleHeaderConverter)),
};

#[derive(Debug)]
struct SimpleHeaderConverter;

impl HeaderConverter for SimpleHeaderConverter {
    fn configure(&mut self, _context: &PluginContext, _props: &Props) -> Result<()> {
        Ok(())
    }
    fn from_connect_header(
        &mut self,
        _topic: &str,
        _key: &str,
        data: &SchemaAndValue,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        match &data.value {
            Value::Null => return Ok(false),
            Value::String(text) => out.extend_from_slice(text.as_bytes()),
            other => out.extend_from_slice(convert_to_string(other).as_bytes()),
        }
        Ok(true)
    }
    fn to_connect_header(
        &mut self,
        topic: &str,
        key: &str,
        bytes: Option<&Bytes>,
    ) -> Result<SchemaAndValue> {
        let Some(bytes) = bytes else {
            return Ok(SchemaAndValue::NULL);
        };
        match parse_string(&String::from_utf8_lossy(bytes)) {
            Ok(data) => Ok(data),
            Err(error) if error.message() == "the text of a value ends too early" => {
                Err(Error::data(format!(
                    "Failed to deserialize value for header '{key}' on topic '{topic}'"
                ))
                .with_source(error))
            }
            Err(error) => {
                tracing::warn!(
                    error = %error,
                    "Failed to deserialize value for header '{key}' on topic '{topic}', so using byte array"
                );
                Ok(SchemaAndValue::new(Schema::bytes().build(), bytes.clone()))
            }
        }
    }
}

//! `BooleanConverter`: one byte, 0 or 1.
//!
//! Answers for `org.apache.kafka.connect.converters.BooleanConverter`.

use connect_api::context::PluginContext;
use connect_api::converter::Converter;
use connect_api::data::{Headers, Schema, SchemaAndValue, SchemaRef, Value};
use connect_api::plugin::{Make, Plugin};
use connect_api::{Bytes, Error, Props, Result};

use crate::{KAFKA, check, converter_definition, header_converter_of_converter, side};

const CLASS: &str = "org.apache.kafka.connect.converters.BooleanConverter";

pub(crate) const CONVERTER: Plugin = Plugin {
    class: CLASS,
    version: KAFKA,
    config: converter_definition,
    make: Make::Converter(|| Box::new(BooleanConverter::default())),
};
pub(crate) const HEADER_CONVERTER: Plugin = Plugin {
    class: CLASS,
    version: KAFKA,
    config: converter_definition,
    make: Make::HeaderConverter(|| Box::new(BooleanConverter::default())),
};

#[derive(Debug)]
struct BooleanConverter {
    schema: SchemaRef,
}

impl Default for BooleanConverter {
    fn default() -> Self {
        Self {
            schema: Schema::boolean().optional().build(),
        }
    }
}

impl BooleanConverter {
    #[expect(clippy::unused_self, reason = "the shape that all converters share")]
    fn configure_as(&mut self, props: &Props, converter_type: &str) -> Result<()> {
        check(props, converter_type)
    }
}

impl Converter for BooleanConverter {
    fn configure(&mut self, _context: &PluginContext, props: &Props, is_key: bool) -> Result<()> {
        self.configure_as(props, side(is_key))
    }
    fn from_connect_data(
        &mut self,
        _topic: &str,
        _headers: &mut Headers,
        data: &SchemaAndValue,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        match &data.value {
            Value::Null => Ok(false),
            Value::Boolean(value) => {
                out.push(u8::from(*value));
                Ok(true)
            }
            other => Err(Error::data(format!(
                "Failed to serialize to boolean (was class {}): ",
                other.java_class().unwrap_or("null")
            ))),
        }
    }
    fn to_connect_data(
        &mut self,
        _topic: &str,
        _headers: &Headers,
        bytes: Option<&Bytes>,
    ) -> Result<SchemaAndValue> {
        let failed = |why: String| {
            Error::data("Failed to deserialize boolean: ").with_source(format!(
                "org.apache.kafka.common.errors.SerializationException: {why}"
            ))
        };
        let value = match bytes.map(|bytes| &bytes[..]) {
            None => Value::Null,
            Some([0]) => Value::Boolean(false),
            Some([1]) => Value::Boolean(true),
            Some([other]) => {
                return Err(failed(format!(
                    "Unexpected byte received by BooleanDeserializer: {}",
                    other.cast_signed()
                )));
            }
            Some(_) => {
                return Err(failed(
                    "Size of data received by BooleanDeserializer is not 1".to_owned(),
                ));
            }
        };
        Ok(SchemaAndValue {
            schema: Some(SchemaRef::clone(&self.schema)),
            value,
        })
    }
}

header_converter_of_converter!(BooleanConverter);

//! `ByteArrayConverter`: bytes as they are.
//!
//! Answers for `org.apache.kafka.connect.converters.ByteArrayConverter`.

use connect_api::context::PluginContext;
use connect_api::converter::Converter;
use connect_api::data::{Headers, Schema, SchemaAndValue, SchemaRef, SchemaType, Value};
use connect_api::plugin::{Make, Plugin};
use connect_api::{Bytes, Error, Props, Result};

use crate::{KAFKA, check, converter_definition, header_converter_of_converter, side};

const CLASS: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";

pub(crate) const CONVERTER: Plugin = Plugin {
    class: CLASS,
    version: KAFKA,
    config: converter_definition,
    make: Make::Converter(|| Box::new(ByteArrayConverter::default())),
};
pub(crate) const HEADER_CONVERTER: Plugin = Plugin {
    class: CLASS,
    version: KAFKA,
    config: converter_definition,
    make: Make::HeaderConverter(|| Box::new(ByteArrayConverter::default())),
};

#[derive(Debug)]
struct ByteArrayConverter {
    schema: SchemaRef,
}

impl Default for ByteArrayConverter {
    fn default() -> Self {
        Self {
            schema: Schema::bytes().optional().build(),
        }
    }
}

impl ByteArrayConverter {
    #[expect(clippy::unused_self, reason = "the shape that all converters share")]
    fn configure_as(&mut self, props: &Props, converter_type: &str) -> Result<()> {
        check(props, converter_type)
    }
}

impl Converter for ByteArrayConverter {
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
        if let Some(schema) = &data.schema
            && schema.kind() != SchemaType::Bytes
        {
            return Err(Error::data(format!(
                "Invalid schema type for ByteArrayConverter: {}",
                schema.kind().name()
            )));
        }
        match &data.value {
            Value::Null => Ok(false),
            Value::Bytes(bytes) => {
                out.extend_from_slice(bytes);
                Ok(true)
            }
            other => Err(Error::data(format!(
                "ByteArrayConverter is not compatible with objects of type class {}",
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
        Ok(SchemaAndValue {
            schema: Some(SchemaRef::clone(&self.schema)),
            value: bytes.cloned().into(),
        })
    }
}

header_converter_of_converter!(ByteArrayConverter);

//! `BinaryDataConverter` and `ByteArrayConverter` of Debezium: bytes as they are, everything else by
//! another converter.
//!
//! The two differ in Java classes of bytes that are one here. The other converter,
//! `delegate.converter.type`, is one of this crate.
//!
//! Answers for `io.debezium.converters.{BinaryDataConverter, ByteArrayConverter}`.

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type, props_with_prefix};
use connect_api::context::PluginContext;
use connect_api::converter::{Converter, HeaderConverter};
use connect_api::data::text::to_java_string;
use connect_api::data::{Headers, Schema, SchemaAndValue, SchemaRef, SchemaType, Value};
use connect_api::plugin::{Make, Plugin};
use connect_api::{Bytes, Error, Props, Result};

use crate::{DEBEZIUM, PLUGINS, converter_definition};

const fn plugin(class: &'static str, make: Make) -> Plugin {
    Plugin {
        class,
        version: DEBEZIUM,
        config: definition,
        make,
    }
}

const CONVERTER: Make = Make::Converter(|| Box::new(BinaryDataConverter::default()));
const HEADER: Make = Make::HeaderConverter(|| Box::new(BinaryDataConverter::default()));
const BINARY_CLASS: &str = "io.debezium.converters.BinaryDataConverter";
const ARRAY_CLASS: &str = "io.debezium.converters.ByteArrayConverter";

pub(crate) const BINARY_DATA: Plugin = plugin(BINARY_CLASS, CONVERTER);
pub(crate) const BINARY_DATA_HEADER: Plugin = plugin(BINARY_CLASS, HEADER);
pub(crate) const BYTE_ARRAY: Plugin = plugin(ARRAY_CLASS, CONVERTER);
pub(crate) const BYTE_ARRAY_HEADER: Plugin = plugin(ARRAY_CLASS, HEADER);

const DELEGATE: &str = "delegate.converter.type";

fn definition() -> ConfigDef {
    converter_definition().define(
        ConfigKey::new(DELEGATE, Type::String, Importance::Low)
            .default_null()
            .doc("The class of the converter for what is not bytes."),
    )
}

struct BinaryDataConverter {
    schema: SchemaRef,
    delegate: Option<Box<dyn Converter>>,
}

impl Default for BinaryDataConverter {
    fn default() -> Self {
        Self {
            schema: Schema::bytes().optional().build(),
            delegate: None,
        }
    }
}

impl Converter for BinaryDataConverter {
    fn configure(&mut self, context: &PluginContext, props: &Props, is_key: bool) -> Result<()> {
        let Some(class) = props.get(DELEGATE) else {
            return Ok(());
        };
        let made = PLUGINS.iter().find_map(|plugin| match plugin.make {
            Make::Converter(make) if plugin.class == class.trim() => Some(make()),
            _ => None,
        });
        let mut delegate =
            made.ok_or_else(|| Error::config(format!("Unable to find class {class}")))?;
        delegate.configure(
            context,
            &props_with_prefix(props, &format!("{DELEGATE}.")),
            is_key,
        )?;
        self.delegate = Some(delegate);
        Ok(())
    }

    fn from_connect_data(
        &mut self,
        topic: &str,
        headers: &mut Headers,
        data: &SchemaAndValue,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        let is_binary = data
            .schema
            .as_ref()
            .is_none_or(|schema| schema.kind() == SchemaType::Bytes);
        match (&data.value, &mut self.delegate) {
            (Value::Null, _) if is_binary => Ok(false),
            (Value::Bytes(bytes), _) if is_binary => {
                out.extend_from_slice(bytes);
                Ok(true)
            }
            (_, Some(delegate)) => delegate.from_connect_data(topic, headers, data, out),
            (value, None) => Err(Error::data(format!(
                "A {topic} of type '{}' requires a delegate.converter.type to be configured",
                to_java_string(value)
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

impl HeaderConverter for BinaryDataConverter {
    /// As a header converter it is never told of its options.
    fn configure(&mut self, _context: &PluginContext, _props: &Props) -> Result<()> {
        Ok(())
    }
    fn from_connect_header(
        &mut self,
        topic: &str,
        _key: &str,
        data: &SchemaAndValue,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        self.from_connect_data(topic, &mut Headers::new(), data, out)
    }
    fn to_connect_header(
        &mut self,
        topic: &str,
        _key: &str,
        bytes: Option<&Bytes>,
    ) -> Result<SchemaAndValue> {
        self.to_connect_data(topic, &Headers::new(), bytes)
    }
}

//! The number converters: big-endian bytes of one primitive type each.
//!
//! Answers for `org.apache.kafka.connect.converters.{NumberConverter, ShortConverter,
//! IntegerConverter, LongConverter, FloatConverter, DoubleConverter}`.

use std::marker::PhantomData;

use connect_api::context::PluginContext;
use connect_api::converter::Converter;
use connect_api::data::{Headers, Schema, SchemaAndValue, SchemaBuilder, SchemaRef, Value};
use connect_api::plugin::{Make, Plugin};
use connect_api::{Bytes, Error, Props, Result};

use crate::{KAFKA, check, converter_definition, header_converter_of_converter, side};

/// A primitive type with its converter's names.
trait Number: Send + Sized + std::fmt::Debug {
    /// As error texts name the type.
    const NAME: &'static str;
    /// The deserializer that error texts name.
    const DESERIALIZER: &'static str;
    const SIZE: usize;
    fn schema() -> SchemaBuilder;
    /// Appends the value's bytes; `false` where it is of another type.
    fn write(value: &Value, out: &mut Vec<u8>) -> bool;
    /// The value of `SIZE` bytes.
    fn read(bytes: &[u8]) -> Option<Value>;
}

macro_rules! numbers {
    ($($type:ident $variant:ident $schema:ident $name:literal $deserializer:literal
        $class:literal $plugin:ident $header:ident;)*) => {$(
        impl Number for $type {
            const NAME: &'static str = $name;
            const DESERIALIZER: &'static str = $deserializer;
            const SIZE: usize = size_of::<$type>();
            fn schema() -> SchemaBuilder {
                Schema::$schema()
            }
            fn write(value: &Value, out: &mut Vec<u8>) -> bool {
                let Value::$variant(number) = value else { return false };
                out.extend_from_slice(&number.to_be_bytes());
                true
            }
            fn read(bytes: &[u8]) -> Option<Value> {
                bytes.try_into().ok().map(|bytes| Value::$variant($type::from_be_bytes(bytes)))
            }
        }
        pub(crate) const $plugin: Plugin = Plugin {
            class: $class,
            version: KAFKA,
            config: converter_definition,
            make: Make::Converter(|| Box::new(NumberConverter::<$type>::default())),
        };
        pub(crate) const $header: Plugin = Plugin {
            class: $class,
            version: KAFKA,
            config: converter_definition,
            make: Make::HeaderConverter(|| Box::new(NumberConverter::<$type>::default())),
        };
        header_converter_of_converter!(NumberConverter<$type>);
    )*};
}
numbers! {
    i16 Int16 int16 "short" "ShortDeserializer"
        "org.apache.kafka.connect.converters.ShortConverter" SHORT SHORT_HEADER;
    i32 Int32 int32 "integer" "IntegerDeserializer"
        "org.apache.kafka.connect.converters.IntegerConverter" INTEGER INTEGER_HEADER;
    i64 Int64 int64 "long" "LongDeserializer"
        "org.apache.kafka.connect.converters.LongConverter" LONG LONG_HEADER;
    f32 Float32 float32 "float" "Deserializer"
        "org.apache.kafka.connect.converters.FloatConverter" FLOAT FLOAT_HEADER;
    f64 Float64 float64 "double" "Deserializer"
        "org.apache.kafka.connect.converters.DoubleConverter" DOUBLE DOUBLE_HEADER;
}

#[derive(Debug)]
struct NumberConverter<T> {
    schema: SchemaRef,
    number: PhantomData<T>,
}

impl<T: Number> Default for NumberConverter<T> {
    fn default() -> Self {
        Self {
            schema: T::schema().optional().build(),
            number: PhantomData,
        }
    }
}

impl<T: Number> NumberConverter<T> {
    #[expect(clippy::unused_self, reason = "the shape that all converters share")]
    fn configure_as(&mut self, props: &Props, converter_type: &str) -> Result<()> {
        check(props, converter_type)
    }
}

impl<T: Number> Converter for NumberConverter<T> {
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
        if data.is_null() {
            return Ok(false);
        }
        if !T::write(&data.value, out) {
            return Err(Error::data(format!(
                "Failed to serialize to {} (was class {}): ",
                T::NAME,
                data.value.java_class().unwrap_or("null")
            )));
        }
        Ok(true)
    }
    fn to_connect_data(
        &mut self,
        _topic: &str,
        _headers: &Headers,
        bytes: Option<&Bytes>,
    ) -> Result<SchemaAndValue> {
        let value = match bytes {
            None => Value::Null,
            Some(bytes) => T::read(bytes).ok_or_else(|| {
                Error::data(format!("Failed to deserialize {}: ", T::NAME)).with_source(format!(
                    "org.apache.kafka.common.errors.SerializationException: Size of data received \
                     by {} is not {}",
                    T::DESERIALIZER,
                    T::SIZE
                ))
            })?,
        };
        Ok(SchemaAndValue {
            schema: Some(SchemaRef::clone(&self.schema)),
            value,
        })
    }
}

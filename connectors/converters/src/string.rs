//! `StringConverter`: any value as its text; bytes as a STRING.
//!
//! Answers for `org.apache.kafka.connect.storage.{StringConverter, StringConverterConfig}`.

use connect_api::config::{ConfigDef, ConfigKey, Importance, Type, Width};
use connect_api::context::PluginContext;
use connect_api::converter::Converter;
use connect_api::data::text::to_java_string;
use connect_api::data::{Headers, Schema, SchemaAndValue, SchemaRef, Value};
use connect_api::plugin::{Make, Plugin};
use connect_api::{ByteString, Bytes, Error, Props, Result};

use crate::{KAFKA, converter_definition, header_converter_of_converter, side, with_type};

const CLASS: &str = "org.apache.kafka.connect.storage.StringConverter";
const ENCODING: &str = "converter.encoding";

pub(crate) const CONVERTER: Plugin = Plugin {
    class: CLASS,
    version: KAFKA,
    config: definition,
    make: Make::Converter(|| Box::new(StringConverter::default())),
};
pub(crate) const HEADER_CONVERTER: Plugin = Plugin {
    class: CLASS,
    version: KAFKA,
    config: definition,
    make: Make::HeaderConverter(|| Box::new(StringConverter::default())),
};

fn definition() -> ConfigDef {
    converter_definition().define(
        ConfigKey::new(ENCODING, Type::String, Importance::High)
            .default("UTF-8")
            .display(Width::Medium, "Encoding")
            .doc("The character set of the bytes, by its Java name."),
    )
}

/// The character sets that every JVM has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charset {
    Utf8,
    Ascii,
    Latin1,
    /// Written big-endian with a mark, read by the mark.
    Utf16,
    Utf16Be,
    Utf16Le,
}

impl Charset {
    fn of(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "UTF-8" | "UTF8" => Self::Utf8,
            "US-ASCII" | "ASCII" | "ISO646-US" => Self::Ascii,
            "ISO-8859-1" | "ISO8859_1" | "ISO8859-1" | "LATIN1" | "L1" => Self::Latin1,
            "UTF-16" | "UTF16" => Self::Utf16,
            "UTF-16BE" | "UTF_16BE" => Self::Utf16Be,
            "UTF-16LE" | "UTF_16LE" => Self::Utf16Le,
            _ => return None,
        })
    }

    fn encode(self, text: &str, out: &mut Vec<u8>) {
        let single = |limit: char| move |c: char| if c <= limit { c as u8 } else { b'?' };
        match self {
            Self::Utf8 => out.extend_from_slice(text.as_bytes()),
            Self::Ascii => out.extend(text.chars().map(single('\u{7f}'))),
            Self::Latin1 => out.extend(text.chars().map(single('\u{ff}'))),
            Self::Utf16 => {
                out.extend_from_slice(&[0xfe, 0xff]);
                out.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
            }
            Self::Utf16Be => out.extend(text.encode_utf16().flat_map(u16::to_be_bytes)),
            Self::Utf16Le => out.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
        }
    }

    fn decode(self, bytes: &Bytes) -> ByteString {
        let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
            let (pairs, rest) = bytes.as_chunks::<2>();
            let units: Vec<u16> = pairs.iter().map(|&pair| unit(pair)).collect();
            let mut text = String::from_utf16_lossy(&units);
            if !rest.is_empty() {
                text.push('\u{fffd}');
            }
            text
        };
        let text = match self {
            Self::Utf8 => match ByteString::try_from(bytes.clone()) {
                Ok(text) => return text,
                Err(_) => String::from_utf8_lossy(bytes).into_owned(),
            },
            Self::Ascii => bytes
                .iter()
                .map(|&byte| {
                    if byte.is_ascii() {
                        char::from(byte)
                    } else {
                        '\u{fffd}'
                    }
                })
                .collect(),
            Self::Latin1 => bytes.iter().map(|&byte| char::from(byte)).collect(),
            Self::Utf16 => match &bytes[..] {
                [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
                [0xfe, 0xff, rest @ ..] | rest => wide(rest, u16::from_be_bytes),
            },
            Self::Utf16Be => wide(bytes, u16::from_be_bytes),
            Self::Utf16Le => wide(bytes, u16::from_le_bytes),
        };
        text.into()
    }
}

#[derive(Debug)]
struct StringConverter {
    charset: Charset,
    schema: SchemaRef,
}

impl Default for StringConverter {
    fn default() -> Self {
        Self {
            charset: Charset::Utf8,
            schema: Schema::string().optional().build(),
        }
    }
}

impl StringConverter {
    fn configure_as(&mut self, props: &Props, converter_type: &str) -> Result<()> {
        let config = definition().parse(&with_type(props, converter_type))?;
        let name = config.string(ENCODING);
        self.charset = Charset::of(name).ok_or_else(|| {
            Error::fatal(format!("Unsupported encoding {name}"))
                .with_class("org.apache.kafka.common.errors.SerializationException")
                .with_source(
                    Error::fatal(name.to_owned())
                        .with_class("java.nio.charset.UnsupportedCharsetException"),
                )
        })?;
        Ok(())
    }
}

impl Converter for StringConverter {
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
            Value::Null => return Ok(false),
            Value::String(text) => self.charset.encode(text, out),
            other => self.charset.encode(&to_java_string(other), out),
        }
        Ok(true)
    }
    fn to_connect_data(
        &mut self,
        _topic: &str,
        _headers: &Headers,
        bytes: Option<&Bytes>,
    ) -> Result<SchemaAndValue> {
        Ok(SchemaAndValue {
            schema: Some(SchemaRef::clone(&self.schema)),
            value: bytes.map(|bytes| self.charset.decode(bytes)).into(),
        })
    }
}

header_converter_of_converter!(StringConverter);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charset_that_is_not_there_is_told_with_its_cause() {
        let props = Props::from_iter([(ENCODING.to_owned(), "x".to_owned())]);
        let error = StringConverter::default()
            .configure_as(&props, "key")
            .expect_err("refused");
        assert_eq!(
            error.trace().trim_end(),
            "org.apache.kafka.common.errors.SerializationException: Unsupported encoding x\n\
             Caused by: java.nio.charset.UnsupportedCharsetException: x"
        );
    }

    #[test]
    fn texts_survive_every_charset_that_has_their_characters() {
        for (charset, text, bytes) in [
            (Charset::Utf8, "aé€😀", "aé€😀".as_bytes()),
            (Charset::Ascii, "abc", b"abc"),
            (Charset::Latin1, "aé", b"a\xe9"),
            (Charset::Utf16, "aé", b"\xfe\xff\0a\0\xe9"),
            (Charset::Utf16Be, "aé", b"\0a\0\xe9"),
            (Charset::Utf16Le, "aé", b"a\0\xe9\0"),
        ] {
            let mut out = Vec::new();
            charset.encode(text, &mut out);
            assert_eq!(out, bytes, "{charset:?}");
            assert_eq!(charset.decode(&Bytes::from(out)), *text, "{charset:?}");
        }
        let mut out = Vec::new();
        Charset::Ascii.encode("é", &mut out);
        assert_eq!(out, b"?");
        assert_eq!(
            Charset::Utf8.decode(&Bytes::from_static(b"a\xff")),
            *"a\u{fffd}"
        );
    }
}

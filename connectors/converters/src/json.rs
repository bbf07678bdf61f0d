//! `JsonConverter`: JSON with or without schemas, for keys, values and headers. The mapping itself
//! is `connect_api::data::json`.
//!
//! Answers for `org.apache.kafka.connect.json.{JsonConverter, JsonConverterConfig}`.

use connect_api::config::{
    Config, ConfigDef, ConfigKey, Importance, Type, Width, any_of_ignoring_case,
};
use connect_api::context::PluginContext;
use connect_api::converter::Converter;
use connect_api::data::json::{DecimalFormat, JsonOptions, JsonReader, JsonWriter, PlainJson};
use connect_api::data::{Blocks, Headers, SchemaAndValue, Value};
use connect_api::plugin::{Make, Plugin};
use connect_api::{Bytes, Props, Result};

use crate::{KAFKA, converter_definition, header_converter_of_converter, side, with_type};

const CLASS: &str = "org.apache.kafka.connect.json.JsonConverter";

pub(crate) const CONVERTER: Plugin = Plugin {
    class: CLASS,
    version: KAFKA,
    config: definition,
    make: Make::Converter(|| Box::new(JsonConverter::default())),
};
pub(crate) const HEADER_CONVERTER: Plugin = Plugin {
    class: CLASS,
    version: KAFKA,
    config: definition,
    make: Make::HeaderConverter(|| Box::new(JsonConverter::default())),
};

const SCHEMAS_ENABLE: &str = "schemas.enable";
const SCHEMAS_CACHE_SIZE: &str = "schemas.cache.size";
const SCHEMA_CONTENT: &str = "schema.content";
const DECIMAL_FORMAT: &str = "decimal.format";
const REPLACE_NULL: &str = "replace.null.with.default";

fn definition() -> ConfigDef {
    let key = |name, kind, importance, group, order, display: &str| {
        ConfigKey::new(name, kind, importance).group(group, order, Width::Medium, display)
    };
    converter_definition()
        .define(
            key(
                SCHEMAS_ENABLE,
                Type::Boolean,
                Importance::High,
                "Schemas",
                0,
                "Enable Schemas",
            )
            .default(true)
            .doc("Whether every message carries its schema beside its payload."),
        )
        .define(
            key(
                SCHEMAS_CACHE_SIZE,
                Type::Int,
                Importance::High,
                "Schemas",
                1,
                "Schema Cache Size",
            )
            .default(1000)
            .doc("How many schemas this converter remembers."),
        )
        .define(
            key(
                SCHEMA_CONTENT,
                Type::String,
                Importance::High,
                "Schemas",
                2,
                "Schema Content",
            )
            .default_null()
            .doc(
                "A schema as JSON that all messages have. Messages are then read as payloads \
                     of it, whatever schema they carry.",
            ),
        )
        .define(
            key(
                DECIMAL_FORMAT,
                Type::String,
                Importance::Low,
                "Serialization",
                0,
                "Decimal Format",
            )
            .default("BASE64")
            .validator(any_of_ignoring_case(&["NUMERIC", "BASE64"]))
            .doc("How decimals are written: BASE64 of their bytes, or NUMERIC, as numbers."),
        )
        .define(
            key(
                REPLACE_NULL,
                Type::Boolean,
                Importance::Low,
                "Serialization",
                1,
                "Replace null with default",
            )
            .default(true)
            .doc("Whether a field that is null takes its schema's default, where it has one."),
        )
}

#[derive(Debug)]
struct JsonConverter {
    reader: JsonReader,
    writer: JsonWriter,
    /// Messages are bare values of any kind.
    is_schemaless: bool,
    /// Prints objects where their text is wanted.
    text: Option<Text>,
}

/// Objects as text, gathered in blocks, so that one costs no allocation of its own.
#[derive(Debug, Default)]
struct Text {
    plain: PlainJson,
    blocks: Blocks,
}

impl Text {
    fn print(&mut self, message: &Bytes) -> Option<Bytes> {
        // What is printed is seldom longer.
        self.blocks
            .append(message.len(), |block| self.plain.print(message, block))
    }
}

impl Default for JsonConverter {
    fn default() -> Self {
        let options = JsonOptions::default();
        Self {
            reader: JsonReader::new(options),
            writer: JsonWriter::new(options),
            is_schemaless: false,
            text: None,
        }
    }
}

/// The options of the mapping that a configuration gives.
fn options(config: &Config) -> JsonOptions {
    let numeric = config
        .string(DECIMAL_FORMAT)
        .eq_ignore_ascii_case("NUMERIC");
    JsonOptions {
        schemas_enable: config.bool(SCHEMAS_ENABLE),
        schemas_cache_size: usize::try_from(config.int(SCHEMAS_CACHE_SIZE)).unwrap_or(0),
        decimal_format: if numeric {
            DecimalFormat::Numeric
        } else {
            DecimalFormat::Base64
        },
        replace_null_with_default: config.bool(REPLACE_NULL),
    }
}

/// The same for another converter that writes JSON inside.
pub(crate) fn parse_options(props: &Props) -> Result<JsonOptions> {
    Ok(options(&definition().parse(&with_type(props, "value"))?))
}

impl JsonConverter {
    fn configure_as(&mut self, props: &Props, converter_type: &str) -> Result<()> {
        let config = definition().parse(&with_type(props, converter_type))?;
        let options = options(&config);
        self.writer = JsonWriter::new(options);
        let content = config
            .string_opt(SCHEMA_CONTENT)
            .filter(|content| !content.is_empty());
        self.is_schemaless = !options.schemas_enable && content.is_none();
        self.reader = match content {
            Some(content) => JsonReader::with_schema_content(options, content)?,
            None => JsonReader::new(options),
        };
        Ok(())
    }
}

impl Converter for JsonConverter {
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
        self.writer.write(data, out)
    }
    fn to_connect_data(
        &mut self,
        _topic: &str,
        _headers: &Headers,
        bytes: Option<&Bytes>,
    ) -> Result<SchemaAndValue> {
        if let (Some(text), Some(bytes)) = (&mut self.text, bytes)
            && let Some(printed) = text.print(bytes)
        {
            return Ok(SchemaAndValue {
                schema: None,
                value: Value::Bytes(printed),
            });
        }
        self.reader.read(bytes)
    }
    fn json_options(&self) -> Option<JsonOptions> {
        Some(self.writer.options())
    }
    fn has_json_text(&self) -> bool {
        self.is_schemaless
    }
    fn give_json_text(&mut self) {
        if self.is_schemaless {
            self.text = Some(Text::default());
        }
    }
}

header_converter_of_converter!(JsonConverter);

//! The options of `CloudEventsConverter`.
//!
//! Its plugin shows none of them, as there. Answers for
//! `io.debezium.converters.CloudEventsConverterConfig`.

use connect_api::config::{Config, ConfigDef, ConfigKey, Importance, Type, props_with_prefix};
use connect_api::data::json::JsonOptions;
use connect_api::{Error, Props, Result};

use crate::json;

fn definition() -> ConfigDef {
    let key = |name, kind, importance| ConfigKey::new(name, kind, importance);
    ConfigDef::new()
        .define(
            key("serializer.type", Type::String, Importance::High)
                .default("json")
                .doc("What events are written as: json or avro."),
        )
        .define(
            key("data.serializer.type", Type::String, Importance::High)
                .default("json")
                .doc("What the data inside events is written as: json or avro."),
        )
        .define(
            key(
                "opentelemetry.tracing.attributes.enable",
                Type::Boolean,
                Importance::High,
            )
            .default(false)
            .doc("Whether events have the attribute traceparent, taken from a header."),
        )
        .define(
            key(
                "extension.attributes.enable",
                Type::Boolean,
                Importance::High,
            )
            .default(true)
            .doc("Whether events have the source's and the transaction's fields as attributes."),
        )
        .define(
            key(
                "schema.name.adjustment.mode",
                Type::String,
                Importance::Low,
            )
            .default("avro")
            .doc("How the name of an event's schema is made one in Avro: avro, avro_unicode or none."),
        )
        .define(
            key("schema.cloudevents.name", Type::String, Importance::Low)
                .default_null()
                .doc("The name of an event's schema; the server's and the database's by default."),
        )
        .define(
            key(
                "schema.data.name.source.header.enable",
                Type::Boolean,
                Importance::Low,
            )
            .default(false)
            .doc("Whether the name of the data's schema may come from a header."),
        )
        .define(
            key("metadata.source", Type::List, Importance::High)
                .default(
                    "value,id:generate,type:generate,traceparent:header,dataSchemaName:generate",
                )
                .doc("Where the event's attributes come from: value or header, then exceptions."),
        )
}

/// What something is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Avro,
}

impl Format {
    fn parse(config: &Config, key: &str) -> Result<Self> {
        let given = config.string(key);
        match given.to_ascii_lowercase().as_str() {
            "json" => Ok(Self::Json),
            "avro" => Ok(Self::Avro),
            _ => Err(Error::config(format!(
                "Invalid value {given} for configuration {key}: json and avro are possible"
            ))),
        }
    }

    /// The media type.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Avro => "application/avro",
        }
    }
}

/// Where an attribute comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Value,
    Header,
    Generate,
}

impl From {
    fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "value" => Some(Self::Value),
            "header" => Some(Self::Header),
            "generate" => Some(Self::Generate),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Value => "VALUE",
            Self::Header => "HEADER",
            Self::Generate => "GENERATE",
        }
    }
}

/// The options, read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// The event's form.
    pub event: Format,
    /// The form of the data inside.
    pub data: Format,
    pub tracing: bool,
    pub extensions: bool,
    /// Where source, operation and transaction come from: value or header.
    pub metadata: From,
    pub id: From,
    pub kind: From,
    pub trace_parent: From,
    pub data_schema_name: From,
    /// How the data is written; the event around it never has a schema.
    pub json: JsonOptions,
}

impl Options {
    pub(super) fn parse(props: &Props) -> Result<Self> {
        let config = definition().parse(props)?;
        let (event, data) = (
            Format::parse(&config, "serializer.type")?,
            Format::parse(&config, "data.serializer.type")?,
        );
        if (event, data) == (Format::Avro, Format::Json) {
            return Err(Error::config(
                "Cannot use 'application/json' data content type within Avro events",
            ));
        }
        let sources = config.list("metadata.source");
        let global = sources.first().map_or("", String::as_str);
        let metadata = match From::parse(global) {
            Some(From::Generate) => {
                return Err(Error::config("Global metadata source can't be GENERATE"));
            }
            Some(other) => other,
            None => {
                return Err(Error::config(format!(
                    "Global metadata source `{global}` is not valid"
                )));
            }
        };
        let mut options = Self {
            event,
            data,
            tracing: config.bool("opentelemetry.tracing.attributes.enable"),
            extensions: config.bool("extension.attributes.enable"),
            metadata,
            id: metadata,
            kind: metadata,
            trace_parent: metadata,
            data_schema_name: metadata,
            json: json::parse_options(&props_with_prefix(props, "json."))?,
        };
        for item in sources.iter().skip(1) {
            let (field, source) = item.split_once(':').unwrap_or((item, ""));
            let source = match From::parse(source) {
                Some(From::Value) => {
                    return Err(Error::config(format!(
                        "Field metadata source can't be {}",
                        From::Value.name()
                    )));
                }
                Some(source) => source,
                None => {
                    return Err(Error::config(format!(
                        "Field source `{source}` is not valid"
                    )));
                }
            };
            match field {
                "id" => options.id = source,
                "type" => options.kind = source,
                "traceparent" => options.trace_parent = source,
                "dataSchemaName" => options.data_schema_name = source,
                other => {
                    return Err(Error::config(format!(
                        "Field `{other}` is not allowed to set custom source"
                    )));
                }
            }
        }
        // Two headers are looked at only where that is asked for on its own.
        if !options.tracing && options.trace_parent == From::Header {
            options.trace_parent = From::Generate;
        }
        if !config.bool("schema.data.name.source.header.enable")
            && options.data_schema_name == From::Header
        {
            options.data_schema_name = From::Generate;
        }
        Ok(options)
    }
}

/// The converter for what is written in Avro, and the name of events there.
#[derive(Debug)]
pub(super) struct AvroOptions {
    /// The converter's class.
    pub class: &'static str,
    /// Its options.
    pub props: Props,
    /// The registry's addresses.
    pub urls: String,
    /// `schema.cloudevents.name`.
    pub event_name: Option<String>,
    adjustment: Adjustment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Adjustment {
    None,
    Avro,
    AvroUnicode,
}

impl AvroOptions {
    pub(super) fn parse(props: &Props) -> Result<Self> {
        let config = definition().parse(props)?;
        let given = config.string("schema.name.adjustment.mode");
        let adjustment = match given.trim().to_ascii_lowercase().as_str() {
            "none" => Adjustment::None,
            "avro" => Adjustment::Avro,
            "avro_unicode" => Adjustment::AvroUnicode,
            _ => {
                return Err(Error::config(format!(
                    "Invalid value {given} for configuration schema.name.adjustment.mode: none, \
                     avro and avro_unicode are possible"
                )));
            }
        };
        let avro = props_with_prefix(props, "avro.");
        let (class, urls) = match (avro.get(APICURIO_URL), avro.get(CONFLUENT_URL)) {
            (Some(urls), _) => ("io.apicurio.registry.utils.converter.AvroConverter", urls),
            (None, Some(urls)) => ("io.confluent.connect.avro.AvroConverter", urls),
            (None, None) => {
                return Err(Error::config(
                    "Need URL(s) for schema registry instances for CloudEvents when using Apache \
                     Avro: set avro.schema.registry.url",
                ));
            }
        };
        Ok(Self {
            class,
            urls: urls.clone(),
            event_name: config
                .string_opt("schema.cloudevents.name")
                .map(ToOwned::to_owned),
            adjustment,
            props: avro,
        })
    }

    /// A name as Avro knows them.
    ///
    /// Answers for `io.debezium.schema.SchemaNameAdjuster`.
    pub(super) fn adjusted(&self, name: &str) -> String {
        let mut out = String::with_capacity(name.len());
        for (at, character) in name.chars().enumerate() {
            let first = character.is_ascii_alphabetic() || character == '_';
            let legal = first || (at > 0 && (character.is_ascii_digit() || character == '.'));
            match self.adjustment {
                Adjustment::Avro if !legal => out.push('_'),
                // The escape itself is escaped, so that no two names become one.
                Adjustment::AvroUnicode if !legal || character == '_' => {
                    out.push_str(&format!("_u{:04x}", u32::from(character)));
                }
                _ => out.push(character),
            }
        }
        out
    }
}

const APICURIO_URL: &str = "apicurio.registry.url";
const CONFLUENT_URL: &str = "schema.registry.url";
